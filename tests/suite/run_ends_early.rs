//! `metaqnn run` that ends before its schedule does: interrupted, killed, halted, or with a trainer that does not work.

use std::process::{Child, Command, Stdio};

use crate::support::{Experiment, SMALL, wait_until};

#[test]
fn a_trainer_that_never_works_ends_the_search() {
    let broken = "trainer: command, command: [sh, -c, 'echo no licence >&2; exit 3']";
    let experiment = Experiment::with(&SMALL.replace("trainer: synthetic", broken));
    experiment
        .run(&["run", "config.yaml", "dir"])
        .fails_with(4)
        .says("10 trainings in a row came to nothing")
        .says("no licence");
    // Its worker goes on until it is ended: some more are lost on a busy machine.
    let losses = experiment.log().iter().filter(|row| row["event"] == "lost").count();
    assert!(losses >= 10, "{losses}");
}

#[test]
fn what_every_worker_would_say_is_said_once() {
    let experiment = Experiment::with(SMALL);
    let missing = ["training.trainer=command", "training.command=[no-such-trainer]"];
    let [trainer, command] = missing;
    let refused = experiment
        .run(&["run", "config.yaml", "dir", "--workers", "3", "--set", trainer, "--set", command])
        .fails_with(4);
    let stderr = refused.stderr();
    // Before any worker is started, the configuration is warned of: its burn-in is never over.
    let [warning, missing, error] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{stderr}")
    };
    assert!(warning.starts_with("warn: `early_stopping.burn_in`"), "{stderr}");
    assert!(missing.starts_with("warn: `training.command`: `no-such-trainer`"), "{stderr}");
    assert!(error.starts_with("error: failed to start the trainer `no-such-trainer`"), "{stderr}");
    assert_eq!(experiment.log().len(), 0);
}

/// Starts a search whose epochs last so long, and waits until something is claimed.
fn running(experiment: &Experiment, seconds: f64) -> Child {
    let seconds = format!("training.synthetic_epoch_seconds={seconds}");
    let child = experiment
        .command(&["run", "config.yaml", "dir", "--workers", "2", "--set", &seconds])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("two claims", || claimants(experiment).len() >= 2);
    child
}

/// The processes of all claims, `host:boot:pid:start`, in order; of a log that is being written, too.
fn claimants(experiment: &Experiment) -> Vec<String> {
    let log = std::fs::read_to_string(experiment.path("replay.csv")).unwrap_or_default();
    let whole = log.split_inclusive('\n').filter(|row| row.ends_with('\n'));
    whole
        .filter(|row| row.contains(",claimed,"))
        .map(|row| row.split(',').find(|cell| cell.matches(':').count() == 3).unwrap().to_owned())
        .collect()
}

fn signal(child: &Child, name: &str) {
    let told = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(told.success());
}

/// Whether the process of a claim, `host:boot:pid:start`, works no more.
fn is_gone(task: &str) -> bool {
    let pid = task.split(':').nth(2).unwrap();
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

#[test]
fn a_search_interrupted_or_killed_leaves_no_worker_and_goes_on() {
    let experiment = Experiment::with(SMALL);
    let mut search = running(&experiment, 1e5);
    signal(&search, "-INT");
    assert_eq!(search.wait().unwrap().code(), Some(75));
    let is_empty = claimants(&experiment).iter().all(|task| is_gone(task));
    assert!(is_empty, "workers ended before the search did");

    // The configuration is the experiment's; only the time an epoch takes is as it was.
    let mut search = experiment
        .command(&[
            "run",
            "config.yaml",
            "dir",
            "--set",
            "training.synthetic_epoch_seconds=100000.0",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a third claim", || claimants(&experiment).len() > 2);
    search.kill().unwrap();
    search.wait().unwrap();
    let last = claimants(&experiment).pop().unwrap();
    wait_until("the end of the worker", || is_gone(&last));
    experiment.run(&["reduce", "dir"]).success();
    let log = experiment.log();
    let lost = log.iter().filter(|row| row["event"] == "lost").count();
    assert_eq!(lost, 3, "every claim of a process that is gone is lost");
}

/// A small search by a command that has the example of a trainer at hand, `trainer.py`.
fn with_example(trainer: &str) -> Experiment {
    let experiment = Experiment::with(&SMALL.replace("trainer: synthetic", trainer));
    let example =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    std::fs::copy(example, experiment.folder().join("trainer.py")).unwrap();
    experiment
}

#[test]
fn a_halted_search_ends_and_goes_on_when_it_is_run_again() {
    // No training begins before the search is halted.
    let waits = "trainer: command, command: [sh, -c, 'until [ -e halted ]; do sleep 0.02; done; exec python3 trainer.py']";
    let experiment = with_example(waits);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let mut search = experiment
        .command(&["run", "config.yaml", "dir"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a claim", || !experiment.log().is_empty());
    experiment.run(&["cancel", "dir"]).success();
    std::fs::write(experiment.folder().join("halted"), "").unwrap();
    assert!(search.wait().unwrap().success(), "it ends, and does not ask for ever");
    let halted = experiment.log();
    let after = halted.iter().skip_while(|row| row["event"] != "halted");
    assert!(after.skip(1).all(|row| row["event"] != "claimed"), "nothing is claimed after it");
    experiment.run(&["run", "config.yaml", "dir"]).success().says("was halted and goes on");
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
}

#[test]
fn a_worker_that_dies_is_replaced() {
    // The first training of all kills its worker, and not before its request, which follows the claim.
    let killer = "trainer: command, command: [sh, -c, 'mkdir once && read request && kill -9 $PPID; exec python3 trainer.py']";
    let experiment = with_example(killer);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let of = |event: &str| log.iter().filter(|row| row["event"] == event).count();
    assert_eq!((of("trained") + of("failed"), of("lost")), (18, 1));
    let lost = log.iter().position(|row| row["event"] == "lost").unwrap();
    let results = log[..lost].iter().filter(|row| row["event"] != "claimed").count();
    assert!(results <= 2, "the claim of a dead worker is lost after {results} other rows");
}
