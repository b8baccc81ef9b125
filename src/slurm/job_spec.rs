//! One submission of a batch script.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::sbatch_option::check_not_reserved;
use super::{JobId, SlurmError};

/// What one submission decides; all else stands in the script.
///
/// Slurm takes a job that it has forgotten (`MinJobAge`, 5 minutes by default), or never knew, for
/// one that satisfies every dependency: a dependent job must check what it finds, and is best
/// submitted together with what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobSpec {
    /// The batch script, which must exist and be readable from here.
    pub script: PathBuf,
    pub name: String,
    /// The tasks 0 to n - 1 of an array; `None` for a single job.
    pub tasks: Option<NonZeroU32>,
    /// Tasks that run at once; `None` is no limit.
    pub max_parallel: Option<NonZeroU32>,
    pub held: bool,
    /// Starts when all of these have ended, in any state. A requeued task has not ended.
    pub after: Vec<JobId>,
    /// Starts when this job has failed.
    pub after_failure_of: Option<JobId>,
    pub begin_after: Option<Duration>,
    /// Options of `sbatch` that a person gave; they override those of the script.
    pub extra_options: Vec<String>,
}

impl JobSpec {
    /// The arguments of `sbatch`; an error when an extra option would change what this says.
    pub fn sbatch_arguments(&self) -> Result<Vec<OsString>, SlurmError> {
        let mut arguments = vec!["--parsable".to_owned(), format!("--job-name={}", self.name)];
        if let Some(tasks) = self.tasks {
            let limit = self.max_parallel.map_or(String::new(), |limit| format!("%{limit}"));
            arguments.push(format!("--array=0-{}{limit}", tasks.get() - 1));
        }
        arguments.extend(self.held.then(|| "--hold".to_owned()));
        if !self.after.is_empty() {
            let jobs: String = self.after.iter().map(|job| format!(":{job}")).collect();
            arguments.push(format!("--dependency=afterany{jobs}"));
        }
        arguments.extend(self.after_failure_of.map(|job| format!("--dependency=afternotok:{job}")));
        arguments.extend(self.begin_after.map(|wait| format!("--begin=now+{}", wait.as_secs())));
        for option in &self.extra_options {
            check_not_reserved(option)?;
            arguments.push(option.clone());
        }
        let mut arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        arguments.push(self.script.clone().into());
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobSpec {
        JobSpec {
            script: "/scratch/svhn/rounds/0007/train.sbatch".into(),
            name: "svhn-0007".into(),
            ..JobSpec::default()
        }
    }

    #[test]
    fn a_held_array_is_written_as_sbatch_reads_it() {
        let job = JobSpec {
            tasks: NonZeroU32::new(100),
            max_parallel: NonZeroU32::new(10),
            held: true,
            ..job()
        };
        assert_eq!(
            job.sbatch_arguments().unwrap(),
            [
                "--parsable",
                "--job-name=svhn-0007",
                "--array=0-99%10",
                "--hold",
                "/scratch/svhn/rounds/0007/train.sbatch"
            ]
        );
    }

    #[test]
    fn a_reduce_waits_for_all_parts_and_its_second_for_its_failure() {
        let first = JobSpec { after: vec![JobId(5), JobId(6)], ..job() };
        assert!(first.sbatch_arguments().unwrap().contains(&"--dependency=afterany:5:6".into()));
        let second = JobSpec { after_failure_of: Some(JobId(7)), ..job() };
        assert!(second.sbatch_arguments().unwrap().contains(&"--dependency=afternotok:7".into()));
    }

    #[test]
    fn a_later_begin_is_counted_from_now() {
        let job = JobSpec { begin_after: Some(Duration::from_secs(5400)), ..job() };
        assert!(job.sbatch_arguments().unwrap().contains(&"--begin=now+5400".into()));
    }

    #[test]
    fn a_persons_options_come_last_before_the_script() {
        let job = JobSpec { extra_options: vec!["-p".to_owned(), "debug".to_owned()], ..job() };
        let arguments = job.sbatch_arguments().unwrap();
        assert_eq!(arguments[arguments.len() - 3..arguments.len() - 1], ["-p", "debug"]);
    }

    #[test]
    fn options_of_the_search_are_refused() {
        let job = JobSpec { extra_options: vec!["--array=0-3".to_owned()], ..job() };
        let error = job.sbatch_arguments().unwrap_err().to_string();
        assert!(error.starts_with("`--array=0-3` cannot be given to `sbatch`"), "{error}");
    }
}
