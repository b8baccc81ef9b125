//! How long a trainer program may take, and what it is waited for.

use std::time::{Duration, Instant};

use smart_default::SmartDefault;

use super::trainer::{Signal, TrainingEnd, TrainingError};

#[derive(Debug, Clone, Copy, SmartDefault)]
pub(super) struct Timeouts {
    /// To exit after USR1, which Slurm sends 120 s before the end.
    #[default(Duration::from_secs(90))]
    pub time_nearly_up: Duration,
    /// To exit after TERM, which Slurm follows with KILL after 30 s.
    #[default(Duration::from_secs(20))]
    pub terminate: Duration,
    /// To exit after it has closed its stdin or stdout; giving a GPU back takes its time.
    #[default(Duration::from_secs(10))]
    pub closed: Duration,
    /// To exit after its stdin was closed, and again after the TERM that follows.
    #[default(Duration::from_secs(2))]
    pub farewell: Duration,
    /// For this process to get the signal that a program ended by, when it is sent to both.
    #[default(Duration::from_secs(1))]
    pub same_signal: Duration,
    /// For the rest of what it wrote, after it has ended: the machine may be busy, or a process
    /// outside its group hold the pipe open.
    #[default(Duration::from_secs(5))]
    pub rest: Duration,
}

/// What a program is waited for, and until when.
pub(super) struct Deadline {
    pub(super) awaited: Awaited,
    until: Instant,
    silence: Duration,
    timeouts: Timeouts,
}

/// In this order: a later one takes the place of an earlier one.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Awaited {
    NextLine,
    EndOfTraining,
    /// Since it has closed this pipe.
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

    /// Waits for this from now on; returns whether it is new.
    pub(super) fn wait_for(&mut self, awaited: Awaited) -> bool {
        let timeout = match awaited {
            Awaited::NextLine | Awaited::EndOfTraining => self.silence,
            Awaited::ExitAfterClosing(_) => self.timeouts.closed,
            Awaited::ExitAfter(Signal::TimeNearlyUp) => self.timeouts.time_nearly_up,
            Awaited::ExitAfter(Signal::Terminate) => self.timeouts.terminate,
        };
        let is_closing = |awaited| matches!(awaited, Awaited::ExitAfterClosing(_));
        let is_new = awaited > self.awaited && !(is_closing(awaited) && is_closing(self.awaited));
        if is_new {
            (self.awaited, self.until) = (awaited, Instant::now() + timeout);
        }
        is_new
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.until
    }

    pub(super) fn outcome(&self) -> Result<TrainingEnd, TrainingError> {
        let seconds = self.silence.as_secs_f64();
        let silent = |problem| Err(TrainingError::Silent { problem, seconds });
        match self.awaited {
            Awaited::NextLine => silent("was silent for"),
            Awaited::EndOfTraining => silent("did not stop within"),
            Awaited::ExitAfterClosing(pipe) => Err(TrainingError::ClosedPipe { pipe }),
            Awaited::ExitAfter(_) => Ok(TrainingEnd::Interrupted),
        }
    }
}
