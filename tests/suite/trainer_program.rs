//! A trainer that is a program of ten lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::{Experiment, SMALL, wait_until};

#[test]
fn the_example_trainer_drives_a_search() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    let config = SMALL.replace(
        "trainer: synthetic",
        &format!("trainer: command, command: [python3, {}]", script.display()),
    );
    let experiment = Experiment::with(&config);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!((&status["results"], &status["trainer"]), (&18.into(), &"command".into()));
}

#[test]
fn a_metaqnn_that_is_killed_leaves_no_trainer() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    let trainer = format!("echo $$ > process; exec python3 {}", example.display());
    let config = SMALL.replace(
        "trainer: synthetic, epochs: 4",
        &format!("trainer: command, command: [sh, -c, '{trainer}'], epochs: 100000"),
    );
    let experiment = Experiment::init(&config);
    let mut train = experiment.command(&["train", "dir", "--json"]);
    let mut metaqnn = train.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Open to the end: a reader that leaves ends `metaqnn train` by a signal.
    let mut events = BufReader::new(metaqnn.stdout.take().unwrap()).lines();
    let is_epoch = |line: std::io::Result<String>| line.unwrap().contains("\"epoch\"");
    assert!(events.any(is_epoch), "it trains");
    let process = fs::read_to_string(experiment.folder().join("process")).unwrap();
    metaqnn.kill().unwrap();
    metaqnn.wait().unwrap();
    // One that nobody waits for stays as a zombie.
    wait_until("the end of the trainer", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    });
}

#[test]
fn a_trainer_that_breaks_the_protocol_is_a_loss_with_its_reason() {
    let config = SMALL.replace(
        "trainer: synthetic",
        "trainer: command, command: [sh, -c, 'read request; echo accuracy: 86 %; cat > /dev/null']",
    );
    let experiment = Experiment::init(&config);
    experiment.run(&["train", "dir"]).success().says("lost");
    let log = experiment.log();
    assert_eq!(log[1]["event"], "lost");
    assert!(log[1]["reason"].contains("protocol"), "{}", log[1]["reason"]);
}

#[test]
fn a_trainer_that_refuses_to_work_costs_no_architecture_a_loss() {
    let config = SMALL.replace(
        "trainer: synthetic",
        "trainer: command, command: [sh, -c, 'read request; echo {\\\"refused\\\": \\\"no GPU\\\"}']",
    );
    let experiment = Experiment::init(&config);
    for _ in 0..4 {
        experiment.run(&["train", "dir"]).fails_with(4).says("no GPU");
    }
    experiment.run(&["reduce", "dir"]).success();
    let log = experiment.log();
    let events: Vec<_> = log.iter().map(|row| row["event"].as_str()).collect();
    assert_eq!(events, ["claimed", "lost"].repeat(4));
    assert!(log[1]["reason"].starts_with("not the network's fault"), "{}", log[1]["reason"]);
}

#[test]
fn a_network_that_does_not_fit_is_recorded_with_what_it_had_occupied() {
    for (reward, recorded) in [("none", ""), ("chance", "0.1")] {
        let config = SMALL.replace(
            "trainer: synthetic",
            "trainer: command, command: [sh, -c, 'read request; echo {\\\"out_of_memory\\\": true, \\\"peak_bytes\\\": 4096}; cat > /dev/null']",
        );
        let experiment =
            Experiment::init(&format!("{config}reward: {{out_of_memory: {reward}}}\n"));
        experiment.run(&["train", "dir"]).success();
        let row = &experiment.log()[1];
        assert_eq!((row["event"].as_str(), row["reward"].as_str()), ("out_of_memory", recorded));
        assert_eq!(row["reason"], "4096 bytes in use at most");
    }
}

#[test]
fn a_loss_that_is_no_number_is_the_networks_failure() {
    let trainer = "import json\ninput()\nfor epoch in (1, 2):\n    print(json.dumps({'epoch': epoch, \
        'validation_accuracy': 0.4, 'training_loss': 1e400 if epoch == 2 else 1.0}), flush=True)\n";
    let config =
        SMALL.replace("trainer: synthetic", "trainer: command, command: [python3, trainer.py]");
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("trainer.py"), trainer).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    let row = &experiment.log()[1];
    // The best accuracy so far, and no loss of the machine's.
    assert_eq!((row["event"].as_str(), row["reward"].as_str()), ("failed", "0.4"));
    assert!(row["reason"].contains("epoch 2"), "{}", row["reason"]);
}

#[test]
fn a_training_that_its_trainer_ended_early_is_a_result_and_no_curve_for_the_predictor() {
    let trainer = "import json\ndef say(**it): print(json.dumps(it), flush=True)\n\
        for n in range(18):\n    input()\n    for epoch in (1.0, 2.0):\n        \
        say(epoch=epoch, validation_accuracy=0.5 + 0.01 * n - 0.1 * (epoch - 1))\n    \
        say(batch=1, of=7)\n    say(done=True, stopped=True)\n";
    let config = SMALL.replace("trainer: synthetic", "trainer: command, command: [python3, t.py]")
        + "early_stopping: {enabled: true, burn_in: 5}\n";
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("t.py"), trainer).unwrap();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let results: Vec<_> = log.iter().filter(|row| row["event"] == "trained").collect();
    assert_eq!(results.len(), 18);
    let first = results[0];
    assert_eq!((&*first["reward"], &*first["epochs"]), ("0.5", "2"));
    assert_eq!(first["reason"], "ended early by a rule of its trainer");
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!(status["best"]["best_validation_accuracy"], 0.67);
    assert_eq!(status["early_stopping"]["full_curves"], 0);
    experiment.run(&["verify", "dir"]).success();
}

#[test]
fn words_of_a_shell_are_refused_and_what_is_not_there_is_named_at_init() {
    let with = |command: &str| {
        let trainer = format!("trainer: command, command: {command}");
        Experiment::with(&SMALL.replace("trainer: synthetic", &trainer))
    };
    for command in ["[$HOME/train.sh]", "[~/train.py]", "['module load x && python3 train.py']"] {
        for line in [&["init", "config.yaml", "dir"][..], &["config", "--check", "config.yaml"]] {
            with(command).run(line).fails_with(2).says("no shell reads the list");
        }
    }
    let init = ["init", "config.yaml", "dir"];
    with("[trainer-not-there]").run(&init).success().says("`trainer-not-there` is not there");
    with("[python3, none.py]").run(&init).success().says("`none.py` is not there");
}
