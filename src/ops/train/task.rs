//! The identity of a task: an element of a scheduler's array, or a local process; and when a claim
//! made by it expires.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};

use crate::regular_file::{self, SMALL};
use crate::slurm::{Slurm, SlurmTask, Variables};

/// As it stands in the rows of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The array job, or `local`.
    pub job: String,
    /// The element of the array, or the local process.
    pub task: String,
    pub host: String,
    /// From the variables of the scheduler, if there is one.
    pub slurm: Option<SlurmTask>,
    pub end_time: Option<Timestamp>,
}

/// The job of tasks without a scheduler.
pub(crate) const LOCAL: &str = "local";

impl Task {
    pub fn current() -> anyhow::Result<Self> {
        let variables: Variables = std::env::vars_os().collect();
        let slurm = SlurmTask::from_variables(&variables)?;
        let host = host()?;
        let Some(task) = slurm else {
            let process = LocalProcess::current(&host)?.to_string();
            return Ok(Self {
                job: LOCAL.into(),
                task: process,
                host,
                slurm: None,
                end_time: None,
            });
        };
        // Older Slurm sets no variable for it, so it is asked, once. Without an answer the claim
        // has its lifetime, which is safe and only wasteful.
        let ask = || {
            Slurm::new(&variables, None).end_time(task.id).unwrap_or_else(|error| {
                log::warn!("the end of this task is unknown: {error}");
                None
            })
        };
        Ok(Self {
            job: task.id.job.to_string(),
            task: task.id.task.map_or_else(|| "0".into(), |index| index.to_string()),
            host: task.host.clone().unwrap_or(host),
            end_time: task.end_time.or_else(ask),
            slurm: Some(task),
        })
    }

    /// Returns the time until the scheduler ends the task, if it says when.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.end_time?.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// Returns when a claim made now ends by itself: with the task, and after its lifetime at the
    /// latest.
    pub fn claim_end(&self, now: Timestamp, lifetime_seconds: f64) -> Timestamp {
        let lifetime =
            SignedDuration::try_from_secs_f64(lifetime_seconds).unwrap_or(SignedDuration::MAX);
        let latest = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
        self.end_time.map_or(latest, |end| end.min(latest))
    }
}

pub(crate) fn host() -> anyhow::Result<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    anyhow::ensure!(!name.is_empty(), "this machine has no name");
    Ok(name)
}

/// A process of one machine, as no other ever was: a process number alone comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalProcess {
    host: String,
    boot: String,
    pid: u32,
    started: u64,
}

impl LocalProcess {
    fn current(host: &str) -> anyhow::Result<Self> {
        let pid = std::process::id();
        let started = start_time(pid).context("failed to read `/proc/self/stat`")?;
        Ok(Self { host: host.into(), boot: boot()?, pid, started })
    }

    /// Reads what [`Display`](std::fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(4, ':');
        let started = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        let boot = parts.next()?.to_owned();
        Some(Self { host: parts.next()?.to_owned(), boot, pid, started })
    }

    /// Whether the process is known to be gone: it was one of this machine and is not there any
    /// more.
    pub fn is_gone(&self) -> bool {
        let (Ok(host), Ok(boot)) = (host(), boot()) else { return false };
        self.host == host && (self.boot != boot || start_time(self.pid) != Some(self.started))
    }
}

impl std::fmt::Display for LocalProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}:{}", self.host, self.boot, self.pid, self.started)
    }
}

/// Returns the first part of the boot's identifier: enough, and the column stays narrow.
fn boot() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = kernel_text(path).with_context(|| format!("failed to read `{path}`"))?;
    Ok(id.chars().take(8).collect())
}

fn kernel_text(path: &str) -> std::io::Result<String> {
    let bytes = regular_file::read(Path::new(path), SMALL)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns when a live process started, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let stat = kernel_text(&format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything, so fields count from the
    // last one.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    // The state is field 3 and the start time field 22 of proc(5).
    let started = fields.nth(18)?.parse().ok()?;
    (!is_dead).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone_and_its_successor_is_another() {
        let host = host().unwrap();
        let process = LocalProcess::current(&host).unwrap();
        assert!(!process.is_gone());
        let earlier = LocalProcess { started: process.started - 1, ..process.clone() };
        assert!(earlier.is_gone(), "a process of the same number that started earlier has ended");
        let elsewhere = LocalProcess { host: "elsewhere".into(), ..earlier.clone() };
        assert!(!elsewhere.is_gone(), "nothing is known of other machines");
        let before = LocalProcess { boot: "00000000".into(), ..process };
        assert!(before.is_gone());
    }

    #[test]
    fn a_process_is_read_back_from_the_log() {
        let process =
            LocalProcess { host: "a:b".into(), boot: "1f2e3d4c".into(), pid: 7, started: 99 };
        assert_eq!(LocalProcess::parse(&process.to_string()), Some(process));
        assert_eq!(LocalProcess::parse("17"), None);
    }

    #[test]
    fn a_claim_ends_with_the_task_or_its_lifetime() {
        let now = Timestamp::from_second(1_000).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let task = |end_time| Task {
            job: "7".into(),
            task: "0".into(),
            host: "n1".into(),
            slurm: None,
            end_time,
        };
        assert_eq!(task(None).claim_end(now, 100.0), at(1_100));
        assert_eq!(task(Some(at(1_050))).claim_end(now, 100.0), at(1_050));
        assert_eq!(task(Some(at(9_999))).claim_end(now, 100.0), at(1_100));
    }
}
