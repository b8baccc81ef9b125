use std::io;
use std::process::ExitStatus;

/// `command` is the whole command, quoted for a shell; `stderr` and `words` are on one line.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    #[error(
        "`{command}` is not on PATH (go to a login node of the cluster, or search on this machine \
         alone with `metaqnn run`)"
    )]
    Missing { command: &'static str },
    #[error("`{program}` has not answered within {seconds} s (is the scheduler busy, or down?)")]
    Silent { program: &'static str, seconds: u64 },
    #[error("cannot start `{program}` (is it an executable file of this machine?)")]
    Start { program: &'static str, source: io::Error },
    #[error("`{command}` failed with {status}: {stderr} (run the command by hand to look closer)")]
    Failed { command: String, status: ExitStatus, stderr: String },
    #[error("the scheduler can never start this job: {words} (it was asked with `{command}`)")]
    Impossible { command: String, words: String },
    /// No more jobs may be queued until others have ended.
    #[error(
        "`{command}` met a limit on submitted jobs, {status}: {stderr} (wait until queued jobs \
         have ended, or choose a smaller `slurm.array_size`)"
    )]
    SubmitLimit { command: String, status: ExitStatus, stderr: String },
    #[error(
        "cannot read the answer `{answer}` of `{command}`: expected {expected} (is it the \
         scheduler's own program?)"
    )]
    Answer { command: String, answer: String, expected: &'static str },
    #[error(
        "environment variable `{name}` is `{value}`, expected {expected} (was it set by hand?)"
    )]
    Variable { name: &'static str, value: String, expected: &'static str },
    /// A text of a person, why it cannot be used, and what to write instead.
    #[error("{0}")]
    Unusable(String),
}

impl SlurmError {
    /// In a few words, for a line among others.
    pub fn brief(&self) -> String {
        match self {
            Self::Failed { command, stderr, .. } => {
                let program = command.split(' ').next().unwrap_or_default();
                format!("`{program}` failed: {stderr}")
            }
            error => error.to_string().split(" (").next().unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn is_no(text: &str, what: &str) -> Self {
        Self::Unusable(format!("`{text}` is no {what}"))
    }
}
