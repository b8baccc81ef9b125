//! A search handed to the scheduler, round by round, and taken back.

use jiff::Timestamp;

use super::append::{Appended, halt, resume};
use super::live_log::Snapshot;
use super::reduce::{ReduceOptions, Tables, reduce};
use super::round::{Round, parts, submitting_host};
use super::round_size::{NextRound, next_round};
use super::task::Task;
use super::{Experiment, Refusal};
use crate::slurm::{
    ArraySize, DryRun, JobId, Scheduler, Slurm, SlurmError, SlurmParams, Variables,
    check_not_reserved,
};
use crate::storage::{Knowledge, RoundPlan};

/// Whether anything is really submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Yes.
    Submit,
    /// No: show what would be.
    DryRun,
}

/// What a person asks of the chain, beside the configuration.
#[derive(Debug, Clone)]
pub struct SubmitOptions {
    /// End the chain after so many rounds; `None` goes on until the schedule is finished.
    pub rounds: Option<u32>,
    /// Really, or for show.
    pub mode: Mode,
    /// In place of `slurm.array_size`.
    pub array_size: Option<u32>,
    /// In place of `slurm.max_parallel`.
    pub max_parallel: Option<u32>,
    /// More options for sbatch.
    pub sbatch_options: Vec<String>,
}

/// Rounds in a row without a result after which the chain ends.
const MOST_FRUITLESS_ROUNDS: u32 = 3;

/// Submits the next round, or completes the newest one when it is unfinished; returns what was done, in words.
///
/// # Errors
/// When the experiment cannot be read or the scheduler refuses.
pub fn submit(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    // Before any file of a round says so for good.
    options.sbatch_options.iter().try_for_each(|option| check_not_reserved(option))?;
    if options.mode == Mode::DryRun {
        return dry_run(experiment, options);
    }
    let mut scheduler = scheduler();
    let mut said = Vec::new();
    if resume(experiment)? == Appended::Written {
        said.push("the search was halted and goes on".to_owned());
    }
    let newest = experiment.dir().list_rounds()?.last().map_or(0, |(number, _)| *number);
    if newest > 0 {
        let round = Round::new(experiment, newest);
        if let Some(plan) = round.files()?.plan()?
            && (round.files()?.jobs()?.is_none() || is_live(&round, &scheduler)?)
        {
            said.push(format!("round {newest} is under way"));
            said.extend(round.submit(plan, &mut scheduler)?);
            return Ok(said);
        }
    }
    if newest > 0 {
        // What a cancelled or broken chain left open is free to be drawn again.
        let options =
            ReduceOptions { round: Some(newest), tables: Tables::Keep, ..ReduceOptions::default() };
        reduce(experiment, &options)?;
    }
    let first = newest + 1;
    let order = Order {
        last_round: options.rounds.map(|rounds| newest + rounds),
        array_size: options.array_size,
        max_parallel: options.max_parallel,
        sbatch_options: options.sbatch_options.clone(),
    };
    said.extend(submit_round(experiment, first, &order, &mut scheduler)?);
    Ok(said)
}

/// What every round of a chain is asked; passed on through the plans.
struct Order {
    last_round: Option<u32>,
    array_size: Option<u32>,
    max_parallel: Option<u32>,
    sbatch_options: Vec<String>,
}

impl Order {
    fn of(plan: &RoundPlan) -> Self {
        Self {
            last_round: plan.last_round,
            array_size: plan.asked_array_size,
            max_parallel: plan.asked_max_parallel,
            sbatch_options: plan.sbatch_options.clone(),
        }
    }

    /// The `slurm` section with what the person asked in its place.
    fn params(&self, configured: &SlurmParams) -> SlurmParams {
        let mut params = configured.clone();
        if let Some(tasks) = self.array_size.and_then(std::num::NonZeroU32::new) {
            params.array_size = ArraySize::Tasks(tasks);
        }
        if let Some(parallel) = self.max_parallel.and_then(std::num::NonZeroU32::new) {
            params.max_parallel = parallel;
        }
        params
    }
}

/// Plans a round by what is known now and submits it; does nothing when the schedule is finished and learned.
fn submit_round(
    experiment: &Experiment,
    number: u32,
    order: &Order,
    scheduler: &mut dyn Scheduler,
) -> anyhow::Result<Vec<String>> {
    let state = Snapshot::read(experiment)?;
    let Some(plan) = plan(experiment, &state, number, order, scheduler)? else {
        return Ok(vec!["the epsilon schedule is finished; nothing to submit".to_owned()]);
    };
    Round::new(experiment, number).submit(plan, scheduler)
}

fn plan(
    experiment: &Experiment,
    state: &Snapshot,
    number: u32,
    order: &Order,
    scheduler: &dyn Scheduler,
) -> anyhow::Result<Option<RoundPlan>> {
    let config = experiment.config();
    let knowledge = state.knowledge();
    let params = order.params(config.slurm.params());
    let counts = knowledge.stage_counts(&config.schedule);
    let (epsilon, tasks, not_before) = match next_round(&config.schedule, &counts, &params) {
        NextRound::Train { epsilon, tasks } => (Some(epsilon), tasks, None),
        NextRound::Wait => {
            (None, 0, knowledge.state().open.values().map(|open| open.expires_at).min())
        }
        NextRound::Nothing if state.view_is_behind() => (None, 0, None),
        NextRound::Nothing => return Ok(None),
    };
    Ok(Some(RoundPlan {
        round: number,
        epsilon,
        array_size: tasks,
        parts: if tasks == 0 { Vec::new() } else { parts(tasks, scheduler.max_array_size()?) },
        max_parallel: params.max_parallel.get(),
        not_before,
        last_round: order.last_round,
        asked_array_size: order.array_size,
        asked_max_parallel: order.max_parallel,
        sbatch_options: order.sbatch_options.clone(),
        created_at: Timestamp::now().into(),
        host: submitting_host(),
    }))
}

/// Goes on after the reduce of a round: submits the next one, or says why the chain ends.
///
/// # Errors
/// [`Refusal::TryAgain`]-like, exit code 75, after a requeue, when a limit on submitted jobs was met.
pub fn after_round(experiment: &Experiment, number: u32) -> anyhow::Result<Vec<String>> {
    let state = Snapshot::read(experiment)?;
    let knowledge = state.knowledge();
    let Some(plan) = Round::new(experiment, number).files()?.plan()? else {
        return Ok(vec![format!("round {number} has no plan; nothing is submitted after it")]);
    };
    if knowledge.is_halted() {
        return Ok(vec!["the search is halted; `metaqnn submit` goes on".to_owned()]);
    }
    if plan.last_round.is_some_and(|last| number >= last) {
        return Ok(vec![format!("round {number} was to be the last; `metaqnn submit` goes on")]);
    }
    if let Some(reason) = fruitless(knowledge, number) {
        return Ok(vec![reason]);
    }
    let mut scheduler = scheduler();
    match submit_round(experiment, number + 1, &Order::of(&plan), &mut scheduler) {
        Err(error) if is_submit_limit(&error) => {
            let task = Task::current()?;
            if let Some(task) = task.slurm {
                scheduler.requeue(task.id)?;
            }
            Err(error.context(Refusal::SubmitLimit))
        }
        submitted => submitted,
    }
}

/// Says why the chain ends when the last rounds brought nothing.
pub(super) fn fruitless(knowledge: &Knowledge, number: u32) -> Option<String> {
    let newest = knowledge.state().newest_round_with_result.unwrap_or(0);
    (number >= newest + MOST_FRUITLESS_ROUNDS).then(|| {
        format!(
            "{MOST_FRUITLESS_ROUNDS} rounds in a row brought no result, so the chain ends (see the logs in `rounds/{number:04}`; `metaqnn submit` goes on)"
        )
    })
}

fn is_submit_limit(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SlurmError::SubmitLimit { .. }))
}

/// Ends the chain: no new claim, no next round. What is in training is ended too; its claims stay open
/// until `submit` goes on.
///
/// # Errors
/// When the log cannot be written or the scheduler refuses.
pub fn cancel(experiment: &Experiment) -> anyhow::Result<Vec<String>> {
    let mut said = Vec::new();
    // Written first: whatever starts from now on sees it and ends.
    said.push(match halt(experiment)? {
        Appended::Written => {
            "halted: no new claim, no next round (`metaqnn submit` goes on)".to_owned()
        }
        Appended::NotNeeded => "the search was halted already".to_owned(),
    });
    let rounds = experiment.dir().list_rounds()?;
    if rounds.is_empty() {
        return Ok(said);
    }
    let mut scheduler = scheduler();
    let mut ended = Vec::new();
    // The reduce of the newest known round may just be submitting the next.
    let newest = rounds.last().map_or(0, |(number, _)| *number);
    for number in rounds.iter().rev().take(3).map(|(number, _)| *number).chain([newest + 1]) {
        let round = Round::new(experiment, number);
        for name in [round.array_name(), round.reduce_name()] {
            ended.extend(scheduler.find(&name)?.into_keys());
        }
    }
    if ended.is_empty() {
        said.push("no job was in the queue".to_owned());
    } else {
        scheduler.cancel(&ended)?;
        let jobs: Vec<String> = ended.iter().map(JobId::to_string).collect();
        said.push(format!("cancelled the jobs {}", jobs.join(", ")));
    }
    Ok(said)
}

/// Whether any job of a round is in the queue or running.
pub(super) fn is_live(round: &Round<'_>, scheduler: &dyn Scheduler) -> anyhow::Result<bool> {
    for name in [round.array_name(), round.reduce_name()] {
        if !scheduler.find(&name)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn scheduler() -> Slurm {
    let variables: Variables = std::env::vars_os().collect();
    Slurm::new(&variables)
}

/// Shows what `submit` would do: the scripts and the commands.
fn dry_run(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    let state = Snapshot::read(experiment)?;
    let newest = experiment.dir().list_rounds()?.last().map_or(0, |(number, _)| *number);
    let order = Order {
        last_round: options.rounds.map(|rounds| newest + rounds),
        array_size: options.array_size,
        max_parallel: options.max_parallel,
        sbatch_options: options.sbatch_options.clone(),
    };
    // Without a scheduler at hand (a laptop, say) its usual limit is shown.
    let mut show = scheduler().max_array_size().map_or_else(|_| DryRun::default(), DryRun::new);
    let plan = plan(experiment, &state, newest + 1, &order, &show)?;
    let Some(plan) = plan else {
        return Ok(vec!["the epsilon schedule is finished; nothing to submit".to_owned()]);
    };
    Round::new(experiment, newest + 1).show(&plan, &mut show)
}
