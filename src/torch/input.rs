//! Lines of stdin and signals in one queue, which the trainer can wait for, or only look into.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use metaqnn::training::protocol::{Message, Stop};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Line(String),
    End,
    /// USR1 (time is nearly up) or TERM.
    Signal,
}

/// The answer to a request; none when a signal came and the process has to go.
pub type Answer = Option<Message>;
pub const DONE: Answer = Some(Message::Done { device: None, libtorch: None });

#[derive(Debug)]
pub struct Inbox {
    events: Receiver<Input>,
    /// Came while a training ran, and is for afterwards.
    later: VecDeque<Input>,
}

impl Inbox {
    pub fn open() -> io::Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut signals = Signals::new([SIGUSR1, SIGTERM])?;
        let on_signal = sender.clone();
        // A queue without a reader means that the program is ending.
        thread::Builder::new()
            .spawn(move || signals.forever().try_for_each(|_| on_signal.send(Input::Signal)))?;
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

    /// Waits for the next request, or a reason to leave. A `stop` that comes now came too late.
    pub fn next(&mut self) -> Input {
        loop {
            let later = self.later.pop_front();
            match later.unwrap_or_else(|| self.events.recv().unwrap_or(Input::End)) {
                Input::Line(line) if line.trim().is_empty() || is_stop(&line) => {}
                input => return input,
            }
        }
    }

    /// Breaks, without waiting, when the running training is to be cut short. The end of stdin is
    /// no reason: `metaqnn-torch < request.json` trains to the end.
    pub fn interruption(&mut self) -> ControlFlow<Answer> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Input::Line(line) if is_stop(&line) => return ControlFlow::Break(DONE),
                Input::Signal => return ControlFlow::Break(None),
                event => self.later.push_back(event),
            }
        }
        ControlFlow::Continue(())
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
        assert_eq!(inbox.interruption(), ControlFlow::Continue(()));
        assert_eq!(inbox.next(), Input::End);
    }

    #[test]
    fn what_is_no_stop_waits_for_the_end_of_the_training() {
        let mut inbox = inbox(&[line("second"), line(r#"{"stop": true}"#), Input::End]);
        assert_eq!(inbox.interruption(), ControlFlow::Break(DONE));
        assert_eq!(inbox.interruption(), ControlFlow::Continue(()));
        assert_eq!(inbox.next(), line("second"));
        assert_eq!(inbox.next(), Input::End);
    }

    #[test]
    fn a_signal_ends_both_training_and_waiting() {
        assert_eq!(inbox(&[Input::Signal]).interruption(), ControlFlow::Break(None));
        assert_eq!(inbox(&[Input::Signal]).next(), Input::Signal);
    }

    #[test]
    fn the_end_of_stdin_does_not_cut_a_training_short() {
        assert_eq!(inbox(&[Input::End]).interruption(), ControlFlow::Continue(()));
    }
}
