//! Nobody else's command runs: who may write to an experiment decides what is run as its user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::support::{Experiment, SMALL, skip};

const COMMANDS: [&[&str]; 5] = [
    &["train", "dir"],
    &["reduce", "dir"],
    &["submit", "dir", "--dry-run"],
    &["run", "config.yaml", "dir"],
    &["doctor", "dir"],
];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Runs the program with a umask.
fn run(experiment: &Experiment, umask: &str, arguments: &[&str]) {
    let shell = format!("umask {umask}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &shell, "sh", env!("CARGO_BIN_EXE_metaqnn"), "-q"]).args(arguments);
    assert!(command.current_dir(experiment.folder()).status().unwrap().success(), "{arguments:?}");
}

/// Every file and folder below a folder, and itself.
fn everything(folder: &Path) -> Vec<std::path::PathBuf> {
    let below = fs::read_dir(folder).unwrap().flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { everything(&path) } else { vec![path] }
    });
    below.chain([folder.to_owned()]).collect()
}

#[test]
fn nothing_of_an_experiment_can_be_written_by_others_whatever_the_umask() {
    for (option, refused, least) in [(None, 0o022, 0), (Some("--trust-group"), 0o002, 0o020)] {
        for umask in ["000", "002", "022"] {
            let experiment = Experiment::with(SMALL);
            let with = |arguments: &[&'static str]| [arguments, option.as_slice()].concat();
            run(&experiment, umask, &with(&["init", "config.yaml", "dir"]));
            run(&experiment, umask, &with(&["train", "dir"]));
            run(&experiment, umask, &with(&["reduce", "dir"]));
            for path in everything(&experiment.path("")) {
                let mode = mode(&path);
                assert_eq!(
                    (mode & refused, mode & least),
                    (0, least),
                    "{} {mode:o}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn an_experiment_that_others_can_write_is_refused_before_anything_starts() {
    let experiment = Experiment::init(SMALL);
    for below in ["", "experiment.yaml", "replay.csv", "rounds", "checkpoints"] {
        let path = experiment.path(below);
        let before = mode(&path);
        let allow =
            |bits| fs::set_permissions(&path, Permissions::from_mode(before | bits)).unwrap();
        allow(0o002);
        for command in COMMANDS {
            let trusting = [command, &["--trust-group"]].concat();
            for command in [command, &trusting] {
                experiment
                    .run(command)
                    .fails_with(4)
                    .says("can be written by every user")
                    .says("chmod");
            }
        }
        allow(0o020);
        for command in COMMANDS {
            experiment
                .run(command)
                .fails_with(4)
                .says("can be written by its group")
                .says("--trust-group");
        }
        for command in ["status", "verify"] {
            experiment.run(&[command, "dir"]).success();
        }
        let train = |variable: &str| {
            let mut train = experiment.command(&["train", "dir"]);
            train.env("METAQNN_TRUST_GROUP", variable).output().unwrap().status.code()
        };
        assert_eq!((train("0"), train(""), train("1")), (Some(4), Some(4), Some(0)));
        experiment.run(&["train", "dir", "--trust-group"]).success();
        allow(0);
        experiment.run(&["train", "dir"]).success();
    }
    // A link to it changes nothing.
    fs::set_permissions(experiment.path(""), Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink("dir", experiment.folder().join("link")).unwrap();
    experiment.run(&["train", "link"]).fails_with(4);
}

#[test]
fn jobs_trust_the_group_where_the_person_who_submitted_did() {
    let experiment = Experiment::init(SMALL);
    let submit = |more: &[&str]| {
        experiment.run(&[&["submit", "dir", "--dry-run"], more].concat()).success().stdout()
    };
    assert!(!submit(&[]).contains("--trust-group"));
    let shown = submit(&["--trust-group"]);
    assert_eq!(shown.matches(" --round 1 --trust-group)").count(), 2, "{shown}");
}

#[test]
fn an_experiment_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return skip("an_experiment_of_another_user_is_refused", "needs root for two users");
    }
    let experiment = Experiment::init(SMALL);
    for below in ["", "experiment.yaml", "replay.csv"] {
        let path = experiment.path(below);
        chown(&path, Some(2001), Some(2001)).unwrap();
        for command in COMMANDS {
            experiment.run(command).fails_with(4).says("belongs to user 2001");
        }
        // Its group is none of ours.
        experiment.run(&["train", "dir", "--trust-group"]).fails_with(4);
        chown(&path, Some(2001), Some(rustix::process::getegid().as_raw())).unwrap();
        experiment.run(&["train", "dir"]).fails_with(4).says("--trust-group");
        experiment.run(&["train", "dir", "--trust-group"]).success();
        chown(&path, Some(0), Some(0)).unwrap();
    }
    experiment.run(&["train", "dir"]).success();
    // Nothing is put into a folder of another user.
    let empty = experiment.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    chown(&empty, Some(2001), None).unwrap();
    experiment.run(&["init", "config.yaml", "empty"]).fails_with(4).says("belongs to user 2001");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}
