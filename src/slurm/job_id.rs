//! How jobs and tasks are called.

use std::fmt;
use std::str::FromStr;

use super::SlurmError;

/// The number of a job or of an array as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = SlurmError;

    /// Reads a number of digits alone.
    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Self).ok_or_else(|| SlurmError::Notation {
            text: text.to_owned(),
            notation: "job id",
            hint: "a number as printed by `sbatch --parsable`",
        })
    }
}

/// A task of an array, or a job that is no array: what stays the same when it is requeued.
///
/// The job id that Slurm gives to each task of an array does not serve: the task created last shares the array's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The array, or the job.
    pub job: JobId,
    /// The index within the array.
    pub task: Option<u32>,
}

impl fmt::Display for TaskId {
    /// Writes what `scontrol` and `scancel` understand: `17_3`, or `17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{}_{task}", self.job),
            None => self.job.fmt(f),
        }
    }
}

/// The name of a job, by which it is found in the queue.
///
/// ASCII letters, digits, `.`, `_` and `-` only: `squeue --name` takes commas for a list, `--output` takes `%` for a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobName(String);

impl JobName {
    /// Makes a name from any text, with `_` for each character that a name cannot have.
    ///
    /// Two texts may give one name; whoever needs a unique name puts what makes it unique into safe characters.
    pub fn new(text: &str) -> Self {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        Self(text.chars().map(|c| if safe(c) { c } else { '_' }).collect())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_is_digits_alone() {
        assert_eq!("4011".parse::<JobId>().ok(), Some(JobId(4011)));
        for text in ["", "-1", "+1", "12_3", "12;cluster", " 1", "99999999999"] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_task_is_written_as_scontrol_reads_it() {
        assert_eq!(TaskId { job: JobId(17), task: Some(3) }.to_string(), "17_3");
        assert_eq!(TaskId { job: JobId(17), task: None }.to_string(), "17");
    }

    #[test]
    fn a_name_has_nothing_that_squeue_or_output_patterns_read() {
        assert_eq!(JobName::new("SVHN, small %j-0007").as_str(), "SVHN__small__j-0007");
    }
}
