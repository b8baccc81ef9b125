//! A trainer that is a program of ten lines.

use std::path::Path;

use crate::support::{Experiment, SMALL};

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
    std::fs::write(experiment.folder().join("trainer.py"), trainer).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    let row = &experiment.log()[1];
    // The best accuracy so far, and no loss of the machine's.
    assert_eq!((row["event"].as_str(), row["reward"].as_str()), ("failed", "0.4"));
    assert!(row["reason"].contains("epoch 2"), "{}", row["reason"]);
}
