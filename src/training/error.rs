//! What can be wrong with a recipe or with a trainer. A network that fails is no error.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use signal_hook::low_level::signal_name;

use crate::invalid::Invalid;

/// An error of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A limit of the system.
    #[error(
        "cannot start the threads that listen to a child process (see `ulimit -u`, and the limits of the job)"
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
    /// A trainer or a worker could not be started.
    #[error("failed to start {child} `{}` (is it an executable file of this machine?)", program.display())]
    Start {
        /// `the trainer` or `the worker`.
        child: &'static str,
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
    #[error("the trainer crashed ({}): {stderr}", describe(*status))]
    Crashed {
        status: ExitStatus,
        /// The last line it wrote to stderr.
        stderr: String,
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

/// Says how a program ended: `exit status 3`, `signal 9 (KILL)`.
fn describe(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit status {}", status.code().unwrap_or_default());
    };
    let name = signal_name(signal).map_or("?", |name| name.trim_start_matches("SIG"));
    format!("signal {signal} ({name})")
}
