//! Job ids and names, and the id of a new job in what `sbatch` printed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anstream::adapter::strip_str;

use super::SlurmError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Self).ok_or_else(|| {
            SlurmError::Unusable(format!(
                "`{text}` is no job id (a number as printed by `sbatch --parsable`)"
            ))
        })
    }
}

/// Returns the job ids that stand alone on a line: `123`, `123;cluster`, or `Submitted batch job
/// 123 on cluster x`. A site's wrapper may print lines of its own before and after, in colours.
pub(super) fn ids_on_lines(answer: &str) -> BTreeSet<JobId> {
    let id = |line: &str| {
        let words = line.strip_prefix("sbatch:").unwrap_or(line).trim();
        if let Some(rest) = words.strip_prefix("Submitted batch job ") {
            return valid_id(rest.split_ascii_whitespace().next()?);
        }
        let (number, cluster) = words.split_once(';').unwrap_or((words, "x"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_cluster = !cluster.trim().is_empty() && cluster.trim().chars().all(is_name);
        valid_id(number.trim()).filter(|_| is_cluster)
    };
    text_lines(answer).iter().filter_map(|line| id(line)).collect()
}

pub(super) fn numbers_in(text: &str) -> BTreeSet<JobId> {
    let lines = text_lines(text);
    let numbers = lines.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_digit()));
    numbers.filter_map(valid_id).collect()
}

/// Returns the lines that are not empty, without the escape sequences of a terminal.
pub(super) fn text_lines(text: &str) -> Vec<String> {
    let plain = strip_str(text).to_string();
    let lines = plain.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn valid_id(text: &str) -> Option<JobId> {
    text.parse().ok().filter(|id| *id != JobId(0))
}

/// A task of an array, or a job that is no array: what stays the same when it is requeued.
///
/// The job id that Slurm gives to each task of an array does not serve: the task created last
/// shares the array's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub job: JobId,
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

/// Makes the name of a job: `_` stands for all but ASCII letters, digits, `.`, `_` and `-`, since
/// `squeue --name` takes commas for a list and `--output` takes `%` for a pattern.
pub fn job_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if safe(c) { c } else { '_' }).collect()
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
    fn the_line_that_is_an_id_is_found_wherever_it_stands() {
        for answer in [
            "123\n",
            "123;sandbox\n",
            "  123 \r\n",
            "Submitted batch job 123\n",
            "Submitted batch job 123 on cluster x\n",
            "sbatch: Submitted batch job 123\n",
            "Your project has 12 hours left\n123\n",
            "123\nRemaining budget of project p123: 4711 core hours\n",
            "\u{1b}]0;42\u{7}*** 2026 ***\n\n\u{1b}[1;32m123\u{1b}[0m\nSee https://wiki/42\n",
            "99999999999\n123\n0\n",
            "123\nSubmitted batch job 123\n",
        ] {
            assert_eq!(ids_on_lines(answer), [JobId(123)].into(), "{answer:?}");
        }
        assert_eq!(ids_on_lines("4711\n123\n"), [JobId(123), JobId(4711)].into());
        for answer in ["", "job <123> is queued", "123;", "123;a b", "12 3", "-1", "99999999999"] {
            assert!(ids_on_lines(answer).is_empty(), "{answer:?}");
        }
    }

    #[test]
    fn numbers_are_found_within_words() {
        let numbers =
            numbers_in("project p7: job <123> is queued, 99999999999 hours, 00, \u{1b}[31m5");
        assert_eq!(numbers, [JobId(5), JobId(7), JobId(123)].into());
    }

    #[test]
    fn a_task_is_written_as_scontrol_reads_it() {
        assert_eq!(TaskId { job: JobId(17), task: Some(3) }.to_string(), "17_3");
        assert_eq!(TaskId { job: JobId(17), task: None }.to_string(), "17");
    }

    #[test]
    fn a_name_has_nothing_that_squeue_or_output_patterns_read() {
        assert_eq!(job_name("SVHN, small %j-0007"), "SVHN__small__j-0007");
    }
}
