//! The benchmark of this repository: every network of a small space, trained on Fashion-MNIST and
//! recorded. Searches and early stopping on real learning curves.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::support::{Experiment, Ran};

/// Runs the program at the root of the repository, where the recording has its relative path.
fn run(one: &Experiment, arguments: &[&str]) -> Ran {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fashion-grid.csv.gz");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/fashion_grid.yaml");
    let recorded = format!("training.recorded=[{recorded}]");
    one.run(&[&arguments[..1], &[config, "--set", &recorded], &arguments[1..]].concat())
}

/// The rewards of a search, in the order of the log; those of Q-learning with repeats.
fn results(settings: &[&str]) -> Vec<HashMap<String, String>> {
    let one = Experiment::with("");
    let more = settings.iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>();
    run(&one, &[&["run", "dir", "--quiet"], &more[..]].concat()).success();
    one.log().into_iter().filter(|row| !row["reward"].is_empty()).collect()
}

fn mean_reward(rows: &[HashMap<String, String>]) -> f64 {
    let rewards = rows.iter().map(|row| row["reward"].parse::<f64>().unwrap());
    rewards.sum::<f64>() / rows.len() as f64
}

fn best(rows: &[HashMap<String, String>]) -> f64 {
    let trained = rows.iter().filter(|row| row["event"] == "trained");
    let best = trained.map(|row| row["best_validation_accuracy"].parse::<f64>().unwrap());
    best.fold(0.0, f64::max)
}

fn epochs(rows: &[HashMap<String, String>]) -> u64 {
    rows.iter().map(|row| row["epochs"].parse::<u64>().unwrap_or_default()).sum()
}

#[test]
fn it_is_the_whole_space_and_small_enough_for_a_repository() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fashion-grid.csv.gz");
    assert!(fs::metadata(&file).unwrap().len() < 3_000_000);
    let text = GzDecoder::new(File::open(file).unwrap());
    let rows = csv::Reader::from_reader(text).into_deserialize();
    let rows = rows.map(|row| row.unwrap()).collect::<Vec<HashMap<String, String>>>();
    let networks = rows.iter().map(|row| &row["architecture"]).collect::<HashSet<_>>();
    // A search would warn of networks of its space that are not recorded.
    assert_eq!(networks.len(), 3426);
    assert!(rows.iter().all(|row| row["seconds"].parse::<f64>().is_ok_and(|it| it > 0.0)));
}

#[test]
fn a_second_and_third_training_of_200_networks_differ_by_one_or_two_points() {
    let read = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let rows = csv::Reader::from_reader(GzDecoder::new(File::open(file).unwrap()));
        let mut best = HashMap::<(String, String), f64>::new();
        for row in rows.into_deserialize::<HashMap<String, String>>().map(Result::unwrap) {
            if row["event"] == "trained" {
                let accuracy: f64 = row["validation_accuracy"].parse().unwrap();
                let training = (row["architecture"].clone(), row["repeat"].clone());
                best.entry(training).and_modify(|it| *it = accuracy.max(*it)).or_insert(accuracy);
            }
        }
        best
    };
    let grid = read("fashion-grid.csv.gz");
    let repeats = read("fashion-grid-repeats.csv.gz");
    let of = |best: &HashMap<_, _>, architecture: &str, repeat: &str| {
        best.get(&(architecture.to_owned(), repeat.to_owned())).copied()
    };
    let three = repeats.keys().filter(|(_, repeat)| repeat == "2").filter_map(|(name, _)| {
        Some([of(&grid, name, "1")?, of(&repeats, name, "2")?, of(&repeats, name, "3")?])
    });
    let variances = three.map(|three| {
        let mean = three.iter().sum::<f64>() / 3.0;
        three.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / 2.0
    });
    let variances = variances.collect::<Vec<_>>();
    assert_eq!(variances.len(), 156);
    let deviation = (variances.iter().sum::<f64>() / 156.0).sqrt();
    assert!((0.018..0.0185).contains(&deviation), "{deviation}");
}

#[test]
fn what_q_learning_draws_gets_better_as_epsilon_falls() {
    let stages = [("1.0", 200), ("0.5", 50), ("0.1", 50)];
    let schedule =
        stages.map(|(epsilon, count)| format!("{{epsilon: {epsilon}, architectures: {count}}}"));
    let found = results(&[&format!("epsilon_schedule=[{}]", schedule.join(", "))]);
    let means = stages.map(|(epsilon, _)| {
        let of = found.iter().filter(|row| row["epsilon"] == epsilon).cloned();
        mean_reward(&of.collect::<Vec<_>>())
    });
    assert!(means.is_sorted() && means[2] > means[0] + 0.1, "{means:?}");
}

#[test]
fn evolution_bayesian_optimisation_and_the_controller_draw_better_networks_than_chance() {
    let of = |kind: &str, count: usize| {
        let count = format!("strategy.architectures={count}");
        results(&[&format!("strategy.kind={kind}"), &count])
    };
    let random = mean_reward(&of("random", 200));
    let later = [
        mean_reward(&of("evolution", 250)[100..]),
        mean_reward(&of("policy_gradient", 250)[100..]),
        mean_reward(&of("bayesian", 60)[20..]),
    ];
    assert!(later.iter().all(|mean| *mean > random + 0.08), "{random}, {later:?}");
}

#[test]
fn early_stopping_saves_epochs_of_random_search_and_keeps_the_best_network() {
    let search = |stopping| {
        let stopping = format!("early_stopping.enabled={stopping}");
        let count = "strategy.architectures=200";
        let rule = ["early_stopping.burn_in=50", "early_stopping.refit_every=0"];
        results(&[&["strategy.kind=random", count, &stopping], &rule[..]].concat())
    };
    let (whole, stopped) = (search(false), search(true));
    assert_eq!((whole.len(), stopped.len()), (200, 200));
    let count = stopped.iter().filter(|row| row["event"] == "stopped").count();
    assert_eq!(best(&stopped), best(&whole), "{count} were stopped");
    assert_eq!((count, epochs(&stopped), epochs(&whole)), (87, 972, 1740));
}
