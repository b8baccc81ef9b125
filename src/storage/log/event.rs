//! One row of the log: one event, and the columns that say what is known of it. Rows are made by
//! the constructors at the end, so that none lacks a column that its event needs.

use std::sync::Arc;

use serde::Serialize;
use smart_default::SmartDefault;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::space::Candidate;
use crate::storage::fs::time::Time;

/// The number of one sampled architecture, from 1: the paper's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[derive(derive_more::Display, derive_more::FromStr, SmartDefault)]
pub struct Iteration(#[default = 1] pub u64);

impl Iteration {
    pub const FIRST: Self = Self(1);

    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One try to train the architecture of an iteration. Every file that it writes carries both
/// numbers, as `000123.1`, so that two copies of a task never write the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
#[display("{:06}.{number}", iteration.0)]
pub struct Attempt {
    pub iteration: Iteration,
    pub number: u32,
}

/// What has happened; printed as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[derive(Default, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// An attempt to train an architecture has begun.
    Claimed,
    /// An architecture was sampled while another iteration is training it.
    Pending,
    Trained,
    Stopped,
    /// A training failed by the network's own fault.
    Failed,
    OutOfMemory,
    /// An architecture was sampled that has a result, or got one while it was pending or open.
    Reused,
    Lost,
    /// Nothing new could be drawn at an epsilon: it is closed.
    Exhausted,
    Halted,
    Resumed,
    Imported,
    #[default]
    Void,
    /// A person changed a key of the configuration: `reason` is `key=value`.
    Set,
    /// Rows before this one were blanked, or a view of them was replaced: what was read of them is
    /// stale.
    Repaired,
}

impl Event {
    pub const fn is_result(self) -> bool {
        matches!(
            self,
            Self::Trained | Self::Stopped | Self::Failed | Self::OutOfMemory | Self::Imported
        )
    }
}

/// One event with every column of the log, in the order of the file; a column that does not apply
/// is empty. Meanings and units stand in the data dictionary (`report/tables/iterations.rs`), here
/// what is not said there.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Row {
    pub iteration: Option<Iteration>,
    pub event: Event,
    /// From 1.
    pub attempt: Option<u32>,
    pub round: Option<u32>,
    pub epsilon: Option<f64>,
    pub architecture: Option<Arc<str>>,
    /// The iteration whose training is awaited, or whose result is reused.
    pub of_iteration: Option<Iteration>,
    pub reward: Option<f64>,
    pub best_validation_accuracy: Option<f64>,
    /// From 1.
    pub best_epoch: Option<u32>,
    pub last_validation_accuracy: Option<f64>,
    pub epochs: Option<u32>,
    /// May leave [0, 1].
    pub predicted_accuracy: Option<f64>,
    pub sigma: Option<f64>,
    pub y_best: Option<f64>,
    pub stop_probability: Option<f64>,
    pub threshold: Option<f64>,
    /// Whether the network was trained on against a verdict to stop, to audit the rule.
    pub audit: Option<bool>,
    pub parameters: Option<u64>,
    pub macs: Option<u64>,
    pub layers: Option<u32>,
    pub learning_rate: Option<f64>,
    pub restarts: Option<u32>,
    /// Over all starts of this attempt, and the epochs of earlier ones that it resumes from.
    pub train_seconds: Option<f64>,
    pub saved_seconds: Option<f64>,
    /// Training that is in no result.
    pub lost_seconds: Option<f64>,
    /// The view (rows digested) from which a first attempt was sampled.
    pub view: Option<u64>,
    /// On a `claimed` row, that the attempt before counts as a loss, or left on the time warning
    /// without a new epoch.
    pub reason: Option<Arc<str>>,
    pub device: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    /// The Slurm array job, or `local`.
    pub job: Option<Arc<str>>,
    /// The element of the array, or the local process.
    pub task: Option<Arc<str>>,
    pub started_at: Option<Time>,
    pub time: Option<Time>,
    pub expires_at: Option<Time>,
    /// From 1, in every row with an architecture; only a `list` experiment trains one several
    /// times.
    pub repeat: Option<u32>,
    /// The predictor that judges the epochs of the attempt, by the full curves that the log held
    /// when it was fitted. (An audited training keeps the first verdict, which may be an earlier
    /// attempt's: see its `claimed` row.)
    pub predictor: Option<u64>,
    pub strategy: Option<Arc<str>>,
}

/// Who draws, or begins an attempt: columns of a [`Row`].
#[derive(Debug, Clone, PartialEq)]
pub struct Claimant {
    pub round: Option<u32>,
    pub view: Option<u64>,
    pub predictor: Option<u64>,
    pub device: Option<String>,
    pub host: String,
    pub job: String,
    /// The element of the array; of a local process: host, boot, process and its start.
    pub task: String,
    pub time: Time,
    pub expires_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurveSummary {
    /// Nothing where no images are for validation, as the next two.
    pub best: Option<Accuracy>,
    pub best_epoch: Option<u32>,
    pub last: Option<Accuracy>,
    pub epochs: u32,
}

/// On a `claimed` row: the attempt before is counted as a loss.
pub(crate) const CAME_TO_NOTHING: &str = "the attempt before added no epoch";
/// On a `claimed` row: the attempt before left on the time warning and had reached no new epoch.
pub(crate) const AFTER_TIMEOUT: &str =
    "the attempt before left on the time warning without a new epoch";
/// On a `lost` row: so did as many attempts in a row as are allowed.
pub const TIME_TOO_SHORT: &str = "not the network's fault: three attempts in a row left on the \
     time warning without a new epoch (`slurm.time` is too short, or the trainer keeps no \
     checkpoint)";
/// On a `lost` row: the claim has expired, and its task may live on.
pub const TIME_OVER: &str = "its time is over";
/// The key of the time limit; a `set` row of it resets the count of claims lost to it.
pub(crate) const TIME_KEY: &str = "slurm.time";
/// On a `lost` row without an attempt: the architecture is not tried again.
pub(crate) const QUARANTINED: &str = "quarantined";

/// So begins `strategy` in a row of a network that was drawn at random, without an epsilon.
pub const AT_RANDOM: &str = "at random";

const NOT_THE_NETWORKS: &str = "not the network's fault: ";

const REASON_LENGTH: usize = 300;

/// Of a claim that is lost since the trainer refused to work, whatever the network.
pub fn refusal_as_reason(refusal: &str) -> String {
    format!("{NOT_THE_NETWORKS}{refusal}")
}

/// Whether a `lost` row of this reason counts as a loss of its architecture.
pub fn counts_as_loss(reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| !reason.starts_with(NOT_THE_NETWORKS))
}

/// Such a reason says nothing about a host or an architecture.
pub fn is_for_want_of_time(reason: Option<&str>) -> bool {
    matches!(reason, Some(AFTER_TIMEOUT | TIME_TOO_SHORT))
}

impl Row {
    pub fn new(event: Event) -> Self {
        Self { event, ..Self::default() }
    }

    pub fn attempt(&self) -> Option<Attempt> {
        Some(Attempt { iteration: self.iteration?, number: self.attempt? })
    }

    pub fn candidate(&self) -> Option<Candidate> {
        Some(Candidate { architecture: self.architecture.clone()?, repeat: self.repeat? })
    }

    /// Whether nothing that was learned has chosen what was drawn.
    pub fn is_at_random(&self) -> bool {
        let says_so = |why: &Arc<str>| why.starts_with(AT_RANDOM);
        self.epsilon == Some(1.0) || self.strategy.as_ref().is_some_and(says_so)
    }

    /// The architecture and reward that the row adds to the replay memory: Q-learning alone has
    /// one, and draws at an epsilon.
    pub fn memory(&self) -> Option<(&str, f64)> {
        let has_one = self.event.is_result() || self.event == Event::Reused;
        let has_one = has_one && self.epsilon.is_some();
        self.architecture.as_deref().zip(self.reward).filter(|_| has_one)
    }

    pub fn claimed(
        attempt: Attempt,
        epsilon: Option<f64>,
        candidate: &Candidate,
        by: &Claimant,
    ) -> Self {
        Self {
            attempt: Some(attempt.number),
            device: by.device.as_deref().map(Into::into),
            predictor: by.predictor,
            expires_at: Some(by.expires_at),
            ..Self::by(Event::Claimed, by).of(attempt.iteration, epsilon, candidate)
        }
    }

    pub fn exhausted(epsilon: Option<Epsilon>, by: &Claimant) -> Self {
        Self { epsilon: epsilon.map(Epsilon::value), ..Self::by(Event::Exhausted, by) }
    }

    /// The row, of what was drawn.
    pub(crate) fn of(
        self,
        iteration: Iteration,
        epsilon: Option<f64>,
        candidate: &Candidate,
    ) -> Self {
        let architecture = Some(candidate.architecture.clone());
        let (iteration, repeat) = (Some(iteration), Some(candidate.repeat));
        Self { iteration, epsilon, architecture, repeat, ..self }
    }

    pub(crate) fn by(event: Event, by: &Claimant) -> Self {
        Self {
            round: by.round,
            view: by.view,
            host: Some(by.host.as_str().into()),
            job: Some(by.job.as_str().into()),
            task: Some(by.task.as_str().into()),
            time: Some(by.time),
            ..Self::new(event)
        }
    }

    pub fn imported(
        iteration: Iteration,
        epsilon: f64,
        architecture: &str,
        accuracy: Accuracy,
        time: Option<Time>,
    ) -> Self {
        let accuracy = Some(accuracy.value());
        let candidate = Candidate::once(architecture);
        let imported = Self::new(Event::Imported).of(iteration, Some(epsilon), &candidate);
        Self { reward: accuracy, best_validation_accuracy: accuracy, time, ..imported }
    }

    /// Whether its curve is that of a whole training, from which a predictor learns. Where the
    /// trainer has ended it by a rule of its own there is a reason.
    pub fn has_full_curve(&self) -> bool {
        self.event == Event::Trained && self.reason.is_none()
    }

    pub fn has_cut_curve(&self) -> bool {
        matches!(self.event, Event::Stopped | Event::Trained) && !self.has_full_curve()
    }

    pub fn at(event: Event, time: Time) -> Self {
        Self { time: Some(time), ..Self::new(event) }
    }
}

/// Makes a reason fit for a field: one line, not endless, `None` when nothing is left.
pub fn plain(reason: &str) -> Option<Arc<str>> {
    let line: String = reason
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(REASON_LENGTH)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.into())
}

#[cfg(test)]
impl Row {
    /// A result of the attempt with this `claimed` row, of a network of one layer.
    pub(crate) fn made_up_result(&self, event: Event, reward: f64, time: Time) -> Self {
        Self {
            event,
            reward: Some(reward),
            epochs: Some(0),
            parameters: Some(1),
            macs: Some(1),
            layers: Some(1),
            restarts: Some(0),
            train_seconds: Some(1.5),
            lost_seconds: Some(0.0),
            started_at: self.time,
            time: Some(time),
            expires_at: None,
            ..self.clone()
        }
    }

    /// A result of a network that was trained for so many epochs, the first the best.
    pub(crate) fn made_up_trained(&self, accuracy: f64, epochs: u32, time: Time) -> Self {
        Self {
            best_validation_accuracy: Some(accuracy),
            best_epoch: Some(1),
            last_validation_accuracy: Some(accuracy),
            epochs: Some(epochs),
            learning_rate: Some(0.001),
            ..self.made_up_result(Event::Trained, accuracy, time)
        }
    }
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
    fn a_reason_fits_into_a_field() {
        assert_eq!(plain("\n a\r\nb\0 ").as_deref(), Some("a  b"));
        assert_eq!(plain("\n"), None);
        assert_eq!(plain(&"é".repeat(1000)).unwrap().chars().count(), REASON_LENGTH);
    }

    #[test]
    fn only_rows_with_a_reward_enter_the_memory() {
        let claim = Row::claimed(
            Attempt { iteration: Iteration(1), number: 1 },
            Some(1.0),
            &Candidate::once("[SM(10)]"),
            &claimant(),
        );
        let imported =
            Row::imported(Iteration(1), 1.0, "[SM(10)]", Accuracy::new(0.25).unwrap(), None);
        assert_eq!(imported.memory(), Some(("[SM(10)]", 0.25)));
        assert_eq!(claim.memory(), None);
        assert_eq!(Row { reward: Some(0.5), ..claim.clone() }.memory(), None);
        let reused = Row { event: Event::Reused, reward: None, ..claim };
        assert_eq!(reused.memory(), None);
        let reused = Row { reward: Some(0.5), ..reused };
        assert_eq!(reused.memory(), Some(("[SM(10)]", 0.5)));
        assert_eq!(Row { epsilon: None, ..reused }.memory(), None, "a list learns nothing");
    }
}
