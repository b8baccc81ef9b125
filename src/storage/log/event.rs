//! Makes the row of each event, so that none lacks a column it needs.

use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::storage::fs::time::Time;
use crate::storage::log::row::{Attempt, Event, Iteration, Row};

/// Who draws, or begins an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimant {
    /// The round it belongs to; none by hand.
    pub round: Option<u32>,
    /// The view it samples from, by its rows.
    pub view: Option<u64>,
    /// The predictor that will judge it, by its full curves.
    pub predictor: Option<u64>,
    /// The device it trains on.
    pub device: Option<String>,
    /// Its machine.
    pub host: String,
    /// Its Slurm array job, or `local`.
    pub job: String,
    /// Its element of the array; of a local process: host, boot, process and its start.
    pub task: String,
    /// Now.
    pub time: Time,
    /// When its claim ends by itself.
    pub expires_at: Time,
}

/// What a training has cost, and on which network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Number of layers, the softmax not counted.
    pub layers: u32,
    /// The learning rate that passed the first-epoch test; `None` when none did.
    pub learning_rate: Option<f64>,
    /// How many learning rates failed that test.
    pub restarts: u32,
    /// Seconds spent on this training: over all starts of this attempt, and over the epochs of
    /// earlier attempts that it goes on from.
    pub train_seconds: f64,
    /// Seconds of earlier attempts that came to nothing, not part of `train_seconds`.
    pub lost_seconds: f64,
    /// Now.
    pub time: Time,
}

#[cfg(test)]
impl Training {
    /// Returns what a training of a network of one layer could have cost.
    pub(crate) fn made_up(time: Time) -> Self {
        Self {
            parameters: 1,
            macs: 1,
            layers: 1,
            learning_rate: Some(0.001),
            restarts: 0,
            train_seconds: 1.5,
            lost_seconds: 0.0,
            time,
        }
    }
}

/// What a learning curve comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurveSummary {
    /// Greatest validation accuracy.
    pub best: Accuracy,
    /// Its epoch, from 1.
    pub best_epoch: u32,
    /// Validation accuracy after the last epoch.
    pub last: Accuracy,
    /// Number of epochs.
    pub epochs: u32,
}

/// On a `claimed` row: the attempt before is counted as a loss.
pub(crate) const CAME_TO_NOTHING: &str = "the attempt before added no epoch";
/// On a `claimed` row: the attempt before left on the time warning and had reached no new epoch.
pub(crate) const AFTER_TIMEOUT: &str =
    "the attempt before left on the time warning without a new epoch";
/// On a `lost` row: so did as many attempts in a row as are allowed.
pub const TIME_TOO_SHORT: &str = "not the network's fault: three attempts in a row left on the time warning \
     without a new epoch (`slurm.time` is too short, or the trainer keeps no checkpoint)";
/// The key of the time limit; a `set` row of it begins anew with the claims lost for want of time.
pub(crate) const TIME_KEY: &str = "slurm.time";
/// On a `lost` row without an attempt: the architecture is not tried again.
pub(crate) const QUARANTINED: &str = "quarantined";

/// How the reason of a `lost` row begins when no network could be trained there, so that the loss is not counted.
const NOT_THE_NETWORKS: &str = "not the network's fault: ";

const REASON_LENGTH: usize = 300;

/// Returns the reason of a claim that is lost because the trainer refused to work at all, whatever the network.
pub fn refusal_as_reason(refusal: &str) -> String {
    format!("{NOT_THE_NETWORKS}{refusal}")
}

/// Whether a `lost` row of this reason counts as a loss of its architecture.
pub fn counts_as_loss(reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| !reason.starts_with(NOT_THE_NETWORKS))
}

/// Whether this reason is the time limit, and so says nothing about a host or an architecture.
pub fn is_for_want_of_time(reason: Option<&str>) -> bool {
    matches!(reason, Some(AFTER_TIMEOUT | TIME_TOO_SHORT))
}

impl Row {
    /// Returns the row of an attempt that begins.
    pub fn claimed(attempt: Attempt, epsilon: f64, architecture: &str, by: &Claimant) -> Self {
        Self {
            attempt: Some(attempt.number),
            device: by.device.clone(),
            predictor: by.predictor,
            expires_at: Some(by.expires_at),
            ..Self::drawn(Event::Claimed, attempt.iteration, epsilon, architecture, by)
        }
    }

    /// Returns what every row of a draw carries.
    pub(crate) fn drawn(
        event: Event,
        iteration: Iteration,
        epsilon: f64,
        architecture: &str,
        by: &Claimant,
    ) -> Self {
        Self {
            iteration: Some(iteration),
            round: by.round,
            epsilon: Some(epsilon),
            architecture: Some(architecture.to_owned()),
            view: by.view,
            host: Some(by.host.clone()),
            job: Some(by.job.clone()),
            task: Some(by.task.clone()),
            time: Some(by.time),
            repeat: Some(1),
            ..Self::new(event)
        }
    }

    /// Returns the result of a network that was trained to the end. `claim` is the `claimed` row of
    /// the attempt.
    pub fn trained(claim: &Self, training: &Training, curve: CurveSummary, reward: f64) -> Self {
        let row = Self { reward: Some(reward), ..claim.result(Event::Trained, training) };
        row.with_curve(Some(curve))
    }

    /// Returns the result of a training that the stopping rule has ended, saving `saved_seconds`.
    pub fn stopped(
        claim: &Self,
        training: &Training,
        curve: CurveSummary,
        saved_seconds: f64,
        reward: f64,
    ) -> Self {
        Self {
            reward: Some(reward),
            saved_seconds: Some(saved_seconds),
            ..claim.result(Event::Stopped, training).with_curve(Some(curve))
        }
    }

    /// Returns the result of a training that failed by the network's own fault; `curve` is that of
    /// its epochs, if any.
    pub fn failed(
        claim: &Self,
        training: &Training,
        curve: Option<CurveSummary>,
        reason: &str,
        reward: f64,
    ) -> Self {
        Self {
            reward: Some(reward),
            reason: plain(reason),
            ..claim.result(Event::Failed, training).with_curve(curve)
        }
    }

    /// Returns the result of a network that does not fit into the memory of the device.
    pub fn out_of_memory(
        claim: &Self,
        training: &Training,
        reason: &str,
        reward: Option<f64>,
    ) -> Self {
        Self { reward, reason: plain(reason), ..claim.result(Event::OutOfMemory, training) }
    }

    /// Returns the result that another search gave an architecture, at that time.
    pub fn imported(
        iteration: Iteration,
        epsilon: f64,
        architecture: &str,
        accuracy: Accuracy,
        time: Option<Time>,
    ) -> Self {
        Self {
            iteration: Some(iteration),
            epsilon: Some(epsilon),
            architecture: Some(architecture.to_owned()),
            reward: Some(accuracy.value()),
            best_validation_accuracy: Some(accuracy.value()),
            time,
            repeat: Some(1),
            ..Self::new(Event::Imported)
        }
    }

    /// Returns the row that closes an epsilon at which nothing new can be drawn.
    pub fn exhausted(epsilon: Epsilon, by: &Claimant) -> Self {
        Self {
            round: by.round,
            epsilon: Some(epsilon.value()),
            view: by.view,
            host: Some(by.host.clone()),
            job: Some(by.job.clone()),
            task: Some(by.task.clone()),
            time: Some(by.time),
            ..Self::new(Event::Exhausted)
        }
    }

    /// Returns the row by which a person stops the search.
    pub fn halted(time: Time) -> Self {
        Self { time: Some(time), ..Self::new(Event::Halted) }
    }

    /// Returns the row by which a person lets it go on.
    pub fn resumed(time: Time) -> Self {
        Self { time: Some(time), ..Self::new(Event::Resumed) }
    }

    /// Returns the row by which a person changes a key of the configuration; `setting` is `key=value`.
    pub fn set(setting: &str, time: Time) -> Self {
        Self { reason: Some(setting.to_owned()), time: Some(time), ..Self::new(Event::Set) }
    }

    /// Returns the row that a repair writes before it blanks a row or replaces a view.
    pub fn repaired(time: Time) -> Self {
        Self { time: Some(time), ..Self::new(Event::Repaired) }
    }

    fn result(&self, event: Event, training: &Training) -> Self {
        Self {
            event,
            parameters: Some(training.parameters),
            macs: Some(training.macs),
            layers: Some(training.layers),
            learning_rate: training.learning_rate,
            restarts: Some(training.restarts),
            train_seconds: Some(training.train_seconds),
            lost_seconds: Some(training.lost_seconds),
            reason: None,
            started_at: self.time,
            time: Some(training.time),
            expires_at: None,
            ..self.clone()
        }
    }

    fn with_curve(self, curve: Option<CurveSummary>) -> Self {
        Self {
            best_validation_accuracy: curve.map(|curve| curve.best.value()),
            best_epoch: curve.map(|curve| curve.best_epoch),
            last_validation_accuracy: curve.map(|curve| curve.last.value()),
            epochs: Some(curve.map_or(0, |curve| curve.epochs)),
            ..self
        }
    }
}

/// Makes a reason fit for a field: one line, not endless, `None` when nothing is left.
pub(crate) fn plain(reason: &str) -> Option<String> {
    let line: String = reason
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(REASON_LENGTH)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn claimant() -> Claimant {
        Claimant {
            round: Some(2),
            view: Some(40),
            predictor: Some(100),
            device: Some("cuda:0".into()),
            host: "n1".into(),
            job: "77".into(),
            task: "3".into(),
            time: time("2026-03-01T12:00:00Z"),
            expires_at: time("2026-03-02T12:00:00Z"),
        }
    }

    #[test]
    fn a_result_carries_what_its_claim_carried() {
        let attempt = Attempt { iteration: Iteration(9), number: 2 };
        let claim = Row {
            reason: Some(CAME_TO_NOTHING.into()),
            ..Row::claimed(attempt, 0.9, "[SM(10)]", &claimant())
        };
        let training = Training {
            parameters: 10,
            macs: 20,
            layers: 0,
            learning_rate: Some(0.001),
            restarts: 0,
            train_seconds: 8.5,
            lost_seconds: 0.0,
            time: time("2026-03-01T13:00:00Z"),
        };
        let half = Accuracy::new(0.5).unwrap();
        let curve = CurveSummary { best: half, best_epoch: 3, last: half, epochs: 4 };
        let row = Row::trained(&claim, &training, curve, 0.5);
        assert_eq!(
            String::from_utf8(row.to_line().unwrap()).unwrap(),
            "9,trained,2,2,0.9,[SM(10)],,0.5,0.5,3,0.5,4,,,,,,,10,20,0,0.001,0,8.5,,0.0,40,,cuda:0,\
             n1,77,3,2026-03-01T12:00:00.000Z,2026-03-01T13:00:00.000Z,,1,100,\n"
        );
        let failed = Row::failed(&claim, &training, None, "no learning rate\npassed", 0.1);
        assert_eq!((failed.epochs, failed.best_epoch), (Some(0), None));
        assert_eq!(failed.reason.as_deref(), Some("no learning rate passed"));
    }

    #[test]
    fn a_reason_fits_into_a_field() {
        assert_eq!(plain("\n a\r\nb\0 ").as_deref(), Some("a  b"));
        assert_eq!(plain("\n"), None);
        assert_eq!(plain(&"é".repeat(1000)).unwrap().chars().count(), REASON_LENGTH);
    }

    #[test]
    fn only_rows_with_a_reward_enter_the_memory() {
        let claim = Row::claimed(
            Attempt { iteration: Iteration(1), number: 1 },
            1.0,
            "[SM(10)]",
            &claimant(),
        );
        let imported =
            Row::imported(Iteration(1), 1.0, "[SM(10)]", Accuracy::new(0.25).unwrap(), None);
        assert_eq!(imported.memory(), Some(("[SM(10)]", 0.25)));
        assert_eq!(claim.memory(), None);
        assert_eq!(Row { reward: Some(0.5), ..claim.clone() }.memory(), None);
        let reused = Row { event: Event::Reused, reward: None, ..claim };
        assert_eq!(reused.memory(), None);
        assert_eq!(Row { reward: Some(0.5), ..reused }.memory(), Some(("[SM(10)]", 0.5)));
    }
}
