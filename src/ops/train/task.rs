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
            let process = local_process(&host)?;
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

/// Returns `host:boot:process:start` of this process, as no other ever was: a process number alone
/// comes again.
fn local_process(host: &str) -> anyhow::Result<String> {
    let pid = std::process::id();
    let start = start_time(pid).context("failed to read `/proc/self/stat`")?;
    Ok(format!("{host}:{}:{pid}:{start}", boot()?))
}

/// Whether the process that [`local_process`] has named is known to be gone: it was one of this
/// machine and is not there any more.
pub(crate) fn is_gone(process: &str) -> bool {
    let mut parts = process.rsplitn(4, ':');
    let (Some(start), Some(pid), Some(its_boot), Some(its_host)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(pid), Ok(host), Ok(boot)) = (pid.parse(), host(), boot()) else { return false };
    let is_there = || start_time(pid).is_some_and(|found| found.to_string() == start);
    its_host == host && (its_boot != boot || !is_there())
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
        let process = local_process(&host).unwrap();
        assert!(!is_gone(&process));
        let (other, start) = process.rsplit_once(':').unwrap();
        let earlier = format!("{other}:{}", start.parse::<u64>().unwrap() - 1);
        assert!(is_gone(&earlier), "a process of the same number that started earlier has ended");
        let elsewhere = earlier.replacen(&host, "else:where", 1);
        assert!(!is_gone(&elsewhere), "nothing is known of other machines");
        assert!(is_gone(&process.replace(&boot().unwrap(), "00000000")), "before a reboot");
        assert!(!is_gone("17") && !is_gone(&format!("{host}:{}:x:1", boot().unwrap())));
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
