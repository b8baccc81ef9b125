//! One command of Slurm, run, and what it said.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitStatus, Stdio};

use super::quoting::command_line;
use super::{SlurmError, Variables};

/// What Slurm says of a job that it does not know any more.
pub(super) const FORGOTTEN: &str = "Invalid job id specified";

/// What a command said.
#[derive(Debug)]
pub(super) struct Answer {
    /// The whole command, quoted for a shell.
    pub(super) command: String,
    status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub(super) stderr: String,
}

/// Runs a command to its end, in this environment and no other.
///
/// # Errors
/// When it cannot be started. That it failed is part of the answer.
pub(super) fn ask(
    program: &'static str,
    arguments: &[OsString],
    environment: &Variables,
) -> Result<Answer, SlurmError> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SlurmError::Missing { command: program },
            _ => SlurmError::Start { program: program.into(), source },
        })?;
    Ok(Answer {
        command: command_line(program, arguments),
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

impl Answer {
    /// Returns whether the command failed with these words.
    pub(super) fn failed_with(&self, words: &str) -> bool {
        !self.status.success() && self.stderr.contains(words)
    }

    /// Returns whether the command succeeded.
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Succeeds when the command did.
    pub(super) fn success(self) -> Result<Self, SlurmError> {
        if self.status.success() {
            return Ok(self);
        }
        let is_submit_limit = is_submit_limit(&self.stderr);
        let (stderr, Self { command, status, .. }) = (one_line(&self.stderr), self);
        Err(if is_submit_limit {
            SlurmError::SubmitLimit { command, status, stderr }
        } else {
            SlurmError::Failed { command, status, stderr }
        })
    }

    /// Succeeds too when each complaint is that a job, or some tasks of it, have ended. Of an array that has ended in
    /// part, Slurm lists the other tasks as well: `50_1: No error`.
    pub(super) fn success_or_ended(self) -> Result<(), SlurmError> {
        const ENDED: [&str; 4] =
            [FORGOTTEN, "already finished", "already completing or completed", ": No error"];
        let has_ended = |complaint: &str| ENDED.iter().any(|words| complaint.contains(words));
        let only_ended = !self.stderr.is_empty() && self.stderr.lines().all(has_ended);
        if only_ended { Ok(()) } else { self.success().map(|_| ()) }
    }

    /// Makes the error of an answer that cannot be read; `line` is what was not understood.
    pub(super) fn unreadable(&self, line: &str, expected: &'static str) -> SlurmError {
        SlurmError::Answer {
            command: self.command.clone(),
            answer: line.trim().to_owned(),
            expected,
        }
    }
}

/// Puts complaints beside each other: an error is one line, in a log file and in a reason of a row.
pub(super) fn one_line(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Returns whether `sbatch` refused a job only because too many are queued.
///
/// The policy message alone also stands for limits on size and time, which waiting does not help; then the line before
/// it names a limit that is not one on submission (`QOSMaxWallDurationPerJobLimit`). Some releases print no such line.
fn is_submit_limit(stderr: &str) -> bool {
    let reason = stderr.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        word.ends_with("Limit") && (word.starts_with("Assoc") || word.starts_with("QOS"))
    });
    match reason {
        Some(reason) => reason.contains("Submit"),
        None => {
            stderr.contains("Job violates accounting/QOS policy")
                // `MaxJobCount` of the whole cluster; sbatch itself has tried again for two minutes.
                || stderr.contains("temporarily unable to accept job")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_on_submitted_jobs_are_told_from_other_refusals() {
        // As printed by Slurm 22.05.8 for limits on an association, a user of a QOS, a QOS and an account.
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
}
