//! Paths are built, and experiments made and opened, as they should be.

use std::fs;

use super::*;
use crate::storage::StorageError;
use crate::storage::Trust;
use crate::storage::log::text;

#[test]
fn names_are_read_back_as_they_are_written() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let attempt = Attempt { iteration: Iteration(123), number: 2 };
    let curve = experiment.curve(attempt);
    assert!(curve.ends_with("curves/000123.2.csv"));
    assert!(experiment.view(3141).ends_with("views/000003141"));
    assert!(experiment.round(7).ends_with("rounds/0007"));
    fs::write(&curve, "").unwrap();
    fs::write(experiment.trainer_log(attempt), "").unwrap();
    assert_eq!(experiment.list_curves().unwrap(), [(attempt, curve)]);
    fs::create_dir_all(experiment.view(12)).unwrap();
    fs::create_dir_all(experiment.view(1_234_567_890)).unwrap();
    fs::create_dir_all(experiment.folder(Folder::Views).join("13")).unwrap();
    let views: Vec<u64> =
        experiment.list_views().unwrap().into_iter().map(|(rows, _)| rows).collect();
    assert_eq!(views, [12, 1_234_567_890]);
    assert_eq!(attempt_of("000123.02"), None);
}

#[test]
fn an_experiment_is_made_once() {
    let (_folder, experiment) = ExperimentDir::made_up();
    assert_eq!(ExperimentDir::open(experiment.root()).unwrap(), experiment);
    let log = fs::read_to_string(experiment.replay_log()).unwrap();
    assert_eq!(log, text::header());
    let again =
        ExperimentDir::create(experiment.root(), "format_version: 2\n", Trust::Owner).unwrap_err();
    assert!(again.to_string().contains("exists already"));
    let text = fs::read_to_string(experiment.configuration()).unwrap();
    assert!(text.contains("seed: 7"));
}

#[test]
fn what_an_interrupted_making_has_left_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("views")).unwrap();
    fs::write(root.join(".replay.csv.host.1.0.partial"), "iter").unwrap();
    fs::write(root.join("replay.csv"), text::header() + "1,claimed\n").unwrap();
    let create = || ExperimentDir::create(root, "format_version: 2\n", Trust::Owner);
    assert!(matches!(create(), Err(StorageError::AlreadyExists { .. })), "a log with a row");
    fs::write(root.join("replay.csv"), text::header()).unwrap();
    fs::write(root.join("notes"), "").unwrap();
    assert!(matches!(create(), Err(StorageError::AlreadyExists { .. })), "a person's file");
    fs::remove_file(root.join("notes")).unwrap();
    assert_eq!(create().unwrap(), ExperimentDir::open(root).unwrap());
}

#[test]
fn another_folder_or_another_version_is_refused() {
    let (folder, experiment) = ExperimentDir::made_up();
    let message = |path: &Path| ExperimentDir::open(path).unwrap_err().to_string();
    assert!(message(folder.path()).contains("is not an experiment directory"));
    assert!(message(&folder.path().join("none")).contains("metaqnn init"));
    fs::write(experiment.configuration(), "format_version: 3\n").unwrap();
    assert!(message(experiment.root()).contains("format version 3, this program reads version 2"));
    fs::write(experiment.configuration(), "seed: 7\n").unwrap();
    assert!(message(experiment.root()).contains("does not end in its checksum"));
}

#[test]
fn every_cut_and_every_changed_byte_of_the_configuration_is_found() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let text = fs::read(experiment.configuration()).unwrap();
    let refuses = |bytes: &[u8]| {
        fs::write(experiment.configuration(), bytes).unwrap();
        let error = ExperimentDir::open(experiment.root()).unwrap_err();
        error.is_damage() || matches!(error, StorageError::OtherFormat { .. })
    };
    assert!((0..text.len()).all(|end| refuses(&text[..end])));
    let changed = |at: usize| [&text[..at], b"#", &text[at + 1..]].concat();
    let other = (0..text.len()).filter(|&at| text[at] != b'#');
    assert!({ other }.all(|at| refuses(&changed(at))));
    assert!(refuses(&[&text[..], b"\n"].concat()));
    assert!(refuses(&[b"\n", &text[..]].concat()));
    assert!(refuses(&String::from_utf8(text).unwrap().replace('\n', "\r\n").into_bytes()));
}

#[test]
fn no_link_leads_out_of_an_experiment() {
    let (folder, experiment) = ExperimentDir::made_up();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let around = folder.path().join("around");
    std::os::unix::fs::symlink(experiment.root(), &around).unwrap();
    for name in Folder::VARIANTS.iter().map(<&str>::from).chain([LOG, CONFIGURATION]) {
        let (path, kept) = (experiment.root().join(name), folder.path().join("kept"));
        fs::rename(&path, &kept).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        let refused = ExperimentDir::open(experiment.root()).unwrap_err();
        assert!(matches!(&refused, StorageError::Unusable { path: named, .. } if *named == path));
        assert!(ExperimentDir::open(&around).is_err());
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
    }
    // A link to the experiment is no matter, nor is one that stays within.
    let views = experiment.root().join("older");
    fs::rename(experiment.folder(Folder::Views), &views).unwrap();
    std::os::unix::fs::symlink("older", experiment.folder(Folder::Views)).unwrap();
    assert!(ExperimentDir::open(&around).is_ok());
    fs::remove_dir(&views).unwrap();
    assert!(ExperimentDir::open(&around).is_err(), "it ends nowhere");
    // None is made of a folder with such a link.
    let new = folder.path().join("new");
    fs::create_dir(&new).unwrap();
    std::os::unix::fs::symlink(&elsewhere, new.join("curves")).unwrap();
    assert!(ExperimentDir::create(&new, "format_version: 2\n", Trust::Owner).is_err());
    assert_eq!(fs::read_dir(&new).unwrap().count(), 1);
}
