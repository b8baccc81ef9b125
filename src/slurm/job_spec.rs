//! One submission of a batch script, and the options of `sbatch` that a person may add to it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::quoting::command_line;
use super::{JobId, SlurmError};

/// Slurm takes a job that it has forgotten (`MinJobAge`, 5 minutes by default), or never knew, for
/// one that satisfies every dependency: a dependent job must check what it finds, and is best
/// submitted together with what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobSpec {
    /// In a folder that [`check_experiment_path`](super::check_experiment_path) has accepted.
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
    /// The whole command, quoted for a shell.
    pub fn sbatch_command(&self) -> Result<String, SlurmError> {
        Ok(command_line("sbatch", &self.sbatch_arguments()?))
    }

    pub fn sbatch_arguments(&self) -> Result<Vec<String>, SlurmError> {
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
        self.extra_options.iter().try_for_each(|option| check_not_reserved(option))?;
        arguments.extend(self.extra_options.iter().cloned());
        arguments.push(self.script.display().to_string());
        Ok(arguments)
    }
}

/// The options that a search sets itself, or that would change what it does, with their letters.
/// `clusters` since the ids of another cluster's jobs could not be asked for.
const RESERVED: [(&str, Option<char>); 16] = [
    ("array", Some('a')),
    ("begin", Some('b')),
    ("clusters", Some('M')),
    ("dependency", Some('d')),
    ("hold", Some('H')),
    ("job-name", Some('J')),
    ("kill-on-invalid-dep", None),
    ("no-requeue", None),
    ("open-mode", None),
    ("output", Some('o')),
    ("parsable", None),
    ("requeue", None),
    ("signal", None),
    ("test-only", None),
    ("wait", Some('W')),
    ("wrap", None),
];

/// Refuses the options that a search sets itself; `--arr` is `--array`, as for `sbatch`.
pub(super) fn check_not_reserved(argument: &str) -> Result<(), SlurmError> {
    let is_same = |long: &str, short: Option<char>| match argument.strip_prefix("--") {
        Some(option) => {
            let name = option.split('=').next().unwrap_or_default();
            !name.is_empty() && long.starts_with(name)
        }
        None => short
            .is_some_and(|letter| argument.starts_with(&['-', letter].iter().collect::<String>())),
    };
    match RESERVED.iter().find(|(long, short)| is_same(long, *short)) {
        Some((reserved, _)) => Err(SlurmError::Unusable(format!(
            "`{argument}` cannot be given to `sbatch`: metaqnn sets `--{reserved}` itself \
                 (leave it out)"
        ))),
        None => Ok(()),
    }
}

/// The value of an option among words of the command line, the last one where it stands twice.
pub(super) fn option_value<'a>(
    arguments: &'a [String],
    long: &str,
    short: Option<char>,
) -> Option<&'a str> {
    let mut value = None;
    for (place, argument) in arguments.iter().enumerate() {
        let next = || arguments.get(place + 1).map(String::as_str);
        let found = if let Some(option) = argument.strip_prefix("--") {
            let (name, given) =
                option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
            (!name.is_empty() && long.starts_with(name)).then(|| given.or_else(next)).flatten()
        } else {
            let given = argument.strip_prefix('-').zip(short);
            let given = given.and_then(|(rest, letter)| rest.strip_prefix(letter));
            given.and_then(|given| if given.is_empty() { next() } else { Some(given) })
        };
        value = found.or(value);
    }
    value
}

/// Checks what a person adds to the command line of `sbatch`: options, each perhaps with its value
/// after it, none of them reserved. A word before any option would be taken for the script.
pub fn check_options(arguments: &[String]) -> Result<(), SlurmError> {
    if let Some(word) = arguments.first().filter(|word| !word.starts_with('-')) {
        return Err(SlurmError::Unusable(format!(
            "`{word}` is no option of `sbatch` (such as `-- --partition=gpu`)"
        )));
    }
    arguments.iter().try_for_each(|argument| check_not_reserved(argument))
}

/// Whether this can stand on a line of its own: `--name` or `--name=value`.
pub(super) fn is_long_option(option: &str) -> bool {
    let name = option.split('=').next().and_then(|name| name.strip_prefix("--"));
    name.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
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

    #[test]
    fn options_of_the_search_are_refused_long_short_and_abbreviated() {
        for option in [
            "--array=0-3", "--arra", "-a", "-a0-3", "-d", "-H", "-Jname", "--job=x", "-W",
            "--clusters=b",
        ] {
            assert!(check_not_reserved(option).is_err(), "{option}");
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
            option_value(&words, "partition", Some('p')).map(str::to_owned)
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
}
