//! `metaqnn submit`: one round, and the chain after it; `metaqnn cancel`: the end of both; the end
//! of a round, at which its reduce submits the next.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use itertools::Itertools;

use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
use crate::ops::reduce::{Reduced, reduce};
use crate::ops::rounds::chain::{end_of_chain, job_ids};
use crate::ops::rounds::hosts::{avoid_bad_hosts, refusals};
use crate::ops::rounds::plan::{job_prefix, scheduler, scheduler_of_plan};
use crate::ops::rounds::round::{Queue, Round, Stage, check_exists, withdraw};
use crate::ops::rounds::unclaimed::unclaimed;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{
    JobStates, Scheduler, Slurm, SlurmError, SlurmTask, Variables, check_options, option_value,
    submit_variables, unused_variables,
};
use crate::storage::{Event, Knowledge, RoundArray, RoundPlan};

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct SubmitOptions {
    /// Submit N rounds in all, then end the chain
    #[arg(long, value_name = "N", conflicts_with = "until_done",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Go on until the search is finished (the default)
    #[arg(long)]
    pub until_done: bool,
    /// Show scripts and commands, submit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Tasks of the array, in place of `slurm.array_size`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub array_size: Option<u32>,
    /// Tasks at the same time, in place of `slurm.max_parallel`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// Keep the tasks of this chain off bad nodes, beside those of `slurm.exclude`
    ///
    /// A node is bad when its last three tasks all failed without a result, and not all with one
    /// architecture (`metaqnn status` names them). Nodes where tasks fail for the one reason for
    /// which they fail everywhere are kept. It is an error when no node would be left.
    #[arg(long)]
    pub exclude_bad_hosts: bool,
    /// More options for sbatch, after `--`
    #[arg(last = true, value_name = "SBATCH_OPTION")]
    pub sbatch_options: Vec<String>,
}

/// Submits the next round, or completes the newest one when it is unfinished.
pub fn submit(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    submit_with(experiment, options, variables_of_this_process(experiment)?)
}

/// Submits an experiment with what was asked of the newest round of another one.
pub(crate) fn submit_as(experiment: &Experiment, asked: RoundPlan) -> anyhow::Result<Vec<String>> {
    let options = SubmitOptions {
        max_parallel: asked.asked_max_parallel,
        sbatch_options: asked.sbatch_options,
        ..SubmitOptions::default()
    };
    submit_with(experiment, &options, asked.sbatch_variables)
}

fn submit_with(
    experiment: &Experiment,
    options: &SubmitOptions,
    sbatch_variables: BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    // Before they enter a file of a round, which never changes.
    check_options(&options.sbatch_options)?;
    // On the line of `sbatch` the last of two options holds.
    if options.exclude_bad_hosts
        && let Some(given) = option_value(&options.sbatch_options, "exclude", "-x")
    {
        bail!(Refusal::Usage(format!(
            "`--exclude={given}` and `--exclude-bad-hosts` both say which nodes to avoid (put \
             yours into `slurm.exclude` of the configuration, or add the bad ones of \
             `metaqnn status` to it)"
        )));
    }
    let mut journal = Journal::open_checked(experiment)?;
    let is_wanted =
        journal.state().stage_in_force(&experiment.config().strategy.schedule).is_some();
    if is_wanted && journal.state().is_time_too_short() {
        bail!(Refusal::time_too_short());
    }
    let mut said = Vec::new();
    if !options.dry_run && journal.switch(Event::Resumed, |state| state.halted)? {
        said.push("the search was halted and goes on".to_owned());
    }
    let scheduler = scheduler(experiment)?;
    let newest = experiment.dir().newest_round()?.unwrap_or(0);
    let newest = Round::new(experiment, newest, &scheduler);
    let (stage, queue, _) = match newest.look() {
        // On a laptop, say.
        Err(_) if options.dry_run => (Stage::Over, Queue::default(), Queue::default()),
        look => look?,
    };
    let number = match stage {
        // A submitter died or was refused before all its jobs were in the queue.
        Stage::Unsubmitted => newest.files.round,
        Stage::Over => newest.files.round + 1,
        Stage::Held | Stage::UnderWay => {
            let under_way = format!("round {} is under way", newest.files.round);
            if options.dry_run {
                return Ok(vec![format!("{under_way}; it would only be completed")]);
            }
            said.push(under_way);
            let until_done = options.until_done;
            if *options != (SubmitOptions { until_done, ..SubmitOptions::default() }) {
                said.push(keeps_its_options(newest.files.round));
            }
            let plan = newest.files.plan()?.context("the plan of a round has vanished")?;
            said.extend(submit_round(&newest, &plan)?);
            return Ok(said);
        }
    };
    if !options.dry_run {
        let unclaimed = unclaimed(&newest.files, &queue, journal.rows(), &refusals(experiment)?)?;
        if let Some(tasks) = unclaimed.filter(|it| it.is_every_task && !it.was_halted) {
            said.push(tasks.sentence);
            said.push("if nothing has changed since, this round ends the same way".to_owned());
        }
        // Claims that cancelled arrays left would be waited for otherwise: no reduce of theirs ran.
        let ended = EndedJobs::UpToRound(newest.files.round);
        let lost = lose_ended_claims(experiment, &mut journal, &ended)?;
        said.extend((lost > 0).then(|| format!("{lost} claims of jobs that have ended are lost")));
    }
    let mut asked = RoundPlan {
        job_prefix: job_prefix(experiment),
        last_round: options.rounds.map(|rounds| number - 1 + rounds),
        asked_array_size: options.array_size,
        asked_max_parallel: options.max_parallel,
        sbatch_options: options.sbatch_options.clone(),
        sbatch_variables,
        ..RoundPlan::default()
    };
    if options.exclude_bad_hosts {
        said.push(avoid_bad_hosts(experiment, journal.rows(), &mut asked)?);
    }
    let scheduler = scheduler_of_plan(&asked);
    let round = Round::new(experiment, number, &scheduler);
    if options.dry_run {
        said.extend(round.show(&asked)?);
        return Ok(said);
    }
    said.extend(submit_round(&round, &asked)?);
    // Its array was held before: then the rendering did not give way.
    if round.files.plan()?.is_some_and(|plan| !asked.asks_the_same_of_the_chain(&plan)) {
        said.push(keeps_its_options(number));
    }
    Ok(said)
}

fn keeps_its_options(number: u32) -> String {
    format!(
        "round {number} and the ones after it keep to the options they were submitted with \
         (`metaqnn cancel`, then `metaqnn submit` again, for others)"
    )
}

/// Warns of those that are not used.
fn variables_of_this_process(experiment: &Experiment) -> anyhow::Result<BTreeMap<String, String>> {
    let all: Variables = std::env::vars_os().collect();
    let used = submit_variables(&all)?;
    let slurm = &experiment.config().slurm;
    let configured = [
        ("SBATCH_ACCOUNT", "account", &slurm.account),
        ("SBATCH_PARTITION", "partition", &slurm.partition),
        ("SBATCH_QOS", "qos", &slurm.qos),
    ];
    for (name, key, configured) in configured {
        if let (Some(value), Some(configured)) = (used.get(name), configured)
            && value != configured
        {
            log::warn!("`{name}={value}` is not used: `slurm.{key}` is `{configured}`");
        }
    }
    let unused = unused_variables(&all).into_iter().join(", ");
    if !unused.is_empty() {
        log::warn!(
            "not used: {unused} (write such options into the section `slurm` of the \
             configuration, with `metaqnn set`, or after `--`)"
        );
    }
    Ok(used)
}

/// Submits a round, unless the search is halted meanwhile.
pub(crate) fn submit_round(round: &Round<'_>, asked: &RoundPlan) -> anyhow::Result<Vec<String>> {
    let mut said = round.submit(asked)?;
    // `cancel` writes its row before it looks for jobs, and this looks after it has queued them:
    // one of them sees the other.
    if Journal::open_to_look(round.experiment)?.state().halted {
        round.scheduler.cancel(&round.queue()?.all_but_running_reduces())?;
        said.push("the search was halted meanwhile: the jobs are cancelled".to_owned());
    }
    Ok(said)
}

/// The newest round may be about to be submitted while the one before it ends.
const ROUNDS_TO_CANCEL: usize = 3;

/// Claims stay open until `submit` goes on. A reduce that runs is not cancelled: it takes seconds,
/// learns what was found, and sees the `halted` row.
pub fn cancel(experiment: &Experiment) -> anyhow::Result<Vec<String>> {
    // Written first: every process that starts from now on sees it and ends. Jobs that are not in
    // the queue below are cancelled by their submitter, which reads it afterwards.
    let mut journal = Journal::open(experiment)?;
    let schedule = &experiment.config().strategy.schedule;
    let goes_on = |state: &Knowledge| !state.halted && !state.is_finished(schedule);
    let halted = if journal.switch(Event::Halted, goes_on)? {
        "halted: no new claim, no next round (`metaqnn submit` goes on)"
    } else if journal.state().is_finished(schedule) {
        "the search is finished, so there is nothing to halt"
    } else {
        "the search was halted already"
    };
    let mut said = vec![halted.to_owned()];
    let rounds = experiment.dir().list_rounds()?;
    if rounds.is_empty() {
        return Ok(said);
    }
    let scheduler = scheduler(experiment)?;
    let mut ended = Vec::new();
    for &(number, _) in rounds.iter().rev().take(ROUNDS_TO_CANCEL) {
        let round = Round::new(experiment, number, &scheduler);
        // Before the queue is read: an array that is held meanwhile is cancelled by its submitter.
        if let Some(rendering) = round.files.newest()?
            && withdraw(&rendering)?
        {
            said.push(format!("round {number} is withdrawn: no job of it was named"));
        }
        let queue = round.queue()?;
        ended.extend(queue.all_but_running_reduces());
        if queue.reduces().any(|(_, states)| states.running_tasks() > 0) {
            said.push(format!("the reduce of round {number} runs, and ends by itself"));
        }
    }
    scheduler.cancel(&ended)?;
    said.push(match ended.as_slice() {
        [] => "no other job was in the queue".to_owned(),
        jobs => format!("cancelled the jobs {}", jobs.iter().join(", ")),
    });
    Ok(said)
}

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
