//! `metaqnn status`: how far a search is.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::{Experiment, SMALL, skip};

#[test]
fn a_new_experiment_has_everything_left() {
    let experiment = Experiment::init(SMALL);
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!((&status["results"], &status["left"]), (&0.into(), &18.into()));
    assert_eq!(status["condition"], "active");
    assert!(status["best"].is_null());
}

#[test]
fn status_fits_a_terminal_and_needs_no_view() {
    let experiment = Experiment::init(SMALL);
    for _ in 0..3 {
        experiment.run(&["train", "dir"]).success();
    }
    let text = experiment.run(&["status", "dir"]).success().stdout();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("made up"), "synthetic results are marked: {text}");
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!(status["results"], 3);
}

#[test]
fn a_watch_ends_with_the_search() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let pictures = experiment.run(&["status", "dir", "--watch", "1", "--json"]).success().json();
    assert_eq!(pictures.len(), 1);
    assert_eq!(pictures[0]["condition"], "finished");
    // A halted one does not go on by itself either.
    let halted = Experiment::init(SMALL);
    halted.run(&["cancel", "dir"]).success();
    let pictures = halted.run(&["status", "dir", "--watch", "1", "--json"]).success().json();
    assert_eq!((pictures.len(), &pictures[0]["condition"]), (1, &"halted".into()));
}

#[test]
fn a_watch_of_a_file_writes_block_after_block_until_the_search_has_finished() {
    let experiment = Experiment::init(SMALL);
    let mut watch = experiment
        .command(&["status", "dir", "--watch", "1"])
        .env("TERM", "xterm")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<_> = lines.by_ref().take_while(|line| !line.contains("best accuracy")).collect();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let all = [first, lines.collect()].concat();
    assert!(watch.wait().unwrap().success());
    let is_time = |line: &String| line.parse::<jiff::Timestamp>().is_ok();
    let blocks: Vec<_> = all.split(is_time).skip(1).collect();
    assert!(is_time(&all[0]) && blocks.len() > 1, "{all:#?}");
    assert!(blocks[0][0].starts_with("small: active"), "{all:#?}");
    assert!(blocks.last().unwrap()[0].starts_with("small: finished"), "{all:#?}");
    assert!(!all.concat().contains('\u{1b}'));
}

#[test]
fn a_watch_goes_on_after_a_look_at_a_damaged_log() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["cancel", "dir"]).success();
    let log = experiment.text("replay.csv");
    std::fs::write(experiment.path("replay.csv"), log.replace("trained", "tra?ned")).unwrap();
    let error = experiment.run(&["status", "dir"]).fails_with(3).stderr();
    let mut watch = experiment
        .command(&["status", "dir", "--watch", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut warnings = BufReader::new(watch.stderr.take().unwrap()).lines();
    let warning = warnings.next().unwrap().unwrap();
    assert_eq!(warning, error.trim_end().replacen("error", "warn", 1));
    std::fs::write(experiment.path("replay.csv"), log).unwrap();
    let ended = watch.wait_with_output().unwrap();
    assert!(ended.status.success() && String::from_utf8_lossy(&ended.stdout).contains("halted"));
}

#[test]
fn a_watch_ends_by_a_signal_as_programs_do() {
    let experiment = Experiment::init(SMALL);
    let mut command = experiment.command(&["status", "dir", "--watch"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let id = watch.id().to_string();
    // Not INT, which is ignored where the tests run in the background.
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(watch.wait().unwrap().signal(), Some(15));
    experiment.run(&["status", "dir", "--watch", "0"]).fails_with(2).says("0");
}

#[test]
fn on_a_terminal_a_watch_draws_in_place() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let line = format!("'{}' status dir --watch", env!("CARGO_BIN_EXE_metaqnn"));
    let shown = |terminal: &str| {
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(experiment.folder());
        let output = script.env("TERM", terminal).stdin(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Ok(drawn) = shown("xterm") else {
        return skip("on_a_terminal_a_watch_draws_in_place", "there is no `script`");
    };
    // From the first row of the screen, each line erased to its end, and what was below the last.
    assert!(drawn.starts_with("\u{1b}[H2") && drawn.trim_end().ends_with("\u{1b}[J"), "{drawn:?}");
    assert!(
        drawn.lines().rev().skip(1).all(|line| line.trim_end().ends_with("\u{1b}[K")),
        "{drawn:?}"
    );
    assert!(!shown("dumb").unwrap().contains("\u{1b}[H"));
}

#[test]
fn a_finished_search_stays_finished_when_it_is_cancelled() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.text("replay.csv");
    experiment.run(&["cancel", "dir"]).success().says("the search is finished");
    assert_eq!(experiment.text("replay.csv"), log);
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!(status["condition"], "finished");
}

#[test]
fn readers_take_the_whole_rows_while_another_process_keeps_the_lock() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let mut log =
        std::fs::File::options().append(true).open(experiment.path("replay.csv")).unwrap();
    fs2::FileExt::lock_exclusive(&log).unwrap();
    std::io::Write::write_all(&mut log, b"2,claimed,").unwrap();
    let ran =
        experiment.run(&["status", "dir", "--json"]).success().says("has been locked for 2 s");
    assert_eq!(ran.json()[0]["results"], 1);
    let ran = experiment.run(&["verify", "dir"]).success().says("has been locked for 2 s");
    assert!(ran.stdout().contains("clean: 2 rows"), "{}", ran.stdout());
}

#[test]
fn status_writes_nothing() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let before = experiment.text("replay.csv");
    // The header and two rows, and half a row that somebody is writing.
    let path = experiment.path("replay.csv");
    std::fs::write(&path, format!("{before}2,claimed,")).unwrap();
    experiment.run(&["status", "dir"]).success();
    assert_eq!(experiment.text("replay.csv"), format!("{before}2,claimed,"));
}

#[test]
fn the_help_names_every_key_of_the_json() {
    let experiment = Experiment::init(SMALL);
    let events = experiment.run(&["train", "dir", "--json"]).success().json();
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    for (command, objects) in [("train", events), ("status", status)] {
        let help = experiment.run(&[command, "--help"]).success().stdout();
        for key in objects.iter().flat_map(|object| object.as_object().unwrap().keys()) {
            let words = || help.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(words().any(|word| word == key), "`metaqnn {command} --help` lacks `{key}`");
        }
    }
}
