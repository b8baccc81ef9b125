//! What reaches the trainer from outside: lines of stdin, and signals.
//!
//! Two threads wait for them and put them into one queue, so that the trainer can wait for a
//! request and yet look, between two optimizer steps, whether it should stop.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use metaqnn::training::protocol::Stop;
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Line(String),
    End,
    /// USR1 (time is nearly up) or TERM.
    Signal,
}

/// Why a training is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The search wants no further epoch of this network.
    Stop,
    /// A signal: the process has to go.
    Signal,
}

/// The queue of what came from outside.
#[derive(Debug)]
pub struct Inbox {
    events: Receiver<Input>,
    /// Came while a training ran, and is for afterwards.
    later: VecDeque<Input>,
}

impl Inbox {
    /// Starts listening to stdin and to USR1 and TERM.
    pub fn open() -> io::Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut signals = Signals::new([SIGUSR1, SIGTERM])?;
        let on_signal = sender.clone();
        // A queue without a reader means that the program is ending.
        thread::Builder::new().spawn(move || {
            for _ in signals.forever() {
                let _ = on_signal.send(Input::Signal);
            }
        })?;
        thread::Builder::new().spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let _ = sender.send(Input::Line(line));
            }
            let _ = sender.send(Input::End);
        })?;
        Ok(Self::new(events))
    }

    pub const fn new(events: Receiver<Input>) -> Self {
        Self { events, later: VecDeque::new() }
    }

    /// Waits for the next request, or a reason to leave. A `stop` that comes when nothing is
    /// being trained came too late and is passed over, as are blank lines.
    pub fn next(&mut self) -> Input {
        loop {
            let later = self.later.pop_front();
            match later.unwrap_or_else(|| self.events.recv().unwrap_or(Input::End)) {
                Input::Line(line) if line.trim().is_empty() || is_stop(&line) => {}
                input => return input,
            }
        }
    }

    /// Says, without waiting, whether the running training is to be cut short.
    ///
    /// The end of stdin is no reason: `metaqnn-torch < request.json` trains to the end.
    pub fn interruption(&mut self) -> Option<Interruption> {
        loop {
            match self.events.try_recv() {
                Ok(Input::Line(line)) if is_stop(&line) => return Some(Interruption::Stop),
                Ok(Input::Signal) => return Some(Interruption::Signal),
                Ok(event) => self.later.push_back(event),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }
}

fn is_stop(line: &str) -> bool {
    serde_json::from_str::<Stop>(line).is_ok_and(|message| message.stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(events: &[Input]) -> Inbox {
        let (sender, receiver) = mpsc::channel();
        for event in events {
            sender.send(event.clone()).unwrap();
        }
        Inbox::new(receiver)
    }

    fn line(text: &str) -> Input {
        Input::Line(text.into())
    }

    #[test]
    fn a_stop_ends_the_training_it_was_meant_for_and_no_later_one() {
        let mut inbox =
            inbox(&[line("first"), line(r#"{"stop": true}"#), line("second"), Input::End]);
        assert_eq!(inbox.next(), line("first"));
        // The training of `first` ended by itself before it looked.
        assert_eq!(inbox.next(), line("second"));
        assert_eq!(inbox.interruption(), None);
        assert_eq!(inbox.next(), Input::End);
    }

    #[test]
    fn what_is_no_stop_waits_for_the_end_of_the_training() {
        let mut inbox = inbox(&[line("second"), line(r#"{"stop": true}"#), Input::End]);
        assert_eq!(inbox.interruption(), Some(Interruption::Stop));
        assert_eq!(inbox.interruption(), None);
        assert_eq!(inbox.next(), line("second"));
        assert_eq!(inbox.next(), Input::End);
    }

    #[test]
    fn a_signal_ends_both_training_and_waiting() {
        assert_eq!(inbox(&[Input::Signal]).interruption(), Some(Interruption::Signal));
        assert_eq!(inbox(&[Input::Signal]).next(), Input::Signal);
    }

    #[test]
    fn the_end_of_stdin_does_not_cut_a_training_short() {
        assert_eq!(inbox(&[Input::End]).interruption(), None);
    }
}
