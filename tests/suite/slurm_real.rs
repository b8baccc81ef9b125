//! `sbatch` for real, on the one-machine Slurm that `scripts/test.sh` starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Experiment, skip, wait_until};

const SEARCH: &str = "
experiment: {name: real, seed: 3}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 4, filters: [8, 16], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 12}
  - {epsilon: 0.1, architectures: 4}
training: {trainer: synthetic, epochs: 4, synthetic_epoch_seconds: 0.2}
slurm: {gres: 'gpu:1', cpus_per_task: 1, max_parallel: 8}
";

fn has_slurm(test: &str) -> bool {
    if std::env::var_os("METAQNN_SLURM").is_some() {
        return true;
    }
    skip(test, "METAQNN_SLURM is not set (as root, scripts/test.sh starts a Slurm)");
    false
}

fn is_finished(experiment: &Experiment) -> bool {
    experiment.run(&["status", "dir", "--json"]).success().json()[0]["condition"] == "finished"
}

/// The jobs of an experiment in the queue, by the name that its rounds bear.
fn queue(experiment: &Experiment) -> Vec<String> {
    let array = experiment.text("rounds/0001/1/array.yaml");
    let name = array.lines().find_map(|line| line.strip_prefix("job_name: ")).unwrap();
    let prefix = name.trim_end_matches("0001");
    let output = Command::new("squeue").args(["-h", "-o", "%j %i %T"]).output().unwrap();
    let jobs = String::from_utf8(output.stdout).unwrap();
    jobs.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

type Rows = Vec<HashMap<String, String>>;

fn assert_no_architecture_is_trained_twice(log: &Rows) {
    let results: Vec<&String> = log
        .iter()
        .filter(|row| ["trained", "failed"].contains(&row["event"].as_str()))
        .map(|row| &row["architecture"])
        .collect();
    assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn one_submit_runs_a_search_to_its_end() {
    if !has_slurm("one_submit_runs_a_search_to_its_end") {
        return;
    }
    let experiment = Experiment::init(SEARCH);
    experiment.run(&["submit", "dir"]).success();
    wait_until("finished", || is_finished(&experiment));
    wait_until("no job is left", || queue(&experiment).is_empty());
    let log = experiment.log();
    assert_no_architecture_is_trained_twice(&log);
    let results = log.iter().filter(|row| ["trained", "failed"].contains(&row["event"].as_str()));
    assert_eq!(results.count(), 16);
    // Each task has a GPU of its node to itself: no two trainings overlap on one.
    let mut trainings: BTreeMap<(&str, &str), Vec<(&str, &str)>> = BTreeMap::new();
    for row in log.iter().filter(|row| !row["started_at"].is_empty()) {
        assert!(
            ["0", "1"].contains(&row["device"].as_str()),
            "a GPU of the node: {}",
            row["device"]
        );
        let place = (row["host"].as_str(), row["device"].as_str());
        trainings.entry(place).or_default().push((&row["started_at"], &row["time"]));
    }
    for (place, mut spans) in trainings {
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{place:?}: {spans:?}");
    }
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    assert!(experiment.path("tables/iterations.csv").exists());
}

#[test]
fn a_setup_line_that_fails_ends_the_chain_and_a_corrected_one_goes_on() {
    if !has_slurm("a_setup_line_that_fails_ends_the_chain_and_a_corrected_one_goes_on") {
        return;
    }
    let lines = "max_parallel: 8, setup_lines: [no-module load cuda]";
    let experiment = Experiment::init(&SEARCH.replace("max_parallel: 8", lines));
    experiment.run(&["submit", "dir"]).success();
    wait_until("no job is left", || queue(&experiment).is_empty());
    let status = experiment.run(&["status", "dir", "--json"]).success().json().remove(0);
    assert_eq!((&status["condition"], &status["iterations"]), (&"chain_broken".into(), &0.into()));
    let notices = status["notices"].to_string();
    assert!(notices.contains("12 of 12 tasks of round 1 ended without a claim"), "{notices}");
    assert!(
        notices.contains("setup line failed (exit status 127): no-module load cuda"),
        "{notices}"
    );
    experiment.run(&["set", "dir", "slurm.setup_lines=[]"]).success();
    experiment.run(&["submit", "dir"]).success();
    wait_until("finished", || is_finished(&experiment));
}

#[test]
fn cancel_ends_a_chain_and_submit_goes_on() {
    if !has_slurm("cancel_ends_a_chain_and_submit_goes_on") {
        return;
    }
    let experiment = Experiment::init(&SEARCH.replace("0.2}", "1.0}"));
    experiment.run(&["submit", "dir"]).success();
    wait_until("something is in training", || !experiment.log().is_empty());
    experiment.run(&["cancel", "dir"]).success();
    wait_until("no job is left", || queue(&experiment).is_empty());
    let rows = experiment.log().len();
    sleep(Duration::from_secs(3));
    assert!(queue(&experiment).is_empty(), "nothing comes back");
    assert_eq!(experiment.log().len(), rows);
    experiment.run(&["submit", "dir"]).success();
    wait_until("something is in training again", || experiment.log().len() > rows + 1);
    // At once, while the tasks of the cancelled round still end.
    experiment.run(&["cancel", "dir"]).success();
    experiment.run(&["submit", "dir"]).success();
    wait_until("finished", || is_finished(&experiment));
    assert_no_architecture_is_trained_twice(&experiment.log());
}

#[test]
fn a_warned_task_requeues_itself_and_takes_its_claim_up() {
    if !has_slurm("a_warned_task_requeues_itself_and_takes_its_claim_up") {
        return;
    }
    // Long epochs: the warning comes in the midst of a training.
    let experiment = Experiment::init(
        &SEARCH.replace("0.2}", "3.0}").replace("architectures: 12", "architectures: 1"),
    );
    experiment.run(&["submit", "dir", "--rounds", "1"]).success();
    wait_until("a claim", || !experiment.log().is_empty());
    let claim = experiment.log().remove(0);
    sleep(Duration::from_millis(500));
    let task = format!("{}_{}", claim["job"], claim["task"]);
    let signalled =
        Command::new("scancel").args(["--signal=USR1", "--batch", &task]).status().unwrap();
    assert!(signalled.success());
    wait_until("a second attempt", || {
        experiment.log().iter().any(|row| row["event"] == "claimed" && row["attempt"] == "2")
    });
    let log = experiment.log();
    let again = log.iter().find(|row| row["attempt"] == "2").unwrap();
    assert_eq!(again["iteration"], claim["iteration"]);
    assert_eq!(again["reason"], "the attempt before left on the time warning without a new epoch");
    experiment.run(&["cancel", "dir"]).success();
}

#[test]
fn the_scripts_run_by_hand() {
    if !has_slurm("the_scripts_run_by_hand") {
        return;
    }
    let experiment = Experiment::init(SEARCH);
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm");
    let sbatch = |arguments: &[&str], script: &str, more: &[&str]| {
        let output = Command::new("sbatch")
            .args(["--parsable", "--gres=gpu:1", "--cpus-per-task=1"])
            .args(arguments)
            .arg(scripts.join(script))
            .arg(experiment.path(""))
            .args(more)
            .current_dir(experiment.folder())
            .env("METAQNN", env!("CARGO_BIN_EXE_metaqnn"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let array = sbatch(&["--array=0-3"], "train.sbatch", &[]);
    sbatch(&[&format!("--dependency=afterany:{array}")], "reduce.sbatch", &["--after", &array]);
    wait_until("a view", || {
        std::fs::read_dir(experiment.path("views")).unwrap().any(|entry| {
            entry.unwrap().file_name().to_str().is_some_and(|name| name.parse::<u64>().is_ok())
        })
    });
    let log = experiment.log();
    assert_eq!(
        log.iter().filter(|row| row["event"] == "claimed" && row["job"] == array).count(),
        4
    );
    assert_no_architecture_is_trained_twice(&log);
}
