//! What every trainer does: its trait, how a training ends, its errors, and the signals by which
//! the scheduler ends a task.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use signal_hook::consts::SIGKILL;
use signal_hook::low_level::signal_name;

use super::protocol::{EpochReport, Request};

/// Time between two looks at a process or a flag.
pub(crate) const TICK: Duration = Duration::from_millis(20);

pub trait Trainer {
    /// Trains the network of `request`, calling `on_report` after each epoch; a break then ends the
    /// training early, and from then on it is [`TrainingEnd::Stopped`] whatever else happens.
    ///
    /// `log` is where the last lines of the trainer's stderr go; a trainer that says nothing makes
    /// no file.
    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_report: &mut dyn FnMut(Report) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError>;
}

#[derive(Debug, Clone, Copy)]
pub enum Report<'a> {
    Epoch(&'a EpochReport),
    /// A sign of life within an epoch.
    Batch {
        batch: u64,
        of: u64,
    },
}

/// How a training ended, as far as the trainer knows.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingEnd {
    Done,
    /// Ended early because the callback asked for it.
    Stopped,
    /// Ended early by a rule of the trainer's own.
    EndedItself,
    Failed {
        reason: String,
    },
    /// `peak_bytes`: the greatest memory in use, when known.
    OutOfMemory {
        peak_bytes: Option<u64>,
    },
    /// Ended by a signal, its checkpoint whole if it keeps any; to be taken up again.
    /// `Interrupt::signal` says which signal; none when only the trainer got it.
    Interrupted,
}

/// A trainer that is at fault; a network that fails is a [`TrainingEnd`].
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(
        "cannot start the threads that listen to a child process \
         (see `ulimit -u`, and the limits of the job)"
    )]
    Thread(#[source] io::Error),
    #[error(
        "found no `metaqnn-torch`, neither in `{}` nor on PATH (build it: \
         `scripts/setup-libtorch.sh`, then `cargo build --release`; or choose another \
         `training.trainer`)",
        beside.display()
    )]
    NoTorch { beside: PathBuf },
    #[error("failed to start {child} `{}` ({})", program.display(), why_not_started(program, source))]
    Start { child: &'static str, program: PathBuf, source: io::Error },
    /// No GPU, no data: the machine's or the user's fault.
    #[error("the trainer `{}` refused to work: {reason}", program.display())]
    Refused { program: PathBuf, reason: String },
    #[error("{}: {stderr}", describe(*status, place))]
    Crashed { status: ExitStatus, place: String, stderr: String },
    #[error("the trainer broke the protocol: {problem}, in `{line}`")]
    Protocol { problem: String, line: String },
    #[error("the trainer closed its {pipe} and lives on")]
    ClosedPipe { pipe: &'static str },
    #[error("the trainer {problem} {seconds} s (`training.silence_limit`)")]
    Silent { problem: &'static str, seconds: f64 },
}

impl TrainingError {
    /// Whether the trainer cannot work here at all, whatever the network: nothing is lost then.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NoTorch { .. } | Self::Start { .. } | Self::Refused { .. })
    }
}

/// `the trainer crashed before the first epoch (exit status 3)`.
fn describe(status: ExitStatus, place: &str) -> String {
    if status.success() {
        return format!("the trainer ended{place} without a line `{{\"done\": true}}`");
    }
    let (code, signal) = (status.code().unwrap_or_default(), status.signal());
    let how = signal.map_or(format!("exit status {code}"), |signal| {
        let name = signal_name(signal).map_or("?", |name| name.trim_start_matches("SIG"));
        format!("signal {signal} ({name})")
    });
    // A shell that has started it ends so in its place.
    let is_killed = signal == Some(SIGKILL) || code == 128 + SIGKILL;
    let why = match is_killed {
        true => {
            ", mostly for want of memory: raise `slurm.memory`, see `oom-kill` in the job's log"
        }
        false => "",
    };
    format!("the trainer crashed{place} ({how}{why})")
}

fn why_not_started(program: &Path, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "make it executable: `chmod +x`",
        io::ErrorKind::NotFound if program.is_file() => {
            "its first line names an interpreter that is not there, or ends in a carriage return"
        }
        io::ErrorKind::NotFound => "it is not there; no shell reads `$`, `~` or a second word",
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            "no program of this machine; a script begins with `#!` and its interpreter"
        }
        _ => "is it an executable file of this machine?",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Signal {
    /// USR1: the time limit is near; the task wants to be queued again.
    TimeNearlyUp,
    /// TERM: cancelled or preempted.
    Terminate,
}

/// Which signals have arrived. Clones see the same ones.
#[derive(Debug, Clone, Default)]
pub struct Interrupt([Arc<AtomicBool>; 2]);

impl Interrupt {
    pub fn flag(&self, signal: Signal) -> Arc<AtomicBool> {
        Arc::clone(&self.0[signal as usize])
    }

    pub fn raise(&self, signal: Signal) {
        self.flag(signal).store(true, Ordering::SeqCst);
    }

    /// Of both it is [`Signal::Terminate`]: a cancelled task must not queue itself again.
    pub fn signal(&self) -> Option<Signal> {
        [Signal::Terminate, Signal::TimeNearlyUp]
            .into_iter()
            .find(|&signal| self.flag(signal).load(Ordering::SeqCst))
    }

    /// Waits so long, or until a signal arrives; returns whether one has.
    pub(crate) fn arrives_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while self.signal().is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(TICK));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_task_is_cancelled_whatever_other_signal_came() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.signal(), None);
        interrupt.clone().raise(Signal::Terminate);
        interrupt.raise(Signal::TimeNearlyUp);
        assert_eq!(interrupt.signal(), Some(Signal::Terminate));
    }
}
