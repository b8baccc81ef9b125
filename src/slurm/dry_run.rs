//! A scheduler that only shows what it would be asked to do.

use std::collections::BTreeMap;

use super::quoting::command_line;
use super::{JobId, JobSpec, JobStates, Scheduler, SlurmError};

/// Slurm's own default of `MaxArraySize`: indices 0 to 1000.
const DEFAULT_MAX_ARRAY_SIZE: u32 = 1001;

/// Records the commands that [`Slurm`](super::Slurm) would run to change something; runs none. Its
/// queue is empty, and its job ids are 1, 2, ...
#[derive(Debug, Clone)]
pub struct DryRun {
    pub commands: Vec<String>,
    submitted: u32,
    max_array_size: u32,
}

impl DryRun {
    pub const fn new(max_array_size: u32) -> Self {
        Self { commands: Vec::new(), submitted: 0, max_array_size }
    }
}

impl Default for DryRun {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_ARRAY_SIZE)
    }
}

impl Scheduler for DryRun {
    fn test(&mut self, _job: &JobSpec) -> Result<Option<String>, SlurmError> {
        Ok(None)
    }

    fn submit(&mut self, job: &JobSpec) -> Result<JobId, SlurmError> {
        let command = command_line("sbatch", &job.sbatch_arguments()?);
        self.submitted += 1;
        self.commands.push(format!("{command}  # job {}", self.submitted));
        Ok(JobId(self.submitted))
    }

    fn find(&self, _names: &[String]) -> Result<BTreeMap<JobId, JobStates>, SlurmError> {
        Ok(BTreeMap::new())
    }

    fn states(&self, _jobs: &[JobId]) -> Result<BTreeMap<JobId, JobStates>, SlurmError> {
        Ok(BTreeMap::new())
    }

    fn release(&mut self, job: JobId) -> Result<(), SlurmError> {
        self.commands.push(format!("scontrol release {job}"));
        Ok(())
    }

    fn cancel(&mut self, jobs: &[JobId]) -> Result<(), SlurmError> {
        if !jobs.is_empty() {
            let jobs: Vec<String> = jobs.iter().map(JobId::to_string).collect();
            self.commands.push(format!("scancel {}", jobs.join(" ")));
        }
        Ok(())
    }

    fn max_array_size(&self) -> Result<u32, SlurmError> {
        Ok(self.max_array_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn a_round_is_shown_as_the_commands_that_submit_it() {
        let mut dry_run = DryRun::default();
        let train = JobSpec {
            script: "/scratch/ada's/rounds/0001/train.sbatch".into(),
            name: "svhn-0001".into(),
            tasks: NonZeroU32::new(8),
            max_parallel: NonZeroU32::new(4),
            held: true,
            ..JobSpec::default()
        };
        let id = dry_run.submit(&train).unwrap();
        let reduce = JobSpec {
            script: "/scratch/ada's/rounds/0001/reduce.sbatch".into(),
            name: train.name,
            after: vec![id],
            ..JobSpec::default()
        };
        dry_run.submit(&reduce).unwrap();
        dry_run.release(id).unwrap();
        dry_run.cancel(&[]).unwrap();
        assert_eq!(
            dry_run.commands,
            [
                r"sbatch --parsable --job-name=svhn-0001 --array=0-7%4 --hold '/scratch/ada'\''s/rounds/0001/train.sbatch'  # job 1",
                r"sbatch --parsable --job-name=svhn-0001 --dependency=afterany:1 '/scratch/ada'\''s/rounds/0001/reduce.sbatch'  # job 2",
                "scontrol release 1",
            ]
        );
    }
}
