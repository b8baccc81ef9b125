//! How far a round has come, from its files and what of it is in the queue.

use std::collections::BTreeMap;

use crate::slurm::{JobId, JobStates, TaskState};

/// How far a round has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has a folder and no plan.
    Unplanned,
    /// It is planned, and not all of its jobs are submitted.
    Unsubmitted,
    /// Its jobs are submitted, and an array of it waits to be released.
    Held,
    /// A reduce of it waits or runs, so the chain goes on by itself.
    UnderWay,
    /// No reduce of it is left: it has ended, or was cancelled. Tasks that were told to end may still be about.
    Over,
}

/// The jobs of a round that have not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    arrays: BTreeMap<JobId, JobStates>,
    reduces: BTreeMap<JobId, JobStates>,
}

impl Queue {
    /// Tells the arrays of a round from its reduces.
    pub fn of(jobs: BTreeMap<JobId, JobStates>) -> Self {
        let (arrays, reduces) = jobs.into_iter().partition(|(_, states)| states.is_array);
        Self { arrays, reduces }
    }

    /// Returns whether no job of the round is there.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty() && self.reduces.is_empty()
    }

    /// Returns the arrays that were not there before.
    pub fn arrays_beside(&self, before: &Self) -> Vec<JobId> {
        self.arrays.keys().copied().filter(|job| !before.arrays.contains_key(job)).collect()
    }

    /// Returns the reduces that were not there before.
    pub fn reduces_beside(&self, before: &Self) -> Vec<JobId> {
        self.reduces.keys().copied().filter(|job| !before.reduces.contains_key(job)).collect()
    }

    /// Returns whether the scheduler has not looked at any of these arrays yet.
    pub fn are_unseen(&self, named: &[JobId]) -> bool {
        named.iter().any(|job| self.arrays.get(job).is_some_and(JobStates::is_unseen))
    }

    /// Returns a job that can never start, with the scheduler's reason, in words.
    pub fn cannot_start(&self) -> Option<String> {
        self.arrays.iter().chain(&self.reduces).find_map(|(job, states)| {
            states.cannot_start().map(|reason| format!("`{reason}` of job {job}"))
        })
    }

    /// Returns the first reduce when it is held, by a person or after a failed launch: no reduce is submitted so, and
    /// the second one waits for it.
    pub fn held_reduce(&self) -> Option<JobId> {
        let (job, states) = self.reduces.first_key_value()?;
        states.is_held().then_some(*job)
    }

    /// Returns the arrays, but for these.
    pub fn arrays_but(&self, named: &[JobId]) -> Vec<JobId> {
        self.arrays.keys().copied().filter(|job| !named.contains(job)).collect()
    }

    /// Returns whether any task of these arrays has not ended.
    pub fn any_is_live(&self, named: &[JobId]) -> bool {
        named.iter().any(|job| self.arrays.get(job).is_some_and(JobStates::is_live))
    }

    /// Returns how many tasks of these arrays have not ended.
    pub fn live_tasks(&self, named: &[JobId]) -> u32 {
        named.iter().filter_map(|job| self.arrays.get(job)).map(JobStates::live_tasks).sum()
    }

    /// Returns whether this job is a reduce of the round.
    pub fn has_reduce(&self, job: JobId) -> bool {
        self.reduces.contains_key(&job)
    }

    /// Returns whether a reduce waits or runs.
    pub fn has_reduce_at_work(&self) -> bool {
        self.reduces.values().any(JobStates::goes_on)
    }

    /// Returns whether a reduce runs.
    pub fn has_running_reduce(&self) -> bool {
        self.reduces.values().any(|states| states.count(TaskState::Running) > 0)
    }

    /// Returns every job but a running reduce.
    pub fn all_but_running_reduces(&self) -> Vec<JobId> {
        let waiting = self.reduces.iter().filter(|(_, job)| job.count(TaskState::Running) == 0);
        self.arrays.keys().chain(waiting.map(|(job, _)| job)).copied().collect()
    }

    /// Decides how far a planned round has come. `named` are the arrays of `array.yaml`, if that is there.
    pub fn stage(&self, named: Option<&[JobId]>, has_jobs_file: bool) -> Stage {
        let Some(named) = named.filter(|_| has_jobs_file) else { return Stage::Unsubmitted };
        if !self.has_reduce_at_work() {
            return Stage::Over;
        }
        let is_held = |job| self.arrays.get(job).is_some_and(JobStates::is_held);
        if named.iter().any(is_held) { Stage::Held } else { Stage::UnderWay }
    }
}
