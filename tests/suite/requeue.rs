//! Tasks that were killed and are queued again, with a trainer that keeps checkpoints.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
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
    killed_with("checkpoints", &[])
}

/// The same, with more settings; `place` is where its checkpoints are found.
fn killed_with(place: &str, settings: &[&str]) -> Experiment {
    let config =
        SMALL.replace("trainer: synthetic", "trainer: command, command: [python3, trainer.py]");
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("trainer.py"), TRAINER).unwrap();
    experiment.run(&[&["init", "config.yaml", "dir"], settings].concat()).success();
    let place = place_of_checkpoints(&experiment, place);
    let mut first = experiment.task("dir", "0").spawn().unwrap();
    await_rows(&experiment, "curves/000001.1.csv", 2);
    await_text(&experiment, place.join("000001.1/epochs").to_str().unwrap(), "2");
    first.kill().unwrap();
    first.wait().unwrap();
    experiment
}

/// Below the experiment, or the only folder in the one beside it that is named.
fn place_of_checkpoints(experiment: &Experiment, name: &str) -> PathBuf {
    match fs::read_dir(experiment.folder().join(name)) {
        Ok(mut inside) => inside.next().unwrap().unwrap().path(),
        Err(_) => experiment.path(name),
    }
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
    assert!(experiment.task("dir", "0").status().unwrap().success());
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
    assert!(experiment.task("dir", "0").status().unwrap().success());
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
    let mut second = experiment.task("dir", "0").spawn().unwrap();
    await_that(&experiment, "replay.csv", |log| log.matches(",claimed,").count() == 2);
    second.kill().unwrap();
    second.wait().unwrap();
    experiment.run(&["reduce", "dir", "--after", "500"]).success();
    let lost = &experiment.log()[2];
    assert_eq!((lost["event"].as_str(), lost["attempt"].as_str()), ("lost", "2"));
    assert_eq!(lost["lost_seconds"], "20.0");
}

/// Writes as many epochs of each training as the file `epochs` says, from the first, keeps no checkpoint, and waits.
const NO_CHECKPOINT: &str = "trainer: command, command: [sh, -c, 'trap \"exit 75\" USR1 TERM; read request; \
    for epoch in $(cat epochs); do echo {\\\"epoch\\\": $epoch, \\\"validation_accuracy\\\": 0.5, \\\"seconds\\\": 10}; done; \
    while :; do sleep 0.05; done']";

/// An experiment whose tasks are not queued again by the scheduler, for want of one, but by the test.
fn without_checkpoints() -> Experiment {
    let config = SMALL.replace("trainer: synthetic", NO_CHECKPOINT);
    let experiment = Experiment::with(&format!("{config}\nslurm: {{requeue: false}}\n"));
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment
}

/// Starts a task, lets it train the epochs of `epochs`, gives it a signal, and returns its exit code.
fn attempt_ended_by(experiment: &Experiment, epochs: &str, signal: &str) -> Option<i32> {
    fs::write(experiment.folder().join("epochs"), epochs).unwrap();
    let claims = || experiment.text("replay.csv").matches(",claimed,").count();
    let before = claims();
    let mut task = experiment.task("dir", "0").spawn().unwrap();
    wait_until("the next claim", || claims() > before);
    let log = experiment.log();
    let claim = log.iter().rev().find(|row| row["event"] == "claimed").unwrap();
    let iteration: u32 = claim["iteration"].parse().unwrap();
    let curve = format!("curves/{iteration:06}.{}.csv", claim["attempt"]);
    let wanted = epochs.split_whitespace().count();
    if wanted > 0 {
        await_rows(experiment, &curve, wanted);
    }
    assert!(
        Command::new("kill").args([signal, &task.id().to_string()]).status().unwrap().success()
    );
    task.wait().unwrap().code()
}

#[test]
fn three_attempts_in_a_row_without_a_new_epoch_lose_the_claim_and_three_such_claims_end_the_search()
{
    let experiment = without_checkpoints();
    for claim in 1..=3 {
        for code in [75, 75, 4] {
            let ended = attempt_ended_by(&experiment, "", "-USR1");
            assert_eq!(ended, Some(code), "claim {claim}");
        }
    }
    let log = experiment.log();
    let events: Vec<_> = log.iter().map(|row| row["event"].as_str()).collect();
    assert_eq!(events, ["claimed", "claimed", "claimed", "lost"].repeat(3));
    assert_eq!(log[0]["reason"], "");
    for row in log.iter().skip(1).take(2) {
        assert_eq!(
            row["reason"],
            "the attempt before left on the time warning without a new epoch"
        );
    }
    assert!(log[3]["reason"].contains("`slurm.time` is too short"), "{}", log[3]["reason"]);
    // What the attempts took stands in the ledger.
    let seconds =
        |row: &std::collections::HashMap<String, String>| row["lost_seconds"].parse::<f64>();
    assert!(
        log.iter().filter(|row| row["iteration"] == "1").skip(1).all(|row| seconds(row).is_ok())
    );
    let mut refused = experiment.command(&["train", "dir"]);
    for (name, value) in experiment.task("dir", "0").get_envs() {
        refused.env(name, value.unwrap());
    }
    let refused = refused.output().unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{words}");
    assert!(words.contains("nothing more is claimed") && words.contains("slurm.time"), "{words}");
    assert_eq!(experiment.log().len(), 12, "nothing was claimed");
    experiment.run(&["submit", "dir", "--dry-run"]).fails_with(4).says("nothing more is claimed");
    let status = experiment.run(&["status", "dir"]).success().stdout();
    assert!(status.contains("is `slurm.time` too short"), "{status}");
    // The limit is set, were it to the same as before, and the search goes on.
    let config = experiment.text("experiment.yaml");
    let limit = config.lines().find_map(|line| line.strip_prefix("    time: ")).unwrap();
    experiment.run(&["set", "dir", &format!("slurm.time={limit}")]).success();
    assert_eq!(attempt_ended_by(&experiment, "1 2", "-USR1"), Some(75));
}

#[test]
fn an_epoch_is_new_when_no_earlier_attempt_has_reached_it() {
    let experiment = without_checkpoints();
    for (epochs, code) in [("1 2 3", 75), ("1", 75), ("1 2", 75)] {
        assert_eq!(attempt_ended_by(&experiment, epochs, "-USR1"), Some(code), "{epochs}");
    }
    // The first attempt reached a new epoch; the second and the third did not, though the third got further than the
    // second. A fourth that does begins a new row.
    assert_eq!(attempt_ended_by(&experiment, "1 2 3 4", "-USR1"), Some(75));
    let reasons: Vec<bool> = experiment.log().iter().map(|row| !row["reason"].is_empty()).collect();
    assert_eq!(reasons, [false, false, true, true]);
    for code in [75, 75, 4] {
        assert_eq!(attempt_ended_by(&experiment, "1 2 3", "-USR1"), Some(code));
    }
    let log = experiment.log();
    assert_eq!(log.last().unwrap()["event"], "lost");
    // Each attempt in vain tells of the epochs of 10 s that it trained again: 3, 1, 4, 3; the last one of those that it
    // leaves: 3.
    let lost: f64 = log.iter().filter_map(|row| row["lost_seconds"].parse::<f64>().ok()).sum();
    assert!((140.0..160.0).contains(&lost), "{lost}");
}

#[test]
fn an_attempt_that_leaves_on_term_is_no_attempt_in_vain() {
    let experiment = without_checkpoints();
    for signal in ["-USR1", "-USR1", "-TERM", "-TERM", "-USR1", "-USR1"] {
        assert_eq!(attempt_ended_by(&experiment, "", signal), Some(75), "{signal}");
    }
    assert_eq!(attempt_ended_by(&experiment, "", "-USR1"), Some(4));
}

/// An experiment that keeps its checkpoints in `scratch` beside it, killed after two epochs.
fn killed_on_scratch() -> (Experiment, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let place = format!("training.checkpoint_dir={}", scratch.path().display());
    let experiment = killed_with(scratch.path().to_str().unwrap(), &["--set", &place]);
    let folder = place_of_checkpoints(&experiment, scratch.path().to_str().unwrap());
    // Removed with the other temporary files of the machine.
    let _ = scratch.keep();
    (experiment, folder)
}

#[test]
fn checkpoints_outside_of_the_experiment_are_taken_up_and_removed() {
    let (experiment, folder) = killed_on_scratch();
    assert!(folder.file_name().unwrap().to_str().unwrap().starts_with("small-"), "{folder:?}");
    assert_eq!(fs::read_dir(experiment.path("checkpoints")).unwrap().count(), 0);
    assert!(experiment.task("dir", "0").status().unwrap().success());
    let result = &experiment.log()[2];
    assert_eq!((result["event"].as_str(), result["lost_seconds"].as_str()), ("trained", "0.0"));
    assert!(folder.join("000001.2").is_dir());
    experiment.run(&["verify", "dir"]).success();
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}

#[test]
fn after_a_purge_of_its_checkpoints_a_network_is_trained_from_the_beginning_with_a_notice() {
    let (experiment, folder) = killed_on_scratch();
    let scratch = folder.parent().unwrap();
    fs::remove_dir_all(scratch).unwrap();
    let ended = experiment.task("dir", "0").stderr(Stdio::piped()).output().unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && words.contains("was it purged?"), "{words}");
    let result = &experiment.log()[2];
    assert_eq!((result["event"].as_str(), result["epochs"].as_str()), ("trained", "4"));
    assert_eq!(result["lost_seconds"], "20.0");
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn a_place_for_checkpoints_is_absolute_and_outside() {
    let experiment = Experiment::with(SMALL);
    let inside = experiment.path("below/it");
    for (place, why) in [
        ("scratch", "absolute path"),
        ("/scratch/../x", "without `..`"),
        (inside.to_str().unwrap(), "inside the experiment"),
    ] {
        let setting = format!("training.checkpoint_dir={place}");
        experiment.run(&["init", "config.yaml", "dir", "--set", &setting]).fails_with(2).says(why);
        assert!(!experiment.path("experiment.yaml").exists());
    }
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let setting = format!("training.checkpoint_dir={}", inside.display());
    experiment.run(&["set", "dir", &setting]).fails_with(2).says("inside the experiment");
}

#[test]
fn checkpoints_that_others_could_have_put_there_are_not_taken_up() {
    let (experiment, folder) = killed_on_scratch();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = experiment.task("dir", "0").stderr(Stdio::piped()).output().unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && words.contains("can be written by every user"), "{words}");
    fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(experiment.folder(), &folder).unwrap();
    assert!(!experiment.task("dir", "0").status().unwrap().success());
    assert_eq!(experiment.log().len(), 1, "nothing was claimed");
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}
