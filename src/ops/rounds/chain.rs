//! The chain of a search: the jobs of a round and their dependencies, and how one round leads to
//! the next.
//!
//! ```text
//! array part 1 <- afterany - part 2 ... <- afterany - reduce <- afternotok - second reduce
//!                                                      | submits
//!                                                      v
//!                                                  the next round
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;

use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{Reduced, reduce};
use crate::ops::rounds::plan::{REDUCE_SCRIPT, TRAIN_SCRIPT, scheduler};
use crate::ops::rounds::round::Round;
use crate::ops::rounds::submit::submit_round;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, JobSpec, Scheduler, Slurm, SlurmError, SlurmTask, Variables, job_name};
use crate::storage::{Knowledge, RoundPlan};

/// Rounds in a row without a result after which the chain ends.
const MOST_FRUITLESS_ROUNDS: u32 = 3;

pub(crate) fn array_name(plan: &RoundPlan) -> String {
    job_name(&format!("{}-{:04}", plan.job_prefix, plan.round))
}

pub(crate) fn reduce_name(plan: &RoundPlan) -> String {
    job_name(&format!("{}-{:04}-reduce", plan.job_prefix, plan.round))
}

/// Asks whether the jobs of the round could ever start: a held one is accepted in any case. Returns
/// notices for a person.
pub(crate) fn test(
    plan: &RoundPlan,
    folder: &Path,
    scheduler: &mut dyn Scheduler,
) -> anyhow::Result<Vec<String>> {
    let array = plan.parts.first().map(|&tasks| array_job(plan, folder, tasks, None));
    let mut said = Vec::new();
    for job in array.transpose()?.into_iter().chain([reduce_job(plan, folder)]) {
        if let Some(words) = scheduler.test(&job)? {
            let work = if job.tasks.is_some() { "a task" } else { "the reduce" };
            said.push(format!("{work} cannot start now, the scheduler says: {words}"));
        }
    }
    Ok(said)
}

/// Submits the arrays, held; `jobs` has those that were accepted, also after an error.
pub(crate) fn submit_arrays(
    plan: &RoundPlan,
    folder: &Path,
    scheduler: &mut dyn Scheduler,
    jobs: &mut Vec<JobId>,
) -> anyhow::Result<()> {
    for &tasks in &plan.parts {
        let job = array_job(plan, folder, tasks, jobs.last().copied())?;
        jobs.push(scheduler.submit(&job)?);
    }
    Ok(())
}

/// One part of the round. Parts run one after the other, so that the limit on parallel tasks holds
/// for all.
fn array_job(
    plan: &RoundPlan,
    folder: &Path,
    tasks: u32,
    after: Option<JobId>,
) -> anyhow::Result<JobSpec> {
    let tasks = NonZeroU32::new(tasks).context("a part of a round without tasks")?;
    Ok(JobSpec {
        script: folder.join(TRAIN_SCRIPT),
        name: array_name(plan),
        tasks: Some(tasks),
        max_parallel: NonZeroU32::new(plan.max_parallel),
        held: true,
        after: after.into_iter().collect(),
        extra_options: plan.sbatch_options.clone(),
        ..JobSpec::default()
    })
}

fn reduce_job(plan: &RoundPlan, folder: &Path) -> JobSpec {
    let (script, name) = (folder.join(REDUCE_SCRIPT), reduce_name(plan));
    JobSpec { script, name, ..JobSpec::default() }
}

/// Submits the reduce behind the arrays, and a second one that runs if the first fails; `jobs` has
/// those that were accepted, also after an error.
pub(crate) fn submit_reduces(
    plan: &RoundPlan,
    folder: &Path,
    arrays: &[JobId],
    scheduler: &mut dyn Scheduler,
    jobs: &mut Vec<JobId>,
) -> Result<(), SlurmError> {
    let reduce = reduce_job(plan, folder);
    let first = scheduler.submit(&JobSpec {
        after: arrays.to_vec(),
        begin_after: plan.not_before.map(|time| time_until(time.timestamp(), Timestamp::now())),
        ..reduce.clone()
    })?;
    jobs.push(first);
    jobs.push(scheduler.submit(&JobSpec { after_failure_of: Some(first), ..reduce })?);
    Ok(())
}

/// In whole seconds, rounded up: a reduce that starts a moment before a claim expires would find
/// nothing to do.
fn time_until(then: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    Duration::from_secs(left.as_secs() + 1)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundEnd {
    pub reduced: Reduced,
    pub chain: Vec<String>,
}

/// Ends a round, as its batch script asks: loses the claims that its tasks left, learns, and
/// submits the next round or says why the chain ends. When waiting would help
/// ([`Refusal::TryAgain`]), this job is requeued.
pub fn end_round(experiment: &Experiment, number: u32) -> anyhow::Result<RoundEnd> {
    let round = Round::new(experiment, number);
    round.check_exists()?;
    let mut scheduler = scheduler(experiment)?;
    let end = check_arrays_have_ended(&round, &mut scheduler)
        .and_then(|()| reduce(experiment, &EndedJobs::UpToRound(number)))
        .and_then(|reduced| Ok(RoundEnd { reduced, chain: go_on(&round, &mut scheduler)? }));
    if let Err(error) = &end
        && matches!(error.downcast_ref(), Some(Refusal::TryAgain(_)))
    {
        requeue(&round, error, &scheduler)?;
    }
    end
}

/// Refuses while tasks of the round are live. A dependency on a job that the scheduler has
/// forgotten counts as satisfied, and a person may start a reduce by hand, so this may be early.
fn check_arrays_have_ended(round: &Round<'_>, scheduler: &mut Slurm) -> anyhow::Result<()> {
    let Some(array) = round.files.array()? else { return Ok(()) };
    let named = job_ids(&array.array_jobs)?;
    let queue = round.queue(scheduler)?;
    if queue.any_is_live(&named) {
        bail!(Refusal::TryAgain(format!(
            "the tasks of round {} have not ended yet, so it is too early to reduce them \
             (wait, or end them with `metaqnn cancel`)",
            round.number()
        )));
    }
    // A submitter that died right after its `sbatch` has left them, held.
    scheduler.cancel(&queue.arrays_but(&named))?;
    Ok(())
}

fn go_on(round: &Round<'_>, scheduler: &mut Slurm) -> anyhow::Result<Vec<String>> {
    let number = round.number();
    let Some(plan) = round.files.plan()? else {
        return Ok(vec![format!("round {number} has no plan; nothing is submitted after it")]);
    };
    let ends = |reason| Ok(vec![format!("{reason}; `metaqnn submit` goes on")]);
    // The reduce of a rendering whose arrays were cancelled, while another one takes its place,
    // which has its own reduce.
    if !round.was_submitted()? {
        return ends(format!("round {number} was not submitted completely"));
    }
    let journal = Journal::open_to_look(round.experiment)?;
    if journal.state().is_halted() {
        return ends("the search is halted".to_owned());
    }
    if let Some(reason) = end_of_chain(journal.state(), &plan) {
        return ends(reason.to_string());
    }
    let next = Round::new(round.experiment, number + 1);
    // What a person has asked of the next round meanwhile holds.
    let asked = next.files.plan()?.unwrap_or(plan);
    submit_round(&next, &asked, scheduler).map_err(|error| match error.downcast_ref() {
        Some(SlurmError::SubmitLimit { .. }) => error.context(Refusal::TryAgain(
            "the next round is not submitted: a limit on submitted jobs was met (it is \
             when others have ended: run `metaqnn submit` then)"
                .to_owned(),
        )),
        _ => error,
    })
}

/// Why no round follows one though the schedule is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndOfChain {
    AskedFor {
        round: u32,
    },
    /// [`MOST_FRUITLESS_ROUNDS`], up to this one, brought no result.
    Fruitless {
        round: u32,
    },
    /// Nothing more is claimed: one claim after the other was lost since `slurm.time` is too short.
    TimeTooShort,
}

impl fmt::Display for EndOfChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AskedFor { round } => write!(f, "round {round} was asked to be the last"),
            Self::Fruitless { round } => write!(
                f,
                "{MOST_FRUITLESS_ROUNDS} rounds in a row brought no result, so the chain has ended \
                 (see the logs in `rounds/{round:04}`)"
            ),
            Self::TimeTooShort => {
                write!(f, "nothing more is claimed before `metaqnn set DIR slurm.time=...`")
            }
        }
    }
}

pub(crate) fn end_of_chain(knowledge: &Knowledge, plan: &RoundPlan) -> Option<EndOfChain> {
    let round = plan.round;
    if knowledge.is_time_too_short() {
        return Some(EndOfChain::TimeTooShort);
    }
    if plan.last_round.is_some_and(|last| round >= last) {
        return Some(EndOfChain::AskedFor { round });
    }
    let newest_with_result = knowledge.state().newest_round_with_result.unwrap_or(0);
    let is_fruitless = round >= newest_with_result + MOST_FRUITLESS_ROUNDS;
    is_fruitless.then_some(EndOfChain::Fruitless { round })
}

/// Requeues this job, if it is a reduce of the round: the second reduce would start at once, and
/// fail alike. Slurm delays a requeued job, for two minutes on a usual cluster.
fn requeue(round: &Round<'_>, error: &anyhow::Error, scheduler: &Slurm) -> anyhow::Result<()> {
    let variables: Variables = std::env::vars_os().collect();
    let Some(task) = SlurmTask::from_variables(&variables)? else { return Ok(()) };
    if !round.queue(scheduler)?.reduces.contains_key(&task.id.job) {
        return Ok(());
    }
    // Logged before: Slurm ends this process as soon as it is asked.
    log::warn!("{error:#}; this job is to be queued again");
    if !scheduler.requeue(task.id)? {
        log::warn!("this job may not be queued again: run `metaqnn submit` later");
    }
    Ok(())
}

pub(crate) fn in_words(jobs: &[JobId]) -> String {
    jobs.iter().map(JobId::to_string).collect::<Vec<_>>().join(", ")
}

pub(crate) fn job_ids(texts: &[String]) -> anyhow::Result<Vec<JobId>> {
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduce_never_starts_before_the_claims_it_waits_for_have_expired() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        assert_eq!(time_until(at(10_900), at(1_000)), Duration::from_secs(10));
        assert_eq!(time_until(at(1_000), at(10_000)), Duration::from_secs(1));
    }
}
