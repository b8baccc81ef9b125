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
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "cifar10", "cifar100", "cluster", "fashion_grid", "fashion_mnist", "images", "mnist",
            "quickstart", "svhn", "svhn_small",
        ]
        .map(|name| format!("{name}.yaml"))
    );
    let experiment = Experiment::with(SMALL);
    for name in names {
        let mut check = experiment.command(&["config", "--check", &format!("configs/{name}")]);
        let checked = check.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&checked.stderr), "", "no warning");
        assert!(checked.status.success());
    }
}

#[test]
fn every_baseline_can_be_written_in_the_spaces_of_the_paper() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let text = fs::read_to_string(folder.join("baselines.txt")).unwrap();
    let networks: Vec<_> = text.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(networks.len(), 4);
    let experiment = Experiment::with(SMALL);
    for name in ["mnist.yaml", "svhn.yaml", "cifar10.yaml"] {
        let (file, networks) = (folder.join(name), networks.join("\n"));
        let question = ["space", file.to_str().unwrap(), "--check", "--json"];
        let answers = experiment.run_with_input(&question, &networks).success().json();
        assert!(answers.len() == 4 && answers.iter().all(|it| it["legal"] == true), "{answers:?}");
    }
}

#[test]
fn the_papers_long_schedules_are_final_trainings() {
    let experiment = Experiment::with(SMALL);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    for (name, schedule) in [
        ("cifar10.yaml", "epochs: 300"),
        ("svhn.yaml", "preprocess: local_contrast_normalisation"),
        ("mnist.yaml", "rate: found"),
    ] {
        let file = folder.join(name);
        let checked = experiment.run(&["config", "--check", file.to_str().unwrap()]).success();
        let text = checked.stdout();
        let last = text.split("final_training:").nth(1).unwrap();
        assert!(last.contains(schedule), "{name}: {last}");
    }
    let wrong =
        format!("{SMALL}final_training: {{training: {{schedule: stages, stages: [[0.1, 5]]}}}}\n");
    let refused = Experiment::with(&wrong).run(&["config", "--check", "config.yaml"]).fails_with(2);
    refused.says("`final_training`: `training.epochs`").says("must be 5");
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
fn a_stopping_rule_that_would_stop_winners_is_refused() {
    let experiment = Experiment::with(&format!("{SMALL}early_stopping: {{threshold: 0.5}}\n"));
    let refused = experiment.run(&["config", "--check", "config.yaml"]).fails_with(2);
    refused.says("`early_stopping.threshold` is `0.5` (must be above 0.5 and below 1)");
}

#[test]
fn a_burn_in_that_is_never_over_is_warned_of_wherever_a_configuration_is_read() {
    let experiment = Experiment::with(SMALL);
    for command in [
        &["config", "--check", "config.yaml"][..],
        &["init", "config.yaml", "dir"],
        &["run", "config.yaml"],
    ] {
        let warned = experiment.run(command).success();
        drop(
            warned.says("warn: `early_stopping.burn_in` is 100, but the schedule has 18 networks"),
        );
    }
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
        "init", "run", "submit", "cancel", "status", "train", "reduce", "space", "import",
        "export", "config", "completions",
    ] {
        let help = experiment.run(&[command, "--help"]).success().stdout();
        assert!(
            help.contains("Example") && help.contains(&format!("metaqnn {command}")),
            "{command}:\n{help}"
        );
    }
}

#[test]
fn what_is_no_configuration_is_refused_in_one_line() {
    let experiment = Experiment::with(SMALL);
    let bomb = (1..10).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let entries = vec![format!("*a{}", n - 1); 9].join(", ");
        format!("{text}a{n}: &a{n} [{entries}]\n")
    });
    for (bytes, problem) in [
        (vec![b'#'; 10_000_000], "more than 1048576 bytes"),
        (b"a: \x01".to_vec(), "not readable as YAML"),
        (b"name: \xff".to_vec(), "byte 6 is no UTF-8"),
        (bomb.into_bytes(), "its aliases (`*name`) stand for more than 100000 values"),
        (vec![b'['; 5_000], "128 brackets are open at line 1"),
        (Vec::new(), "missing key `experiment`"),
        (b"- a\n- b\n".to_vec(), "a configuration is a mapping of sections"),
        (b"experiment: {name: x, name: y}\n".to_vec(), "duplicate entry with key \"name\""),
    ] {
        fs::write(experiment.folder().join("config.yaml"), bytes).unwrap();
        let refused = experiment.run(&["config", "--check", "config.yaml"]).fails_with(2);
        let stderr = refused.says(problem).stderr();
        assert!(stderr.starts_with("error: `config.yaml`: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(stderr.matches(problem).count(), 1, "said once: {stderr}");
    }
    experiment.run(&["config", "--check", "."]).fails_with(2).says("a folder is no configuration");
    experiment.run(&["config", "--check", "/dev/zero"]).fails_with(2).says("it is a device");
}

#[test]
fn numbers_that_no_search_ends_with_are_refused_with_their_key() {
    let experiment = Experiment::with(SMALL);
    for (setting, problem) in [
        ("training.epochs=0", "`training.epochs` is `0` (must be 1 to 100000)"),
        ("training.learning_rate=.nan", "`training.learning_rate` is `NaN`"),
        ("training.claim_lifetime=.inf", "`training.claim_lifetime` is `inf`"),
        ("training.synthetic_epoch_seconds=-1", "`training.synthetic_epoch_seconds` is `-1`"),
        ("q_learning.replay_size=4294967295", "`q_learning.replay_size` is"),
        ("experiment.seed=18446744073709551616", "18446744073709551616"),
        ("experiment.seed=-1", "experiment.seed: integer `-1`"),
        ("search_space.max_layers=201", "`search_space.max_layers` is `201`"),
        ("search_space.filters=[0]", "`search_space.filters` is `0`"),
        ("q_learning.learning_rate=1e308", "`q_learning.learning_rate` is `1e308`"),
        ("search_space.pools=[[2, 0]]", "`search_space.pools` is `0`"),
        (
            "epsilon_schedule=[{epsilon: 1, architectures: 18446744073709551615}]",
            "`epsilon_schedule.architectures` is",
        ),
    ] {
        let refused =
            experiment.run(&["config", "--check", "config.yaml", "--set", setting]).fails_with(2);
        let stderr = refused.says(problem).stderr();
        assert!(stderr.len() < 400, "{stderr}");
    }
}

#[test]
fn a_setting_without_a_file_to_change_is_refused() {
    let experiment = Experiment::with(SMALL);
    experiment
        .run(&["config", "--defaults", "--set", "training.epochs=3"])
        .fails_with(2)
        .says("cannot be used with");
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error_of_the_environment() {
    let experiment = Experiment::with(SMALL);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = experiment.command(&["config", "--defaults"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("failed to write to stdout"));
}
