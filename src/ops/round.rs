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
//! the round's job name and is cancelled by whoever finishes; it never ran, since it was held.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Experiment;
use crate::slurm::{
    ArrayRange, BatchScript, Dependency, DryRun, JobId, JobName, JobSpec, Scheduler, Start, Work,
};
use crate::storage::publish::{self, Published};
use crate::storage::{RoundArray, RoundDir, RoundJobs, RoundPlan, StorageError};

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

    /// Returns the folder of the round, made when missing.
    pub fn files(&self) -> Result<RoundDir, StorageError> {
        RoundDir::create(self.experiment.dir(), self.number)
    }

    /// Returns the name of the round's arrays, which no other round of any experiment bears.
    pub fn array_name(&self) -> JobName {
        JobName::new(&self.job_name())
    }

    /// Returns the name of the round's reduces.
    pub fn reduce_name(&self) -> JobName {
        JobName::new(&format!("{}-reduce", self.job_name()))
    }

    fn job_name(&self) -> String {
        // Two experiments may have one name; their folders differ.
        let root = Sha256::digest(self.experiment.dir().root().as_os_str().as_encoded_bytes());
        let place: String = root.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let name = &self.experiment.config().experiment().name;
        format!("{name}-{place}-{:04}", self.number)
    }

    /// Submits the round, or completes what another submitter began; returns what was done, in words.
    ///
    /// `plan` is what is to be done if no plan is there yet.
    pub fn submit(
        &self,
        plan: RoundPlan,
        scheduler: &mut dyn Scheduler,
    ) -> anyhow::Result<Vec<String>> {
        let files = self.files()?;
        let plan = files.settle_plan(plan)?;
        let array = match files.array()? {
            Some(array) => array,
            None => {
                self.write_script(self.train_script(), &self.script_text(self.train_work())?)?;
                files.settle_array(self.queue_arrays(&plan, scheduler)?)?
            }
        };
        let jobs = match files.jobs()? {
            Some(jobs) => jobs,
            None => {
                self.write_script(self.reduce_script(), &self.script_text(self.reduce_work())?)?;
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
        self.cancel_unnamed(&named, scheduler)?;
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
            lines.push(format!(
                "# {}\n{}",
                self.train_script().display(),
                self.script_text(self.train_work())?
            ));
        }
        lines.push(format!(
            "# {}\n{}",
            self.reduce_script().display(),
            self.script_text(self.reduce_work())?
        ));
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
        let name = self.array_name();
        let mut array_jobs: Vec<JobId> = Vec::new();
        for &tasks in &plan.parts {
            let tasks = NonZeroU32::new(tasks).context("a part of a round without tasks")?;
            // Parts run one after the other, so that the limit on parallel tasks holds for all.
            let dependency = array_jobs.last().map(|&job| Dependency::Ended(vec![job]));
            let job = JobSpec {
                script: self.train_script(),
                name: name.clone(),
                array: Some(ArrayRange { tasks, max_parallel: NonZeroU32::new(plan.max_parallel) }),
                start: Start::Held,
                dependency,
                begin_after: None,
                extra_options: plan.sbatch_options.clone(),
            };
            array_jobs.push(scheduler.submit(&job)?);
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
        let wait = plan.not_before.map(|time| {
            let seconds = time.timestamp().duration_since(Timestamp::now()).as_secs().max(0);
            Duration::from_secs(seconds.unsigned_abs())
        });
        let reduce = JobSpec {
            script: self.reduce_script(),
            name: self.reduce_name(),
            array: None,
            start: Start::WhenReady,
            dependency: (!arrays.is_empty()).then_some(Dependency::Ended(arrays)),
            begin_after: wait,
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

    /// Ends held arrays of this round that lost against the one that `array.yaml` names.
    fn cancel_unnamed(&self, named: &[JobId], scheduler: &mut dyn Scheduler) -> anyhow::Result<()> {
        let found = scheduler.find(&self.array_name())?;
        let unnamed: Vec<JobId> = found.into_keys().filter(|job| !named.contains(job)).collect();
        if !unnamed.is_empty() {
            scheduler.cancel(&unnamed)?;
        }
        Ok(())
    }

    const fn train_work(&self) -> Work {
        Work::Train { round: self.number }
    }

    const fn reduce_work(&self) -> Work {
        Work::Reduce { round: self.number }
    }

    fn train_script(&self) -> PathBuf {
        self.experiment.dir().round(self.number).join("train.sbatch")
    }

    fn reduce_script(&self) -> PathBuf {
        self.experiment.dir().round(self.number).join("reduce.sbatch")
    }

    fn script_text(&self, work: Work) -> anyhow::Result<String> {
        let program = std::env::current_exe().context("failed to find the running program")?;
        Ok(BatchScript {
            work,
            program: &program,
            experiment: self.experiment.dir().root(),
            log_folder: &self.experiment.dir().round(self.number),
            params: &self.experiment.config().slurm,
        }
        .render()?)
    }

    /// Writes a script once: another submitter of this round renders the same text.
    fn write_script(&self, path: PathBuf, text: &str) -> anyhow::Result<()> {
        match publish::file_once(&path, text.as_bytes())? {
            Published::First | Published::AlreadyThere => Ok(()),
        }
    }
}

/// Splits a round into arrays that the scheduler accepts.
pub(super) fn parts(tasks: u32, max_array_size: u32) -> Vec<u32> {
    let full = tasks / max_array_size;
    let rest = tasks % max_array_size;
    (0..full).map(|_| max_array_size).chain((rest > 0).then_some(rest)).collect()
}

pub(super) fn job_ids(texts: &[String]) -> anyhow::Result<Vec<JobId>> {
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

/// Returns the machine's name for the plan, empty when it has none.
pub(super) fn submitting_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_larger_than_an_array_is_several() {
        assert_eq!(parts(5, 10), [5]);
        assert_eq!(parts(20, 10), [10, 10]);
        assert_eq!(parts(23, 10), [10, 10, 3]);
        assert!(parts(0, 10).is_empty());
    }
}
