//! From one round to the next: what the reduce of a round does, and when the chain ends.

use std::fmt;

use anyhow::bail;

use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{ReduceOptions, Reduced, reduce};
use crate::ops::rounds::jobs::job_ids;
use crate::ops::rounds::plan::Order;
use crate::ops::rounds::round::Round;
use crate::ops::rounds::scheduler::scheduler;
use crate::ops::rounds::submit::submit_round;
use crate::ops::snapshot::Snapshot;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{Requeued, Scheduler, Slurm, SlurmError, SlurmTask, Variables};
use crate::storage::{Knowledge, RoundPlan};

/// Rounds in a row without a result after which the chain ends.
const MOST_FRUITLESS_ROUNDS: u32 = 3;

/// What the end of a round came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundEnd {
    /// What was learned.
    pub reduced: Reduced,
    /// What became of the chain, in words.
    pub chain: Vec<String>,
}

/// Ends a round, as its batch script asks: loses the claims that its tasks left, learns, and submits the next round
/// or says why the chain ends. When only time is missing, this job is queued again.
///
/// # Errors
/// [`Refusal::NoRound`]; [`Refusal::StillRunning`] and [`Refusal::SubmitLimit`], exit code 75; else as [`reduce`], or
/// when the scheduler refuses.
pub fn end_round(experiment: &Experiment, number: u32) -> anyhow::Result<RoundEnd> {
    Round::new(experiment, number).check_is_there()?;
    let mut scheduler = scheduler(experiment)?;
    let end = check_arrays_have_ended(experiment, number, &mut scheduler)
        .and_then(|()| reduce(experiment, &reduce_options(number)))
        .and_then(|reduced| {
            Ok(RoundEnd { reduced, chain: go_on(experiment, number, &mut scheduler)? })
        });
    if let Err(error) = &end
        && waiting_helps(error)
    {
        queue_again(experiment, number, error, &scheduler)?;
    }
    end
}

const fn reduce_options(number: u32) -> ReduceOptions {
    ReduceOptions { ended: EndedJobs::UpToRound(number), keep_tables: false }
}

/// Refuses while tasks of the round are about. A dependency on a job that the scheduler has forgotten counts as
/// satisfied, and a person may start a reduce by hand, so this may be early.
fn check_arrays_have_ended(
    experiment: &Experiment,
    number: u32,
    scheduler: &mut Slurm,
) -> anyhow::Result<()> {
    let round = Round::new(experiment, number);
    let Some(array) = round.files().array()? else { return Ok(()) };
    let named = job_ids(&array.array_jobs)?;
    let queue = round.queue(scheduler)?;
    if queue.any_is_live(&named) {
        bail!(Refusal::StillRunning { round: number });
    }
    // A submitter that died right after its `sbatch` has left them, held.
    scheduler.cancel(&queue.arrays_but(&named))?;
    Ok(())
}

/// Submits the round after this one, or says why the chain ends.
fn go_on(
    experiment: &Experiment,
    number: u32,
    scheduler: &mut Slurm,
) -> anyhow::Result<Vec<String>> {
    let Some(plan) = Round::new(experiment, number).files().plan()? else {
        return Ok(vec![format!("round {number} has no plan; nothing is submitted after it")]);
    };
    // The reduce of a rendering whose arrays were cancelled, while another one takes its place: that has its own.
    if !Round::new(experiment, number).was_submitted()? {
        let reason = format!("round {number} was not submitted to its end");
        return Ok(vec![format!("{reason}; `metaqnn submit` goes on")]);
    }
    let state = Snapshot::read(experiment)?;
    if state.knowledge().is_halted() {
        return Ok(vec!["the search is halted; `metaqnn submit` goes on".to_owned()]);
    }
    if let Some(reason) = end_of_chain(state.knowledge(), &plan) {
        return Ok(vec![format!("{reason}; `metaqnn submit` goes on")]);
    }
    // What a person has asked of the next round meanwhile holds.
    let next = Round::new(experiment, number + 1).files().plan()?.unwrap_or(plan);
    submit_round(experiment, number + 1, &Order::of(&next), scheduler).map_err(|error| match error
        .downcast_ref()
    {
        Some(SlurmError::SubmitLimit { .. }) => error.context(Refusal::SubmitLimit),
        _ => error,
    })
}

/// Why no round follows one though the schedule is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndOfChain {
    /// It was asked to be the last.
    AskedFor {
        /// Its number.
        round: u32,
    },
    /// As many rounds in a row as end a chain brought no result.
    Fruitless {
        /// The last of them.
        round: u32,
    },
    /// Nothing more is claimed: one claim after the other was lost for want of time.
    TimeTooShort,
}

impl fmt::Display for EndOfChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AskedFor { round } => write!(f, "round {round} was asked to be the last"),
            Self::Fruitless { round } => write!(
                f,
                "{MOST_FRUITLESS_ROUNDS} rounds in a row brought no result, so the chain has ended (see the logs in `rounds/{round:04}`)"
            ),
            Self::TimeTooShort => {
                write!(f, "nothing more is claimed before `metaqnn set DIR slurm.time=...`")
            }
        }
    }
}

/// Returns why no round follows the one with this plan, should the schedule not be finished.
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

fn waiting_helps(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Refusal::StillRunning { .. } | Refusal::SubmitLimit))
}

/// Has this job queued again, if it is a reduce of the round: the second reduce would start at once, and meet the same.
/// Slurm lets a requeued job wait, for two minutes on a usual cluster.
fn queue_again(
    experiment: &Experiment,
    number: u32,
    error: &anyhow::Error,
    scheduler: &Slurm,
) -> anyhow::Result<()> {
    let variables: Variables = std::env::vars_os().collect();
    let Some(task) = SlurmTask::from_variables(&variables)? else { return Ok(()) };
    if !Round::new(experiment, number).queue(scheduler)?.has_reduce(task.id.job) {
        return Ok(());
    }
    // Said before: Slurm ends this process as soon as it is asked.
    log::warn!("{error:#}; this job is to be queued again");
    if scheduler.requeue(task.id)? == Requeued::Forbidden {
        log::warn!("this job may not be queued again: run `metaqnn submit` later");
    }
    Ok(())
}
