//! The next network of each strategy after 10,000 results: by a fresh process, from exec to claim,
//! and how long of that the log is locked.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metaqnn::internals::{EndedJobs, Experiment, learn};

use crate::measured::Measured;
use crate::search;

const KINDS: [&str; 8] = [
    "q_learning", "exploit_best", "evolution", "bayesian", "policy_gradient", "random",
    "exhaustive", "list",
];
const RESULTS: u64 = 10_000;

pub fn measure() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let experiment = search::of_strategy(folder.path(), kind, RESULTS);
        learn(&experiment, &EndedJobs::None).unwrap();
        // The tasks of a round, each with a result that is not in the view.
        measure_tasks(&experiment, 10, kind);
        if ["bayesian", "policy_gradient"].contains(&kind) {
            fs::remove_dir_all(experiment.dir().root().join("views")).unwrap();
            measure_tasks(&experiment, 3, &format!("{kind} without a view"));
        }
    }
}

fn measure_tasks(experiment: &Experiment, tasks: u32, what: &str) {
    let (claims, locks) = (0..tasks).map(|_| claim(experiment)).unzip();
    let limit = "20 ms and 6 us a row: 140 ms";
    Measured::new(claims).print(&format!("{what}: exec to claim"), limit);
    Measured::new(locks).print(&format!("{what}: under the lock"), "under 5 ms");
}

/// From exec to claim, and the time of the lock.
fn claim(experiment: &Experiment) -> (Duration, Duration) {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_metaqnn"));
    command.args(["-vv".as_ref(), "train".as_ref(), experiment.dir().root().as_os_str()]);
    let mut task = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut found = None;
    for line in BufReader::new(task.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let locked = line.strip_prefix("debug: the log was locked for ");
        if let Some(locked) = locked.and_then(|it| it.strip_suffix(" us")) {
            let locked = Duration::from_micros(locked.parse().unwrap());
            found.get_or_insert((began.elapsed(), locked));
        }
    }
    assert!(task.wait().unwrap().success(), "a task failed");
    found.expect("a claim is made under the lock")
}
