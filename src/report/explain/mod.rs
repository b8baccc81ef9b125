//! An iteration explained: what `explain --json` prints, and the same as text of 80 columns.

mod curve;
mod draw;

use std::sync::Arc;

use itertools::Itertools;
use serde::Serialize;

use super::terminal::{bold, decimals, hanging, table};
use crate::storage::{CurveRow, Event, Row, Time};
use draw::quality;

pub use draw::{MadeChoice, RepeatedDraw};

#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    pub experiment: String,
    pub strategy: &'static str,
    pub iteration: u64,
    pub status: Event,
    pub architecture: Option<Arc<str>>,
    /// Where Q-learning drew it.
    pub draw: Option<RepeatedDraw>,
    /// The network that an edit began with: its iteration, architecture and reward.
    pub parent: Option<(u64, Arc<str>, Option<f64>)>,
    /// Along its layers, from the first; empty where nothing was learned of it.
    pub q_updates: Vec<QUpdate>,
    /// Rows replayed after its own; `None` where it was learned from alone.
    pub replayed: Option<u32>,
    /// Of its newest attempt, or that with the result; every start.
    pub curve: Vec<CurveRow>,
    /// Of a whole training.
    pub epochs: u32,
    /// By how much a network may be predicted below the best and go on.
    pub offset: f64,
    /// Of an audited network.
    pub is_false_stop: Option<bool>,
    /// The last lines that its trainer wrote, where it has no whole training.
    pub stderr: Vec<String>,
    /// Its rows of the log, in their order.
    pub rows: Vec<Row>,
    pub now: Time,
}

#[derive(Debug, Clone, Serialize)]
pub struct QUpdate {
    pub layer: String,
    pub before: f64,
    pub after: f64,
}

impl Explanation {
    pub fn text(&self) -> String {
        let mut lines = vec![bold(&format!(
            "{}: iteration {}, {}",
            self.experiment,
            self.iteration,
            self.headline()
        ))];
        lines.extend(self.architecture.iter().map(|name| hanging("", name)));
        let sections = [
            ("How it was drawn", self.drawn()),
            ("What came of it", self.result()),
            ("Learning curve", self.drawn_curve()),
            ("What the Q-table learned", self.learned()),
            ("The last lines of its trainer", self.stderr.clone()),
            ("Its rows of the log", self.rows.iter().map(event_line).collect()),
        ];
        for (title, text) in sections.into_iter().filter(|(_, text)| !text.is_empty()) {
            lines.extend([String::new(), bold(title)]);
            lines.extend(text.into_iter().filter(|line| !line.is_empty()));
        }
        lines.join("\n") + "\n"
    }

    /// The newest row: what the iteration is now.
    fn newest(&self) -> &Row {
        self.rows.last().expect("an iteration has a row")
    }

    fn headline(&self) -> String {
        let row = self.newest();
        let of = row.of_iteration.map(|of| of.to_string()).unwrap_or_default();
        let reward = row.reward.map(|reward| format!(", reward {}", decimals(reward, 4)));
        let what = match row.event {
            Event::Claimed => "in training".to_owned(),
            Event::Pending => format!("waits for iteration {of}"),
            Event::Reused => format!("takes the result of iteration {of}"),
            Event::OutOfMemory => "out of memory".to_owned(),
            Event::Void => "its row was damaged and blanked".to_owned(),
            event => event.to_string(),
        };
        what + &reward.unwrap_or_default()
    }

    fn result(&self) -> Vec<String> {
        let row = self.newest();
        let number = |value: Option<f64>| value.map_or("unknown".into(), |it| decimals(it, 4));
        let count = |value: Option<u32>| value.unwrap_or(0);
        let of = row.of_iteration.map(|of| of.to_string()).unwrap_or_default();
        let best = number(row.best_validation_accuracy);
        let (what, worth) = match row.event {
            Event::Trained => (
                format!(
                    "Trained for {} epochs; the best was {best}, after epoch {}, the last {}.",
                    count(row.epochs),
                    count(row.best_epoch),
                    number(row.last_validation_accuracy)
                ),
                "the best validation accuracy",
            ),
            Event::Stopped => (
                format!(
                    "Stopped after epoch {} of {}; the best so far was {best}.",
                    count(row.epochs),
                    self.epochs
                ),
                "the prediction, not an accuracy that was measured",
            ),
            Event::Failed | Event::OutOfMemory => (
                match row.event {
                    Event::Failed => "The training failed by the network's own fault.".to_owned(),
                    _ => "The network does not fit in the device's memory.".to_owned(),
                },
                match row.best_validation_accuracy {
                    Some(_) => "the best validation accuracy before that",
                    None => "the accuracy of guessing",
                },
            ),
            Event::Imported => ("It was imported.".to_owned(), "the imported accuracy"),
            Event::Reused => (
                format!(
                    "Iteration {of} has trained the same architecture: its result is learned from \
                     once more."
                ),
                "that of the result",
            ),
            Event::Pending => {
                (format!("Iteration {of} is training the same architecture, and is awaited."), "")
            }
            Event::Lost if self.rows.len() == 1 && row.attempt.is_none() => {
                ("Three trainings of it were lost: it is not tried again.".to_owned(), "")
            }
            Event::Lost => ("It ended without a result, which may come late.".to_owned(), ""),
            Event::Claimed => (self.claim(row), ""),
            _ => (String::new(), ""),
        };
        let reward = row.reward.map(|it| format!("Its reward is {}, {worth}.", decimals(it, 4)));
        let none = (!worth.is_empty()).then(|| "It has no reward: nothing is learned.".to_owned());
        let said = [Some(what), reward.or(none)].into_iter().flatten();
        let said = said.chain(row.reason.iter().map(|reason| format!("Reason: {reason}.")));
        let said = said.chain(self.verdict(row)).chain(self.starts());
        said.filter(|text| !text.is_empty()).map(|text| hanging("  ", &text)).collect()
    }

    fn claim(&self, row: &Row) -> String {
        let hours_to = |to: Option<Time>| {
            let seconds = to?.timestamp().duration_since(self.now.timestamp()).as_secs_f64();
            Some(seconds / 3600.0)
        };
        let age = hours_to(row.time).map_or(0.0, |it| -it);
        let end = match hours_to(row.expires_at) {
            Some(left @ 0.0..) => format!("its claim expires in {left:.1} hours"),
            Some(left) => {
                format!("its claim expired {:.1} hours ago (see `metaqnn reduce`)", -left)
            }
            None => "its claim has no end".to_owned(),
        };
        let (attempt, epochs) = (row.attempt.unwrap_or(1), self.last_start().len());
        format!("Attempt {attempt} began {age:.1} hours ago and has {epochs} epochs; {end}.")
    }

    /// The verdict of the stopping rule.
    fn verdict(&self, row: &Row) -> Option<String> {
        let [mean, sigma, y_best, probability, threshold] =
            [row.predicted_accuracy, row.sigma, row.y_best, row.stop_probability, row.threshold];
        let (mean, sigma, y_best) = (mean?, sigma?, y_best?);
        let (probability, threshold) = (probability?, threshold?);
        let at = self.last_start().iter().find(|at| at.stop_probability == Some(probability));
        let after = at.map_or(0, |at| at.epoch);
        let curves = row.predictor.map(|curves| format!(", fitted to {curves} curves,"));
        let curves = curves.unwrap_or_default();
        let offset = match self.offset {
            0.0 => String::new(),
            offset => format!(" less an offset of {offset}"),
        };
        let last = decimals(row.last_validation_accuracy.unwrap_or(0.0), 4);
        let audit = "it would have been stopped, and was trained on to measure how often that is \
                     wrong (an audit)";
        let then = match self.is_false_stop {
            None => "its training ended there".to_owned(),
            Some(true) => format!("{audit}. It was wrong: the last epoch has {last}"),
            Some(false) => format!("{audit}. It was not: the last epoch has {last}"),
        };
        Some(format!(
            "After epoch {after} the predictor{curves} expected {mean:.4} after epoch {}, with a \
             standard deviation (sigma) of {sigma:.4}. To be beaten was {y_best:.4} \
             (y_best){offset}; with a probability of {probability:.6} it is not, which is at least \
             the threshold, {threshold}: {then}.",
            self.epochs
        ))
    }

    /// The learning rates tried in the first epoch, where there were several or none was good.
    fn starts(&self) -> Option<String> {
        let starts = self.curve.iter().dedup_by(|a, b| a.start == b.start).collect_vec();
        let row = self.newest();
        if starts.len() < 2 && (row.event != Event::Failed || row.learning_rate.is_some()) {
            return None;
        }
        let mut said = starts.iter().filter_map(|at| {
            let accuracy = at.validation_accuracy?.value();
            Some(format!("{} ({})", short(at.learning_rate?), decimals(accuracy, 4)))
        });
        let said = said.join(", ");
        let passed = row.learning_rate.map_or("none has passed".to_owned(), |it| {
            format!("{} has passed (restarts: {})", short(it), row.restarts.unwrap_or(0))
        });
        let what = "Learning rates tried in the first epoch, with its validation accuracy";
        (!said.is_empty()).then(|| format!("{what}: {said}; {passed}."))
    }

    fn last_start(&self) -> &[CurveRow] {
        let last = self.curve.last().map_or(0, |row| row.start);
        &self.curve[self.curve.partition_point(|row| row.start < last)..]
    }

    fn learned(&self) -> Vec<String> {
        if self.q_updates.is_empty() {
            return Vec::new();
        }
        let how = match self.replayed {
            Some(count) => format!(
                "Q-values before and after its row: {count} rows drawn from the replay memory, \
                 which it had just joined, were learned from"
            ),
            None => "Q-values before and after its row was learned from".to_owned(),
        };
        let cells = |QUpdate { layer, before, after }: &QUpdate| {
            vec![String::new(), layer.clone(), quality(*before), quality(*after)]
        };
        let heads = ["", "layer", "before", "after"];
        let table = table(&heads, &[0, -12, 10, 10], "  ", self.q_updates.iter().map(cells));
        vec![hanging("  ", &(how + ".")), table]
    }
}

/// A learning rate without the last digits that its products have.
fn short(rate: f64) -> f64 {
    format!("{rate:.3e}").parse().unwrap_or(rate)
}

fn event_line(row: &Row) -> String {
    let time = row.time.map_or("-".to_owned(), |time| time.to_string());
    let mut facts = vec![row.event.to_string()];
    facts.extend(row.attempt.map(|attempt| format!("attempt {attempt}")));
    facts.extend(row.of_iteration.map(|of| format!("of iteration {of}")));
    facts.extend(row.host.iter().map(|host| format!("host {host}")));
    facts.extend(row.device.iter().map(|device| format!("device {device}")));
    // The name of a local process is long, and only for programs.
    let task = row.job.as_deref().zip(row.task.as_deref());
    facts.extend(
        task.filter(|(job, _)| *job != "local")
            .map(|(job, task)| format!("job {job}, task {task}")),
    );
    facts.extend(row.train_seconds.map(|it| format!("{it:.1} s of training")));
    facts.extend(row.lost_seconds.filter(|it| *it > 0.0).map(|it| format!("{it:.1} s lost")));
    facts.extend(row.reason.as_deref().map(str::to_owned));
    hanging(&format!("  {time}  "), &facts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Accuracy;
    use crate::report::sample::iteration;
    use crate::storage::Iteration;
    use anstream::adapter::strip_str;

    fn time(text: &str) -> Option<Time> {
        Some(text.parse().unwrap())
    }

    fn explanation(rows: Vec<Row>) -> Explanation {
        Explanation {
            experiment: "svhn".to_owned(),
            strategy: "q_learning",
            iteration: 7,
            status: rows[rows.len() - 1].event,
            architecture: Some("[C(64,3,1), SM(10)]".into()),
            draw: None,
            parent: None,
            q_updates: Vec::new(),
            replayed: Some(100),
            curve: Vec::new(),
            epochs: 4,
            offset: 0.0,
            is_false_stop: None,
            stderr: Vec::new(),
            rows,
            now: "2026-03-01T14:00:00Z".parse().unwrap(),
        }
    }

    fn curve(accuracies: &[f64]) -> Vec<CurveRow> {
        let row = |(epoch, &accuracy)| CurveRow {
            epoch,
            start: 1,
            learning_rate: Some(0.001),
            training_loss: None,
            training_accuracy: None,
            validation_loss: None,
            validation_accuracy: Accuracy::new(accuracy).ok(),
            seconds: None,
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            predicted_accuracy: None,
            sigma: None,
            stop_probability: (epoch == 3).then_some(0.999),
            y_best: None,
        };
        (1..).zip(accuracies).map(row).collect()
    }

    fn text(of: &Explanation) -> String {
        let text = strip_str(&of.text()).to_string();
        let is_long = |line: &&str| line.chars().count() > 80;
        assert_eq!(text.lines().find(is_long), None, "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_way_to_stand_is_said_in_words() {
        let of_iteration = Some(Iteration(3));
        let pending = Row { of_iteration, ..iteration(7, Event::Pending) };
        let reused = Row { of_iteration, reward: Some(0.75), ..iteration(7, Event::Reused) };
        let found = text(&explanation(vec![pending.clone()]));
        assert!(found.contains("Iteration 3 is training the same architecture"), "{found}");
        let found = text(&explanation(vec![pending, reused]));
        assert!(found.contains("Its reward is 0.7500, that of the result."), "{found}");
        let claim = Row {
            attempt: Some(1),
            time: time("2026-03-01T12:30:00Z"),
            expires_at: time("2026-03-01T13:00:00Z"),
            ..iteration(7, Event::Claimed)
        };
        let found = text(&explanation(vec![claim.clone()]));
        assert!(found.contains("began 1.5 hours ago") && found.contains("expired 1.0 hours ago"));
        let oom = Row { event: Event::OutOfMemory, ..claim };
        assert!(text(&explanation(vec![oom])).contains("It has no reward: nothing is learned."));
        let lost = iteration(7, Event::Lost);
        assert!(text(&explanation(vec![lost])).contains("it is not tried again"));
    }

    #[test]
    fn a_draw_ends_with_its_choices_where_rows_were_blanked() {
        let mut drawn = explanation(vec![iteration(7, Event::Claimed)]);
        let architecture = "[SM(10)]".to_owned();
        let (has_blanks, is_same, choices) = (true, true, Vec::new());
        drawn.draw = Some(RepeatedDraw {
            epsilon: 1.0,
            view: 6,
            has_blanks,
            architecture,
            is_same,
            choices,
        });
        let found = text(&drawn);
        assert!(found.contains("may have been others. Made again with the Q-table"), "{found}");
        assert!(found.contains("layer by layer: What came of it"), "{found}");
    }

    #[test]
    fn learning_rates_of_the_first_epoch_are_told_where_there_were_several() {
        let mut failed = explanation(vec![Row {
            reward: Some(0.1),
            reason: Some("no learning rate passed".into()),
            ..iteration(7, Event::Failed)
        }]);
        failed.curve = curve(&[0.1]);
        failed.curve.push(CurveRow {
            start: 2,
            learning_rate: Some(0.0004),
            ..failed.curve[0].clone()
        });
        let found = text(&failed);
        assert!(found.contains("0.001 (0.1000), 0.0004 (0.1000); none has passed"), "{found}");
        assert!(found.contains("Its reward is 0.1000, the accuracy of guessing."), "{found}");
    }

    #[test]
    fn a_stopped_curve_is_drawn_with_the_best_and_the_prediction() {
        let mut stopped = explanation(vec![Row {
            epochs: Some(3),
            reward: Some(0.64),
            predicted_accuracy: Some(0.64),
            sigma: Some(0.02),
            y_best: Some(0.9),
            stop_probability: Some(0.999),
            threshold: Some(0.99),
            ..iteration(7, Event::Stopped)
        }]);
        stopped.curve = curve(&[0.45, 0.55, 0.6]);
        // Ten lines from 0.9 to 0.45, 0.05 each; epochs 6 columns apart. The prediction stands
        // after the fourth epoch, 0.6 to 0.68: in the lines of 0.7 (nearest to 0.68), 0.65 and 0.6.
        let expected = [
            "  0.9000 |-------------------",
            "  0.8500 |",
            "  0.8000 |",
            "  0.7500 |",
            "  0.7000 |                  |",
            "  0.6500 |                  +",
            "  0.6000 |            *     |",
            "  0.5500 |      *",
            "  0.5000 |",
            "  0.4500 |*",
            "          1                 4",
        ];
        assert_eq!(stopped.drawn_curve()[..11], expected);
        let found = text(&stopped);
        assert!(found.contains("After epoch 3 the predictor expected 0.6400 after epoch 4"));
        assert!(found.contains("which is at least the threshold, 0.99: its training ended there"));
        assert!(found.contains("Its reward is 0.6400, the prediction, not an accuracy"), "{found}");
    }
}
