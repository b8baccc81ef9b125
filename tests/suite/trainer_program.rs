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
