//! The rules of the protocol over the lines of one training: what may come next, by the request and
//! the lines before.

use std::str;

use super::protocol::{EpochReport, Message, Request};
use super::stderr_tail::readable;
use super::trainer::TrainingEnd;

#[derive(Debug)]
pub(super) struct Dialogue {
    epochs: u32,
    /// The greatest number of starts: one for each learning rate.
    starts: u32,
    resume: bool,
    last: Option<(u32, u32)>,
    /// Lines since the trainer was asked to stop; none before.
    lines_after_stop: Option<u32>,
    /// Where the trainer trains, as it says in its answer to a request of 0 epochs.
    pub(super) device: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Epoch(EpochReport),
    /// An epoch that was on its way when the trainer was asked to stop.
    Late,
    Ended(TrainingEnd),
    /// The training has diverged, for this reason; the trainer goes on.
    Diverged(String),
    Refused(String),
}

impl Dialogue {
    pub(super) const fn new(request: &Request) -> Self {
        Self {
            epochs: request.epochs,
            starts: request.recipe.learning_rate_tries,
            resume: request.resume,
            last: None,
            lines_after_stop: None,
            device: None,
        }
    }

    /// Notes that the trainer was asked to stop: whatever ends the training now, it is stopped.
    pub(super) const fn stop(&mut self) {
        self.lines_after_stop = Some(0);
    }

    pub(super) const fn is_stopped(&self) -> bool {
        self.lines_after_stop.is_some()
    }

    pub(super) const fn has_no_epoch(&self) -> bool {
        self.last.is_none()
    }

    /// Takes the next line of the trainer; the error says in a few words what is wrong with it.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Reply, String> {
        let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
        self.count_after_stop()?;
        // What serde finds wrong may quote the whole line.
        Ok(match Message::parse(line).map_err(|problem| readable(problem.as_bytes()))? {
            Message::Epoch(report) => {
                self.check_order(&report)?;
                if self.is_stopped() { Reply::Late } else { Reply::Epoch(report) }
            }
            Message::Refused(reason) => match self.last {
                None => Reply::Refused(readable(reason.as_bytes())),
                Some(_) => return Err("refused after an epoch".into()),
            },
            Message::Diverged { .. } if self.is_stopped() => Reply::Late,
            Message::Diverged { epoch } => Reply::Diverged(format!(
                "the loss or the accuracy of epoch {epoch} is not a finite number"
            )),
            _ if self.is_stopped() => Reply::Ended(TrainingEnd::Stopped),
            Message::Done { device } => {
                self.check_done()?;
                self.device = device.map(|device| readable(device.as_bytes()));
                Reply::Ended(TrainingEnd::Done)
            }
            Message::Failed(reason) => {
                Reply::Ended(TrainingEnd::Failed { reason: readable(reason.as_bytes()) })
            }
            Message::OutOfMemory { peak_bytes } => {
                Reply::Ended(TrainingEnd::OutOfMemory { peak_bytes })
            }
        })
    }

    /// A trainer that does not read the stop may train to the end, and writes no more than that.
    fn count_after_stop(&mut self) -> Result<(), String> {
        let Some(lines) = &mut self.lines_after_stop else { return Ok(()) };
        *lines += 1;
        if *lines > self.epochs {
            return Err(format!("more than {} lines after it was asked to stop", self.epochs));
        }
        Ok(())
    }

    fn check_order(&mut self, report: &EpochReport) -> Result<(), String> {
        let &EpochReport { start, epoch, .. } = report;
        let follows = match self.last {
            None => self.resume || epoch == 1,
            Some(last) if start == last.0 => epoch == last.1 + 1,
            Some(last) => start > last.0 && epoch == 1,
        };
        if epoch > self.epochs {
            return Err(format!("epoch {epoch} of {}", self.epochs));
        }
        if start > self.starts {
            return Err(format!(
                "start {start} of {} (`training.learning_rate_tries`)",
                self.starts
            ));
        }
        if !follows {
            let before = match self.last {
                None => "at the beginning".to_owned(),
                Some((start, epoch)) => format!("after epoch {epoch} of start {start}"),
            };
            return Err(format!("epoch {epoch} of start {start} {before}"));
        }
        self.last = Some((start, epoch));
        Ok(())
    }

    fn check_done(&self) -> Result<(), String> {
        match self.last {
            Some((_, epoch)) if epoch == self.epochs => Ok(()),
            None if self.resume || self.epochs == 0 => Ok(()),
            last => {
                let epoch = last.map_or(0, |(_, epoch)| epoch);
                Err(format!("done after epoch {epoch} of {}", self.epochs))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::request;
    use super::*;
    use proptest::prelude::*;

    /// Returns what the last of `lines` is.
    fn reply(request: &Request, lines: &[&str]) -> Result<Reply, String> {
        let mut dialogue = Dialogue::new(request);
        let mut last = Err("no line".to_owned());
        for line in lines {
            last = Ok(dialogue.take(line.as_bytes())?);
        }
        last
    }

    fn epoch(start: u32, epoch: u32) -> String {
        format!(r#"{{"epoch": {epoch}, "start": {start}, "validation_accuracy": 0.5}}"#)
    }

    fn reply_after(
        request: &Request,
        epochs: &[(u32, u32)],
        ending: &str,
    ) -> Result<Reply, String> {
        let mut lines: Vec<String> = epochs.iter().map(|&(start, at)| epoch(start, at)).collect();
        lines.push(ending.to_owned());
        reply(request, &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    const DONE: &str = r#"{"done": true}"#;

    #[test]
    fn a_training_is_done_after_its_last_epoch() {
        let done = Ok(Reply::Ended(TrainingEnd::Done));
        assert_eq!(reply_after(&request(2), &[(1, 1), (1, 2)], DONE), done);
        assert_eq!(reply_after(&request(2), &[(1, 1), (2, 1), (3, 1), (3, 2)], DONE), done);
        let early = reply_after(&request(3), &[(1, 1)], DONE);
        assert_eq!(early, Err("done after epoch 1 of 3".into()));
        assert_eq!(reply(&request(3), &[DONE]), Err("done after epoch 0 of 3".into()));
    }

    #[test]
    fn epochs_come_in_order() {
        let refused = |epochs: &[(u32, u32)]| reply_after(&request(3), epochs, DONE).unwrap_err();
        assert_eq!(refused(&[(1, 2)]), "epoch 2 of start 1 at the beginning");
        assert_eq!(refused(&[(1, 1), (1, 1)]), "epoch 1 of start 1 after epoch 1 of start 1");
        assert_eq!(refused(&[(1, 1), (1, 3)]), "epoch 3 of start 1 after epoch 1 of start 1");
        assert_eq!(refused(&[(2, 1), (1, 1)]), "epoch 1 of start 1 after epoch 1 of start 2");
        assert_eq!(refused(&[(1, 1), (2, 2)]), "epoch 2 of start 2 after epoch 1 of start 1");
        assert_eq!(refused(&[(1, 1), (1, 2), (1, 3), (1, 4)]), "epoch 4 of 3");
    }

    #[test]
    fn a_training_has_as_many_starts_as_learning_rates() {
        let starts: Vec<_> = (1..=6).map(|start| (start, 1)).collect();
        let sixth = reply_after(&request(3), &starts, DONE).unwrap_err();
        assert_eq!(sixth, "start 6 of 5 (`training.learning_rate_tries`)");
        // A trainer may leave numbers out, and gains no start by that.
        assert!(reply_after(&request(3), &[(1, 1), (5, 1)], &epoch(5, 2)).is_ok());
        assert!(reply_after(&request(3), &[(1, 1)], &epoch(6, 1)).is_err());
    }

    #[test]
    fn after_a_stop_no_more_lines_come_than_a_whole_training_has() {
        for line in [r#"{"epoch": 2, "validation_accuracy": NaN}"#.to_owned(), epoch(1, 2)] {
            let mut dialogue = Dialogue::new(&request(3));
            dialogue.stop();
            let said = (0..10).map_while(|_| dialogue.take(line.as_bytes()).ok()).count();
            assert!(said <= 3, "{said} times {line}");
        }
    }

    #[test]
    fn a_training_taken_up_again_begins_where_it_was() {
        let resumed = Request { resume: true, ..request(3) };
        let done = Ok(Reply::Ended(TrainingEnd::Done));
        assert_eq!(reply_after(&resumed, &[(2, 2), (2, 3)], DONE), done);
        assert_eq!(reply(&resumed, &[DONE]), done);
    }

    #[test]
    fn whatever_ends_a_stopped_training_it_is_stopped() {
        for ending in [DONE, r#"{"failed": "diverged"}"#, r#"{"out_of_memory": true}"#] {
            let mut dialogue = Dialogue::new(&request(3));
            assert!(matches!(dialogue.take(epoch(1, 1).as_bytes()), Ok(Reply::Epoch(_))));
            dialogue.stop();
            assert_eq!(dialogue.take(epoch(1, 2).as_bytes()), Ok(Reply::Late));
            assert_eq!(dialogue.take(ending.as_bytes()), Ok(Reply::Ended(TrainingEnd::Stopped)));
        }
    }

    #[test]
    fn an_epoch_that_is_no_number_is_the_networks_fault_unless_it_was_stopped() {
        let nan = r#"{"epoch": 2, "validation_accuracy": NaN}"#;
        let reason = "the loss or the accuracy of epoch 2 is not a finite number".to_owned();
        assert_eq!(reply_after(&request(3), &[(1, 1)], nan), Ok(Reply::Diverged(reason)));
        let mut dialogue = Dialogue::new(&request(3));
        dialogue.stop();
        assert_eq!(dialogue.take(nan.as_bytes()), Ok(Reply::Late));
    }

    #[test]
    fn a_refusal_comes_before_the_first_epoch() {
        let refusal = r#"{"refused": "no GPU"}"#;
        assert_eq!(reply(&request(1), &[refusal]), Ok(Reply::Refused("no GPU".into())));
        assert!(reply_after(&request(2), &[(1, 1)], refusal).is_err());
    }

    #[test]
    fn a_reason_of_a_megabyte_is_cut() {
        let long = "x".repeat(1 << 20);
        let Ok(Reply::Ended(TrainingEnd::Failed { reason })) =
            reply(&request(1), &[&format!(r#"{{"failed": "{long}\n\u0007"}}"#)])
        else {
            panic!("a failure is an ending")
        };
        assert!(reason.len() < 500);
        assert!(
            reply(&request(1), &[&format!(r#"{{"done": "{long}"}}"#)]).unwrap_err().len() < 500
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Dialogue::new(&request(1)).take(&line);
        }

        /// Whatever was said before, an accepted last epoch means a whole curve: 1, 2, ..., epochs.
        #[test]
        fn an_accepted_curve_is_whole(said in proptest::collection::vec((1..4_u32, 1..5_u32), 0..30)) {
            let mut dialogue = Dialogue::new(&request(3));
            let mut curve = Vec::new();
            for (start, at) in said {
                if let Ok(Reply::Epoch(_)) = dialogue.take(epoch(start, at).as_bytes()) {
                    if at == 1 {
                        curve.clear();
                    }
                    curve.push(at);
                }
            }
            if dialogue.take(DONE.as_bytes()).is_ok() {
                prop_assert_eq!(curve, vec![1, 2, 3]);
            }
        }
    }
}
