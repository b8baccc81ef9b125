//! Learning from what the tasks recorded: lose ended claims, apply new rows, publish a view, write the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::live_log::{LiveLog, view_params};
use super::round::{Round, job_ids};
use super::submit::scheduler;
use super::task::{LOCAL, LocalProcess};
use super::{Experiment, Refusal, tables};
use crate::slurm::{JobId, JobStates, Scheduler};
use crate::storage::knowledge::Standing;
use crate::storage::publish::Published;
use crate::storage::{Attempt, Curve, Knowledge, LogCursor, ReplayLog, View};

/// Whether the tables for people are written, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tables {
    /// Yes.
    #[default]
    Write,
    /// No: they stay as they are.
    Keep,
}

/// What a reduce is asked.
#[derive(Debug, Clone, Default)]
pub struct ReduceOptions {
    /// Lose the open claims of this array job, which has ended.
    pub after: Option<String>,
    /// Lose those of the jobs of this round.
    pub round: Option<u32>,
    /// Write the tables.
    pub tables: Tables,
}

/// What a reduce has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduced {
    /// Rows of the log that the newest view digests.
    pub rows: u64,
    /// How many of them were new.
    pub new_rows: u64,
    /// Claims that were lost.
    pub lost: usize,
    /// Whether the epsilon schedule is finished.
    pub finished: bool,
    /// What a person should know.
    pub notices: Vec<String>,
}

impl fmt::Display for Reduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learned from {} new rows of {}", self.new_rows, self.rows)?;
        if self.lost > 0 {
            write!(f, "; {} claims ended without a result", self.lost)?;
        }
        self.notices.iter().try_for_each(|notice| write!(f, "\n{notice}"))
    }
}

/// How many networks keep their checkpoints: those that a longer training would begin with.
const TOP_CHECKPOINTS: usize = 10;

/// Reduces. Running it twice changes nothing; two at once do double work and no harm.
///
/// # Errors
/// When the log cannot be read or is not what the newest view was made from, or a file cannot be written.
pub fn reduce(experiment: &Experiment, options: &ReduceOptions) -> anyhow::Result<Reduced> {
    let ended_jobs = ended_jobs(experiment, options)?;
    let mut view = View::newest(experiment.dir(), view_params(experiment))?;
    let lost = lose_ended_claims(experiment, &view, &ended_jobs)?;
    let before = view.rows();
    let log = ReplayLog::open(experiment.dir())?;
    let tail = log.read_from(&log.cursor_at(view.position())?)?;
    view.apply(&tail)?;
    if view.rows() > before {
        let published = view.publish(experiment.dir())?;
        if published == Published::AlreadyThere {
            log::info!("another reduce has published the view of {} rows", view.rows());
        }
    }
    // Even without a new row: the reduce that published this view may have died here.
    remove_checkpoints(experiment, view.knowledge())?;
    let notices = match options.tables {
        Tables::Write => tables::write(experiment)?,
        Tables::Keep => Vec::new(),
    };
    Ok(Reduced {
        rows: view.rows(),
        new_rows: view.rows() - before,
        lost,
        finished: view.knowledge().is_finished(&experiment.config().schedule),
        notices,
    })
}

/// The array jobs whose open claims are lost, since they have ended: the one that a person names,
/// and those of this round and of every earlier one that a `cancel` or a lost reduce left behind.
fn ended_jobs(experiment: &Experiment, options: &ReduceOptions) -> anyhow::Result<Vec<String>> {
    let mut ended: Vec<String> = options.after.iter().cloned().collect();
    let Some(number) = options.round else { return Ok(ended) };
    let mut arrays = Vec::new();
    for (round, _) in
        experiment.dir().list_rounds()?.into_iter().filter(|(round, _)| *round <= number)
    {
        let array = Round::new(experiment, round).files()?.array()?;
        let jobs = array.map_or(Vec::new(), |array| array.array_jobs);
        arrays.extend(job_ids(&jobs)?.into_iter().map(|job| (round, job)));
    }
    let asked: Vec<JobId> = arrays.iter().map(|(_, job)| *job).collect();
    // A job that the scheduler has forgotten has ended.
    let states = scheduler().states(&asked)?;
    let is_live = |job: &JobId| states.get(job).is_some_and(JobStates::is_live);
    // A dependency on a forgotten job counts as satisfied, so this may have started early.
    if arrays.iter().any(|(round, job)| *round == number && is_live(job)) {
        bail!(Refusal::StillRunning { round: number });
    }
    ended.extend(asked.iter().filter(|job| !is_live(job)).map(JobId::to_string));
    Ok(ended)
}

/// Appends `lost` rows for claims that have ended, and rows that an interrupted write left out.
fn lose_ended_claims(
    experiment: &Experiment,
    view: &View,
    ended_jobs: &[String],
) -> anyhow::Result<usize> {
    let mut live = LiveLog::after(experiment, view)?;
    let (ended, due) =
        live.peek(|known| (ended_claims(known, ended_jobs), known.due_rows(None)))?;
    if ended.is_empty() && due.is_empty() {
        return Ok(0);
    }
    // Before the lock, which is not held while files are read. One that ends between has none told.
    let seconds: BTreeMap<Attempt, f64> = ended
        .iter()
        .filter_map(|&(attempt, _)| Some((attempt, seconds_of(experiment, attempt)?)))
        .collect();
    live.locked(|session| {
        let now = Timestamp::now().into();
        session.stage_all(session.knowledge().due_rows(Some(now)))?;
        let ended = ended_claims(session.knowledge(), ended_jobs);
        for (attempt, reason) in &ended {
            let seconds = seconds.get(attempt).copied();
            session.stage_all(session.knowledge().lose(*attempt, reason, seconds, now))?;
        }
        session.write()?;
        Ok(ended.len())
    })
}

/// Seconds that an attempt without a result has spent, as far as its curve tells.
fn seconds_of(experiment: &Experiment, attempt: Attempt) -> Option<f64> {
    Curve::read(&experiment.dir().curve(attempt)).ok().map(|curve| curve.seconds())
}

fn ended_claims(knowledge: &Knowledge, ended_jobs: &[String]) -> Vec<(Attempt, &'static str)> {
    let mut ended: Vec<(Attempt, &'static str)> = Vec::new();
    for job in ended_jobs {
        ended.extend(
            knowledge.open_of_job(job).into_iter().map(|attempt| (attempt, "its array has ended")),
        );
    }
    for (&iteration, open) in &knowledge.state().open {
        let is_gone = open.job == LOCAL
            && LocalProcess::parse(&open.task).is_some_and(|process| process.is_gone());
        if is_gone {
            ended.push((Attempt { iteration, number: open.attempt }, "its process is gone"));
        }
    }
    let expired = knowledge.expired(Timestamp::now().into());
    ended.extend(expired.into_iter().map(|attempt| (attempt, "its time is over")));
    let mut seen = BTreeSet::new();
    ended.retain(|(attempt, _)| seen.insert(attempt.iteration));
    ended
}

/// Removes the checkpoints of architectures that are known or quarantined, but for the best ones'.
fn remove_checkpoints(experiment: &Experiment, knowledge: &Knowledge) -> anyhow::Result<()> {
    let checkpoints = experiment.dir().list_checkpoints()?;
    if checkpoints.is_empty() {
        return Ok(());
    }
    let mut best: Vec<_> = knowledge.known().values().collect();
    best.sort_by(|a, b| {
        b.best_validation_accuracy
            .unwrap_or(0.0)
            .total_cmp(&a.best_validation_accuracy.unwrap_or(0.0))
    });
    let kept: BTreeSet<_> =
        best.iter().take(TOP_CHECKPOINTS).map(|known| known.iteration).collect();
    let state = knowledge.state();
    for (attempt, folder) in checkpoints {
        let iteration = attempt.iteration;
        let may_go_on = state.open.contains_key(&iteration)
            || state.lost.get(&iteration).is_some_and(|lost| {
                matches!(knowledge.standing(&lost.architecture), Standing::Free | Standing::Open(_))
            });
        // An iteration drawn after the view is not known to it.
        let is_unknown = iteration >= knowledge.next_iteration();
        if !may_go_on && !is_unknown && !kept.contains(&iteration) {
            // A task that still writes there makes its folder again.
            if let Err(error) = fs::remove_dir_all(&folder) {
                log::info!("`{}` stays: {error}", folder.display());
            }
        }
    }
    Ok(())
}

/// Learns everything again from nothing and compares with the newest view; returns how many rows that digests.
///
/// # Errors
/// [`Refusal::ViewDiffers`] when they are not the same.
pub fn rebuild(experiment: &Experiment) -> anyhow::Result<u64> {
    let Some((rows, folder)) = experiment.dir().list_views()?.pop() else { return Ok(0) };
    let published = View::published(experiment.dir(), rows, &view_params(experiment))?;
    let log = ReplayLog::open(experiment.dir())?;
    log.cursor_at(published.position())?;
    let mut digested = log.read_from(&LogCursor::start())?.rows;
    digested.truncate(rows as usize);
    let mut view = View::empty(view_params(experiment));
    for (row, number) in digested.iter().zip(1..) {
        view.apply_row(row).with_context(|| format!("row {number} of the replay log"))?;
    }
    view.move_to(published.position().clone());
    let differs = |what| Refusal::ViewDiffers { view: folder, rows, what };
    match view.compare(experiment.dir())? {
        Some(files) if files.is_empty() => Ok(rows),
        Some(files) => bail!(differs(format!("{} differ", files.join(", ")))),
        None => bail!(differs("it has vanished".to_owned())),
    }
}
