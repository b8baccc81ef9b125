//! Tasks of a round that ended without a claim: the log of the search has no row of them, so the reason is read from
//! their own logs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::OFlags;

use crate::ops::rounds::jobs::job_ids;
use crate::ops::rounds::round::Round;
use crate::ops::rounds::stage::Queue;
use crate::ops::{Experiment, TrainEvent};
use crate::regular_file;
use crate::storage::fs::publish;
use crate::storage::{Event, RoundDir, Row, TaskRefusal};

/// Tasks of a round that ended without a claim though there was something to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unclaimed {
    round: u32,
    tasks: usize,
    of: u32,
    /// Whether no task of the round has claimed anything or trains.
    pub is_every_task: bool,
    /// Whether a person has halted the search since the round was planned.
    pub was_halted: bool,
    log: Option<LogEnd>,
}

/// The end of a log that the scheduler has written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LogEnd {
    name: String,
    line: String,
}

/// Most logs that are opened: on a shared file system each takes a millisecond or more.
const MOST_LOGS: usize = 50;

/// Looks for them in a round, of which the queue holds what has not ended.
///
/// # Errors
/// A file of the round cannot be read, or its folder not be listed.
pub(crate) fn unclaimed(
    experiment: &Experiment,
    round: u32,
    queue: &Queue,
    rows: &[Row],
    refusals: &[TaskRefusal],
) -> anyhow::Result<Option<Unclaimed>> {
    let files = Round::new(experiment, round).files();
    let (Some(plan), Some(array)) = (files.plan()?, files.array()?) else { return Ok(None) };
    let jobs = array.array_jobs;
    let is_theirs = |job: &str| jobs.iter().any(|it| it == job);
    let claims = rows.iter().filter(|row| row.event == Event::Claimed);
    let claims = claims.filter_map(|row| Some((row.job.as_deref()?, row.task.as_deref()?)));
    let claims: BTreeSet<(&str, &str)> = claims.filter(|(job, _)| is_theirs(job)).collect();
    let refused = refusals.iter().map(|it| (it.job.as_str(), it.task.as_str()));
    let mut accounted = claims.clone();
    accounted.extend(refused.filter(|(job, _)| is_theirs(job)));
    let ended = plan.array_size.saturating_sub(queue.live_tasks(&job_ids(&jobs)?)) as usize;
    // Some of those that have claimed may not have ended: the least number.
    let mut tasks = ended.saturating_sub(accounted.len());
    let logs = publish::listing(files.folder(), |name| {
        let (job, task) = name.strip_suffix(".log")?.split_once('_')?;
        let is_wanted = tasks > 0 && is_theirs(job) && !accounted.contains(&(job, task));
        is_wanted.then(|| (task.parse::<u32>().unwrap_or(u32::MAX), name.to_owned()))
    })?;
    let mut log = None;
    for ((_, name), path) in logs.into_iter().take(MOST_LOGS) {
        let Some(line) = last_line(&path) else { continue };
        if TrainEvent::is_reason_to_claim_nothing(&line) {
            tasks = tasks.saturating_sub(1);
        } else if log.is_none() {
            log = Some(LogEnd { name, line });
        }
    }
    let since = Some(plan.created_at);
    let was_halted = rows.iter().any(|row| row.event == Event::Halted && row.time >= since);
    let (of, is_every_task) = (plan.array_size, accounted.is_empty());
    let found = Unclaimed { round, tasks, of, is_every_task, was_halted, log };
    Ok((tasks > 0).then_some(found))
}

impl Unclaimed {
    /// Says how many, and what one of them has said last.
    pub fn sentence(&self) -> String {
        let Self { round, tasks, of, .. } = self;
        let count = format!("{tasks} of {of} tasks of round {round} ended without a claim");
        match &self.log {
            Some(log) => format!("{count}. {}", log.sentence(*round)),
            None => format!(
                "{count}, and no log of theirs in `rounds/{round:04}` says why (were they cancelled, or can the \
                 nodes not write to that folder?)."
            ),
        }
    }
}

impl LogEnd {
    fn sentence(&self, round: u32) -> String {
        format!("The last line of `rounds/{round:04}/{}`: {}", self.name, self.line)
    }
}

/// Returns what the newest reduce of a round has said last.
///
/// # Errors
/// The folder of the round cannot be listed.
pub(crate) fn last_words_of_reduce(
    experiment: &Experiment,
    round: u32,
) -> anyhow::Result<Option<String>> {
    let folder = RoundDir::of(experiment.dir(), round);
    let logs = publish::listing(folder.folder(), |name| {
        let job: u64 = name.strip_prefix("reduce-")?.strip_suffix(".log")?.parse().ok()?;
        Some((job, name.to_owned()))
    })?;
    let said = logs.into_iter().rev().find_map(|((_, name), path)| {
        last_line(&path).map(|line| LogEnd { name, line }.sentence(round))
    });
    Ok(said)
}

/// Most characters of a line that are shown.
const MOST_CHARACTERS: usize = 300;

/// Returns the last line of a log that says something, without control characters; `None` when there is none, or when
/// it cannot be read.
fn last_line(path: &Path) -> Option<String> {
    let end = read_end(path).ok()?;
    let text = String::from_utf8_lossy(&end);
    let plain = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let mut lines = text.lines().map(|line| plain(line).trim().to_owned());
    // Of a program for another processor bash says so, and adds a line that ends in `Success`.
    let last = lines.rfind(|line| !line.is_empty() && !line.ends_with(": Success"))?;
    Some(last.chars().take(MOST_CHARACTERS).collect())
}

/// A log may be long: only its end is read.
fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    const END: u64 = 1 << 13;
    let mut file = regular_file::open(path, File::options().read(true), OFlags::NOFOLLOW)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    Ok(end)
}
