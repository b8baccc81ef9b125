//! What can be wrong with a recipe or with a trainer. A network that fails is no error.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use signal_hook::low_level::signal_name;

use crate::invalid::Invalid;

#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(
        "cannot start the threads that listen to a child process \
         (see `ulimit -u`, and the limits of the job)"
    )]
    Thread(#[source] io::Error),
    /// `beside` is the folder of `metaqnn`.
    #[error(
        "found no `metaqnn-torch`, neither in `{}` nor on PATH (build it: \
         `scripts/setup-libtorch.sh`, then `cargo build --release`; or choose another \
         `training.trainer`)",
        beside.display()
    )]
    NoTorch { beside: PathBuf },
    /// `child` is `the trainer` or `the worker`.
    #[error(
        "failed to start {child} `{}` (is it an executable file of this machine?)",
        program.display()
    )]
    Start { child: &'static str, program: PathBuf, source: io::Error },
    /// No GPU, no data: the machine's or the user's fault.
    #[error("the trainer `{}` refused to work: {reason}", program.display())]
    Refused { program: PathBuf, reason: String },
    /// `stderr` is the last line of it.
    #[error("the trainer crashed ({}): {stderr}", describe(*status))]
    Crashed { status: ExitStatus, stderr: String },
    #[error("the trainer broke the protocol: {problem}, in `{line}`")]
    Protocol { problem: String, line: String },
    #[error("the trainer closed its {pipe} and lives on")]
    ClosedPipe { pipe: &'static str },
    #[error("the trainer did not stop within {seconds} s (`training.silence_limit`)")]
    NotStopped { seconds: f64 },
    #[error("the trainer was silent for {seconds} s (`training.silence_limit`)")]
    Silent { seconds: f64 },
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
