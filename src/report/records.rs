//! What a report is made from: flat values that the caller fills from its files.
//!
//! Accuracies, rewards and probabilities are shares in [0, 1], durations are seconds, `None` is
//! "not known" or "does not apply".

use jiff::Timestamp;
use serde::Serialize;

use crate::space::{Action, StateKey};

/// What has become of an iteration: the word of its deciding event in the replay log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being trained.
    #[default]
    Claimed,
    /// Waits for another iteration that trains its architecture.
    Pending,
    /// Trained to the end.
    Trained,
    /// Ended by the stopping rule.
    Stopped,
    /// Failed by the network's own fault.
    Failed,
    /// Does not fit into the memory of the device.
    OutOfMemory,
    /// Taken over from another search.
    Imported,
    /// Took the result of another iteration with the same architecture.
    Reused,
    /// Ended without a result.
    Lost,
    /// Its row was damaged and blanked.
    Void,
}

impl Status {
    /// Every status, in the order in which they are counted and shown.
    pub const ALL: [Self; 10] = [
        Self::Claimed,
        Self::Pending,
        Self::Trained,
        Self::Stopped,
        Self::Failed,
        Self::OutOfMemory,
        Self::Imported,
        Self::Reused,
        Self::Lost,
        Self::Void,
    ];

    pub(super) const WORDS: &[&str] = &[
        "claimed",
        "pending",
        "trained",
        "stopped",
        "failed",
        "out_of_memory",
        "imported",
        "reused",
        "lost",
        "void",
    ];

    /// Returns the word of the status, as in the replay log.
    pub const fn name(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Returns whether the iteration gave its architecture a result.
    pub const fn is_result(self) -> bool {
        matches!(
            self,
            Self::Trained | Self::Stopped | Self::Failed | Self::OutOfMemory | Self::Imported
        )
    }
}

/// One iteration: one sampled architecture and what became of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IterationRecord {
    /// Number of the iteration, from 1.
    pub iteration: u64,
    /// What has become of it.
    pub status: Status,
    /// The epsilon at which it was sampled, in [0, 1].
    pub epsilon: Option<f64>,
    /// The round of the task that sampled it, from 1.
    pub round: Option<u32>,
    /// The attempt that decided it, or the newest, from 1: names its curve and checkpoint.
    pub attempt: Option<u32>,
    /// The architecture with its dropout marks.
    pub architecture: Option<String>,
    /// The iteration whose result it awaits or took.
    pub of_iteration: Option<u64>,
    /// What Q-learning learns from, in [0, 1]: `Some` exactly for the rows of the replay memory.
    pub reward: Option<f64>,
    /// Greatest validation accuracy over the epochs, in [0, 1].
    pub best_validation_accuracy: Option<f64>,
    /// The epoch of that accuracy, from 1.
    pub best_epoch: Option<u32>,
    /// Validation accuracy after the last epoch, in [0, 1].
    pub last_validation_accuracy: Option<f64>,
    /// Number of epochs trained.
    pub epochs: Option<u32>,
    /// Predicted last-epoch accuracy at the verdict; may leave [0, 1].
    pub predicted_accuracy: Option<f64>,
    /// Standard deviation of the prediction.
    pub sigma: Option<f64>,
    /// The accuracy to beat, as the verdict saw it, in [0, 1].
    pub y_best: Option<f64>,
    /// Probability that the network would not have beaten it, in [0, 1].
    pub stop_probability: Option<f64>,
    /// The probability from which training is stopped, in [0, 1].
    pub threshold: Option<f64>,
    /// Whether the rule would have stopped the network, which was trained on to audit the rule.
    pub audit: Option<bool>,
    /// Weights and biases.
    pub parameters: Option<u64>,
    /// Multiply-accumulates for one image.
    pub macs: Option<u64>,
    /// Number of layers, the softmax not counted.
    pub layers: Option<u32>,
    /// The learning rate that passed the first-epoch test.
    pub learning_rate: Option<f64>,
    /// How many learning rates failed that test.
    pub restarts: Option<u32>,
    /// Seconds spent on training: the sum over the iteration's rows of the log.
    pub train_seconds: Option<f64>,
    /// Seconds that the stopping rule is estimated to have saved: the sum over its rows.
    pub saved_seconds: Option<f64>,
    /// Seconds of training that came to nothing, not part of `train_seconds`: the sum over its rows.
    pub lost_seconds: Option<f64>,
    /// Number of rows of the log behind the Q-values it was sampled with and the predictor that judged it.
    pub view: Option<u64>,
    /// Why it failed, was lost, or the like.
    pub reason: Option<String>,
    /// The device that trained.
    pub device: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// Number of the Slurm array; `None` for local processes.
    pub job: Option<u64>,
    /// Element of the array; `None` for local processes.
    pub task: Option<u64>,
    /// When the attempt began.
    pub started_at: Option<Timestamp>,
    /// When the first attempt began.
    pub first_started_at: Option<Timestamp>,
    /// When its newest row was written.
    pub time: Option<Timestamp>,
    /// Which training of the architecture, from 1.
    pub repeat: Option<u32>,
    /// The predictor that judged its newest attempt, by the full curves that there were when it was fitted.
    pub predictor: Option<u64>,
    /// Why a strategy drew it; `None` for Q-learning.
    pub strategy: Option<String>,
}

impl IterationRecord {
    /// Returns a record of which only number and status are known, to be filled field by field.
    pub fn new(iteration: u64, status: Status) -> Self {
        Self { iteration, status, ..Self::default() }
    }
}

/// One epoch of a learning curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Which of the first-epoch restarts this is, from 1; the last start is the curve.
    pub start: u32,
    /// Learning rate in this epoch.
    pub learning_rate: Option<f64>,
    /// Mean training loss over the epoch.
    pub training_loss: Option<f64>,
    /// Share of training images classified correctly during the epoch, in [0, 1].
    pub training_accuracy: Option<f64>,
    /// Mean loss over the validation images.
    pub validation_loss: Option<f64>,
    /// Share of validation images classified correctly, in [0, 1].
    pub validation_accuracy: f64,
    /// Wall-clock seconds of the epoch.
    pub seconds: Option<f64>,
    /// When the epoch ended.
    pub time: Option<Timestamp>,
    /// Predicted last-epoch accuracy; may leave [0, 1].
    pub predicted_accuracy: Option<f64>,
    /// Standard deviation of the prediction.
    pub sigma: Option<f64>,
    /// Probability that the network will not beat the best one, in [0, 1].
    pub stop_probability: Option<f64>,
    /// Last-epoch accuracy of the best one, in [0, 1].
    pub y_best: Option<f64>,
}

/// The learning curve of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveRecord {
    /// Number of the iteration, from 1.
    pub iteration: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The epochs in the order in which they were trained, every start included.
    pub epochs: Vec<EpochRecord>,
}

/// One entry of the Q-table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QValueRecord {
    /// The state in which the action is chosen.
    pub state: StateKey,
    /// The next layer.
    pub action: Action,
    /// The reward expected of it, in [0, 1] when rewards are.
    pub q_value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_own_word() {
        let words: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
        assert_eq!(words, Status::WORDS);
        for status in Status::ALL {
            let in_json = serde_json::to_string(&status).unwrap();
            assert_eq!(in_json, format!("\"{}\"", status.name()));
        }
    }
}
