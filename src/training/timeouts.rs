//! How long a trainer program may take, and what it is waited for.

use std::time::{Duration, Instant};

use super::error::TrainingError;
use super::interrupt::Signal;
use super::trainer::TrainingEnd;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// To exit after USR1, which Slurm sends 120 s before the end.
    pub time_nearly_up: Duration,
    /// To exit after TERM, which Slurm follows with KILL after 30 s.
    pub terminate: Duration,
    /// To exit after it has closed its stdin or stdout, as one does that is ending; giving a GPU
    /// back takes its time.
    pub closed: Duration,
    /// To exit after its stdin was closed, and again after the TERM that follows.
    pub farewell: Duration,
    /// For this process to get the signal that a program ended by, when it is sent to both.
    pub same_signal: Duration,
    /// For the rest of what it wrote, after it has ended. It is there at once, unless the machine
    /// is so busy that no thread reads it, or a process outside its group holds the pipe open.
    pub rest: Duration,
}

impl Timeouts {
    pub(super) const DEFAULT: Self = Self {
        time_nearly_up: Duration::from_secs(90),
        terminate: Duration::from_secs(20),
        closed: Duration::from_secs(10),
        farewell: Duration::from_secs(2),
        same_signal: Duration::from_secs(1),
        rest: Duration::from_secs(5),
    };
}

/// What a program is waited for, and until when.
#[derive(Debug)]
pub(super) struct Deadline {
    awaited: Awaited,
    until: Instant,
    silence: Duration,
    timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    NextLine,
    EndOfTraining,
    /// Its exit, since it has closed this pipe.
    ExitAfterClosing(&'static str),
    ExitAfter(Signal),
}

impl Deadline {
    pub(super) fn new(silence_limit: f64, timeouts: Timeouts) -> Self {
        let silence = Duration::from_secs_f64(silence_limit);
        Self { awaited: Awaited::NextLine, until: Instant::now() + silence, silence, timeouts }
    }

    /// Notes that a line came: after a stop it does not extend the wait.
    pub(super) fn line_came(&mut self) {
        if self.awaited == Awaited::NextLine {
            self.until = Instant::now() + self.silence;
        }
    }

    pub(super) fn asked_to_stop(&mut self) {
        if self.awaited == Awaited::NextLine {
            self.wait_for(Awaited::EndOfTraining, self.silence);
        }
    }

    pub(super) fn pipe_closed(&mut self, pipe: &'static str) {
        if matches!(self.awaited, Awaited::NextLine | Awaited::EndOfTraining) {
            self.wait_for(Awaited::ExitAfterClosing(pipe), self.timeouts.closed);
        }
    }

    pub(super) fn signalled(&mut self, signal: Signal) {
        let timeout = match signal {
            Signal::TimeNearlyUp => self.timeouts.time_nearly_up,
            Signal::Terminate => self.timeouts.terminate,
        };
        self.wait_for(Awaited::ExitAfter(signal), timeout);
    }

    fn wait_for(&mut self, awaited: Awaited, timeout: Duration) {
        (self.awaited, self.until) = (awaited, Instant::now() + timeout);
    }

    pub(super) const fn signal(&self) -> Option<Signal> {
        match self.awaited {
            Awaited::ExitAfter(signal) => Some(signal),
            _ => None,
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.until
    }

    pub(super) fn outcome(&self) -> Result<TrainingEnd, TrainingError> {
        let seconds = self.silence.as_secs_f64();
        match self.awaited {
            Awaited::NextLine => Err(TrainingError::Silent { seconds }),
            Awaited::EndOfTraining => Err(TrainingError::NotStopped { seconds }),
            Awaited::ExitAfterClosing(pipe) => Err(TrainingError::ClosedPipe { pipe }),
            Awaited::ExitAfter(_) => Ok(TrainingEnd::Interrupted),
        }
    }
}
