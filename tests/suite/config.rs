//! `metaqnn config`, and every file in `configs/`.

use std::fs;
use std::path::Path;

use crate::support::{Experiment, SMALL};

#[test]
fn every_shipped_configuration_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "cifar10",
            "cifar100",
            "cluster",
            "fashion_mnist",
            "mnist",
            "quickstart",
            "svhn",
            "svhn_small"
        ]
        .map(|name| format!("{name}.yaml"))
    );
    let experiment = Experiment::with(SMALL);
    for name in names {
        experiment.run(&["config", "--check", folder.join(name).to_str().unwrap()]).success();
    }
}

#[test]
fn the_defaults_are_a_configuration() {
    let experiment = Experiment::with(SMALL);
    let defaults = experiment.run(&["config", "--defaults"]).success().stdout();
    assert!(defaults.contains("# "), "every key has a comment");
    fs::write(experiment.folder().join("defaults.yaml"), defaults).unwrap();
    let checked = experiment.run(&["config", "--check", "defaults.yaml"]).success().stdout();
    assert!(checked.contains("max_layers: 12") && checked.contains("replay_size: 100"));
}

#[test]
fn a_bad_file_is_named_with_the_key() {
    let experiment = Experiment::with("experiment: {name: x}\ntraning: {epochs: 3}\n");
    let refused = experiment.run(&["config", "--check", "config.yaml"]).fails_with(2);
    let refused = refused.says("config.yaml").says("unknown key `traning`");
    refused.says("did you mean `training`?");
    experiment.run(&["config", "--check", "missing.yaml"]).fails_with(2).says("missing.yaml");
    experiment.run(&["config"]).fails_with(2);
}

#[test]
fn completions_know_the_commands() {
    let script = Experiment::with(SMALL).run(&["completions", "bash"]).success().stdout();
    assert!(script.contains("quickstart") || script.contains("submit"));
}

#[test]
fn every_command_has_help_with_an_example() {
    let experiment = Experiment::with(SMALL);
    for command in [
        "init",
        "run",
        "submit",
        "cancel",
        "status",
        "train",
        "reduce",
        "space",
        "import",
        "export",
        "config",
        "completions",
    ] {
        let help = experiment.run(&[command, "--help"]).success().stdout();
        assert!(
            help.contains("Example") && help.contains(&format!("metaqnn {command}")),
            "{command}:\n{help}"
        );
    }
}
