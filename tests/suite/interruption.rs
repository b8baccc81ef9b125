//! Killed between any two writes; the log cut at any byte; tasks requeued and doubled.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Experiment, SMALL, wait_until};

#[test]
fn the_log_cut_at_every_byte_of_its_last_rows_is_repaired_and_goes_on() {
    let experiment = Experiment::init(SMALL);
    for _ in 0..3 {
        experiment.run(&["train", "dir"]).success();
    }
    let path = experiment.path("replay.csv");
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    // The program is started for each of some bytes; every byte is cut in the tests of storage.
    for cut in (last..whole.len()).step_by(13) {
        fs::write(&path, &whole[..cut]).unwrap();
        // The time before this row: no task has trained after it yet.
        let _ = fs::remove_file(experiment.path("curves/000004.1.csv"));
        experiment.run(&["train", "dir"]).success();
        let log = experiment.text("replay.csv");
        assert!(log.as_bytes().starts_with(&whole[..last]) && log.ends_with('\n'), "cut at {cut}");
        if cut > last {
            assert!(
                fs::read_dir(experiment.path("torn")).unwrap().next().is_some(),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn workers_killed_at_random_lose_no_result() {
    let config = SMALL.replace("architectures: 12", "architectures: 30");
    let experiment = Experiment::init(&config);
    for round in 0..15_u64 {
        let mut worker = experiment
            .command(&["train", "dir", "--until-done", "--reduce"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(5 + 7 * round));
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let results: Vec<_> = log
        .iter()
        .filter(|row| ["trained", "failed"].contains(&row["event"].as_str()))
        .map(|row| row["architecture"].clone())
        .collect();
    let distinct: std::collections::BTreeSet<_> = results.iter().collect();
    assert_eq!(results.len(), distinct.len(), "no architecture has two results");
    assert_eq!(results.len(), 36);
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

/// A trainer that tells one epoch and then waits to be told to end.
const WAITS: &str = "trainer: command, command: [sh, -c, 'read request; trap \"exit 75\" USR1 TERM; echo {\\\"epoch\\\": 1, \\\"validation_accuracy\\\": 0.5}; while :; do sleep 0.05; done']";

fn await_curve(experiment: &Experiment, name: &str) {
    let curve = || fs::read_to_string(experiment.path(name)).unwrap_or_default();
    wait_until(&format!("an epoch in `{name}`"), || curve().lines().count() > 1);
}

/// Tells a task to end, which it does.
fn end(task: &mut Child) {
    let told = Command::new("kill").args(["-TERM", &task.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(task.wait().unwrap().code(), Some(75));
}

#[test]
fn a_task_asked_to_end_leaves_its_claim_open_and_takes_it_up_again() {
    let experiment = Experiment::init(&SMALL.replace("trainer: synthetic", WAITS));
    let mut task = experiment.task("dir", "0").spawn().unwrap();
    await_curve(&experiment, "curves/000001.1.csv");
    end(&mut task);
    assert_eq!(experiment.log().len(), 1, "the claim stays open");
    let mut again = experiment.task("dir", "0").spawn().unwrap();
    await_curve(&experiment, "curves/000001.2.csv");
    let claims = experiment.log();
    assert_eq!((claims[1]["iteration"].as_str(), claims[1]["attempt"].as_str()), ("1", "2"));
    // Killed, it would leave this trainer behind, which does not look at its stdin.
    end(&mut again);
}

#[test]
fn a_local_task_asked_to_end_leaves_nothing_for_a_successor() {
    let experiment = Experiment::init(&SMALL.replace("trainer: synthetic", WAITS));
    let mut task = experiment
        .command(&["train", "dir"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    await_curve(&experiment, "curves/000001.1.csv");
    end(&mut task);
    assert_eq!(fs::read_dir(experiment.path("checkpoints")).unwrap().count(), 0);
}

#[test]
fn an_architecture_that_kills_its_task_three_times_is_quarantined() {
    let killer = "trainer: command, command: [sh, -c, 'read request; kill -9 $PPID']";
    let experiment = Experiment::init(&SMALL.replace("trainer: synthetic", killer));
    for _ in 0..3 {
        assert!(!experiment.task("dir", "0").status().unwrap().success());
    }
    let log = experiment.log();
    let attempts: Vec<&str> = log.iter().map(|row| row["attempt"].as_str()).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    // The third loss is seen by the fourth start, which goes on to another architecture.
    assert!(!experiment.task("dir", "0").status().unwrap().success());
    let log = experiment.log();
    assert_eq!(log[3]["event"], "lost");
    assert_eq!((log[4]["event"].as_str(), log[4]["iteration"].as_str()), ("claimed", "2"));
}
