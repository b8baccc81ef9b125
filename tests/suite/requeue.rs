//! Tasks that were killed and are queued again, with a trainer that keeps checkpoints.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::{Experiment, SMALL, wait_until};

/// Trains 4 epochs of 10 s each. The first attempt waits after its second epoch, to be killed.
const TRAINER: &str = r#"
import json, os, sys
while line := sys.stdin.readline():
    request = json.loads(line)
    if "stop" in request:
        continue
    folder = request["checkpoint"]
    path = os.path.join(folder, "epochs")
    done = int(open(path).read()) if request["resume"] else 0
    os.makedirs(folder, exist_ok=True)
    for epoch in range(done + 1, request["epochs"] + 1):
        told = {"epoch": epoch, "validation_accuracy": 0.5 + epoch / 100, "seconds": 10}
        print(json.dumps(told), flush=True)
        with open(path, "w") as file:
            file.write(str(epoch))
        if request["attempt"] == 1 and epoch == 2:
            sys.stdin.readline()
            sys.exit()
    print('{"done": true}', flush=True)
"#;

/// An experiment whose first attempt was killed after two epochs.
fn killed() -> Experiment {
    let config =
        SMALL.replace("trainer: synthetic", "trainer: command, command: [python3, trainer.py]");
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("trainer.py"), TRAINER).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let mut first = task(&experiment).spawn().unwrap();
    await_rows(&experiment, "curves/000001.1.csv", 2);
    await_text(&experiment, "checkpoints/000001.1/epochs", "2");
    first.kill().unwrap();
    first.wait().unwrap();
    experiment
}

fn task(experiment: &Experiment) -> Command {
    let mut command = experiment.command(&["train", "dir"]);
    command
        .env("SLURM_JOB_ID", "500")
        .env("SLURM_ARRAY_JOB_ID", "500")
        .env("SLURM_ARRAY_TASK_ID", "0")
        .env("SLURM_JOB_END_TIME", "4102444800")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn await_text(experiment: &Experiment, name: &str, text: &str) {
    await_that(experiment, name, |found| found == text);
}

fn await_rows(experiment: &Experiment, name: &str, rows: usize) {
    await_that(experiment, name, |found| found.lines().count() > rows && found.ends_with('\n'));
}

fn await_that(experiment: &Experiment, name: &str, is_so: impl Fn(&str) -> bool) {
    wait_until(name, || fs::read_to_string(experiment.path(name)).is_ok_and(|text| is_so(&text)));
}

fn column(text: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let index = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    reader.records().map(|record| record.unwrap()[index].to_owned()).collect()
}

#[test]
fn a_requeued_training_goes_on_from_its_checkpoint() {
    let experiment = killed();
    let began = Instant::now();
    assert!(task(&experiment).status().unwrap().success());
    let took = began.elapsed().as_secs_f64();
    let log = experiment.log();
    let result = &log[2];
    assert_eq!((result["event"].as_str(), result["attempt"].as_str()), ("trained", "2"));
    assert_eq!((result["epochs"].as_str(), result["best_epoch"].as_str()), ("4", "4"));
    assert_eq!(column(&experiment.text("curves/000001.2.csv"), "epoch"), ["1", "2", "3", "4"]);
    // Two epochs of 10 s stand, and what this attempt took, to a tenth of a second.
    let seconds: f64 = result["train_seconds"].parse().unwrap();
    assert!((20.0..20.0 + took + 0.1).contains(&seconds), "{seconds} {took}");
    assert_eq!(result["lost_seconds"], "0.0");
}

#[test]
fn a_checkpoint_ahead_of_its_curve_is_not_gone_on_from() {
    let experiment = killed();
    // A power cut spared the checkpoint of the second epoch and not its row.
    let path = experiment.path("curves/000001.1.csv");
    let text = fs::read_to_string(&path).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&path, &text[..cut]).unwrap();
    assert!(task(&experiment).status().unwrap().success());
    let result = &experiment.log()[2];
    assert_eq!((result["event"].as_str(), result["epochs"].as_str()), ("trained", "4"));
    let curve = experiment.text("curves/000001.2.csv");
    assert_eq!(column(&curve, "epoch"), ["1", "2", "3", "4"]);
    assert_eq!(column(&curve, "validation_accuracy")[1], "0.52");
    // The epoch that is still known was trained again.
    assert_eq!(result["lost_seconds"], "10.0");
}

#[test]
fn what_a_lost_claim_has_spent_is_known_from_its_curve() {
    let experiment = killed();
    experiment.run(&["reduce", "dir", "--after", "500"]).success();
    let lost = &experiment.log()[1];
    assert_eq!((lost["event"].as_str(), lost["lost_seconds"].as_str()), ("lost", "20.0"));
}

#[test]
fn what_an_attempt_was_to_go_on_from_is_lost_with_it() {
    let experiment = killed();
    // The second attempt dies before its first epoch.
    let deaf = "import sys\nsys.stdin.readline()\nsys.stdin.readline()\n";
    fs::write(experiment.folder().join("trainer.py"), deaf).unwrap();
    let mut second = task(&experiment).spawn().unwrap();
    await_that(&experiment, "replay.csv", |log| log.matches(",claimed,").count() == 2);
    second.kill().unwrap();
    second.wait().unwrap();
    experiment.run(&["reduce", "dir", "--after", "500"]).success();
    let lost = &experiment.log()[2];
    assert_eq!((lost["event"].as_str(), lost["attempt"].as_str()), ("lost", "2"));
    assert_eq!(lost["lost_seconds"], "20.0");
}
