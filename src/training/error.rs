//! What can be wrong with a recipe or with a trainer. A network that fails is no error.

use std::io;
use std::path::PathBuf;

/// An error of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A parameter outside its range.
    #[error("`training.{key}` is `{value}` (must be {least} to {most})")]
    OutOfRange {
        /// The key below `training`.
        key: &'static str,
        /// The value found.
        value: f64,
        /// Smallest legal value.
        least: f64,
        /// Greatest legal value.
        most: f64,
    },
    /// The trainer `command` without a command.
    #[error(
        "`training.trainer` is `command` and `training.command` is empty (give program and arguments as a list)"
    )]
    NoCommand,
    /// A command that nobody would run.
    #[error("`training.command` is given, but `training.trainer` is not `command`")]
    UnusedCommand,
    /// The trainer program could not be started.
    #[error("failed to start the trainer `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The trainer refused to work before it began (no GPU, no data): the machine's or the user's fault.
    #[error("the trainer `{}` ended before its first epoch: {last_words}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// The last lines it wrote to stderr.
        last_words: String,
    },
    /// The trainer ended without an answer.
    #[error("the trainer crashed ({how})")]
    Crashed {
        /// Exit status or signal.
        how: String,
    },
    /// The trainer said something that is not in the protocol.
    #[error("the trainer broke the protocol: {problem}, in `{line}`")]
    Protocol {
        /// What is wrong.
        problem: String,
        /// The line, cut to a readable length.
        line: String,
    },
    /// The trainer said nothing for too long.
    #[error("the trainer was silent for {seconds} s (`training.silence_limit`)")]
    Silent {
        /// The limit.
        seconds: f64,
    },
    /// A pipe to the trainer, or its log, failed.
    #[error("failed to {doing}")]
    Io {
        /// What was being done, with the path where there is one.
        doing: String,
        /// Why.
        source: io::Error,
    },
}
