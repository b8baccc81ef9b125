//! A search handed to the scheduler, round by round.

use std::fs;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::append::{Appended, resume};
use super::hosts::{bad_nodes, refusals};
use super::live_log::{Snapshot, view_params};
use super::lost_claims::{EndedJobs, lose_ended_claims};
use super::round::{Round, parts, submitting_host};
use super::round_size::{AwaitedPredictor, NextRound, next_round};
use super::round_stage::Stage;
use super::{Experiment, Refusal};
use crate::slurm::{ArraySize, DryRun, Scheduler, Slurm, SlurmParams, Variables, check_options};
use crate::storage::{RoundPlan, View};

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
    /// Whether nodes on which claims are lost are avoided.
    pub bad_hosts: BadHosts,
    /// More options for sbatch.
    pub sbatch_options: Vec<String>,
}

/// What is done about nodes on which claims are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadHosts {
    /// Nothing.
    #[default]
    Keep,
    /// The tasks of this chain do not run there.
    Exclude,
}

impl SubmitOptions {
    /// Whether something is asked that a round which is planned already does not do.
    const fn asks_for_a_plan(&self) -> bool {
        self.rounds.is_some()
            || self.array_size.is_some()
            || self.max_parallel.is_some()
            || !self.sbatch_options.is_empty()
            || matches!(self.bad_hosts, BadHosts::Exclude)
    }
}

/// Submits the next round, or completes the newest one when it is unfinished; returns what was done, in words.
///
/// # Errors
/// When the experiment cannot be read or the scheduler refuses.
pub fn submit(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    // Before any file of a round says so for good.
    check_options(&options.sbatch_options)?;
    check_excludes_once(options)?;
    if options.mode == Mode::DryRun {
        return dry_run(experiment, options);
    }
    let mut scheduler = scheduler();
    let mut said = Vec::new();
    if resume(experiment)? == Appended::Written {
        said.push("the search was halted and goes on".to_owned());
    }
    let newest = newest_round(experiment)?;
    let stage = Round::new(experiment, newest).stage_if_any(&scheduler)?;
    let number = match stage {
        Some(Stage::Unsubmitted | Stage::Held | Stage::UnderWay) => {
            said.extend(complete(experiment, newest, options, &mut scheduler)?);
            return Ok(said);
        }
        // A submitter that died right after it made the folder.
        Some(Stage::Unplanned) => newest,
        Some(Stage::Over) | None => newest + 1,
    };
    // The claims that cancelled arrays left would be waited for otherwise: no reduce of theirs has run.
    let view = View::newest(experiment.dir(), view_params(experiment))?;
    let lost = lose_ended_claims(experiment, &view, &EndedJobs::UpToRound(newest))?;
    if lost > 0 {
        said.push(format!("{lost} claims of jobs that have ended are lost"));
    }
    let options = avoiding_bad_hosts(experiment, options, &mut said)?;
    let order = Order::of_a_person(experiment, number, &options);
    said.extend(submit_round(experiment, number, &order, &mut scheduler)?);
    Ok(said)
}

/// On the line of `sbatch` the last of two options holds, so that bad hosts and others cannot both be given there.
fn check_excludes_once(options: &SubmitOptions) -> Result<(), Refusal> {
    // Abbreviations mean the same; `--exclusive` is another option.
    let is_exclude = |option: &&String| {
        let is_long = option.starts_with("--excl") && !option.starts_with("--exclus");
        is_long || option.starts_with("-x")
    };
    match options.sbatch_options.iter().find(is_exclude) {
        Some(given) if options.bad_hosts == BadHosts::Exclude => {
            Err(Refusal::TwoExcludes { option: given.clone() })
        }
        _ => Ok(()),
    }
}

/// Adds the bad nodes, as they are now, to those that the configuration avoids: an option on the line of `sbatch` takes
/// the place of the one in the script. The rounds after this one keep to it.
fn avoiding_bad_hosts(
    experiment: &Experiment,
    options: &SubmitOptions,
    said: &mut Vec<String>,
) -> anyhow::Result<SubmitOptions> {
    let mut options = options.clone();
    if options.bad_hosts == BadHosts::Keep {
        return Ok(options);
    }
    let bad = bad_nodes(&Snapshot::read(experiment)?.all_rows(experiment)?, &refusals(experiment)?);
    if bad.is_empty() {
        said.push("no host is bad".to_owned());
        return Ok(options);
    }
    said.push(format!("bad hosts are avoided: {}", bad.join(", ")));
    let configured = experiment.config().slurm.params().exclude.clone();
    let all: Vec<String> = configured.into_iter().chain(bad).collect();
    options.sbatch_options.push(format!("--exclude={}", all.join(",")));
    Ok(options)
}

/// Completes a round that was planned before.
fn complete(
    experiment: &Experiment,
    number: u32,
    options: &SubmitOptions,
    scheduler: &mut Slurm,
) -> anyhow::Result<Vec<String>> {
    let round = Round::new(experiment, number);
    let Some(plan) = round.files().plan()? else { return Ok(Vec::new()) };
    let mut said = vec![format!("round {number} is under way")];
    if options.asks_for_a_plan() {
        said.push(format!(
            "round {number} and the ones after it keep to the options they were submitted with (`metaqnn cancel`, then `metaqnn submit` again, for others)"
        ));
    }
    said.extend(hand_over(experiment, &round, plan, scheduler)?);
    Ok(said)
}

/// What every round of a chain is asked; passed on through the plans.
pub(super) struct Order {
    job_prefix: String,
    last_round: Option<u32>,
    array_size: Option<u32>,
    max_parallel: Option<u32>,
    sbatch_options: Vec<String>,
}

impl Order {
    /// Returns what the rounds after one with this plan are asked.
    pub fn of(plan: &RoundPlan) -> Self {
        Self {
            job_prefix: plan.job_prefix.clone(),
            last_round: plan.last_round,
            array_size: plan.asked_array_size,
            max_parallel: plan.asked_max_parallel,
            sbatch_options: plan.sbatch_options.clone(),
        }
    }

    /// Returns what a person asks of a chain that begins with round `first`.
    fn of_a_person(experiment: &Experiment, first: u32, options: &SubmitOptions) -> Self {
        Self {
            job_prefix: job_prefix(experiment),
            last_round: options.rounds.map(|rounds| first - 1 + rounds),
            array_size: options.array_size,
            max_parallel: options.max_parallel,
            sbatch_options: options.sbatch_options.clone(),
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

/// Returns what the names of an experiment's jobs begin with: its name, and a digest of its folder, since two
/// experiments may have one name. The plan of each round keeps it: the folder may have another path on another node.
fn job_prefix(experiment: &Experiment) -> String {
    let root = experiment.dir().root();
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let place: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{place}", experiment.config().experiment().name)
}

fn newest_round(experiment: &Experiment) -> anyhow::Result<u32> {
    Ok(experiment.dir().list_rounds()?.last().map_or(0, |(number, _)| *number))
}

/// Plans a round by what is known now and submits it; does nothing when the schedule is finished and learned.
pub(super) fn submit_round(
    experiment: &Experiment,
    number: u32,
    order: &Order,
    scheduler: &mut Slurm,
) -> anyhow::Result<Vec<String>> {
    let state = Snapshot::read(experiment)?;
    let Some(plan) = plan(experiment, &state, number, order, scheduler)? else {
        return Ok(vec!["the epsilon schedule is finished; nothing to submit".to_owned()]);
    };
    hand_over(experiment, &Round::new(experiment, number), plan, scheduler)
}

/// Submits a round, unless the search is halted meanwhile.
fn hand_over(
    experiment: &Experiment,
    round: &Round<'_>,
    plan: RoundPlan,
    scheduler: &mut Slurm,
) -> anyhow::Result<Vec<String>> {
    let mut said = round.submit(plan, scheduler)?;
    // Whoever halts writes so before it looks for jobs, and this looks after it has queued them: one sees the other.
    if Snapshot::read(experiment)?.knowledge().is_halted() {
        scheduler.cancel(&round.queue(scheduler)?.all_but_running_reduces())?;
        said.push("the search was halted meanwhile: the jobs are cancelled".to_owned());
    }
    Ok(said)
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
    let next = next_round(&config.schedule, &counts, &params, awaited_predictor(experiment, state));
    let (epsilon, tasks, not_before) = match next {
        NextRound::Train { epsilon, tasks } => (Some(epsilon), tasks, None),
        NextRound::Wait => {
            (None, 0, knowledge.state().open.values().map(|open| open.expires_at).min())
        }
        NextRound::Nothing if state.view_is_behind() => (None, 0, None),
        NextRound::Nothing => return Ok(None),
    };
    Ok(Some(RoundPlan {
        round: number,
        job_prefix: order.job_prefix.clone(),
        epsilon,
        array_size: tasks,
        parts: if tasks == 0 { Vec::new() } else { parts(tasks, scheduler.max_array_size()?)? },
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

fn awaited_predictor(experiment: &Experiment, state: &Snapshot) -> AwaitedPredictor {
    let params = experiment.config().early_stopping.params();
    if params.enabled && !state.has_predictor() {
        AwaitedPredictor::AfterBurnIn(params.burn_in as u64)
    } else {
        AwaitedPredictor::No
    }
}

pub(super) fn scheduler() -> Slurm {
    let variables: Variables = std::env::vars_os().collect();
    Slurm::new(&variables)
}

/// Shows what `submit` would do: the scripts and the commands.
fn dry_run(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    let state = Snapshot::read(experiment)?;
    let newest = newest_round(experiment)?;
    let scheduler = scheduler();
    // Without a scheduler at hand (a laptop, say) its usual limit is shown, and nothing is known of its queue.
    let mut show = scheduler.max_array_size().map_or_else(|_| DryRun::default(), DryRun::new);
    let number = match Round::new(experiment, newest).stage_if_any(&scheduler) {
        Ok(Some(Stage::Unsubmitted | Stage::Held | Stage::UnderWay)) => {
            return Ok(vec![format!("round {newest} is under way; it would only be completed")]);
        }
        Ok(Some(Stage::Unplanned)) => newest,
        _ => newest + 1,
    };
    let mut said = Vec::new();
    let options = avoiding_bad_hosts(experiment, options, &mut said)?;
    let order = Order::of_a_person(experiment, number, &options);
    let Some(plan) = plan(experiment, &state, number, &order, &show)? else {
        return Ok(vec!["the epsilon schedule is finished; nothing to submit".to_owned()]);
    };
    said.extend(Round::new(experiment, number).show(&plan, &mut show)?);
    Ok(said)
}
