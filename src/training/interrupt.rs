//! The signals by which the scheduler ends a task: `train` gets them and passes them on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// USR1: the time limit is near; the task wants to be queued again.
    TimeNearlyUp,
    /// TERM: cancelled or preempted.
    Terminate,
}

/// Which signals have arrived. Clones see the same signals.
///
/// Whoever owns the signals of the process registers [`Interrupt::flag`] for each of them; trainers
/// only look.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    time_nearly_up: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Interrupt {
    /// Returns the flag that a handler of `signal` sets (`signal_hook::flag::register` takes it as
    /// it is).
    pub fn flag(&self, signal: Signal) -> Arc<AtomicBool> {
        Arc::clone(match signal {
            Signal::TimeNearlyUp => &self.time_nearly_up,
            Signal::Terminate => &self.terminate,
        })
    }

    pub fn raise(&self, signal: Signal) {
        self.flag(signal).store(true, Ordering::SeqCst);
    }

    /// Returns the signal that arrived. When both have, it is [`Signal::Terminate`], whichever came
    /// first: a cancelled task must not queue itself again.
    pub fn signal(&self) -> Option<Signal> {
        if self.terminate.load(Ordering::SeqCst) {
            Some(Signal::Terminate)
        } else if self.time_nearly_up.load(Ordering::SeqCst) {
            Some(Signal::TimeNearlyUp)
        } else {
            None
        }
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
