//! What a reduce costs: the Q-updates of a whole search, and one new result after a long one.

use std::time::Instant;

use metaqnn::internals::Experiment;
use metaqnn::internals::rebuild;
use metaqnn::internals::{EndedJobs, learn, reduce};
use metaqnn::internals::{TrainOptions, train};
use metaqnn::outcome::Accuracy;
use metaqnn::q_learning::{Learner, QLearningParams};
use metaqnn::seed::{Purpose, generator};
use metaqnn::space::{DataShape, SpaceParams};

use crate::measured::Measured;
use crate::search::{self, SearchPlan};

/// Measures learning.
pub fn measure() {
    updates();
    for results in [100, 1_000, 10_000] {
        one_more(results);
    }
}

/// The updates alone: rows of the memory, 100 draws each.
fn updates() {
    let image = DataShape { size: 32, channels: 3, classes: 10 };
    let space = SpaceParams::default().check(image).unwrap();
    let rows = search::rows(&space, 10_000);
    let lesson = |(architecture, reward)| {
        (space.parse(architecture).unwrap(), Accuracy::new(reward).unwrap())
    };
    let lessons: Vec<_> = rows.iter().filter_map(|row| row.memory()).map(lesson).collect();
    for (count, compared_with) in
        [(2_700, "under 2 s"), (5_400, "twice that"), (10_800, "four times that")]
    {
        let learn = || {
            let params = QLearningParams::default().check().unwrap();
            let mut learner = Learner::new(params, space.clone());
            for (iteration, (architecture, reward)) in (1..).zip(&lessons[..count]) {
                let mut rng = generator(1, Purpose::Replay, iteration, 0);
                learner.learn(architecture, *reward, &mut rng).unwrap();
            }
        };
        Measured::of(3, learn).print(&format!("{count} rows, 100 draws each"), compared_with);
    }
}

/// Measures the reduce of one new result, and that of all of them anew.
pub fn one_more(results: u64) {
    let folder = tempfile::tempdir().unwrap();
    let experiment =
        search::write(folder.path(), SearchPlan { results, epsilon: 1.0, per_task: 1 });
    reduce(&experiment, &EndedJobs::None).unwrap();
    // Both read the log: `status` says what that costs.
    let one = "beyond the log 10 ms, 30 ms with tables, at 10,000";
    let without: fn(&_, &_) -> _ = learn;
    for (reduce, new, what, limit) in [
        (without, 1, "without tables", one),
        (reduce, 1, "with tables", one),
        (reduce, 0, "with tables", "limit: 1.5 s at 88,000 rows"),
    ] {
        let mut durations = Vec::new();
        for _ in 0..5 {
            (0..new).for_each(|_| train_one(&experiment));
            let began = Instant::now();
            let reduced = reduce(&experiment, &EndedJobs::None).unwrap();
            durations.push(began.elapsed());
            assert_eq!(reduced.new_rows > 0, new > 0);
        }
        let what = format!("reduce of {new} after {results}, {what}");
        Measured::new(durations).print(&what, limit);
    }
    let rebuilt = Measured::of(1, || assert!(rebuild(&experiment).unwrap() > 0));
    rebuilt.print(&format!("rebuild after {results} results"), "grows with the rows");
}

/// Claims, trains and records one architecture.
fn train_one(experiment: &Experiment) {
    let options = TrainOptions { share: 1, ..TrainOptions::default() };
    train(experiment, options, &mut |_| {}).unwrap();
}
