//! The scheduler: what a search asks of it, and Slurm's answer. Used by `config` (the section
//! `slurm`) and `ops`, where it is decided what a round is and in which order it is submitted.
//!
//! | file | holds |
//! | --- | --- |
//! | `params.rs` | [`SlurmParams`]: the section `slurm`; time limits, memory, [`ArraySize`] |
//! | `batch_script.rs` | [`BatchScript`]: `slurm/*.sbatch` with those options filled in |
//! | `job.rs` | [`JobSpec`]: one submission of a script; [`JobId`], [`TaskId`], [`job_name`] |
//! | `sbatch.rs` | [`Slurm`]: the [`Scheduler`] that runs `sbatch`, `squeue`, `scontrol` |
//! | `answers.rs` | [`JobStates`] of `squeue`, [`ClusterConfig`], nodes of `sinfo`, refusals |
//! | `reasons.rs` | why a job waits, in words ([`meaning`]) |
//! | `quoting.rs` | words as a shell and as `sbatch` read them |
//! | `environment.rs` | [`SlurmTask`]: the variables of a task, and those of a submission |
//!
//! `sacct` is never called: it is missing on small clusters and late on others.

use std::collections::BTreeMap;

mod answers;
mod batch_script;
mod environment;
mod error;
mod job;
mod params;
mod quoting;
mod reasons;
mod sbatch;

pub use answers::{ClusterConfig, JobStates, refused_option};
pub use batch_script::{Asked, BatchScript, Work, check_experiment_path};
pub use environment::{
    CLUSTER, SlurmTask, Variables, slurm_step, submit_variables, unused_variables,
};
pub use error::SlurmError;
pub use job::{JobId, JobSpec, TaskId, check_options, job_name, option_value};
pub use params::{ArraySize, SlurmParams, ValidSlurmParams};
pub use reasons::meaning;
pub use sbatch::Slurm;

/// What a search asks of a scheduler; another one is a file with an implementation of this. A held
/// array is found again by its name, released when a file names it, and cancelled otherwise.
pub trait Scheduler {
    /// Asks whether a job could start: the scheduler's words when it could not now,
    /// [`SlurmError::Impossible`] when it never can.
    fn test(&self, job: &JobSpec) -> Result<Option<String>, SlurmError>;

    /// [`SlurmError::SubmitLimit`] when the user may queue no more now.
    fn submit(&self, job: &JobSpec) -> Result<JobId, SlurmError>;

    /// Finds the user's own jobs with one of these names that have not ended, held ones included.
    fn find(&self, names: &[String]) -> Result<BTreeMap<JobId, JobStates>, SlurmError>;

    /// Asks for many jobs at once. A job that the scheduler has forgotten is not in the answer.
    fn states(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, JobStates>, SlurmError>;

    /// Lets a held job start; no error for one that is not held, has ended or is forgotten.
    fn release(&self, job: JobId) -> Result<(), SlurmError>;

    /// Ends jobs, all their tasks, waiting and running; no error for those that have ended.
    fn cancel(&self, jobs: &[JobId]) -> Result<(), SlurmError>;

    /// The most tasks of one array (`MaxArraySize` limits the index, which begins at 0 here).
    fn max_array_size(&self) -> Result<u32, SlurmError>;
}
