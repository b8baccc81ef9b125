//! What can be wrong with a recipe or with a trainer. A network that fails is no error.

use std::io;
use std::path::PathBuf;

use crate::invalid::Invalid;

/// An error of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A limit of the system.
    #[error(
        "cannot start the threads that speak to a trainer (see `ulimit -u`, and the limits of the job)"
    )]
    Thread(#[source] io::Error),
    /// The trainer `torch` without its program.
    #[error(
        "found no `metaqnn-torch`, neither in `{}` nor on PATH (build it: `scripts/setup-libtorch.sh`, \
         then `cargo build --release`; or choose another `training.trainer`)",
        beside.display()
    )]
    NoTorch {
        /// The folder of `metaqnn`.
        beside: PathBuf,
    },
    /// The trainer program could not be started.
    #[error("failed to start the trainer `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The trainer said that it cannot work here (no GPU, no data): the machine's or the user's fault.
    #[error("the trainer `{}` refused to work: {reason}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The trainer ended without an answer.
    #[error("the trainer crashed ({how}): {last_words}")]
    Crashed {
        /// Exit status or signal.
        how: String,
        /// The last line it wrote to stderr.
        last_words: String,
    },
    /// The trainer said something that is not in the protocol.
    #[error("the trainer broke the protocol: {problem}, in `{line}`")]
    Protocol {
        /// What is wrong.
        problem: String,
        /// The line, cut to a readable length.
        line: String,
    },
    /// The trainer closed a pipe and did not end.
    #[error("the trainer closed its {pipe} and lives on")]
    ClosedPipe {
        /// Which of its pipes.
        pipe: &'static str,
    },
    /// The trainer did not end a training that it was asked to stop.
    #[error("the trainer did not stop within {seconds} s (`training.silence_limit`)")]
    NotStopped {
        /// The limit.
        seconds: f64,
    },
    /// The trainer said nothing for too long.
    #[error("the trainer was silent for {seconds} s (`training.silence_limit`)")]
    Silent {
        /// The limit.
        seconds: f64,
    },
}

impl TrainingError {
    /// Whether the trainer cannot work here at all, whatever the network: nothing is lost then.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NoTorch { .. } | Self::Start { .. } | Self::Refused { .. })
    }
}
