//! Claims and results, by one worker and by eight at once, in a short search and in long ones: the
//! cost must not grow with the search.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use metaqnn::internals::{EndedJobs, reduce};
use metaqnn::internals::{Event, Experiment, TrainEvent};
use metaqnn::internals::{LogPosition, Row, WritableReplayLog};
use metaqnn::internals::{TrainOptions, train};
use rustix::time::{ClockId, clock_gettime};

use crate::measured::Measured;
use crate::search::{self, SearchPlan};

/// The argument that asks for these figures.
pub const WORD: &str = "claims";
/// The argument by which this program becomes a worker.
pub const WORKER: &str = "worker";
const WORKERS: u32 = 8;
const LIMIT: &str = "median under 5 ms, p99 under 100 ms, flat";

/// Measures what is done under the lock; then claims and results as tasks make them, all that is
/// read before the lock included. A training takes 0.2 s, so that eight workers leave the lock
/// alone most of the time, as real ones do far more.
pub fn measure() {
    for results in [100, 1_000, 10_000] {
        under_the_lock(results);
    }
    for (workers, epsilon) in [(1, 1.0), (1, 0.5), (WORKERS, 1.0), (WORKERS, 0.5)] {
        println!("  {workers} at once, epsilon {epsilon}:");
        for results in [100, 1_000, 10_000] {
            measure_after(results, workers, epsilon);
        }
    }
}

/// Measures claims and results of so many workers after so many results, at both kinds of epsilon.
pub fn measure_one(workers: u32, results: u64) {
    for epsilon in [1.0, 0.5] {
        println!("  {workers} at once, epsilon {epsilon}:");
        measure_after(results, workers, epsilon);
    }
}

/// Measures one row appended: the log locked, its tail read, the row written and synced, the log let go.
pub fn under_the_lock(results: u64) {
    let folder = tempfile::tempdir().unwrap();
    let experiment =
        search::write(folder.path(), SearchPlan { results, epsilon: 1.0, per_task: 1 });
    let mut log = WritableReplayLog::open(experiment.dir()).unwrap();
    let mut cursor = log.reader.read_from(&LogPosition::start()).unwrap().cursor;
    let row = Row::at(Event::Halted, "2026-01-01T00:00:00Z".parse().unwrap());
    let append = || {
        let mut guard = log.lock_exclusive().unwrap();
        cursor = guard.read_from(&cursor).unwrap().cursor;
        guard.append(std::slice::from_ref(&row)).unwrap();
    };
    Measured::of(200, append).print(&format!("under the lock after {results} results"), LIMIT);
}

/// Measures claims and results of so many workers at once.
pub fn measure_after(results: u64, workers: u32, epsilon: f64) {
    let folder = tempfile::tempdir().unwrap();
    let experiment = search::write(folder.path(), SearchPlan { results, epsilon, per_task: 30 });
    reduce(&experiment, &EndedJobs::None).unwrap();
    let workers: Vec<Child> = (0..workers).map(|_| start(experiment.dir().root())).collect();
    let mut durations: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for worker in workers {
        let said = worker.wait_with_output().unwrap();
        assert!(said.status.success(), "a worker failed");
        for line in String::from_utf8(said.stdout).unwrap().lines() {
            let (what, nanoseconds) = line.rsplit_once(' ').unwrap();
            let duration = Duration::from_nanos(nanoseconds.parse().unwrap());
            durations.entry(what.to_owned()).or_default().push(duration);
        }
    }
    for (what, durations) in durations {
        Measured::new(durations).print(&format!("{what} after {results} results"), LIMIT);
    }
}

fn start(directory: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new(program).arg(WORKER).arg(directory).stdout(Stdio::piped()).spawn().unwrap()
}

/// Claims and records as a task does, and prints how long each took, everything read included, by
/// the clock and of the processor: where others use the machine, the second tells more.
pub fn work(directory: &Path) {
    let experiment = Experiment::open(directory).unwrap();
    let options = TrainOptions { share: WORKERS, ..TrainOptions::default() };
    let (mut since, mut before) = (Instant::now(), processor_time());
    train(&experiment, options, &mut |event| {
        let what = match event {
            TrainEvent::Claimed { .. } => Some("claim"),
            TrainEvent::Recorded { .. } => Some("result"),
            // Told after the same claim.
            TrainEvent::Reused { .. } => return,
            _ => None,
        };
        if let Some(what) = what {
            println!("{what} {}", since.elapsed().as_nanos());
            println!("{what}, processor {}", (processor_time() - before).as_nanos());
        }
        (since, before) = (Instant::now(), processor_time());
    })
    .unwrap();
}

/// How long this thread has run so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
