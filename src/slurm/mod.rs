//! Speaking with the scheduler: commands, paths and numbers; nothing of networks.
//!
//! Called by `ops` (submit, cancel, status, train, reduce, run, doctor) only. What a round is, what its jobs are
//! called, and in which order they are submitted is decided there.
//!
//! | file | holds |
//! | --- | --- |
//! | `params.rs` | [`SlurmParams`], the section `slurm` of the configuration |
//! | `batch_script.rs` | [`BatchScript`]: `slurm/train.sbatch` and `slurm/reduce.sbatch` with those options filled in |
//! | `job_spec.rs` | [`JobSpec`]: one submission of a script: array, held or not, dependency, begin |
//! | `sbatch.rs`, `command.rs` | [`Slurm`]: the [`Scheduler`] that runs `sbatch`, `squeue`, `scontrol`, `scancel` |
//! | `dry_run.rs` | [`DryRun`]: the [`Scheduler`] that only shows |
//! | `job_state.rs`, `cluster_config.rs` | what `squeue` and `scontrol` answer |
//! | `environment.rs` | [`SlurmTask`]: what a task is told by the scheduler, from a given map |
//! | `array_range.rs`, `array_size.rs`, `time_limit.rs`, `memory.rs`, `job_id.rs` | notations, each a type |
//! | `sbatch_option.rs` | which options a person may add |
//! | `refused.rs` | which option a refusal of `sbatch` is about, and which refusals are for good |
//! | `quoting.rs` | text that reaches a shell or a line of options as it is |
//! | `local.rs` | [`LocalWorkers`]: the processes of `metaqnn run` |
//!
//! A batch script is what all its submissions share; a job specification is what one of them decides. A round
//! larger than the cluster's arrays is one script submitted in parts; its reduce is one script submitted twice.
//!
//! `LocalWorkers` is no [`Scheduler`]. Nothing outlives `metaqnn run`: there is no queue to ask, nothing to hold or to
//! release, no dependency, no id that a later process could use. An implementation would be a queue of our own, to
//! no one's use; `run` only needs processes started, listened to and ended.
//!
//! `sacct` is never called: it is missing on small clusters and late on others. Files are the record.

use std::collections::BTreeMap;

mod array_range;
mod array_size;
mod batch_script;
mod cluster_config;
mod command;
mod dry_run;
mod environment;
mod error;
mod job_id;
mod job_spec;
mod job_state;
mod local;
mod memory;
mod params;
mod quoting;
mod refused;
mod sbatch;
mod sbatch_option;
mod time_limit;
mod yaml_scalar;

pub use array_range::{ArrayRange, DEFAULT_MAX_ARRAY_SIZE};
pub use array_size::ArraySize;
pub use batch_script::{Asked, BatchScript, Work, check_experiment_path};
pub use cluster_config::{ClusterConfig, Preemption};
pub use dry_run::DryRun;
pub use environment::{
    CLUSTER, SlurmStep, SlurmTask, Variables, submit_variables, unused_variables,
};
pub use error::SlurmError;
pub use job_id::{JobId, JobName, TaskId};
pub use job_spec::{Dependency, JobSpec, Start};
pub use job_state::{JobStates, TaskState};
pub use local::{LocalWorkers, Stream, WorkerCommand, WorkerEvent, WorkerId};
pub use memory::Memory;
pub use params::{SlurmParams, ValidSlurmParams};
pub use refused::refused_option;
pub use sbatch::{Requeued, Slurm};
pub use sbatch_option::check_options;
pub use time_limit::TimeLimit;

/// What a search asks of a scheduler: [`Slurm`], or [`DryRun`].
///
/// Enough for a round to be submitted once by several submitters that may crash anywhere: a held array is found
/// again by its name, released when a file names it, and cancelled otherwise.
pub trait Scheduler {
    /// Asks whether a job could ever start, without submitting it; returns the scheduler's words when it could not now.
    ///
    /// # Errors
    /// [`SlurmError::Impossible`] when it can never start; a missing command as it is.
    fn test(&mut self, job: &JobSpec) -> Result<Option<String>, SlurmError>;

    /// Submits one job or array.
    ///
    /// # Errors
    /// [`SlurmError::SubmitLimit`] when the user may queue no more jobs now; any other refusal or missing command
    /// as it is.
    fn submit(&mut self, job: &JobSpec) -> Result<JobId, SlurmError>;

    /// Finds the user's own jobs that bear one of these names and have not ended, held ones included.
    ///
    /// # Errors
    /// When the scheduler cannot be asked.
    fn find(&self, names: &[JobName]) -> Result<BTreeMap<JobId, JobStates>, SlurmError>;

    /// Asks for many jobs at once. A job that the scheduler has forgotten is not in the answer.
    ///
    /// # Errors
    /// When the scheduler cannot be asked.
    fn states(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, JobStates>, SlurmError>;

    /// Lets a held job start. A job that is not held, has ended or is forgotten needs no release: no error.
    ///
    /// # Errors
    /// When the scheduler refuses for another reason.
    fn release(&mut self, job: JobId) -> Result<(), SlurmError>;

    /// Ends jobs, all their tasks, waiting and running. A job that has ended or is forgotten is no error.
    ///
    /// # Errors
    /// When the scheduler refuses for another reason.
    fn cancel(&mut self, jobs: &[JobId]) -> Result<(), SlurmError>;

    /// Returns the greatest number of tasks that one array may have (`MaxArraySize`: it limits the index, which
    /// begins at 0 here).
    ///
    /// # Errors
    /// When the scheduler cannot be asked.
    fn max_array_size(&self) -> Result<u32, SlurmError>;
}
