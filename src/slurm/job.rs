//! Job ids and names, one submission of a batch script, and the options that a person may add to
//! it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anstream::adapter::strip_str;

use super::SlurmError;
use super::quoting::command_line;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
pub struct JobId(pub u32);

impl FromStr for JobId {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let number = text.parse().ok().filter(|_| !text.starts_with('+'));
        let what = "job id (a number as printed by `sbatch --parsable`)";
        number.map(Self).ok_or_else(|| SlurmError::is_no(text, what))
    }
}

/// Job ids alone on a line: `123`, `123;cluster`, or `Submitted batch job 123 on cluster x`.
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

/// A site's wrapper of `sbatch` may print lines of its own before and after, in colours.
pub(super) fn text_lines(text: &str) -> Vec<String> {
    let plain = strip_str(text).to_string();
    let lines = plain.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn valid_id(text: &str) -> Option<JobId> {
    text.parse().ok().filter(|id| *id != JobId(0))
}

/// A task of an array, or a job that is no array: the same when it is requeued. (The job id of each
/// task of an array does not serve: the task created last shares the array's.)
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

/// Replaces what `squeue --name` takes for a list and `--output` for a pattern.
pub fn job_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if safe(c) { c } else { '_' }).collect()
}

/// A job that Slurm has forgotten (`MinJobAge`, 5 minutes by default) satisfies every dependency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobSpec {
    pub script: PathBuf,
    pub name: String,
    /// The tasks 0 to n - 1 of an array; 0 for a single job.
    pub tasks: u32,
    pub max_parallel: u32,
    pub held: bool,
    /// Starts when all of these have ended, in any state. A requeued task has not ended.
    pub after: Vec<JobId>,
    pub after_failure_of: Option<JobId>,
    pub begin_after: Option<Duration>,
    pub extra_options: Vec<String>,
}

impl JobSpec {
    pub fn sbatch_command(&self) -> String {
        command_line("sbatch", &self.sbatch_arguments())
    }

    pub fn sbatch_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--parsable".to_owned(), format!("--job-name={}", self.name)];
        if self.tasks > 0 {
            arguments.push(format!("--array=0-{}%{}", self.tasks - 1, self.max_parallel));
        }
        arguments.extend(self.held.then(|| "--hold".to_owned()));
        if !self.after.is_empty() {
            let jobs: String = self.after.iter().map(|job| format!(":{job}")).collect();
            arguments.push(format!("--dependency=afterany{jobs}"));
        }
        arguments.extend(self.after_failure_of.map(|job| format!("--dependency=afternotok:{job}")));
        arguments.extend(self.begin_after.map(|wait| format!("--begin=now+{}", wait.as_secs())));
        arguments.extend(self.extra_options.iter().cloned());
        arguments.push(self.script.display().to_string());
        arguments
    }
}

/// Options that a search sets itself, or that would change what it does.
const RESERVED: [&str; 16] = [
    "array -a", "begin -b", "clusters -M", "dependency -d", "hold -H", "job-name -J",
    "kill-on-invalid-dep ", "no-requeue ", "open-mode ", "output -o", "parsable ", "requeue ",
    "signal ", "test-only ", "wait -W", "wrap ",
];

/// Whether an argument is this option (`--arr` is `--array`, as for `sbatch`), and the value in it.
fn as_option<'a>(argument: &'a str, long: &str, short: &str) -> Option<Option<&'a str>> {
    if let Some(option) = argument.strip_prefix("--") {
        let name = option.split('=').next().filter(|name| !name.is_empty())?;
        return long.starts_with(name).then(|| option[name.len()..].strip_prefix('='));
    }
    let value = argument.strip_prefix(short).filter(|_| !short.is_empty())?;
    Some(Some(value).filter(|value| !value.is_empty()))
}

pub(super) fn check_not_reserved(argument: &str) -> Result<(), SlurmError> {
    let mut reserved = RESERVED.iter().filter_map(|names| names.split_once(' '));
    match reserved.find(|(long, short)| as_option(argument, long, short).is_some()) {
        Some((reserved, _)) => Err(SlurmError::Unusable(format!(
            "`{argument}` cannot be given to `sbatch`: metaqnn sets `--{reserved}` itself \
             (leave it out)"
        ))),
        None => Ok(()),
    }
}

/// The last one where it stands twice.
pub fn option_value<'a>(arguments: &'a [String], long: &str, short: &str) -> Option<&'a str> {
    arguments.iter().enumerate().rev().find_map(|(place, argument)| {
        let value = as_option(argument, long, short)?;
        value.or_else(|| arguments.get(place + 1).map(String::as_str))
    })
}

/// A word before any option would be taken for the script.
pub fn check_options(arguments: &[String]) -> Result<(), SlurmError> {
    if let Some(word) = arguments.first().filter(|word| !word.starts_with('-')) {
        return Err(SlurmError::is_no(word, "option of `sbatch` (such as `-- --partition=gpu`)"));
    }
    arguments.iter().try_for_each(|argument| check_not_reserved(argument))
}

/// Whether this can stand on a line of its own: `--name` or `--name=value`.
pub(super) fn is_long_option(option: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
    let name = option.strip_prefix("--").and_then(|option| option.split('=').next());
    name.is_some_and(|name| !name.is_empty() && name.chars().all(is_plain))
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
        let job = JobSpec { tasks: 100, max_parallel: 10, held: true, ..job() };
        assert_eq!(
            job.sbatch_arguments(),
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
        assert!(first.sbatch_arguments().contains(&"--dependency=afterany:5:6".into()));
        let second = JobSpec { after_failure_of: Some(JobId(7)), ..job() };
        assert!(second.sbatch_arguments().contains(&"--dependency=afternotok:7".into()));
    }

    #[test]
    fn a_later_begin_is_counted_from_now() {
        let job = JobSpec { begin_after: Some(Duration::from_secs(5400)), ..job() };
        assert!(job.sbatch_arguments().contains(&"--begin=now+5400".into()));
    }

    #[test]
    fn a_persons_options_come_last_before_the_script() {
        let job = JobSpec { extra_options: vec!["-p".to_owned(), "debug".to_owned()], ..job() };
        let arguments = job.sbatch_arguments();
        assert_eq!(arguments[arguments.len() - 3..arguments.len() - 1], ["-p", "debug"]);
    }

    #[test]
    fn options_of_the_search_are_refused_long_short_and_abbreviated() {
        for option in [
            "--array=0-3", "--arra", "-a", "-a0-3", "-d", "-H", "-Jname", "--job=x", "-W",
            "--clusters=b",
        ] {
            let error = check_not_reserved(option).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{option}` cannot be given to")), "{error}");
        }
    }

    #[test]
    fn a_word_before_any_option_would_be_the_script() {
        let check = |words: &[&str]| {
            check_options(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert!(check(&[]).is_ok() && check(&["-p", "gpu", "--nice"]).is_ok());
        let problem = check(&["gpu"]).unwrap_err().to_string();
        assert_eq!(problem, "`gpu` is no option of `sbatch` (such as `-- --partition=gpu`)");
        assert!(check(&["--nice", "--array=1"]).is_err());
    }

    #[test]
    fn the_value_of_an_option_is_found_in_each_form() {
        let value = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            option_value(&words, "partition", "-p").map(str::to_owned)
        };
        for line in
            ["--partition=gpu", "--nice --part gpu", "-p gpu", "-pgpu -Alab", "-p cpu -p gpu"]
        {
            assert_eq!(value(line).as_deref(), Some("gpu"), "{line}");
        }
        for line in ["--nice", "-A gpu", "--", "-p", "--partitions=gpu"] {
            assert_eq!(value(line), None, "{line}");
        }
    }

    #[test]
    fn all_else_is_the_persons_business() {
        for option in [
            "--account=a", "-A", "-p", "debug", "--nodes=1", "--wckey=x", "--time=10", "--error=x",
            "-", "--",
        ] {
            assert!(check_not_reserved(option).is_ok(), "{option}");
        }
    }

    #[test]
    fn a_line_holds_one_long_option() {
        assert!(is_long_option("--exclusive") && is_long_option("--mail-type=END,FAIL"));
        for option in ["-p gpu", "--mail-type END", "exclusive", "--", "--=x", ""] {
            assert!(!is_long_option(option), "{option}");
        }
    }

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
