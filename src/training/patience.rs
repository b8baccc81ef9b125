//! How long a trainer is waited for, and what for.

use std::time::{Duration, Instant};

use super::error::TrainingError;
use super::interrupt::Signal;
use super::trainer::Ending;

/// How long a program may take over what it is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To exit after USR1, which Slurm sends 120 s before the end: 90 s.
    pub time_nearly_up: Duration,
    /// To exit after TERM, which Slurm follows with KILL after 30 s: 20 s.
    pub terminate: Duration,
    /// To exit after it has closed its stdin or stdout, as one does that is ending; giving a GPU back takes its time: 10 s.
    pub closed: Duration,
    /// To exit after its stdin was closed, and again after the TERM that follows: 2 s.
    pub farewell: Duration,
    /// For this process to get the signal that a program ended by, when it is sent to both: 1 s.
    pub same_signal: Duration,
    /// For the rest of what it wrote, after it has ended. It is there at once, unless the machine is so
    /// busy that nobody reads it, or a process outside its group holds the pipe open: 5 s.
    pub rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            time_nearly_up: Duration::from_secs(90),
            terminate: Duration::from_secs(20),
            closed: Duration::from_secs(10),
            farewell: Duration::from_secs(2),
            same_signal: Duration::from_secs(1),
            rest: Duration::from_secs(5),
        }
    }
}

/// What a program is waited for, and until when.
#[derive(Debug)]
pub(super) struct Wait {
    what: Awaited,
    until: Instant,
    silence: Duration,
    patience: Patience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Its next word.
    Word,
    /// The end of a training that it was asked to stop.
    EndOfTraining,
    /// Its end, since it has closed a pipe.
    EndOfPipe(&'static str),
    /// Its end, since it was passed a signal.
    EndAfter(Signal),
}

impl Wait {
    /// Begins to wait for a word.
    pub(super) fn begin(silence_limit: f64, patience: Patience) -> Self {
        let silence = Duration::from_secs_f64(silence_limit);
        Self { what: Awaited::Word, until: Instant::now() + silence, silence, patience }
    }

    /// Notes that a word came.
    pub(super) fn heard(&mut self) {
        if self.what == Awaited::Word {
            self.until = Instant::now() + self.silence;
        }
    }

    /// Notes that it was asked to stop: from now on a line from it does not extend the wait.
    pub(super) fn asked_to_stop(&mut self) {
        if self.what == Awaited::Word {
            self.what = Awaited::EndOfTraining;
            self.until = Instant::now() + self.silence;
        }
    }

    /// Notes that a pipe is closed, seen from the program.
    pub(super) fn pipe_closed(&mut self, pipe: &'static str) {
        if matches!(self.what, Awaited::Word | Awaited::EndOfTraining) {
            self.what = Awaited::EndOfPipe(pipe);
            self.until = Instant::now() + self.patience.closed;
        }
    }

    /// Notes that a signal was passed on.
    pub(super) fn told(&mut self, signal: Signal) {
        self.what = Awaited::EndAfter(signal);
        self.until = Instant::now()
            + match signal {
                Signal::TimeNearlyUp => self.patience.time_nearly_up,
                Signal::Terminate => self.patience.terminate,
            };
    }

    /// Returns whether some signal was passed on.
    pub(super) const fn is_for_exit(&self) -> bool {
        matches!(self.what, Awaited::EndAfter(_))
    }

    /// Returns whether `signal` was passed on.
    pub(super) fn is_for_exit_after(&self, signal: Signal) -> bool {
        self.what == Awaited::EndAfter(signal)
    }

    /// Returns whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Returns what it means that the wait was in vain.
    pub(super) fn outcome(&self) -> Result<Ending, TrainingError> {
        match self.what {
            Awaited::Word => Err(TrainingError::Silent { seconds: self.silence.as_secs_f64() }),
            Awaited::EndOfTraining => {
                Err(TrainingError::NotStopped { seconds: self.silence.as_secs_f64() })
            }
            Awaited::EndOfPipe(pipe) => Err(TrainingError::ClosedPipe { pipe }),
            Awaited::EndAfter(_) => Ok(Ending::Interrupted),
        }
    }
}
