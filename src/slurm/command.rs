//! One command of Slurm, run, and what its answer means; quoting.

use std::process::ExitStatus;

use itertools::Itertools;

use super::SlurmError;

pub(super) const FORGOTTEN: &str = "Invalid job id specified";

#[derive(Debug)]
pub(super) struct CommandOutput {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    pub fn failed_with(&self, words: &str) -> bool {
        !self.is_success() && self.stderr.contains(words)
    }

    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    pub fn success(self) -> Result<Self, SlurmError> {
        if self.is_success() {
            return Ok(self);
        }
        let Self { command, status, stderr: said, .. } = self;
        let stderr = one_line(&said);
        Err(if is_submit_limit(&said) {
            SlurmError::SubmitLimit { command, status, stderr }
        } else {
            SlurmError::Failed { command, status, stderr }
        })
    }

    /// Of an array that has ended in part, Slurm lists the other tasks as well: `50_1: No error`.
    pub fn success_or_ended(self) -> Result<(), SlurmError> {
        const ENDED: [&str; 4] =
            [FORGOTTEN, "already finished", "already completing or completed", ": No error"];
        let has_ended = |line: &str| ENDED.iter().any(|words| line.contains(words));
        let only_ended = !self.stderr.is_empty() && self.stderr.lines().all(has_ended);
        if only_ended { Ok(()) } else { self.success().map(|_| ()) }
    }

    pub fn unreadable(&self, line: &str, expected: &'static str) -> SlurmError {
        let (command, answer) = (self.command.clone(), line.trim().to_owned());
        SlurmError::Answer { command, answer, expected }
    }
}

/// An error is one line, in a log file and in a reason of a row.
pub(super) fn one_line(stderr: &str) -> String {
    stderr.lines().map(str::trim).filter(|line| !line.is_empty()).join("; ")
}

/// The policy message also stands for limits on size and time, which waiting does not help; then
/// the line before it names one (`QOSMaxWallDurationPerJobLimit`). Some releases print no such
/// line.
fn is_submit_limit(stderr: &str) -> bool {
    let reason = stderr.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        word.ends_with("Limit") && (word.starts_with("Assoc") || word.starts_with("QOS"))
    });
    match reason {
        Some(reason) => reason.contains("Submit"),
        None => {
            stderr.contains("Job violates accounting/QOS policy")
                // `MaxJobCount` of the whole cluster; sbatch itself has tried for two minutes.
                || stderr.contains("temporarily unable to accept job")
        }
    }
}

/// Precedes the scheduler's verdict in an answer of `sbatch --test-only`.
pub(super) const ALLOCATION_FAILURE: &str = "allocation failure: ";

/// The words by which `sbatch --test-only` says that a job can never start; `None` also where a
/// wrapper or an option is at fault: then the submission itself decides.
pub(super) fn refused_for_good(words: &str) -> Option<&str> {
    const FOR_GOOD: [&str; 12] = [
        "node configuration is not available",
        "invalid",
        "exceed",
        "more processors requested than permitted",
        "task is not available",
        "not permitted",
        "permission denied",
        "not allowed",
        "not in this",
        "unsupported",
        "deprecated",
        "unspecified gres",
    ];
    // Temporary, though the text has "invalid".
    const FOR_NOW: [&str; 4] = ["credential", "job id", "protocol", "not usable now"];
    let (_, verdict) = words.split_once(ALLOCATION_FAILURE)?;
    let verdict = verdict.lines().next().unwrap_or_default().trim();
    let said = verdict.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    (has(&FOR_GOOD) && !has(&FOR_NOW)).then_some(verdict)
}

/// The option of `sbatch` that a refusal is about, if its text names one, and the key that sets it.
pub fn refused_option(words: &str) -> Option<(&'static str, &'static str)> {
    // The first that fits: "Invalid account or account/partition combination specified".
    const OPTIONS: [(&str, &str, &[&str]); 10] = [
        ("time", "time=VALUE", &["wallduration"]),
        ("array", "array_size=VALUE", &["submitjob"]),
        ("gres", "gres=VALUE", &["gres", "generic resource"]),
        ("constraint", "constraint=VALUE", &["feature", "constraint"]),
        ("time", "time=VALUE", &["time limit is invalid", "--time", "partitiontimelimit"]),
        ("reservation", "extra_options=[--reservation=VALUE]", &["reservation"]),
        ("qos", "qos=VALUE", &["invalid qos", "job's qos"]),
        (
            "account",
            "account=VALUE",
            &["invalidaccount", "account or", "--account", "job's account"],
        ),
        ("partition", "partition=VALUE", &["partition"]),
        ("mem", "memory=VALUE", &["memory"]),
    ];
    let words = words.to_ascii_lowercase();
    let is_named = |names: &[&str]| names.iter().any(|name| words.contains(name));
    OPTIONS.iter().find(|(.., names)| is_named(names)).map(|&(option, key, _)| (option, key))
}

/// Quotes text without NUL as one word of a POSIX shell.
pub(super) fn shell_quoted(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Quotes text without line break as the value of an option on a line `#SBATCH --option=value`, by
/// rules of `sbatch`: white space and `#` end a word unless quoted, and a backslash makes the next
/// character plain, within quotes too.
pub(super) fn directive_quoted(text: &str) -> String {
    let escaped = || text.replace('\\', r"\\").replace('"', "\\\"");
    if is_plain(text) { text.to_owned() } else { format!("\"{}\"", escaped()) }
}

pub(super) fn command_line(program: &str, arguments: &[String]) -> String {
    arguments.iter().fold(program.to_owned(), |line, word| line + " " + &shell_quoted(word))
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn limits_on_submitted_jobs_are_told_from_other_refusals() {
        // As printed by Slurm 22.05.8 for limits on an association, a user of a QOS, a QOS and an
        // account.
        let captured = include_str!("../../tests/fixtures/slurm/sbatch_limits.txt");
        assert!(captured.split("--\n").all(is_submit_limit));
        let policy = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)";
        assert!(is_submit_limit(policy));
        assert!(is_submit_limit(
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"
        ));
        assert!(!is_submit_limit(&format!(
            "sbatch: error: QOSMaxWallDurationPerJobLimit\n{policy}"
        )));
        assert!(!is_submit_limit(
            "sbatch: error: Batch job submission failed: Invalid qos specification"
        ));
    }

    #[test]
    fn what_can_never_start_is_told_from_what_cannot_start_now() {
        // The first four as printed by Slurm 22.05.8.
        for words in [
            "allocation failure: Requested node configuration is not available",
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified",
            "allocation failure: Invalid feature specification",
            "sbatch: error: Invalid generic resource (gres) specification\nallocation failure: Invalid generic resource (gres) specification",
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            "allocation failure: User's group not permitted to use this partition",
        ] {
            assert!(refused_for_good(words).is_some(), "{words}");
        }
        for words in [
            "sbatch: Job 15 to start at 2026-11-28T21:04:17 using 1 processors on nodes n1 in partition batch",
            "allocation failure: Requested nodes are busy",
            "allocation failure: Required node not available (down, drained or reserved)",
            "allocation failure: Requested partition configuration not available now",
            "allocation failure: Requested reservation not usable now",
            "allocation failure: Unable to contact slurm controller (connect failure)",
            "sbatch: unrecognized option '--test-only'",
            "sbatch: error: invalid option --test-only of this site's sbatch",
            "",
        ] {
            assert_eq!(refused_for_good(words), None, "{words}");
        }
    }

    #[test]
    fn a_refusal_names_the_option_to_correct() {
        for (words, option) in [
            ("sbatch: error: invalid partition specified: gpux", Some("partition")),
            ("Invalid account or account/partition combination specified", Some("account")),
            ("sbatch: error: several accounts are yours, name one with --account", Some("account")),
            ("Invalid qos specification", Some("qos")),
            ("sbatch: error: Invalid generic resource (gres) specification", Some("gres")),
            ("Invalid feature specification", Some("constraint")),
            ("Requested time limit is invalid (missing or exceeds some limit)", Some("time")),
            ("Requested reservation is invalid", Some("reservation")),
            ("sbatch: error: Memory specification can not be satisfied", Some("mem")),
            (
                "sbatch: error: QOSMaxWallDurationPerJobLimit; Job violates accounting/QOS policy",
                Some("time"),
            ),
            ("Requested node configuration is not available", None),
        ] {
            assert_eq!(refused_option(words).map(|(it, _)| it), option, "{words}");
        }
    }

    /// Lets a real shell take the words apart again.
    fn words_of_a_shell(quoted: &[String]) -> Vec<String> {
        let script = format!("printf '%s\\0' {}", quoted.join(" "));
        let output = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Takes a directive apart by the rules of `sbatch`, as they were tried on 22.05.
    fn words_of_a_directive(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        let mut characters = line.chars();
        while let Some(c) = characters.next() {
            match (c, quote) {
                ('\\', _) => word.extend(characters.next()),
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                ('#', None) => break,
                (c, None) if c.is_ascii_whitespace() => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()))
                }
                _ => word.push(c),
            }
        }
        words.extend(Some(word).filter(|w| !w.is_empty()));
        words
    }

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(shell_quoted("--array=0-9%4"), "--array=0-9%4");
        assert_eq!(directive_quoted("/scratch/svhn_1/%A_%a.log"), "/scratch/svhn_1/%A_%a.log");
    }

    #[test]
    fn the_empty_word_is_a_word() {
        assert_eq!(shell_quoted(""), "''");
        assert_eq!(directive_quoted(""), "\"\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_gives_every_word_back(words in proptest::collection::vec("[^\\x00]{0,30}|[ '\"\\\\$`!*~#&;\n]{0,12}", 1..8)) {
            let quoted: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
            prop_assert_eq!(words_of_a_shell(&quoted), words);
        }

        #[test]
        fn sbatch_gives_every_value_back(value in "[^\\x00-\\x1f]{1,40}|[ '\"\\\\#%]{1,12}") {
            let line = format!("--output={} --requeue", directive_quoted(&value));
            prop_assert_eq!(words_of_a_directive(&line), [format!("--output={value}"), "--requeue".to_owned()]);
        }
    }
}
