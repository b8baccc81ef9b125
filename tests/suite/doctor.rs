//! `metaqnn doctor`: what a place can do, alone and in company.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use crate::support::{Experiment, Program, SMALL, make_program};

/// The program without any scheduler on PATH.
fn doctor(experiment: &Experiment, arguments: &[&str]) -> Command {
    let mut command = experiment.command(&[&["doctor"], arguments].concat());
    command.env("PATH", experiment.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(mut command: Command) -> Output {
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn checks(output: &Output) -> Vec<serde_json::Value> {
    text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The verdict on one thing.
#[track_caller]
fn verdict(output: &Output, name: &str) -> String {
    let checks = checks(output);
    let check = checks.iter().find(|check| check["check"] == name);
    let check = check.unwrap_or_else(|| panic!("no `{name}` in {}", text(output)));
    check["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_folder_is_examined_with_two_processes_and_left_as_it_was() {
    let experiment = Experiment::init(SMALL);
    let before = fs::read_dir(experiment.path("")).unwrap().count();
    let output = ended(doctor(&experiment, &["dir", "--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let fine = ["machines", "locks", "log", "rename", "mount", "access", "images"];
    for name in fine.into_iter().chain(["trainer", "slurm"]) {
        assert_eq!(verdict(&output, name), "ok", "{}", text(&output));
    }
    // These depend on the machine, and on how busy it is.
    for name in ["visibility", "clocks", "space", "sync"] {
        assert_ne!(verdict(&output, name), "failure", "{}", text(&output));
    }
    assert!(text(&output).contains("2 processes appended 25 rows each"));
    assert_eq!(fs::read_dir(experiment.path("")).unwrap().count(), before);
    experiment.run(&["verify", "dir"]).success();
    // A folder that is no experiment yet.
    let output = ended(doctor(&experiment, &["."]));
    let is_fine = |line: &str| line.starts_with("ok       locks: ");
    assert!(output.status.success() && text(&output).lines().any(is_fine), "{}", text(&output));
}

#[test]
fn processes_started_by_hand_find_each_other() {
    let experiment = Experiment::init(SMALL);
    let all = [(); 3].map(|()| doctor(&experiment, &["dir", "--peers", "3"]).spawn().unwrap());
    let outputs = all.map(|one| one.wait_with_output().unwrap());
    assert!(outputs.iter().all(|output| output.status.success()));
    let told: Vec<String> = outputs.iter().map(text).filter(|text| !text.is_empty()).collect();
    assert_eq!(told.len(), 1, "the first one tells");
    assert!(told[0].contains("3 processes appended 25 rows each at once, none is lost"));
    assert!(!experiment.path("doctor.by-hand").exists());
}

#[test]
fn tasks_of_a_step_know_their_number() {
    let experiment = Experiment::init(SMALL);
    let start = |rank: &str| {
        let mut command = doctor(&experiment, &["dir", "--json"]);
        command.env("SLURM_JOB_ID", "7").env("SLURM_STEP_ID", "0").env("SLURM_STEP_NUM_TASKS", "2");
        command.env("SLURM_PROCID", rank).env("SLURMD_NODENAME", format!("n{rank}"));
        command.spawn().unwrap()
    };
    let [other, first] = ["1", "0"].map(start);
    let first = first.wait_with_output().unwrap();
    assert!(other.wait_with_output().unwrap().stdout.is_empty());
    assert!(text(&first).contains("2 examine together, on n0, n1"), "{}", text(&first));
    // What is seen on each machine is told of each.
    for host in ["n0", "n1"] {
        let is_told = |check: &serde_json::Value| check["check"] == "sync" && check["host"] == host;
        assert!(checks(&first).iter().any(is_told), "{}", text(&first));
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_a_failure() {
    let experiment = Experiment::init(SMALL);
    fs::remove_file(experiment.path("replay.csv")).unwrap();
    fs::create_dir(experiment.path("replay.csv")).unwrap();
    let output = ended(doctor(&experiment, &["dir", "--json"]));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert_eq!(verdict(&output, "access"), "failure");
    assert!(text(&output).contains("replay.csv"), "{}", text(&output));
}

#[test]
fn a_folder_that_takes_no_file_is_a_failure() {
    let experiment = Experiment::init(SMALL);
    let curves = experiment.path("curves");
    fs::remove_dir(&curves).unwrap();
    fs::write(&curves, "").unwrap();
    let seen = || {
        let output = ended(doctor(&experiment, &["dir", "--json"]));
        assert_eq!(verdict(&output, "access"), "failure", "{}", text(&output));
        text(&output)
    };
    assert!(seen().contains("curves` is no folder"));
    // Root may write where nobody may.
    if !rustix::process::geteuid().is_root() {
        fs::remove_file(&curves).unwrap();
        fs::create_dir(&curves).unwrap();
        fs::set_permissions(&curves, fs::Permissions::from_mode(0o555)).unwrap();
        assert!(seen().contains("cannot write into"));
    }
}

#[test]
fn what_will_not_work_is_a_failure_with_its_exit_code() {
    let config = "trainer: command, command: [./no-such-trainer]";
    let experiment = Experiment::init(&SMALL.replace("trainer: synthetic", config));
    let output = ended(doctor(&experiment, &["dir", "--json"]));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert_eq!(verdict(&output, "trainer"), "failure");
}

#[test]
fn a_directory_that_is_none_is_a_wrong_argument() {
    let experiment = Experiment::with(SMALL);
    for dir in ["nowhere", "config.yaml", "config.yaml/below"] {
        let output = ended(doctor(&experiment, &[dir]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("`{dir}`")) && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn without_a_folder_trainer_and_scheduler_are_looked_at() {
    let experiment = Experiment::with(SMALL);
    let config =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/slurm/scontrol_show_config.txt");
    let say = |name: &str, script: &str| {
        let text = format!("#!/bin/sh\n{script}\n");
        make_program(&experiment.folder().join(name), Program::Script(&text));
    };
    say("scontrol", &format!("/bin/cat '{config}'"));
    say("squeue", "exit 0");
    let output = ended(doctor(&experiment, &["--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    // The requeue is a warning: `KillWait` is 5 s there.
    for name in ["slurm", "arrays", "preemption"] {
        assert_eq!(verdict(&output, name), "ok", "{}", text(&output));
    }
    assert!(checks(&output).iter().any(|check| check["check"] == "trainer"));
    assert!(!checks(&output).iter().any(|check| check["check"] == "locks"));
    // A scheduler that does not answer.
    say("scontrol", "echo 'Unable to contact slurm controller' >&2; exit 1");
    let output = ended(doctor(&experiment, &["--json"]));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert_eq!(verdict(&output, "slurm"), "failure");
}

#[test]
fn the_trainer_names_its_device_or_why_there_is_none() {
    let experiment = Experiment::with(SMALL);
    // In a folder of its own: `metaqnn-torch` is looked for beside the program first.
    let program = experiment.folder().join("metaqnn");
    make_program(&program, Program::CopyOf(env!("CARGO_BIN_EXE_metaqnn").as_ref()));
    let examine = || {
        let mut command = Command::new(&program);
        command.args(["doctor", "--json"]).env("PATH", experiment.folder());
        let output = ended(command);
        let trainer = checks(&output).into_iter().find(|check| check["check"] == "trainer");
        let trainer = trainer.unwrap();
        let said = |key: &str| trainer[key].as_str().unwrap_or_default().to_owned();
        (output.status.code(), said("verdict"), said("seen"), said("remedy"))
    };
    let (code, verdict, seen, _) = examine();
    assert_eq!((code, verdict.as_str()), (Some(0), "warning"), "{seen}");
    assert!(seen.contains("found no `metaqnn-torch`"), "{seen}");
    for (script, expected) in [
        (
            r#"read -r request; echo '{"done": true, "device": "the CPU (2 threads)"}'; read -r end"#,
            ("ok", "the CPU (2 threads)", ""),
        ),
        (
            "echo 'libtorch_cpu.so: cannot open' >&2; exit 127",
            ("failure", "libtorch_cpu.so: cannot open", "setup-libtorch"),
        ),
        (
            "echo 'there is no GPU (see nvidia-smi)' >&2; exit 4",
            ("failure", "there is no GPU (see nvidia-smi)", ""),
        ),
        ("kill -9 $$", ("failure", "signal 9 (KILL)", "")),
    ] {
        let torch = experiment.folder().join("metaqnn-torch");
        make_program(&torch, Program::Script(&format!("#!/bin/sh\n{script}\n")));
        let (code, verdict, seen, remedy) = examine();
        assert_eq!(code, Some(if verdict == "ok" { 0 } else { 4 }), "{seen}");
        assert_eq!(verdict, expected.0, "{seen}");
        assert!(seen.contains(expected.1) && remedy.contains(expected.2), "{seen}: {remedy}");
    }
}
