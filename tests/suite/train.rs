//! `metaqnn train`: one task.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::{Experiment, Program, SMALL, make_program, skip};

fn as_task(experiment: &Experiment, job: &str, task: &str) -> Command {
    let mut command = experiment.command(&["train", "dir"]);
    command
        .env("SLURM_JOB_ID", "900")
        .env("SLURM_ARRAY_JOB_ID", job)
        .env("SLURM_ARRAY_TASK_ID", task)
        .env("SLURM_JOB_END_TIME", "4102444800") // 2100-01-01
        .stdin(Stdio::null());
    command
}

#[test]
fn a_task_claims_trains_and_records_one_architecture() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let log = experiment.log();
    let events: Vec<&str> = log.iter().map(|row| row["event"].as_str()).collect();
    assert_eq!(events[0], "claimed");
    assert_eq!(events.len(), 2);
    assert_eq!(log[0]["job"], "local");
    let curve = experiment.text("curves/000001.1.csv");
    assert!(curve.starts_with("epoch,start,learning_rate,"));
}

#[test]
fn a_task_of_an_array_is_known_by_job_and_index() {
    let experiment = Experiment::init(SMALL);
    assert!(as_task(&experiment, "77", "3").status().unwrap().success());
    let claim = &experiment.log()[0];
    assert_eq!((claim["job"].as_str(), claim["task"].as_str()), ("77", "3"));
    // The job goes on until 2100.
    assert!(claim["expires_at"].as_str() < "2099", "a lifetime caps the end");
}

#[test]
fn a_folder_that_takes_no_file_costs_no_claim() {
    let experiment = Experiment::init(SMALL);
    let program = experiment.folder().join("metaqnn");
    make_program(&program, Program::CopyOf(env!("CARGO_BIN_EXE_metaqnn").as_ref()));
    let mut task = Command::new(&program);
    task.args(["train", "dir"]).current_dir(experiment.folder());
    // Root may write everywhere.
    if rustix::process::geteuid().is_root() {
        task.uid(65_534).gid(65_534);
        let mut give = Command::new("chown");
        assert!(
            give.args(["-R", "65534:65534"]).arg(experiment.folder()).status().unwrap().success()
        );
    }
    fs::set_permissions(experiment.path("curves"), fs::Permissions::from_mode(0o555)).unwrap();
    let Ok(refused) = task.output() else {
        let why = "temporary folders are not for every user";
        return skip("a_folder_that_takes_no_file_costs_no_claim", why);
    };
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("cannot write into") && said.contains("curves"), "{said}");
    assert!(experiment.log().is_empty());
}

#[test]
fn events_are_printed_as_json() {
    let experiment = Experiment::init(SMALL);
    let events = experiment.run(&["train", "dir", "--json"]).success().json();
    assert_eq!(events[0]["event"], "started");
    assert_eq!((&events[1]["event"], &events[1]["of"]), (&"claimed".into(), &18.into()));
    assert_eq!(events[2]["event"], "epoch");
    assert_eq!(events.last().unwrap()["event"], "recorded");
}

#[test]
fn with_nothing_to_claim_a_task_ends_well() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let rows = experiment.log().len();
    experiment.run(&["train", "dir"]).success().says("finished");
    assert_eq!(experiment.log().len(), rows);
}

#[test]
fn malformed_variables_of_the_scheduler_are_named() {
    let experiment = Experiment::init(SMALL);
    let output = as_task(&experiment, "seven", "3").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SLURM_ARRAY_JOB_ID"));
    assert_eq!(experiment.log().len(), 0);
}

#[test]
fn a_line_break_in_the_name_of_the_node_is_refused_with_its_variable() {
    let experiment = Experiment::init(SMALL);
    let mut task = as_task(&experiment, "77", "3");
    let output = task.env("SLURMD_NODENAME", "n1\nn2").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`SLURMD_NODENAME` is `n1\\nn2`"));
    assert_eq!(experiment.log().len(), 0);
}

#[test]
fn a_round_that_is_not_there_has_no_task() {
    let experiment = Experiment::init(SMALL);
    let train = |round: &str| experiment.run(&["train", "dir", "--round", round]);
    train("7").fails_with(2).says("there is no round 7: none was submitted yet");
    for round in ["0001", "0002", "0003"] {
        std::fs::create_dir(experiment.path("rounds").join(round)).unwrap();
    }
    train("7").fails_with(2).says("there is no round 7: the newest is round 3");
    assert_eq!(experiment.log().len(), 0, "nothing is claimed");
    train("3").success();
    assert_eq!(experiment.log()[0]["round"], "3");
}

#[test]
fn a_log_saved_by_a_spreadsheet_is_refused() {
    let experiment = Experiment::init(SMALL);
    for _ in 0..3 {
        experiment.run(&["train", "dir"]).success();
    }
    experiment.run(&["reduce", "dir"]).success();
    let path = experiment.path("replay.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    for changed in [text.replace('\n', "\r\n"), text.replace(',', ";"), format!("\u{feff}{text}")] {
        std::fs::write(&path, changed).unwrap();
        for command in ["train", "reduce"] {
            experiment.run(&[command, "dir"]).fails_with(3).says("changed by another program");
        }
    }
    // One number of an old row: every row is well formed, and the log is not what was learned from.
    let digit = text.find("trained").or(text.find("failed")).unwrap();
    let changed = format!("{}{}", &text[..digit], text[digit..].replacen(",0.", ",0.9", 1));
    assert_ne!(changed, text);
    std::fs::write(&path, changed).unwrap();
    experiment.run(&["train", "dir"]).fails_with(3).says("changed by another program");
}

#[test]
fn a_task_whose_events_have_no_reader_any_more_ends_as_after_a_signal() {
    // The second epoch would be told in a day.
    let slow = "epochs: 4, synthetic_epoch_seconds: 1.0e+5";
    let experiment = Experiment::init(&SMALL.replace("epochs: 4", slow));
    let mut task = experiment
        .command(&["train", "dir", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(task.stdout.take().unwrap()).lines();
    assert!(events.any(|line| line.unwrap().contains("claimed")));
    drop(events);
    // The pipe is closed with its reader.
    assert_eq!(task.wait().unwrap().code(), Some(75));
    assert_eq!(experiment.log().len(), 1, "the claim stays open");
}

#[test]
fn a_person_may_answer_for_locks_of_one_machine() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir", "--single-node"]).success();
    experiment.run(&["reduce", "dir", "--single-node"]).success();
}

#[test]
fn a_line_of_a_log_begins_with_its_time_and_says_which_iteration_of_how_many() {
    let experiment = Experiment::init(SMALL);
    let stderr = experiment.run(&["train", "dir"]).success().stderr();
    let lines = stderr.lines().map(|line| {
        let (time, words) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{line}");
        words
    });
    let lines: Vec<_> = lines.collect();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let version = experiment.run(&["--version"]).success().stdout();
    assert_eq!(lines[0], format!("{}, host {host}", version.trim()));
    assert_eq!(lines.len(), 1 + 1 + 4 + 1, "{stderr}");
    assert!(lines[1..].iter().all(|line| line.starts_with("iteration 1 of 18")), "{stderr}");
}
