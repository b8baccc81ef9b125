//! The end of a round: what its reduce does, and the next round.

use anyhow::bail;

use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{Reduced, reduce};
use crate::ops::rounds::chain::{end_of_chain, job_ids};
use crate::ops::rounds::plan::scheduler;
use crate::ops::rounds::round::{Round, check_exists};
use crate::ops::rounds::submit::submit_round;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobStates, Slurm, SlurmError, SlurmTask};
use crate::storage::RoundArray;

/// When waiting would help ([`Refusal::TryAgain`]), this job is requeued.
pub fn end_round(experiment: &Experiment, number: u32) -> anyhow::Result<(Reduced, Vec<String>)> {
    check_exists(experiment, number)?;
    let scheduler = scheduler(experiment)?;
    let round = Round::new(experiment, number, &scheduler);
    let end = check_arrays_have_ended(&round)
        .and_then(|()| reduce(experiment, &EndedJobs::UpToRound(number)))
        .and_then(|reduced| Ok((reduced, go_on(&round)?)));
    if let Err(error) = &end
        && matches!(error.downcast_ref(), Some(Refusal::TryAgain(_)))
    {
        requeue(&round, error, &scheduler)?;
    }
    end
}

/// Refuses while tasks of the round are live. A dependency on a job that the scheduler has
/// forgotten counts as satisfied, and a person may start a reduce by hand, so this may be early.
fn check_arrays_have_ended(round: &Round<'_>) -> anyhow::Result<()> {
    let Some(array) = round.files.array()? else { return Ok(()) };
    let (named, queue) = (job_ids(&array)?, round.queue()?);
    if queue.named(&named).any(JobStates::is_live) {
        bail!(Refusal::TryAgain(format!(
            "the tasks of round {} have not ended yet, so it is too early to reduce them \
             (wait, or end them with `metaqnn cancel`)",
            round.files.round
        )));
    }
    // A submitter that died right after its `sbatch` has left them, held.
    Ok(round.scheduler.cancel(&queue.arrays_but(&named))?)
}

fn go_on(round: &Round<'_>) -> anyhow::Result<Vec<String>> {
    let number = round.files.round;
    let ends = |reason| Ok(vec![format!("{reason}; `metaqnn submit` goes on")]);
    let rendering = round.files.newest()?.unwrap_or_else(|| round.files.rendering(0));
    // That of a round without tasks may begin before `jobs.yaml` is there.
    let waits_only = |array: RoundArray| array.array_jobs.is_empty() && !array.withdrawn;
    if rendering.jobs()?.is_none() && !rendering.array()?.is_some_and(waits_only) {
        // The reduce of a rendering whose arrays were cancelled, while another one takes its
        // place, which has its own reduce.
        return ends(format!("round {number} was not submitted completely"));
    }
    let journal = Journal::open_to_look(round.experiment)?;
    if journal.state().halted {
        return ends("the search is halted".to_owned());
    }
    let plan = rendering.plan()?;
    if let Some(end) = end_of_chain(journal.state(), &plan) {
        return ends(end.reason);
    }
    let next = Round::new(round.experiment, number + 1, round.scheduler);
    // What a person has asked of the next round meanwhile holds.
    let asked = next.files.plan()?.unwrap_or(plan);
    submit_round(&next, &asked).map_err(|error| match error.downcast_ref() {
        Some(SlurmError::SubmitLimit { .. }) => error.context(Refusal::TryAgain(
            "the next round is not submitted: a limit on submitted jobs was met (it is \
             when others have ended: run `metaqnn submit` then)"
                .to_owned(),
        )),
        _ => error,
    })
}

/// Requeues this job, if it is a reduce of the round: the second reduce would start at once, and
/// fail alike. Slurm delays a requeued job, for two minutes on a usual cluster.
fn requeue(round: &Round<'_>, error: &anyhow::Error, scheduler: &Slurm) -> anyhow::Result<()> {
    let task = SlurmTask::from_variables(&std::env::vars_os().collect())?;
    let Some(id) = task.map(|task| task.id) else { return Ok(()) };
    if round.queue()?.reduces().any(|(job, _)| *job == id.job) {
        // Logged before: Slurm ends this process as soon as it is asked.
        log::warn!("{error:#}; this job is to be queued again");
        if !scheduler.requeue(id)? {
            log::warn!("this job may not be queued again: run `metaqnn submit` later");
        }
    }
    Ok(())
}
