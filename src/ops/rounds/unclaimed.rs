//! Tasks of a round that ended without a claim: the reason is read from their own logs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::OFlags;

use crate::ops::TrainEvent;
use crate::ops::rounds::chain::job_ids;
use crate::ops::rounds::round::Queue;
use crate::regular_file;
use crate::slurm::JobStates;
use crate::storage::fs::publish;
use crate::storage::{Event, RoundDir, Row, TaskRefusal};

pub(crate) struct Unclaimed {
    pub is_every_task: bool,
    /// Whether a person has halted the search since the round was planned.
    pub was_halted: bool,
    pub sentence: String,
}

/// Most logs that are opened: on a shared file system each takes a millisecond or more.
const MOST_LOGS: usize = 50;

pub(crate) fn unclaimed(
    files: &RoundDir,
    queue: &Queue,
    rows: &[Row],
    refusals: &[TaskRefusal],
) -> anyhow::Result<Option<Unclaimed>> {
    let (Some(plan), Some(array)) = (files.plan()?, files.array()?) else { return Ok(None) };
    let is_theirs = |job: &str| array.array_jobs.iter().any(|it| it == job);
    let claims = rows.iter().filter(|row| row.event == Event::Claimed);
    let claims = claims.filter_map(|row| row.job.as_deref().zip(row.task.as_deref()));
    let refused = refusals.iter().map(|it| (it.job.as_str(), it.task.as_str()));
    let accounted: BTreeSet<(&str, &str)> =
        claims.chain(refused).filter(|(job, _)| is_theirs(job)).collect();
    let live: usize = queue.named(&job_ids(&array)?).map(JobStates::live_tasks).sum();
    let ended = (plan.array_size as usize).saturating_sub(live);
    // Some of those that have claimed may not have ended: a lower bound.
    let mut tasks = ended.saturating_sub(accounted.len());
    let logs = publish::listing(&files.folder, |name| {
        let (job, task) = name.strip_suffix(".log")?.split_once('_')?;
        let is_wanted = tasks > 0 && is_theirs(job) && !accounted.contains(&(job, task));
        is_wanted.then(|| (task.parse::<u32>().unwrap_or(u32::MAX), name.to_owned()))
    })?;
    let mut last = None;
    for ((_, name), path) in logs.into_iter().take(MOST_LOGS) {
        let Some(line) = last_line(&path) else { continue };
        if TrainEvent::is_reason_to_claim_nothing(&line) {
            tasks = tasks.saturating_sub(1);
        } else {
            last.get_or_insert_with(|| sentence(plan.round, &name, &line));
        }
    }
    if tasks == 0 {
        return Ok(None);
    }
    let (round, of, since) = (plan.round, plan.array_size, Some(plan.created_at));
    let log = match last {
        Some(last) => format!(". {last}"),
        None => format!(
            ", and no log of theirs in `rounds/{round:04}` says why (were they cancelled, or can \
             the nodes not write to that folder?)."
        ),
    };
    Ok(Some(Unclaimed {
        is_every_task: accounted.is_empty(),
        was_halted: rows.iter().any(|row| row.event == Event::Halted && row.time >= since),
        sentence: format!("{tasks} of {of} tasks of round {round} ended without a claim{log}"),
    }))
}

fn sentence(round: u32, log: &str, line: &str) -> String {
    format!("The last line of `rounds/{round:04}/{log}`: {line}")
}

/// The last line of the log of the newest reduce of a round, in a sentence.
pub(crate) fn last_line_of_reduce(files: &RoundDir) -> anyhow::Result<Option<String>> {
    let logs = publish::listing(&files.folder, |name| {
        let job: u64 = name.strip_prefix("reduce-")?.strip_suffix(".log")?.parse().ok()?;
        Some((job, name.to_owned()))
    })?;
    let mut newest = logs.into_iter().rev();
    Ok(newest.find_map(|((_, name), path)| Some(sentence(files.round, &name, &last_line(&path)?))))
}

const MOST_CHARACTERS: usize = 300;
/// A log may be long: only its end is read.
const END: u64 = 1 << 13;

/// `None` also when the log cannot be read.
fn last_line(path: &Path) -> Option<String> {
    let mut file = regular_file::open(path, File::options().read(true), OFlags::NOFOLLOW).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end).ok()?;
    let text = String::from_utf8_lossy(&end);
    let plain = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let mut lines = text.lines().map(|line| plain(line).trim().to_owned());
    // After its error for a program of another processor bash adds a line that ends in `Success`.
    let last = lines.rfind(|line| !line.is_empty() && !line.ends_with(": Success"))?;
    Some(last.chars().take(MOST_CHARACTERS).collect())
}
