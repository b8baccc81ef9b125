//! What every command has in common: where its words go, and what it takes from the environment.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Experiment, SMALL};

#[test]
fn words_that_cannot_be_written_are_a_failure() {
    let experiment = Experiment::init(SMALL);
    for arguments in [
        &["--help"][..],
        &["status", "--help"],
        &["--version"],
        &["config", "--defaults"],
        &["status", "dir"],
        &["verify", "dir"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = experiment.command(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        // A reader that has seen enough is no failure.
        let mut child = experiment.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_variable_that_says_nothing_of_use_is_named() {
    let experiment = Experiment::init(SMALL);
    let train = |value: &str| {
        let mut command = experiment.command(&["train", "dir"]);
        command.env("METAQNN_SINGLE_NODE", value).output().unwrap()
    };
    assert!(train("").status.success(), "an empty variable is as good as none");
    let output = train("maybe");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`METAQNN_SINGLE_NODE` must be 1 or 0"), "{said}");
}

#[test]
fn the_version_names_the_commit() {
    let version = Experiment::with("").run(&["--version"]).success().stdout();
    let version = version.trim().strip_prefix("metaqnn ").unwrap();
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    // Without a repository of its own the source has none.
    let has_repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    assert_eq!(version.contains(" ("), has_repository, "{version}");
}
