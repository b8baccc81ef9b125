//! Logs of random draws, results and losses, for tests.

use rand::Rng;
use rand::seq::IteratorRandom;

use crate::outcome::Accuracy;
use crate::q_learning::{Epsilon, QLearningParams, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::space::{Candidate, DataShape, SpaceParams};
use crate::storage::log::event::Claimant;
use crate::storage::log::event::{Attempt, Event, Row};
use crate::storage::search_state::{Knowledge, Record};
use crate::storage::{fs::time::Time, view::ViewParams};

/// A space so small that architectures are met again, and few enough updates to be quick.
pub(crate) fn params() -> ViewParams {
    let image = DataShape { size: 8, channels: 1, classes: 2 };
    let space = SpaceParams {
        max_layers: 2,
        filters: vec![8],
        fc_widths: vec![4],
        ..SpaceParams::default()
    };
    let q_learning = QLearningParams { replay_size: 5, ..QLearningParams::default() };
    ViewParams {
        space: space.check(image).unwrap(),
        q_learning: q_learning.check().unwrap(),
        seed: 7,
        sha256: "made up".to_owned(),
    }
}

fn time() -> Time {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn claimant(task: usize) -> Claimant {
    Claimant {
        round: Some(1),
        view: None,
        predictor: None,
        device: None,
        host: "node1".to_owned(),
        job: "77".to_owned(),
        task: task.to_string(),
        time: time(),
        expires_at: "2026-03-02T12:00:00Z".parse().unwrap(),
    }
}

fn result(claim: &Row, rng: &mut impl Rng) -> Row {
    if rng.random_range(0..5) == 0 {
        return Row { reward: None, event: Event::OutOfMemory, ..claim.clone() };
    }
    let best = Accuracy::new(rng.random()).unwrap();
    claim.made_up_trained(best.value(), 3, time())
}

/// Returns a log of random draws, results and losses.
pub(crate) fn random_log(seed: u64, steps: usize) -> Vec<Row> {
    let mut rng = generator(seed, Purpose::Sample, 0, 0);
    let table = QTable::new(params().space, 0.5);
    let (mut knowledge, mut log) = (Knowledge::default(), Vec::<Row>::new());
    for step in 0..steps {
        let open = knowledge.open.iter().choose(&mut rng);
        let open = open.map(|(&iteration, open)| Attempt { iteration, number: open.attempt });
        let rows = match (rng.random_range(0..4), open) {
            (0, Some(attempt)) => knowledge.lose(attempt, "crashed", None, time()),
            (1, Some(attempt)) => {
                let is_claim = |row: &&Row| {
                    row.event == Event::Claimed && row.iteration == Some(attempt.iteration)
                };
                let claim = log.iter().find(is_claim).unwrap();
                match knowledge.record(&result(claim, &mut rng)).unwrap() {
                    Record::Append(rows) | Record::AlreadyKnown { due: rows, .. } => rows,
                }
            }
            _ => {
                let architecture = sample_trajectory(&table, Epsilon::RANDOM, &mut rng);
                let candidate = Candidate::once(architecture.to_string());
                vec![knowledge.draw(&candidate, Some(Epsilon::RANDOM), &claimant(step))]
            }
        };
        for row in rows {
            knowledge.apply(&row).unwrap();
            log.push(row);
        }
    }
    log
}
