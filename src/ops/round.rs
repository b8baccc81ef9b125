//! One round handed to the scheduler exactly once, whoever submits and whoever crashes where.
//!
//! The steps, each of which leaves a file that is created once and by one submitter only:
//!
//! ```text
//! create plan.yaml -> sbatch --hold the array(s) -> create array.yaml -> submit the reduces behind
//! that array -> create jobs.yaml -> release the array that array.yaml names -> scancel held
//! arrays of this round that it does not name
//! ```
//!
//! Whoever comes later reads the files that are there and goes on at the first that is missing.
//! An array that a submitter held and could not name, because it died or another was first, has
//! the round's job name and is cancelled by whoever finishes, or by the reduce of the round; it
//! never ran, since it was held. A reduce too many does no harm: all of them submit the same next
//! round, which is submitted once.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::round_stage::Queue;
use super::{Experiment, Refusal};
use crate::slurm::{
    ArrayRange, BatchScript, Dependency, DryRun, JobId, JobName, JobSpec, Scheduler, Start, Work,
};
use crate::storage::{RoundArray, RoundDir, RoundJobs, RoundPlan, Trust, publish};

/// One round of an experiment, about to be submitted or looked at.
pub(super) struct Round<'a> {
    experiment: &'a Experiment,
    number: u32,
}

impl<'a> Round<'a> {
    /// Names a round; nothing is written.
    pub const fn new(experiment: &'a Experiment, number: u32) -> Self {
        Self { experiment, number }
    }

    /// Returns its number, from 1.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the files of the round, to look at.
    pub fn files(&self) -> RoundDir {
        RoundDir::of(self.experiment.dir(), self.number)
    }

    /// Refuses a number that no round has: a person has mistyped it.
    pub fn check_is_there(&self) -> anyhow::Result<()> {
        // An NFS client may list the rounds as they were, and still finds by its name the folder into which the scheduler
        // writes the log of this task.
        if self.files().folder().is_dir() {
            return Ok(());
        }
        let listed = self.experiment.dir().list_rounds()?;
        let numbers: Vec<u32> = listed.into_iter().map(|(number, _)| number).collect();
        let rounds = match numbers.as_slice() {
            [] => "none was submitted yet".to_owned(),
            [only] => format!("round {only} alone is there"),
            [first, .., last] => format!("rounds {first} to {last} are there"),
        };
        bail!(Refusal::NoRound { round: self.number, rounds })
    }

    /// Returns what of the round is in the queue: nothing before it is planned.
    pub fn queue(&self, scheduler: &dyn Scheduler) -> anyhow::Result<Queue> {
        let Some(plan) = self.files().plan()? else { return Ok(Queue::default()) };
        Ok(Queue::of(scheduler.find(&[array_name(&plan), reduce_name(&plan)])?))
    }

    /// Submits the round, or completes what another submitter began; returns what was done, in words.
    ///
    /// `plan` is what is to be done if no plan is there yet.
    pub fn submit(
        &self,
        plan: RoundPlan,
        scheduler: &mut dyn Scheduler,
    ) -> anyhow::Result<Vec<String>> {
        let files = RoundDir::create(self.experiment.dir(), self.number)?;
        let plan = files.settle_plan(plan)?;
        let array = match files.array()? {
            Some(array) => array,
            None => {
                self.write_script(self.train())?;
                files.settle_array(self.queue_arrays(&plan, scheduler)?)?
            }
        };
        let jobs = match files.jobs()? {
            Some(jobs) => jobs,
            None => {
                self.write_script(self.reduce())?;
                let mine = self.queue_reduces(&plan, &array, scheduler)?;
                let jobs = files.settle_jobs(mine.clone())?;
                if jobs != mine {
                    let losers: Vec<String> =
                        [mine.reduce_job].into_iter().chain(mine.second_reduce_job).collect();
                    scheduler.cancel(&job_ids(&losers)?)?;
                }
                jobs
            }
        };
        let named = job_ids(&array.array_jobs)?;
        for &job in &named {
            scheduler.release(job)?;
        }
        let unnamed = self.queue(scheduler)?.arrays_but(&named);
        scheduler.cancel(&unnamed)?;
        Ok(vec![format!("{}, then reduce (job {})", self.words(&plan, &array), jobs.reduce_job)])
    }

    /// Shows the scripts of the round and the commands that would submit it.
    pub fn show(&self, plan: &RoundPlan, show: &mut DryRun) -> anyhow::Result<Vec<String>> {
        let array = self.queue_arrays(plan, show)?;
        self.queue_reduces(plan, &array, show)?;
        for job in job_ids(&array.array_jobs)? {
            show.release(job)?;
        }
        let mut lines = vec![format!("{}, then reduce", self.words(plan, &array))];
        if !plan.parts.is_empty() {
            lines.push(self.shown_script(self.train())?);
        }
        lines.push(self.shown_script(self.reduce())?);
        lines.extend(show.commands().iter().cloned());
        Ok(lines)
    }

    fn words(&self, plan: &RoundPlan, array: &RoundArray) -> String {
        let jobs = array.array_jobs.join(", ");
        match (plan.array_size, plan.epsilon) {
            (0, _) => format!("round {}: no tasks, waits for open claims", self.number),
            (tasks, epsilon) => {
                let at = epsilon.map_or(String::new(), |epsilon| format!(" at epsilon {epsilon}"));
                format!("round {}: {tasks} tasks{at} (job {jobs})", self.number)
            }
        }
    }

    fn queue_arrays(
        &self,
        plan: &RoundPlan,
        scheduler: &mut dyn Scheduler,
    ) -> anyhow::Result<RoundArray> {
        let name = array_name(plan);
        let mut array_jobs: Vec<JobId> = Vec::new();
        for &tasks in &plan.parts {
            let tasks = NonZeroU32::new(tasks).context("a part of a round without tasks")?;
            // Parts run one after the other, so that the limit on parallel tasks holds for all.
            let dependency = array_jobs.last().map(|&job| Dependency::Ended(vec![job]));
            let job = JobSpec {
                script: self.script(self.train()),
                name: name.clone(),
                array: Some(ArrayRange { tasks, max_parallel: NonZeroU32::new(plan.max_parallel) }),
                start: Start::Held,
                dependency,
                begin_after: None,
                extra_options: plan.sbatch_options.clone(),
            };
            match scheduler.submit(&job) {
                Ok(job) => array_jobs.push(job),
                Err(error) => {
                    // Held parts that nobody names would count towards a limit on submitted jobs at every try.
                    if let Err(error) = scheduler.cancel(&array_jobs) {
                        log::warn!("held arrays of round {} stay behind: {error}", self.number);
                    }
                    return Err(error.into());
                }
            }
        }
        let array_jobs = array_jobs.iter().map(ToString::to_string).collect();
        Ok(RoundArray { array_jobs, job_name: name.to_string() })
    }

    /// Queues the reduce behind the arrays, and a second one that runs if the first fails.
    fn queue_reduces(
        &self,
        plan: &RoundPlan,
        array: &RoundArray,
        scheduler: &mut dyn Scheduler,
    ) -> anyhow::Result<RoundJobs> {
        let arrays = job_ids(&array.array_jobs)?;
        let reduce = JobSpec {
            script: self.script(self.reduce()),
            name: reduce_name(plan),
            array: None,
            start: Start::WhenReady,
            dependency: (!arrays.is_empty()).then_some(Dependency::Ended(arrays)),
            begin_after: plan.not_before.map(|time| time_until(time.timestamp(), Timestamp::now())),
            extra_options: Vec::new(),
        };
        let first = scheduler.submit(&reduce)?;
        let after_failure = Some(Dependency::Failed(vec![first]));
        let second = scheduler.submit(&JobSpec {
            dependency: after_failure,
            begin_after: None,
            ..reduce
        })?;
        Ok(RoundJobs { reduce_job: first.to_string(), second_reduce_job: Some(second.to_string()) })
    }

    const fn train(&self) -> Work {
        Work::Train { round: self.number }
    }

    const fn reduce(&self) -> Work {
        Work::Reduce { round: self.number }
    }

    fn script(&self, work: Work) -> PathBuf {
        let name = match work {
            Work::Train { .. } => "train.sbatch",
            Work::Reduce { .. } => "reduce.sbatch",
        };
        self.files().folder().join(name)
    }

    fn script_text(&self, work: Work) -> anyhow::Result<String> {
        let program = std::env::current_exe().context("failed to find the running program")?;
        Ok(BatchScript {
            work,
            program: &program,
            experiment: self.experiment.dir().root(),
            log_folder: &self.experiment.dir().round(self.number),
            trust_group: self.experiment.trust() == Trust::Group,
            params: &self.experiment.config().slurm,
        }
        .render()?)
    }

    /// Writes a script once: another submitter of this round renders the same text.
    fn write_script(&self, work: Work) -> anyhow::Result<()> {
        publish::file_once(&self.script(work), self.script_text(work)?.as_bytes())?;
        Ok(())
    }

    fn shown_script(&self, work: Work) -> anyhow::Result<String> {
        Ok(format!("# {}\n{}", self.script(work).display(), self.script_text(work)?))
    }
}

/// Returns the name of a round's arrays, which no other round of any experiment bears.
fn array_name(plan: &RoundPlan) -> JobName {
    JobName::new(&format!("{}-{:04}", plan.job_prefix, plan.round))
}

/// Returns the name of a round's reduces.
fn reduce_name(plan: &RoundPlan) -> JobName {
    JobName::new(&format!("{}-{:04}-reduce", plan.job_prefix, plan.round))
}

/// Returns the time from `now` to `then` in whole seconds, never short of it: a reduce that starts a moment before a
/// claim ends would find nothing to do.
fn time_until(then: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    Duration::from_secs(left.as_secs() + 1)
}

pub(super) fn job_ids(texts: &[String]) -> anyhow::Result<Vec<JobId>> {
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
