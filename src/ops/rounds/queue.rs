//! The jobs of a round that have not ended, and how far the round has come.

use std::collections::BTreeMap;

use crate::slurm::{JobId, JobStates};

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

/// Arrays of tasks, and reduces, which are no arrays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(pub BTreeMap<JobId, JobStates>);

impl Queue {
    pub fn named<'a>(&'a self, named: &'a [JobId]) -> impl Iterator<Item = &'a JobStates> {
        named.iter().filter_map(|job| self.0.get(job))
    }

    fn reduces(&self) -> impl Iterator<Item = (&JobId, &JobStates)> {
        self.0.iter().filter(|(_, states)| !states.is_array)
    }

    pub fn jobs(&self, is_wanted: impl Fn(JobId, &JobStates) -> bool) -> Vec<JobId> {
        let wanted = self.0.iter().filter(|(job, states)| is_wanted(**job, states));
        wanted.map(|(job, _)| *job).collect()
    }

    pub fn arrays_but(&self, named: &[JobId]) -> Vec<JobId> {
        self.jobs(|job, states| states.is_array && !named.contains(&job))
    }

    pub fn cannot_start(&self) -> Option<String> {
        let reason = |(job, states): (_, &JobStates)| {
            Some(format!("`{}` of job {job}", states.cannot_start()?))
        };
        self.0.iter().find_map(reason)
    }

    /// Held by a person or after a failed launch: no reduce is submitted so.
    pub fn held_reduce(&self) -> Option<JobId> {
        self.reduces().next().filter(|(_, states)| states.is_held()).map(|(job, _)| *job)
    }

    pub fn has_reduce_at_work(&self) -> bool {
        self.reduces().any(|(_, states)| states.goes_on())
    }

    pub fn has_running_reduce(&self) -> bool {
        self.reduces().any(|(_, states)| states.is_running())
    }

    pub fn all_but_running_reduces(&self) -> Vec<JobId> {
        self.jobs(|_, states| states.is_array || !states.is_running())
    }
}
