//! Claims that have ended without a result: found, and recorded as lost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ops::journal::Journal;
use crate::ops::rounds::plan::scheduler;
use crate::ops::train::record::LeftResults;
use crate::ops::train::{AttemptFiles, LOCAL, is_gone};
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, Scheduler};
use crate::storage::{Attempt, Curve, Knowledge};

/// Array jobs that have ended, so that their open claims are lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EndedJobs {
    /// (Expired claims and those of local processes that are gone are lost all the same.)
    #[default]
    None,
    /// This one, which a person says has ended.
    One(String),
    /// Those up to this round that the scheduler has forgotten, or is ending.
    UpToRound(u32),
}

/// Appends results that their attempts could not append, `lost` rows for claims that have ended,
/// and rows that an interrupted write left out; returns how many claims were lost.
pub(crate) fn lose_ended_claims(
    experiment: &Experiment,
    journal: &mut Journal,
    ended: &EndedJobs,
) -> anyhow::Result<usize> {
    let dir = experiment.dir();
    let (files, left) = (AttemptFiles::list(dir)?, LeftResults::read(dir, None)?);
    journal.refresh()?;
    files.check(journal.state())?;
    let jobs = match ended {
        EndedJobs::None => BTreeSet::new(),
        EndedJobs::One(job) => one_that_has_ended(experiment, job)?,
        // The scheduler is asked before the lock: a job that has ended claims nothing more.
        EndedJobs::UpToRound(round) => those_that_have_ended(experiment, journal.state(), *round)?,
    };
    journal.refresh()?;
    let (ended, due) = (ended_claims(journal.state(), &jobs), journal.state().due_rows(None));
    if ended.is_empty() && due.is_empty() && left.is_empty() {
        return Ok(0);
    }
    // Before the lock, which is not held while files are read.
    let seconds: BTreeMap<Attempt, f64> = ended
        .iter()
        .filter_map(|&(attempt, _)| Some((attempt, seconds_of(experiment, attempt)?)))
        .collect();
    journal.transaction(|transaction| {
        left.settle(transaction)?;
        let now = Timestamp::now().into();
        transaction.push_all(transaction.state().due_rows(Some(now)))?;
        let ended = ended_claims(transaction.state(), &jobs);
        for (attempt, reason) in &ended {
            let seconds = seconds.get(attempt).copied();
            transaction.push_all(transaction.state().lose(*attempt, reason, seconds, now))?;
        }
        Ok(ended.len())
    })
}

/// Seconds that an attempt has spent, by its curve, or by the one that it went on from.
fn seconds_of(experiment: &Experiment, attempt: Attempt) -> Option<f64> {
    let own = Curve::read(&experiment.dir().curve(attempt)).ok();
    let curve = own.or_else(|| {
        let earlier = experiment.dir().curve_before(attempt).ok()?;
        (!earlier.rows.is_empty()).then_some(earlier)
    });
    curve.map(|curve| curve.seconds())
}

/// A task that is ending counts as ended: it leaves its claim, and a late result is taken.
fn those_that_have_ended(
    experiment: &Experiment,
    knowledge: &Knowledge,
    round: u32,
) -> anyhow::Result<BTreeSet<String>> {
    let open = knowledge.open.values();
    let of_rounds = open.filter(|open| open.round.is_some_and(|number| number <= round));
    let jobs: BTreeSet<&str> = of_rounds.map(|open| open.job.as_str()).collect();
    let ids: Vec<JobId> = jobs.iter().filter_map(|job| job.parse().ok()).collect();
    let states = scheduler(experiment)?.states(&ids)?;
    let goes_on = |id| states.get(&id).is_some_and(|states| states.goes_on());
    Ok(ids.into_iter().filter(|id| !goes_on(*id)).map(|id| id.to_string()).collect())
}

/// Checks that the job has ended: a dependency on a job that the scheduler has forgotten counts as
/// satisfied, so that a reduce may start too early.
fn one_that_has_ended(experiment: &Experiment, job: &str) -> anyhow::Result<BTreeSet<String>> {
    let id: JobId = job.parse()?;
    match scheduler(experiment)?.states(&[id]) {
        Ok(states) if states.get(&id).is_some_and(|states| states.is_live()) => {
            anyhow::bail!(Refusal::TryAgain(format!(
                "job {job} has not ended yet, so its claims are not lost (wait until \
                 `squeue --jobs={job}` shows it no more)"
            )))
        }
        Ok(_) => {}
        // The person's word counts: a claim lost too early is trained twice, no worse.
        Err(error) => log::warn!("job {job} is taken for ended: {error}"),
    }
    Ok([job.to_owned()].into())
}

fn ended_claims(
    knowledge: &Knowledge,
    ended_jobs: &BTreeSet<String>,
) -> Vec<(Attempt, &'static str)> {
    let of_jobs =
        ended_jobs.iter().flat_map(|job| knowledge.open_attempts(|open| open.job == *job));
    let gone = knowledge.open_attempts(|open| open.job == LOCAL && is_gone(&open.task));
    let expired = knowledge.expired(Timestamp::now().into());
    let mut ended: Vec<_> = of_jobs.map(|attempt| (attempt, "its array has ended")).collect();
    ended.extend(gone.into_iter().map(|attempt| (attempt, "its process is gone")));
    ended.extend(expired.into_iter().map(|attempt| (attempt, "its time is over")));
    let mut seen = BTreeSet::new();
    ended.retain(|(attempt, _)| seen.insert(attempt.iteration));
    ended
}
