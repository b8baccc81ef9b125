//! `metaqnn run`: a whole search on one machine.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Experiment, SMALL};

/// Columns that tell of the machine and the clock, not of the search.
const ELSEWHERE: [&str; 10] = [
    "train_seconds",
    "saved_seconds",
    "lost_seconds",
    "device",
    "host",
    "job",
    "task",
    "started_at",
    "time",
    "expires_at",
];

#[test]
fn a_search_runs_to_the_end_of_its_schedule() {
    let experiment = Experiment::with(SMALL);
    let ran = experiment.run(&["run", "config.yaml", "dir"]).success();
    assert!(ran.stdout().contains("rank"), "{}", ran.stdout());
    let log = experiment.log();
    let mut results: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &log {
        if ["trained", "failed"].contains(&row["event"].as_str()) {
            *results.entry(row["epsilon"].as_str()).or_default() += 1;
        }
    }
    assert_eq!(results, BTreeMap::from([("1.0", 12), ("0.1", 6)]));
    let trained: Vec<_> = log
        .iter()
        .filter(|row| row["event"] == "claimed")
        .map(|row| &row["architecture"])
        .collect();
    assert_eq!(
        trained.len(),
        trained.iter().collect::<BTreeSet<_>>().len(),
        "none is trained twice"
    );
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
    assert_eq!(status[0]["trainer"], "synthetic", "made-up results are marked");
}

#[test]
fn running_again_goes_on_and_another_configuration_is_refused() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let rows = experiment.log().len();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    assert_eq!(experiment.log().len(), rows);
    experiment
        .run(&["run", "config.yaml", "dir", "--set", "training.epochs=9"])
        .fails_with(2)
        .says("`training.epochs` is 4 there and 9 here");
}

#[test]
fn the_default_directory_is_the_name_of_the_experiment() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml"]).success();
    assert!(experiment.folder().join("small/replay.csv").exists());
}

#[test]
fn the_same_seed_gives_the_same_log_and_q_table() {
    let searches = [Experiment::with(SMALL), Experiment::with(SMALL)];
    for search in &searches {
        search.run(&["run", "config.yaml", "dir"]).success();
    }
    let [first, second] = searches.each_ref().map(|search| {
        let mut log = search.log();
        log.iter_mut()
            .for_each(|row| ELSEWHERE.iter().for_each(|column| drop(row.remove(*column))));
        log
    });
    assert_eq!(first, second);
    let [first, second] = searches.each_ref().map(|search| {
        let views = std::fs::read_dir(search.path("views")).unwrap();
        let newest = views.map(|view| view.unwrap().path()).max().unwrap();
        std::fs::read(newest.join("q_table.csv")).unwrap()
    });
    assert_eq!(first, second);
}

#[test]
fn several_workers_train_no_architecture_twice() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir", "--workers", "4"]).success();
    let log = experiment.log();
    let claimed: Vec<_> = log
        .iter()
        .filter(|row| row["event"] == "claimed")
        .map(|row| &row["architecture"])
        .collect();
    assert_eq!(claimed.len(), claimed.iter().collect::<BTreeSet<_>>().len());
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn a_small_space_is_exhausted_and_the_search_ends() {
    // Two layers of one kind at most: far fewer architectures than the schedule asks for.
    let tiny = SMALL.replace(
        "max_layers: 4, filters: [8, 16], fc_widths: [32, 16]",
        "max_layers: 1, filters: [8], kernels: [1], pools: [[2, 2]], fc_widths: [16]",
    );
    let experiment = Experiment::with(&tiny);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    assert_eq!(log.iter().filter(|row| row["event"] == "exhausted").count(), 2);
    assert_eq!(log.iter().filter(|row| row["event"] == "claimed").count(), 3);
}

#[test]
fn without_replay_the_search_runs_too() {
    let experiment = Experiment::with(SMALL);
    experiment
        .run(&["run", "config.yaml", "dir", "--set", "q_learning.experience_replay=false"])
        .success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn a_halted_search_ends_and_goes_on_when_it_is_run_again() {
    let slow = SMALL.replace("epochs: 4", "epochs: 4, synthetic_epoch_seconds: 0.05");
    let experiment = Experiment::with(&slow);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let mut search = experiment
        .command(&["run", "config.yaml", "dir"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while experiment.log().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    experiment.run(&["cancel", "dir"]).success();
    assert!(search.wait().unwrap().success(), "it ends, and does not ask for ever");
    let halted = experiment.log();
    let after = halted.iter().skip_while(|row| row["event"] != "halted");
    assert!(after.skip(1).all(|row| row["event"] != "claimed"), "nothing is claimed after it");
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
}

#[test]
fn a_worker_that_dies_is_replaced() {
    // The first training of all kills its worker.
    let killer = "trainer: command, command: [sh, -c, 'mkdir once && kill -9 $PPID; exec python3 trainer.py']";
    let experiment = Experiment::with(&SMALL.replace("trainer: synthetic", killer));
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    std::fs::copy(script, experiment.folder().join("trainer.py")).unwrap();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let of = |event: &str| log.iter().filter(|row| row["event"] == event).count();
    assert_eq!((of("trained") + of("failed"), of("lost")), (18, 1));
}
