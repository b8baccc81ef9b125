//! `benchmark`: strategies compared on recorded trainings.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::support::{Experiment, Ran};

/// 34 networks.
const SPACE: &str = "
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 3, filters: [8, 16], kernels: [3], pools: [[2, 2]], fc_widths: [32]}
early_stopping: {burn_in: 5}
";

/// A folder with the recording of the whole space, and a configuration that searches in it.
fn recorded() -> Experiment {
    let one = Experiment::with(&format!(
        "experiment: {{name: all, seed: 5}}\nstrategy: {{kind: exhaustive}}\n\
         training: {{trainer: synthetic, epochs: 4, synthetic_epoch_seconds: 0.001}}\n{SPACE}"
    ));
    one.run(&["run", "config.yaml", "all", "--set", "early_stopping.enabled=false"]).success();
    one.run(&["export", "all", "all.csv", "--recorded"]).success();
    let training = "training: {trainer: recorded, epochs: 4, recorded: [all.csv]}";
    let config = format!("experiment: {{name: search, seed: 7}}\n{training}\n{SPACE}");
    fs::write(one.folder().join("search.yaml"), config).unwrap();
    one
}

fn benchmark(of: &Experiment, more: &[&str]) -> Ran {
    of.run(&[&["benchmark", "search.yaml", "--output", "out", "--seeds", "3"], more].concat())
}

fn rows(of: &Experiment, file: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read(of.folder().join(file)).unwrap();
    csv::Reader::from_reader(&*text).deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_same_comparison_whatever_the_number_of_threads() {
    let one = recorded();
    let more = ["--strategies", "random,q_learning,evolution", "--stopping", "both"];
    let benchmark = ["benchmark", "search.yaml", "--seeds", "3", "--output"];
    for (threads, output) in [("1", "one"), ("3", "three")] {
        let mut command = one.command(&[&benchmark[..], &[output], &more].concat());
        let ran = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let table = String::from_utf8(ran.stdout).unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
    for file in ["benchmark.csv", "summary.csv", "columns.csv", "benchmark.svg"] {
        let [a, b] =
            ["one", "three"].map(|dir| fs::read(one.folder().join(dir).join(file)).unwrap());
        assert!(a == b, "{file}");
    }
    let strategies = rows(&one, "one/strategies.csv");
    assert_eq!(strategies.len(), 6);
    // Half of the space; 17 results of each search, the last in the last row.
    let courses = rows(&one, "one/benchmark.csv");
    assert_eq!(courses.iter().filter(|row| row["results"] == "17").count(), 18);
    let summary = rows(&one, "one/summary.csv");
    assert_eq!(summary.len(), 6 * 8);
    assert!(summary.iter().all(|row| row["best_low"] <= row["best_high"]));
}

#[test]
fn a_search_of_the_whole_space_finds_the_best_when_its_training_ends() {
    let one = recorded();
    let more = [
        "--strategies", "random", "--stopping", "off", "--budget", "34", "--workers", "2", "--json",
    ];
    let found = benchmark(&one, &more).success().json();
    let end = found[0]["at"].as_array().unwrap().iter().rfind(|at| at["networks"] == 34).unwrap();
    let best = |row: &BTreeMap<String, String>| {
        row["validation_accuracy"].parse::<f64>().unwrap_or_default()
    };
    let all = rows(&one, "all.csv").iter().map(best).fold(0.0, f64::max);
    assert_eq!(end["best"]["median"], all);
    assert_eq!(found[0]["never_found"], 0);
    // Two workers share the recorded seconds, of which each idles for one training at most.
    let seconds =
        |row: &BTreeMap<String, String>| row["seconds"].parse::<f64>().unwrap_or_default();
    let whole = rows(&one, "all.csv").iter().map(seconds).sum::<f64>();
    let last = rows(&one, "out/benchmark.csv");
    let last = last.iter().filter(|row| row["results"] == "34").map(seconds);
    assert!(last.into_iter().all(|end| end >= whole / 2.0 && end <= whole / 2.0 + 0.03));
}

#[test]
fn seconds_end_a_search_of_any_strategy_in_its_last_epsilon() {
    let one = recorded();
    let seconds =
        |row: &BTreeMap<String, String>| row["seconds"].parse::<f64>().unwrap_or_default();
    let whole = rows(&one, "all.csv").iter().map(seconds).sum::<f64>();
    let budget = whole / 4.0;
    let given = format!("{budget}s");
    let more = ["--strategies", "random,q_learning", "--workers", "2", "--budget", &given];
    benchmark(&one, &more).success();
    let courses = rows(&one, "out/benchmark.csv");
    let ends =
        courses.chunk_by(|a, b| (&a["strategy"], &a["seed"]) == (&b["strategy"], &b["seed"]));
    let ends = ends.map(|of| of.last().unwrap()).collect::<Vec<_>>();
    assert_eq!(ends.len(), 6);
    // Two workers have half of the seconds of all 34 networks.
    for end in ends {
        assert!(seconds(end) <= budget && seconds(end) >= 0.8 * budget, "{end:?}");
        let results = end["results"].parse::<u32>().unwrap();
        assert!((9..=28).contains(&results), "{end:?}");
    }
}

#[test]
fn folders_of_killed_benchmarks_are_removed_those_of_living_ones_stay() {
    let one = recorded();
    let make = |place: &Path| {
        let folder = tempfile::Builder::new().prefix("metaqnn-benchmark.").tempdir_in(place)?;
        let lock = File::create(folder.path().join("lock"))?;
        fs::create_dir_all(folder.path().join(".tmp/search"))?;
        std::io::Result::Ok((folder, lock))
    };
    let [(living, lock), (killed, _)] =
        [(); 2].map(|()| make(Path::new("/dev/shm")).or_else(|_| make(&env::temp_dir())).unwrap());
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    benchmark(&one, &["--strategies", "random"]).success();
    assert!(living.path().exists() && !killed.path().exists());
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_made() {
    let one = recorded();
    let refused = |more: &[&str], says: &str| {
        drop(benchmark(&one, more).fails_with(2).says(says));
        assert!(!fs::exists(one.folder().join("out")).unwrap());
    };
    refused(&["--strategies", "greedy"], "possible values: q_learning, random");
    refused(&["--budget", "35"], "34 networks are recorded (give 1 to 34)");
    refused(&["--budget", "2h"], "of seconds (`7200s`)");
    refused(&["--set", "strategy.evolution.population=0"], "strategy.evolution.population");
    let synthetic = ["--set", "training.trainer=synthetic", "--set", "training.recorded=[]"];
    refused(&synthetic, "a benchmark is made of recorded trainings");
    let text = fs::read_to_string(one.folder().join("all.csv")).unwrap();
    fs::write(one.folder().join("all.csv"), text.replacen("seconds", "minutes", 1)).unwrap();
    refused(&[], "has epochs without `seconds`");
}
