//! The jobs of a round that have not ended, and how far the round has come.

use std::collections::BTreeMap;

use crate::slurm::{JobId, JobStates, TaskState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not all of its jobs are submitted.
    Unsubmitted,
    /// Its jobs are submitted, and an array of it waits to be released.
    Held,
    /// A reduce of it waits or runs, so the chain goes on by itself.
    UnderWay,
    /// No reduce of it is left: it has ended, or was cancelled. Tasks that are ending may remain.
    Over,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    pub arrays: BTreeMap<JobId, JobStates>,
    pub reduces: BTreeMap<JobId, JobStates>,
}

impl Queue {
    /// The states of these arrays, as far as they are in the queue.
    pub fn named<'a>(&'a self, named: &'a [JobId]) -> impl Iterator<Item = &'a JobStates> {
        named.iter().filter_map(|job| self.arrays.get(job))
    }

    pub fn arrays_but(&self, named: &[JobId]) -> Vec<JobId> {
        self.arrays.keys().copied().filter(|job| !named.contains(job)).collect()
    }

    /// A job that can never start, with the scheduler's reason, in words.
    pub fn cannot_start(&self) -> Option<String> {
        self.arrays.iter().chain(&self.reduces).find_map(|(job, states)| {
            states.cannot_start().map(|reason| format!("`{reason}` of job {job}"))
        })
    }

    /// The first reduce when it is held, by a person or after a failed launch: no reduce is
    /// submitted so, and the second one waits for it.
    pub fn held_reduce(&self) -> Option<JobId> {
        let (job, states) = self.reduces.first_key_value()?;
        states.is_held().then_some(*job)
    }

    pub fn has_reduce_at_work(&self) -> bool {
        self.reduces.values().any(JobStates::goes_on)
    }

    pub fn has_running_reduce(&self) -> bool {
        self.reduces.values().any(|states| states.count(TaskState::Running) > 0)
    }

    pub fn all_but_running_reduces(&self) -> Vec<JobId> {
        let waiting = self.reduces.iter().filter(|(_, job)| job.count(TaskState::Running) == 0);
        self.arrays.keys().chain(waiting.map(|(job, _)| job)).copied().collect()
    }
}
