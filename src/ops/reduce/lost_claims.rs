//! Claims that have ended without a result: found, and recorded as lost.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use jiff::Timestamp;

use crate::ops::journal::{AttemptFiles, Journal};
use crate::ops::rounds::plan::scheduler;
use crate::ops::train::record::LeftResults;
use crate::ops::train::{LOCAL, is_gone};
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, Scheduler};
use crate::storage::search_state::Open;
use crate::storage::{Attempt, Curve, Knowledge, TIME_OVER, Time};

/// Array jobs whose open claims are lost, besides those that expired or whose process is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EndedJobs {
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
) -> Result<usize> {
    let dir = experiment.dir();
    let files = AttemptFiles::list(dir)?;
    let left = LeftResults::read_listed(dir, &files.results)?;
    journal.refresh()?;
    files.check(journal.state())?;
    // The scheduler is asked before the lock: a job that has ended claims nothing more.
    let jobs = ended_jobs(experiment, journal.state(), ended)?;
    journal.refresh()?;
    let (ended, due) = (ended_claims(journal.state(), &jobs), journal.state().due_rows(None));
    if ended.is_empty() && due.is_empty() && left.is_empty() {
        return Ok(0);
    }
    // Before the lock, which is not held while files are read.
    let seconds = |&(attempt, _): &_| Some((attempt, seconds_of(experiment, attempt)?));
    let seconds: BTreeMap<Attempt, f64> = ended.iter().filter_map(seconds).collect();
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

/// Whether, without asking a scheduler, there is something for [`lose_ended_claims`] to append. A
/// result that its attempt could not append lies beside the curve of a claim that has ended.
pub(crate) fn has_ended_claims(knowledge: &Knowledge) -> bool {
    let no_jobs = BTreeSet::new();
    !ended_claims(knowledge, &no_jobs).is_empty() || !knowledge.due_rows(None).is_empty()
}

/// Seconds that an attempt has spent, by its curve, or by the one that it went on from.
fn seconds_of(experiment: &Experiment, attempt: Attempt) -> Option<f64> {
    let own = Curve::read(&experiment.dir().curve(attempt)).ok();
    let earlier = || experiment.dir().curve_before(attempt).ok();
    let curve = own.or_else(|| earlier().filter(|curve| !curve.rows.is_empty()));
    curve.map(|curve| curve.seconds())
}

fn ended_jobs(
    experiment: &Experiment,
    knowledge: &Knowledge,
    ended: &EndedJobs,
) -> Result<BTreeSet<String>> {
    let round = match ended {
        EndedJobs::None => return Ok(BTreeSet::new()),
        EndedJobs::One(job) => {
            return check_ended(experiment, job).map(|()| [job.clone()].into());
        }
        EndedJobs::UpToRound(round) => Some(*round),
    };
    let open = knowledge.open.values().filter(|open| open.round.is_some() && open.round <= round);
    let jobs: BTreeSet<&str> = open.map(|open| &*open.job).collect();
    let mut ids: Vec<JobId> = jobs.iter().filter_map(|job| job.parse().ok()).collect();
    let states = scheduler(experiment)?.states(&ids)?;
    // A task that is ending counts as ended: it leaves its claim, and a late result is taken.
    ids.retain(|id| !states.get(id).is_some_and(|states| states.goes_on()));
    Ok(ids.iter().map(JobId::to_string).collect())
}

/// A dependency on a job that the scheduler has forgotten counts as satisfied, so that a reduce may
/// start too early.
fn check_ended(experiment: &Experiment, job: &str) -> Result<()> {
    let id: JobId = job.parse()?;
    let states = scheduler(experiment)?.states(&[id]).unwrap_or_else(|error| {
        // The person's word counts: a claim lost too early is trained twice, no worse.
        log::warn!("job {job} is taken for ended: {error}");
        BTreeMap::new()
    });
    ensure!(
        !states.get(&id).is_some_and(|states| states.is_live()),
        Refusal::TryAgain(format!(
            "job {job} has not ended yet, so its claims are not lost (wait until `squeue \
             --jobs={job}` shows it no more)"
        ))
    );
    Ok(())
}

fn ended_claims(knowledge: &Knowledge, jobs: &BTreeSet<String>) -> Vec<(Attempt, &'static str)> {
    let now: Time = Timestamp::now().into();
    let reason = |open: &Open| match open {
        _ if jobs.contains(&*open.job) => Some("its array has ended"),
        _ if &*open.job == LOCAL && is_gone(&open.task) => Some("its process is gone"),
        _ => (open.expires_at <= now).then_some(TIME_OVER),
    };
    let ended = knowledge.open.iter().filter_map(|(&iteration, open)| {
        Some((Attempt { iteration, number: open.attempt }, reason(open)?))
    });
    ended.collect()
}
