//! The rules of the protocol over the lines of one training: what may come next, by the request and
//! the lines before.

use std::str;

use super::protocol::{EpochReport, Message, Request};
use super::stderr_tail::readable;

pub(super) struct Dialogue<'a> {
    request: &'a Request,
    /// Start and epoch of the last report.
    last: Option<(u32, u32)>,
    /// Lines since the trainer was asked to stop; none before.
    lines_after_stop: Option<u32>,
    /// Where the trainer trains, as it says in its answer to a request of 0 epochs.
    pub(super) device: Option<String>,
}

impl<'a> Dialogue<'a> {
    pub(super) const fn new(request: &'a Request) -> Self {
        Self { request, last: None, lines_after_stop: None, device: None }
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

    /// Takes the next line of the trainer: its message, none for an epoch that was on its way when
    /// the trainer was asked to stop. The error says in a few words what is wrong with it.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Option<Message>, String> {
        let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
        self.count_after_stop()?;
        // What serde finds wrong may quote the whole line.
        let mut message = Message::parse(line).map_err(|problem| readable(problem.as_bytes()))?;
        match &mut message {
            Message::Epoch(report) => self.check_order(report)?,
            Message::Refused(_) if self.last.is_some() => {
                return Err("refused after an epoch".into());
            }
            Message::Done { device } => {
                self.check_done()?;
                self.device = device.take().map(|device| readable(device.as_bytes()));
            }
            Message::Refused(reason) | Message::Failed(reason) => {
                *reason = readable(reason.as_bytes());
            }
            Message::Diverged { .. } | Message::OutOfMemory { .. } => {}
        }
        let is_epoch = matches!(message, Message::Epoch(_) | Message::Diverged { .. });
        Ok(Some(message).filter(|_| !(is_epoch && self.is_stopped())))
    }

    /// A trainer that does not read the stop may train to the end, and writes no more than that.
    fn count_after_stop(&mut self) -> Result<(), String> {
        let Some(lines) = &mut self.lines_after_stop else { return Ok(()) };
        *lines += 1;
        if *lines > self.request.epochs {
            let most = self.request.epochs;
            return Err(format!("more than {most} lines after it was asked to stop"));
        }
        Ok(())
    }

    fn check_order(
        &mut self,
        &EpochReport { start, epoch, .. }: &EpochReport,
    ) -> Result<(), String> {
        let (epochs, starts) = (self.request.epochs, self.request.recipe.learning_rate_tries);
        if epoch > epochs {
            return Err(format!("epoch {epoch} of {epochs}"));
        }
        if start > starts {
            return Err(format!("start {start} of {starts} (`training.learning_rate_tries`)"));
        }
        let (follows, before) = match self.last {
            None => (self.request.resume || epoch == 1, "at the beginning".to_owned()),
            Some((last_start, last)) => (
                if start == last_start {
                    epoch == last + 1
                } else {
                    start > last_start && epoch == 1
                },
                format!("after epoch {last} of start {last_start}"),
            ),
        };
        if !follows {
            return Err(format!("epoch {epoch} of start {start} {before}"));
        }
        self.last = Some((start, epoch));
        Ok(())
    }

    /// A training that was resumed after its last epoch reports none; a stopped one may be short.
    fn check_done(&self) -> Result<(), String> {
        let (done, epochs) = (self.last.map_or(0, |(_, epoch)| epoch), self.request.epochs);
        let is_resumed = self.request.resume && self.last.is_none();
        if done == epochs || is_resumed || self.is_stopped() {
            return Ok(());
        }
        Err(format!("done after epoch {done} of {epochs}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::request;
    use super::*;
    use proptest::prelude::*;

    /// Returns what the last of `lines` is.
    fn reply(request: &Request, lines: &[&str]) -> Result<Option<Message>, String> {
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
    ) -> Result<Option<Message>, String> {
        let mut lines: Vec<String> = epochs.iter().map(|&(start, at)| epoch(start, at)).collect();
        lines.push(ending.to_owned());
        reply(request, &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    const DONE: &str = r#"{"done": true}"#;

    #[test]
    fn a_training_is_done_after_its_last_epoch() {
        let done = Ok(Some(Message::Done { device: None }));
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
            let asked = request(3);
            let mut dialogue = Dialogue::new(&asked);
            dialogue.stop();
            let said = (0..10).map_while(|_| dialogue.take(line.as_bytes()).ok()).count();
            assert!(said <= 3, "{said} times {line}");
        }
    }

    #[test]
    fn a_training_taken_up_again_begins_where_it_was() {
        let resumed = Request { resume: true, ..request(3) };
        let done = Ok(Some(Message::Done { device: None }));
        assert_eq!(reply_after(&resumed, &[(2, 2), (2, 3)], DONE), done);
        assert_eq!(reply(&resumed, &[DONE]), done);
    }

    #[test]
    fn whatever_ends_a_stopped_training_it_is_stopped() {
        for ending in [DONE, r#"{"failed": "diverged"}"#, r#"{"out_of_memory": true}"#] {
            let asked = request(3);
            let mut dialogue = Dialogue::new(&asked);
            assert!(matches!(dialogue.take(epoch(1, 1).as_bytes()), Ok(Some(Message::Epoch(_)))));
            dialogue.stop();
            assert_eq!(dialogue.take(epoch(1, 2).as_bytes()), Ok(None));
            assert!(dialogue.take(ending.as_bytes()).unwrap().is_some() && dialogue.is_stopped());
        }
    }

    #[test]
    fn an_epoch_that_is_no_number_is_the_networks_fault_unless_it_was_stopped() {
        let nan = r#"{"epoch": 2, "validation_accuracy": NaN}"#;
        let diverged = Ok(Some(Message::Diverged { epoch: 2 }));
        assert_eq!(reply_after(&request(3), &[(1, 1)], nan), diverged);
        let asked = request(3);
        let mut dialogue = Dialogue::new(&asked);
        dialogue.stop();
        assert_eq!(dialogue.take(nan.as_bytes()), Ok(None));
    }

    #[test]
    fn a_refusal_comes_before_the_first_epoch() {
        let refusal = r#"{"refused": "no GPU"}"#;
        assert_eq!(reply(&request(1), &[refusal]), Ok(Some(Message::Refused("no GPU".into()))));
        assert!(reply_after(&request(2), &[(1, 1)], refusal).is_err());
    }

    #[test]
    fn a_reason_of_a_megabyte_is_cut() {
        let long = "x".repeat(1 << 20);
        let Ok(Some(Message::Failed(reason))) =
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
            let asked = request(3);
            let mut dialogue = Dialogue::new(&asked);
            let mut curve = Vec::new();
            for (start, at) in said {
                if let Ok(Some(Message::Epoch(_))) = dialogue.take(epoch(start, at).as_bytes()) {
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
