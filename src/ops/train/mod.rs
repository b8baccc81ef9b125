//! One task: claim, train, record; again while more is wanted of it ([`train`]). In reading order:
//!
//! * `task`: who a task is ([`Task`]), its loop, and what it draws under the lock
//! * `strategy`: which network comes next
//! * `attempt`: one attempt at training a claim, judged by the stopping rule after each epoch
//! * `record`: the row of a result, written to the log with retries; results left beside curves
//!   ([`record::LeftResults`])
//! * `model`: the model of a result, kept or removed
//! * `learn`: the Q-values of draws, and what a task learns of a result
//! * `resume`: an attempt that ends without a result, and the next that resumes its claim
//! * `event`: progress events ([`TrainEvent`]); this file: processes by name
//!
//! Used by `cli` (`train`); `reduce`, `rounds`, `verify` and `doctor` use parts.

pub(crate) mod attempt;
pub(crate) mod event;
pub(crate) mod learn;
mod model;
pub(crate) mod record;
mod resume;
pub(crate) mod task;

use std::path::Path;

use anyhow::Context;

use self::learn::QValues;
use crate::ops::journal::Journal;
use crate::ops::{Experiment, TrainEvent};
use crate::regular_file::{self, SMALL};
use crate::space::Architecture;
use crate::storage::view::StoredPredictor;
use crate::storage::{Attempt, Row};
use crate::strategy::Strategy;
use crate::training::protocol::Request;
use crate::training::{Interrupt, Trainer};

pub use task::{Task, TrainOptions, train};

pub(crate) struct TaskRun<'a> {
    experiment: &'a Experiment,
    options: TrainOptions,
    on_event: &'a mut dyn FnMut(TrainEvent),
    pub task: Task,
    /// What all requests to the trainer have in common.
    rehearsal: Request,
    trainer: Box<dyn Trainer>,
    interrupt: Interrupt,
    journal: Journal,
    q_values: QValues,
    strategy: Box<dyn Strategy>,
    /// The predictor that judges the claim.
    predictor: Option<StoredPredictor>,
}

#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub row: Row,
    pub attempt: Attempt,
    pub architecture: Architecture,
    /// Attempts in a row before this one that left on the time warning without a new epoch.
    pub timeouts: u32,
}

/// The job of tasks without a scheduler.
pub(crate) const LOCAL: &str = "local";

pub(crate) fn host() -> anyhow::Result<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    anyhow::ensure!(!name.is_empty(), "this machine has no name");
    Ok(name)
}

/// Returns `host:boot:process:start` of a live process of this machine, as no other ever was: a
/// process number alone comes again.
pub(crate) fn process_name(host: &str, pid: u32) -> anyhow::Result<Option<String>> {
    let path = "/proc/sys/kernel/random/boot_id";
    let boot = kernel_text(path).with_context(|| format!("failed to read `{path}`"))?;
    // The first part of the boot's identifier is enough, and the column stays narrow.
    Ok(start_time(pid).map(|start| format!("{host}:{boot:.8}:{pid}:{start}")))
}

/// Whether a process named by [`process_name`] was one of this machine and is gone.
pub(crate) fn is_gone(process: &str) -> bool {
    let parts: Vec<&str> = process.rsplitn(4, ':').collect();
    let [_, pid, _, its_host] = parts[..] else { return false };
    let (Ok(pid), Ok(host)) = (pid.parse(), host()) else { return false };
    let name = process_name(&host, pid);
    its_host == host && name.is_ok_and(|found| found.as_deref() != Some(process))
}

fn kernel_text(path: &str) -> std::io::Result<String> {
    let bytes = regular_file::read(Path::new(path), SMALL)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns when a live process started, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let stat = kernel_text(&format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything, so fields count from the
    // last one: the state is field 3 and the start time field 22 of proc(5).
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let is_dead = matches!(*fields.first()?, "Z" | "X");
    fields.get(19)?.parse().ok().filter(|_| !is_dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone_and_its_successor_is_another() {
        let host = host().unwrap();
        let process = process_name(&host, std::process::id()).unwrap().unwrap();
        let boot = process.rsplit(':').nth(2).unwrap();
        assert!(!is_gone(&process));
        let (other, start) = process.rsplit_once(':').unwrap();
        let earlier = format!("{other}:{}", start.parse::<u64>().unwrap() - 1);
        assert!(is_gone(&earlier), "a process of the same number that started earlier has ended");
        let elsewhere = earlier.replacen(&host, "else:where", 1);
        assert!(!is_gone(&elsewhere), "nothing is known of other machines");
        assert!(is_gone(&process.replace(boot, "00000000")), "before a reboot");
        assert!(!is_gone("17") && !is_gone(&format!("{host}:{boot}:x:1")));
    }
}
