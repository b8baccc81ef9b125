//! The chain of a search: the jobs of a round with their dependencies, what to correct when they
//! are refused, and when the chain ends.
//!
//! ```text
//! array part 1 <- afterany - part 2 ... <- afterany - reduce <- afternotok - second reduce
//!                                                      | submits (`end_round`)
//!                                                      v
//!                                                  the next round
//! ```

use std::path::Path;
use std::time::Duration;

use itertools::Itertools;
use jiff::Timestamp;

use crate::ops::rounds::plan::{REDUCE_SCRIPT, TRAIN_SCRIPT};
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, JobSpec, Scheduler, SlurmError, job_name, refused_option};
use crate::storage::{Knowledge, RoundArray, RoundPlan};

/// Rounds in a row without a result after which the chain ends.
const MOST_FRUITLESS_ROUNDS: u32 = 3;

pub(crate) fn array_name(plan: &RoundPlan) -> String {
    job_name(&format!("{}-{:04}", plan.job_prefix, plan.round))
}

pub(crate) fn reduce_name(plan: &RoundPlan) -> String {
    job_name(&format!("{}-{:04}-reduce", plan.job_prefix, plan.round))
}

/// Asks whether the jobs of the round could ever start: a held one is accepted in any case.
pub(crate) fn test(
    plan: &RoundPlan,
    folder: &Path,
    scheduler: &dyn Scheduler,
) -> Result<Vec<String>, SlurmError> {
    let array = plan.parts.first().map(|&tasks| ("a task", array_job(plan, folder, tasks, None)));
    let jobs = array.into_iter().chain([("the reduce", reduce_job(plan, folder))]);
    let tested = jobs.map(|(work, job)| {
        let words = scheduler.test(&job)?;
        Ok(words.map(|it| format!("{work} cannot start now, the scheduler says: {it}")))
    });
    tested.flatten_ok().collect()
}

/// Submits the arrays, held, or behind `arrays` the reduce and one that runs if it fails.
pub(crate) fn submit_jobs(
    plan: &RoundPlan,
    folder: &Path,
    arrays: Option<&[JobId]>,
    mut submit: impl FnMut(&JobSpec) -> Result<JobId, SlurmError>,
) -> Result<(), SlurmError> {
    let Some(arrays) = arrays else {
        let mut before = None;
        for &tasks in &plan.parts {
            // One after the other, so that the limit on parallel tasks holds for all parts.
            before = Some(submit(&array_job(plan, folder, tasks, before))?);
        }
        return Ok(());
    };
    let reduce = reduce_job(plan, folder);
    let wait = plan.not_before.map(|time| time_until(time.timestamp(), Timestamp::now()));
    let first = JobSpec { after: arrays.to_vec(), begin_after: wait, ..reduce.clone() };
    let first = submit(&first)?;
    submit(&JobSpec { after_failure_of: Some(first), ..reduce }).map(|_| ())
}

fn array_job(plan: &RoundPlan, folder: &Path, tasks: u32, after: Option<JobId>) -> JobSpec {
    JobSpec {
        script: folder.join(TRAIN_SCRIPT),
        name: array_name(plan),
        tasks,
        max_parallel: plan.max_parallel,
        held: true,
        after: after.into_iter().collect(),
        extra_options: plan.sbatch_options.clone(),
        ..JobSpec::default()
    }
}

fn reduce_job(plan: &RoundPlan, folder: &Path) -> JobSpec {
    let (script, name) = (folder.join(REDUCE_SCRIPT), reduce_name(plan));
    JobSpec { script, name, ..JobSpec::default() }
}

/// Rounded up to seconds: a reduce that starts a moment before a claim expires finds nothing to do.
fn time_until(then: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    Duration::from_secs(left.as_secs() + 1)
}

/// Why no round follows though the schedule is not finished.
pub(crate) struct EndOfChain {
    pub reason: String,
    /// Whether a person asked for it; else nothing is gained before something is corrected.
    pub was_asked: bool,
}

pub(crate) fn end_of_chain(knowledge: &Knowledge, plan: &RoundPlan) -> Option<EndOfChain> {
    let round = plan.round;
    let end = |was_asked, reason| Some(EndOfChain { reason, was_asked });
    let newest_with_result = knowledge.newest_round_with_result.unwrap_or(0);
    if knowledge.is_time_too_short() {
        end(false, "nothing more is claimed before `metaqnn set DIR slurm.time=...`".to_owned())
    } else if plan.last_round.is_some_and(|last| round >= last) {
        end(true, format!("round {round} was asked to be the last"))
    } else if round >= newest_with_result + MOST_FRUITLESS_ROUNDS {
        let logs = format!("see the logs in `rounds/{round:04}`");
        let rounds = format!("{MOST_FRUITLESS_ROUNDS} rounds in a row brought no result");
        end(false, format!("{rounds}, so the chain has ended ({logs})"))
    } else {
        None
    }
}

pub(crate) fn job_ids(array: &RoundArray) -> anyhow::Result<Vec<JobId>> {
    array.array_jobs.iter().map(|text| Ok(text.parse()?)).collect()
}

/// Adds to a refusal where to correct it. `held`: arrays of the round that stay in the queue.
pub(crate) fn not_submitted(
    experiment: &Experiment,
    plan: &RoundPlan,
    error: SlurmError,
    held: &[JobId],
) -> anyhow::Error {
    let words = match &error {
        SlurmError::Failed { stderr: words, .. }
        | SlurmError::SubmitLimit { stderr: words, .. }
        | SlurmError::Impossible { words, .. } => words,
        SlurmError::Answer { .. } => "",
        _ => return error.into(),
    };
    let dir = experiment.dir().root().display().to_string();
    let corrected = correction(plan, refused_option(words), &error.to_string(), &dir);
    let remedy = if held.is_empty() {
        format!("nothing of it is in the queue; {corrected}")
    } else {
        format!(
            "its array stays held (job {}): `metaqnn submit {dir}` goes on with it, \
             `metaqnn cancel {dir}` takes it back; after that, {corrected}",
            held.iter().join(", ")
        )
    };
    let refusal = format!("round {} is not submitted ({remedy})", plan.round);
    anyhow::Error::from(error).context(Refusal::Environment(refusal))
}

/// `refused`: the option of `sbatch`, and the key below `slurm` that sets it.
fn correction(plan: &RoundPlan, refused: Option<(&str, &str)>, error: &str, dir: &str) -> String {
    let is_reduce = error.contains("/reduce.sbatch");
    let (option, key) = refused.unwrap_or(("OPTION", "KEY=VALUE"));
    let has_key = ["extra_options", "memory", "partition", "qos", "time"];
    let is_of_reduce = is_reduce && has_key.iter().any(|own| key.starts_with(own));
    let of = if is_of_reduce { "reduce." } else { "" };
    let mut said = format!("correct it with `metaqnn set {dir} slurm.{of}{key}`");
    // Options after `--` are for arrays, and the reduce's own keys override them.
    if !is_reduce {
        said += &format!(", or for this chain with `metaqnn submit {dir} -- --{option}=VALUE`");
    }
    if refused.is_none() && error.contains("node configuration") {
        let of_tasks = "{gres, memory, cpus_per_task, constraint}";
        let keys = if is_reduce { "reduce.{cpus_per_task, memory}" } else { of_tasks };
        said += &format!("; `slurm.{keys}` say what a node must have");
    }
    if !plan.sbatch_options.is_empty() && !is_reduce {
        said += &format!("; after `--` it was given `{}`", plan.sbatch_options.join(" "));
    }
    let variable = format!("SBATCH_{}", option.to_ascii_uppercase());
    if let Some(value) = plan.sbatch_variables.get(&variable) {
        said += &format!("; where `submit` ran, `{variable}` was `{value}`");
    }
    said
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
