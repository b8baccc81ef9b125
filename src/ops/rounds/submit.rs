//! A search handed to the scheduler, round by round.

use std::collections::{BTreeMap, BTreeSet};

use crate::ops::halt::{Switched, resume};
use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
use crate::ops::rounds::hosts::{nodes_to_avoid, refusals};
use crate::ops::rounds::plan::{Order, job_prefix};
use crate::ops::rounds::round::Round;
use crate::ops::rounds::scheduler::{scheduler, scheduler_of_this_process, scheduler_with};
use crate::ops::rounds::stage::Stage;
use crate::ops::rounds::unclaimed::unclaimed;
use crate::ops::snapshot::Snapshot;
use crate::ops::train::attempt_files::check_rows_are_there;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{
    Asked, DryRun, Scheduler, Slurm, Variables, check_options, submit_variables, unused_variables,
};
use crate::storage::View;

/// What a person asks of the chain, beside the configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct SubmitOptions {
    /// Submit N rounds in all, then end the chain
    #[arg(long, value_name = "N", conflicts_with = "until_done",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Go on until the epsilon schedule is finished (the default)
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
    /// What the person's environment says for sbatch: see [`variables_of_this_process`].
    #[arg(skip)]
    pub sbatch_variables: BTreeMap<String, String>,
}

impl SubmitOptions {
    /// Whether something is asked that a round which is planned already does not do.
    const fn asks_for_a_plan(&self) -> bool {
        self.rounds.is_some()
            || self.array_size.is_some()
            || self.max_parallel.is_some()
            || !self.sbatch_options.is_empty()
            || self.exclude_bad_hosts
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
    check_rows_are_there(experiment)?;
    check_time_is_enough(experiment)?;
    if options.dry_run {
        return dry_run(experiment, options);
    }
    let mut said = Vec::new();
    if resume(experiment)? == Switched::Written {
        said.push("the search was halted and goes on".to_owned());
    }
    let newest = experiment.dir().newest_round()?.unwrap_or(0);
    let mut scheduler = scheduler(experiment)?;
    let stage = Round::new(experiment, newest).stage_if_any(&scheduler)?;
    let number = match stage {
        Some(Stage::Held | Stage::UnderWay) => {
            said.extend(complete(experiment, newest, options, &mut scheduler)?);
            return Ok(said);
        }
        // A submitter died or was refused before all its jobs were in the queue.
        Some(Stage::Unplanned | Stage::Unsubmitted) => newest,
        Some(Stage::Over) | None => newest + 1,
    };
    if let Some(sentence) = unclaimed_before(experiment, newest, &scheduler)? {
        said.push(sentence);
        said.push("if nothing has changed since, this round ends the same way".to_owned());
    }
    // The claims that cancelled arrays left would be waited for otherwise: no reduce of theirs has run.
    let view = View::newest(experiment.dir(), experiment.view_params())?;
    let lost = lose_ended_claims(experiment, &view, &EndedJobs::UpToRound(newest))?;
    if lost > 0 {
        said.push(format!("{lost} claims of jobs that have ended are lost"));
    }
    let options = avoiding_bad_hosts(experiment, options, &mut said)?;
    let order = order_of(experiment, number, &options);
    let mut scheduler = scheduler_with(&options.sbatch_variables);
    said.extend(submit_round(experiment, number, &order, &mut scheduler)?);
    // Its array was held before: then the rendering did not give way.
    if let Some(plan) = Round::new(experiment, number).files().plan()?
        && !order.is_kept_by(&plan)
    {
        said.push(keeps_its_options(number));
    }
    Ok(said)
}

/// Returns what a person asks of a chain that begins with round `first`.
fn order_of(experiment: &Experiment, first: u32, options: &SubmitOptions) -> Order {
    Order {
        job_prefix: job_prefix(experiment),
        last_round: options.rounds.map(|rounds| first - 1 + rounds),
        array_size: options.array_size,
        max_parallel: options.max_parallel,
        sbatch_options: options.sbatch_options.clone(),
        sbatch_variables: options.sbatch_variables.clone(),
    }
}

/// Refuses a round whose tasks would claim nothing, since one claim after the other was lost for want of time.
fn check_time_is_enough(experiment: &Experiment) -> anyhow::Result<()> {
    let state = Snapshot::read(experiment)?;
    let is_wanted = state.knowledge().epsilon_in_force(&experiment.config().schedule).is_some();
    if is_wanted && state.knowledge().is_time_too_short() {
        anyhow::bail!(Refusal::TimeTooShort);
    }
    Ok(())
}

/// Returns a sentence when every task of the round before ended without a claim, and not because a person ended it.
fn unclaimed_before(
    experiment: &Experiment,
    number: u32,
    scheduler: &Slurm,
) -> anyhow::Result<Option<String>> {
    if number == 0 {
        return Ok(None);
    }
    let rows = Snapshot::read(experiment)?.all_rows(experiment)?;
    let queue = Round::new(experiment, number).queue(scheduler)?;
    let found = unclaimed(experiment, number, &queue, &rows, &refusals(experiment)?)?;
    let all = found.filter(|it| it.is_every_task && !it.was_halted);
    Ok(all.map(|unclaimed| unclaimed.sentence()))
}

fn keeps_its_options(number: u32) -> String {
    format!(
        "round {number} and the ones after it keep to the options they were submitted with (`metaqnn cancel`, then `metaqnn submit` again, for others)"
    )
}

/// Returns what the environment of this process says for `sbatch`, as far as a search keeps to it, and notices of what
/// it does not.
///
/// # Errors
/// A variable that no batch script can hold.
pub fn variables_of_this_process(
    experiment: &Experiment,
) -> anyhow::Result<(BTreeMap<String, String>, Vec<String>)> {
    let all: Variables = std::env::vars_os().collect();
    let used = submit_variables(&all)?;
    let slurm = &experiment.config().slurm;
    let mut notices = Vec::new();
    for (name, key, configured) in [
        ("SBATCH_ACCOUNT", "account", &slurm.account),
        ("SBATCH_PARTITION", "partition", &slurm.partition),
        ("SBATCH_QOS", "qos", &slurm.qos),
    ] {
        if let (Some(value), Some(configured)) = (used.get(name), configured)
            && value != configured
        {
            notices.push(format!("`{name}={value}` is not used: `slurm.{key}` is `{configured}`"));
        }
    }
    let unused = unused_variables(&all);
    if !unused.is_empty() {
        notices.push(format!(
            "not used: {} (write such options into the section `slurm` of the configuration, with `metaqnn set`, or after `--`)",
            unused.join(", ")
        ));
    }
    Ok((used, notices))
}

/// On the line of `sbatch` the last of two options holds, so that bad hosts and others cannot both be given there.
fn check_excludes_once(options: &SubmitOptions) -> Result<(), Refusal> {
    // Abbreviations mean the same; `--exclusive` is another option.
    let is_exclude = |option: &&String| {
        let is_long = option.starts_with("--excl") && !option.starts_with("--exclus");
        is_long || option.starts_with("-x")
    };
    match options.sbatch_options.iter().find(is_exclude) {
        Some(given) if options.exclude_bad_hosts => {
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
    if !options.exclude_bad_hosts {
        return Ok(options);
    }
    let (bad, why) = nodes_to_avoid(experiment, || usable_nodes(experiment, &options))?;
    said.push(why);
    if bad.is_empty() {
        return Ok(options);
    }
    let configured = experiment.config().slurm.exclude.clone();
    let all: Vec<String> = configured.into_iter().chain(bad).collect();
    options.sbatch_options.push(format!("--exclude={}", all.join(",")));
    Ok(options)
}

/// Asks the scheduler which nodes may run the tasks; `None` without an answer.
fn usable_nodes(experiment: &Experiment, options: &SubmitOptions) -> Option<BTreeSet<String>> {
    let params = &experiment.config().slurm;
    let asked = Asked { options: &options.sbatch_options, variables: &options.sbatch_variables };
    let configured = params.partition.as_deref();
    let partition = asked.value(("partition", 'p'), configured, "SBATCH_PARTITION");
    let scheduler = scheduler_of_this_process().ok()?;
    let nodes = scheduler.nodes(partition).and_then(|mut nodes| {
        if let Some(exclude) = &params.exclude {
            let excluded = scheduler.host_names(exclude)?;
            nodes.retain(|node| !excluded.contains(node));
        }
        Ok(nodes)
    });
    nodes.inspect_err(|error| log::info!("the nodes cannot be asked for: {error}")).ok()
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
        said.push(keeps_its_options(number));
    }
    said.extend(submit_round(experiment, number, &Order::of(&plan), scheduler)?);
    Ok(said)
}

/// Submits a round, unless the search is halted meanwhile; does nothing when the schedule is finished and learned.
pub(crate) fn submit_round(
    experiment: &Experiment,
    number: u32,
    order: &Order,
    scheduler: &mut Slurm,
) -> anyhow::Result<Vec<String>> {
    let round = Round::new(experiment, number);
    let Some(mut said) = round.submit(order, scheduler)? else {
        return Ok(vec!["the epsilon schedule is finished; nothing to submit".to_owned()]);
    };
    // Whoever halts writes so before it looks for jobs, and this looks after it has queued them: one sees the other.
    if Snapshot::read(experiment)?.knowledge().is_halted() {
        scheduler.cancel(&round.queue(scheduler)?.all_but_running_reduces())?;
        said.push("the search was halted meanwhile: the jobs are cancelled".to_owned());
    }
    Ok(said)
}

/// Shows what `submit` would do: the scripts and the commands.
fn dry_run(experiment: &Experiment, options: &SubmitOptions) -> anyhow::Result<Vec<String>> {
    let newest = experiment.dir().newest_round()?.unwrap_or(0);
    let scheduler = scheduler(experiment)?;
    // Without a scheduler at hand (a laptop, say) its usual limit is shown, and nothing is known of its queue.
    let mut show = scheduler.max_array_size().map_or_else(|_| DryRun::default(), DryRun::new);
    let number = match Round::new(experiment, newest).stage_if_any(&scheduler) {
        Ok(Some(Stage::Held | Stage::UnderWay)) => {
            return Ok(vec![format!("round {newest} is under way; it would only be completed")]);
        }
        Ok(Some(Stage::Unplanned | Stage::Unsubmitted)) => newest,
        _ => newest + 1,
    };
    let mut said = Vec::new();
    let options = avoiding_bad_hosts(experiment, options, &mut said)?;
    let order = order_of(experiment, number, &options);
    match Round::new(experiment, number).show(&order, &mut show)? {
        Some(shown) => said.extend(shown),
        None => said.push("the epsilon schedule is finished; nothing to submit".to_owned()),
    }
    Ok(said)
}
