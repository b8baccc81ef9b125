//! The jobs of a round: their names and batch scripts, and how they are tested and submitted.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use crate::ops::Experiment;
use crate::slurm::{
    ArrayRange, Asked, BatchScript, Dependency, JobId, JobName, JobSpec, Scheduler, SlurmError,
    Work,
};
use crate::storage::{Rendering, RoundPlan, Trust};

pub(crate) const TRAIN_SCRIPT: &str = "train.sbatch";
const REDUCE_SCRIPT: &str = "reduce.sbatch";

/// What a rendering would hold.
pub(crate) struct Rendered {
    pub plan: RoundPlan,
    /// Names and texts.
    pub scripts: Vec<(&'static str, String)>,
}

impl Rendered {
    /// Renders the batch scripts of a plan.
    pub fn of(experiment: &Experiment, plan: RoundPlan) -> anyhow::Result<Self> {
        let round = plan.round;
        let scripts =
            [(TRAIN_SCRIPT, Work::Train { round }), (REDUCE_SCRIPT, Work::Reduce { round })];
        let scripts = scripts.map(|(name, work)| Ok((name, script_text(experiment, work, &plan)?)));
        let scripts = scripts.into_iter().collect::<anyhow::Result<_>>()?;
        Ok(Self { plan, scripts })
    }

    /// Returns whether a rendering holds this.
    pub fn is(&self, rendering: &Rendering) -> bool {
        let same_plan = rendering.plan().is_ok_and(|plan| plan.asks_the_same(&self.plan));
        same_plan && self.scripts.iter().all(|(name, text)| rendering.has_script(name, text))
    }
}

fn script_text(experiment: &Experiment, work: Work, plan: &RoundPlan) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("failed to find the running program")?;
    Ok(BatchScript {
        work,
        program: &program,
        experiment: experiment.dir().root(),
        log_folder: &experiment.dir().round(plan.round),
        trust_group: experiment.trust() == Trust::Group,
        params: &experiment.config().slurm,
        asked: Asked { options: &plan.sbatch_options, variables: &plan.sbatch_variables },
    }
    .render()?)
}

/// Returns the name of a round's arrays, which no other round of any experiment bears.
pub(crate) fn array_name(plan: &RoundPlan) -> JobName {
    JobName::new(&format!("{}-{:04}", plan.job_prefix, plan.round))
}

/// Returns the name of a round's reduces.
pub(crate) fn reduce_name(plan: &RoundPlan) -> JobName {
    JobName::new(&format!("{}-{:04}-reduce", plan.job_prefix, plan.round))
}

/// Asks whether the jobs of the round could ever start: a held one is accepted in any case. Returns what a person
/// should know.
pub(crate) fn test(
    plan: &RoundPlan,
    folder: &Path,
    scheduler: &mut dyn Scheduler,
) -> anyhow::Result<Vec<String>> {
    let array = plan.parts.first().map(|&tasks| array_job(plan, folder, tasks, None));
    let mut said = Vec::new();
    for job in array.transpose()?.into_iter().chain([reduce_job(plan, folder)]) {
        if let Some(words) = scheduler.test(&job)? {
            let work = if job.array.is_some() { "a task" } else { "the reduce" };
            said.push(format!("{work} cannot start now, the scheduler says: {words}"));
        }
    }
    Ok(said)
}

/// Submits the arrays, held; `jobs` has those that were accepted, whatever follows.
pub(crate) fn queue_arrays(
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

/// One part of the round. Parts run one after the other, so that the limit on parallel tasks holds for all.
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
        array: Some(ArrayRange { tasks, max_parallel: NonZeroU32::new(plan.max_parallel) }),
        held: true,
        dependency: after.map(|job| Dependency::Ended(vec![job])),
        begin_after: None,
        extra_options: plan.sbatch_options.clone(),
    })
}

fn reduce_job(plan: &RoundPlan, folder: &Path) -> JobSpec {
    JobSpec {
        script: folder.join(REDUCE_SCRIPT),
        name: reduce_name(plan),
        array: None,
        held: false,
        dependency: None,
        begin_after: None,
        extra_options: Vec::new(),
    }
}

/// Submits the reduce behind the arrays, and a second one that runs if the first fails; `jobs` has those that were
/// accepted, whatever follows.
pub(crate) fn submit_reduces(
    plan: &RoundPlan,
    folder: &Path,
    arrays: &[JobId],
    scheduler: &mut dyn Scheduler,
    jobs: &mut Vec<JobId>,
) -> Result<(), SlurmError> {
    let reduce = reduce_job(plan, folder);
    let first = scheduler.submit(&JobSpec {
        dependency: (!arrays.is_empty()).then(|| Dependency::Ended(arrays.to_vec())),
        begin_after: plan.not_before.map(|time| time_until(time.timestamp(), Timestamp::now())),
        ..reduce.clone()
    })?;
    jobs.push(first);
    let after_failure = Some(Dependency::Failed(vec![first]));
    jobs.push(scheduler.submit(&JobSpec { dependency: after_failure, ..reduce })?);
    Ok(())
}

/// Returns the time from `now` to `then` in whole seconds, never short of it: a reduce that starts a moment before a
/// claim ends would find nothing to do.
fn time_until(then: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    Duration::from_secs(left.as_secs() + 1)
}

/// Writes job ids for a person.
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
    fn a_reduce_never_starts_before_the_claims_it_waits_for_have_ended() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        assert_eq!(time_until(at(10_900), at(1_000)), Duration::from_secs(10));
        assert_eq!(time_until(at(1_000), at(10_000)), Duration::from_secs(1));
    }
}
