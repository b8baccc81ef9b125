//! A log that cannot be written when a training has ended, whatever the step and the error; and processes killed at
//! every step. A library that is loaded before the C library makes them fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Experiment, Ran, SMALL, wait_until};

/// What fails: calls on paths that hold `$FAIL_PATH`, from the `$FAIL_FROM`th on, `$FAIL_TIMES` of them, with
/// `$FAIL_ERRNO`. With `$FAIL_ERRNO` 0 the process is killed there instead. `$FAIL_CALLS` names the calls.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
static int count;
static int fails(const char *call, const char *path) {
    if (!strstr(path, getenv("FAIL_PATH")) || !strstr(getenv("FAIL_CALLS"), call)) return 0;
    int from = atoi(getenv("FAIL_FROM")), times = atoi(getenv("FAIL_TIMES")), error = atoi(getenv("FAIL_ERRNO"));
    int number = __sync_add_and_fetch(&count, 1);
    if (number < from || number >= from + times) return 0;
    if (error == 0) { kill(getpid(), SIGKILL); pause(); }
    errno = error; return 1;
}
static int fd_fails(const char *call, int fd) {
    char link[64], path[4096]; ssize_t l;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((l = readlink(link, path, sizeof path - 1)) < 0) return 0;
    path[l] = 0;
    return fails(call, path);
}
#define REAL(name) __typeof__(name) *real = dlsym(RTLD_NEXT, #name)
ssize_t write(int fd, const void *b, size_t l) { REAL(write); return fd_fails("write", fd) ? -1 : real(fd, b, l); }
ssize_t pwrite64(int fd, const void *b, size_t l, off64_t at) { REAL(pwrite64); return fd_fails("write", fd) ? -1 : real(fd, b, l, at); }
int fsync(int fd) { REAL(fsync); return fd_fails("sync", fd) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return fd_fails("sync", fd) ? -1 : real(fd); }
int flock(int fd, int how) { REAL(flock); return fd_fails("flock", fd) ? -1 : real(fd, how); }
int open64(const char *path, int flags, ...) {
    REAL(open64); va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
    return fails("open", path) ? -1 : real(path, flags, mode);
}
int link(const char *from, const char *to) { REAL(link); return fails("link", to) ? -1 : real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); return fails("link", to) ? -1 : real(a, from, b, to, flags); }
int unlink(const char *path) { REAL(unlink); return fails("unlink", path) ? -1 : real(path); }
"#;

/// An experiment with the library beside it.
struct Failing {
    experiment: Experiment,
    library: PathBuf,
}

impl Failing {
    fn new() -> Self {
        Self::of(&SMALL.replace("architectures: 12", "architectures: 500"))
    }

    fn of(configuration: &str) -> Self {
        let experiment = Experiment::init(configuration);
        let (source, library) =
            (experiment.folder().join("fails.c"), experiment.folder().join("fails.so"));
        fs::write(&source, LIBRARY).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        Self { experiment, library }
    }

    /// The task of an array job, on which these calls on these paths fail.
    fn task(&self, job: &str, calls: &str, path: &str, [from, times, errno]: [i32; 3]) -> Command {
        let mut task = self.command(&["train", "dir", "--json"], calls, path, [from, times, errno]);
        task.env("SLURM_JOB_ID", job)
            .env("SLURM_ARRAY_JOB_ID", job)
            .env("SLURM_ARRAY_TASK_ID", "0")
            .env("SLURM_JOB_END_TIME", "4102444800");
        task
    }

    /// A command on which these calls on these paths fail.
    fn command(
        &self,
        arguments: &[&str],
        calls: &str,
        path: &str,
        [from, times, errno]: [i32; 3],
    ) -> Command {
        let mut command = self.experiment.command(arguments);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAIL_CALLS", calls)
            .env("FAIL_PATH", path)
            .envs(
                [("FAIL_FROM", from), ("FAIL_TIMES", times), ("FAIL_ERRNO", errno)]
                    .map(|(name, number)| (name, number.to_string())),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, job: &str, calls: &str, path: &str, numbers: [i32; 3]) -> Output {
        self.task(job, calls, path, numbers).output().unwrap()
    }

    fn reduce_after(&self, job: &str) -> Ran {
        self.experiment.run(&["reduce", "dir", "--after", job]).success()
    }

    /// The events of the log, in its order, without those of other iterations than this one.
    fn events_of(&self, iteration: usize) -> Vec<String> {
        let rows = self.experiment.log().into_iter();
        let rows = rows.filter(|row| row["iteration"] == iteration.to_string());
        rows.map(|row| row["event"].clone()).collect()
    }

    fn left_results(&self) -> usize {
        let names = fs::read_dir(self.experiment.path("curves")).unwrap();
        names
            .filter(|name| {
                name.as_ref().unwrap().path().extension().is_some_and(|end| end == "result")
            })
            .count()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_result_is_appended_after_any_error_of_any_step() {
    let failing = Failing::new();
    // EIO, ESTALE, ENOLCK, EDQUOT, ENOSPC, EACCES, EROFS.
    let errors = [5, 116, 37, 122, 28, 13, 30];
    // The claim writes, syncs and opens first; the log is opened and locked before, to be read.
    let steps = [("write", 2), ("sync", 2), ("flock", 5), ("open", 6)];
    for (number, (step, errno)) in
        steps.iter().flat_map(|step| errors.map(|errno| (step, errno))).enumerate()
    {
        // One of each kind is slow enough: the first pause is a second.
        if number % 5 != 0 {
            continue;
        }
        let iteration = number / 5 + 1;
        let output =
            failing.run(&format!("{}", 100 + number), step.0, "replay.csv", [step.1, 1, errno]);
        assert!(output.status.success(), "{step:?}, {errno}: {}", words(&output));
        let events = failing.events_of(iteration);
        assert_eq!((events.len(), events[0].as_str()), (2, "claimed"), "{step:?}, {errno}");
        assert_ne!(events[1], "lost", "{step:?}, {errno}: {}", words(&output));
    }
    assert_eq!(failing.left_results(), 0);
    failing.experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_process_killed_at_any_call_leaves_nothing_lost_and_nothing_doubled() {
    let failing = Failing::new();
    let (mut taken_up, mut recorded) = (0, 0);
    for call in 1.. {
        let job = (1000 + call).to_string();
        let killed = failing.run(&job, "open write sync flock link unlink", "/dir/", [call, 1, 0]);
        if killed.status.success() {
            assert!(call > 30, "only {call} calls were reached");
            break;
        }
        assert_eq!(killed.status.code(), None, "call {call}: {}", words(&killed));
        let is_finished = failing.left_results() > 0;
        let claims = failing.experiment.log().iter().filter(|row| row["job"] == job).count();
        if is_finished && call % 2 == 0 {
            let again = failing.run(&job, "", "", [1, 0, 0]);
            assert!(again.status.success(), "call {call}: {}", words(&again));
            let log = failing.experiment.log();
            let is_second = |row: &&std::collections::HashMap<String, String>| {
                row["job"] == job && row["attempt"] == "2"
            };
            assert_eq!(log.iter().filter(is_second).count(), 0, "call {call}: trained again");
            taken_up += 1;
        }
        failing.reduce_after(&job);
        let log = failing.experiment.log();
        let of_job: Vec<_> = log.iter().filter(|row| row["job"] == job).collect();
        let last = of_job.last().map_or("", |row| row["event"].as_str());
        assert!(last != "claimed" && (claims == 0 || of_job.len() >= 2), "call {call}: {of_job:?}");
        if is_finished {
            assert!(last != "lost", "call {call}: a finished training was lost");
            recorded += 1;
        }
        assert_eq!(failing.left_results(), 0, "call {call}");
        let mut results: Vec<_> = log
            .iter()
            .filter(|row| ["trained", "failed"].contains(&row["event"].as_str()))
            .map(|row| row["architecture"].clone())
            .collect();
        let all = results.len();
        results.sort();
        results.dedup();
        assert_eq!(results.len(), all, "call {call}: no architecture has two results");
    }
    assert!(taken_up > 1 && recorded > taken_up, "{taken_up} of {recorded}");
    failing.experiment.run(&["verify", "dir"]).success();
    failing.experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn a_process_killed_when_it_completes_a_model_loses_neither_model_nor_result() {
    let proofs = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/proofs");
    let trainer = proofs.join("model-trainer.py");
    let command = format!("trainer: command, command: [python3, {}, '0']", trainer.display());
    let failing = Failing::of(&SMALL.replace("trainer: synthetic", &command));
    let killed = failing.run("7", "open", "model.onnx", [1, 1, 0]);
    assert_eq!(killed.status.code(), None, "{}", words(&killed));
    assert_eq!((failing.events_of(1), failing.left_results()), (vec!["claimed".to_owned()], 1));
    failing.reduce_after("7");
    assert_eq!(failing.events_of(1), ["claimed", "trained"]);
    assert!(failing.experiment.path("models/000001.1").exists());
    let mut check = Command::new(proofs.join("models.py"));
    let output = check.arg(failing.experiment.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A task that was told to end by TERM while its result could not be appended.
fn unrecorded() -> Failing {
    let failing = Failing::new();
    let task = failing.task("7", "write", "replay.csv", [2, i32::MAX - 2, 5]).spawn().unwrap();
    wait_until("the result lies beside its curve", || failing.left_results() == 1);
    let pid = i32::try_from(task.id()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let output = task.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", words(&output));
    assert!(words(&output).contains("kept beside its learning curve"), "{}", words(&output));
    assert_eq!(failing.events_of(1), ["claimed"]);
    failing
}

#[test]
fn a_result_that_was_left_is_recorded_instead_of_the_loss_of_its_claim() {
    let failing = unrecorded();
    let found = failing.experiment.run(&["verify", "dir"]).success().stdout();
    assert!(found.contains("the result of iteration 1 is not in the log yet"), "{found}");
    failing.reduce_after("7").says("which its task could not append, is recorded");
    let events = failing.events_of(1);
    assert!(events.len() == 2 && events[1] != "lost", "{events:?}");
    assert_eq!(failing.left_results(), 0);
    failing.experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_repair_appends_a_result_that_was_left() {
    let failing = unrecorded();
    let repaired = failing.experiment.run(&["verify", "dir", "--repair"]).success().stdout();
    assert!(repaired.contains("[appended or removed"), "{repaired}");
    assert_eq!(failing.events_of(1).len(), 2);
    assert_eq!(failing.left_results(), 0);
}

#[test]
fn a_damaged_result_costs_its_training_and_nothing_else() {
    let failing = unrecorded();
    let path = failing.experiment.path("curves/000001.1.result");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("1,", "2,", 1)).unwrap();
    let found = failing.experiment.run(&["verify", "dir"]).fails_with(3).stdout();
    assert!(found.contains("damage    curves/000001.1.result"), "{found}");
    failing.reduce_after("7").says("is passed over");
    assert_eq!(failing.events_of(1), ["claimed", "lost"]);
    failing.experiment.run(&["verify", "dir", "--repair"]).success();
    assert_eq!(failing.left_results(), 0);
    failing.experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_curve_that_cannot_be_read_costs_that_curve_and_not_the_audit() {
    let failing = Failing::new();
    for _ in 0..2 {
        failing.experiment.run(&["train", "dir"]).success();
    }
    fs::write(failing.experiment.path("torn/unknown"), "").unwrap();
    const EACCES: i32 = 13;
    let unreadable = |command: &str| {
        let mut command =
            failing.command(&[command, "dir"], "open", "000001.1.csv", [1, 9, EACCES]);
        command.output().unwrap()
    };
    let audit = unreadable("verify");
    let said = String::from_utf8(audit.stdout).unwrap();
    assert_eq!(audit.status.code(), Some(3), "{said}");
    assert!(said.contains("damage    curves/000001.1.csv: cannot read"), "{said}");
    assert!(said.contains("torn/unknown") && said.contains("1 damage: "), "{said}");
    assert!(unreadable("reduce").status.success());
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_ends_no_process() {
    let experiment = Experiment::init(SMALL);
    let limited = |command: &str| {
        let line = format!("ulimit -f 0; exec {} {command} dir", env!("CARGO_BIN_EXE_metaqnn"));
        let shell =
            Command::new("sh").args(["-c", &line]).current_dir(experiment.folder()).output();
        let ended = shell.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{command}: {said}");
        assert!(said.contains("see `ulimit -f`"), "{command}: {said}");
    };
    limited("train");
    experiment.run(&["train", "dir"]).success();
    limited("reduce");
    experiment.run(&["reduce", "dir"]).success();
    experiment.run(&["verify", "dir"]).success();
}
