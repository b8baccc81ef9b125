//! One row of the replay log: one event, all columns of the file.
//!
//! The file is made of these rows and nothing else; what a sequence of them means is said by
//! [`crate::storage::search_state`], how a row is written and read by [`crate::storage::log::text`]. Rows of each
//! kind are made by the constructors in [`crate::storage::log::event`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::storage::fs::time::Time;

/// The number of one sampled architecture, from 1: the paper's counter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Iteration(pub u64);

impl Iteration {
    /// The first iteration of every experiment.
    pub const FIRST: Self = Self(1);

    /// Returns the iteration after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Iteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One try to train the architecture of an iteration. Every file that an attempt writes carries
/// both numbers, so two copies of a task never write the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// The iteration.
    pub iteration: Iteration,
    /// Which attempt at it, from 1.
    pub number: u32,
}

/// Writes the attempt as the names of its files do: `000123.1`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}.{}", self.iteration.0, self.number)
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An attempt to train an architecture has begun.
    Claimed,
    /// An architecture was sampled while another iteration is training it.
    Pending,
    /// A network was trained to the end.
    Trained,
    /// A training was ended by the stopping rule.
    Stopped,
    /// A training failed by the network's own fault.
    Failed,
    /// A network does not fit into the memory of the device.
    OutOfMemory,
    /// An architecture was sampled that has a result, or got one while it was pending or open.
    Reused,
    /// An iteration ended without a result.
    Lost,
    /// Nothing new could be drawn at an epsilon: it is closed.
    Exhausted,
    /// A person stopped the search.
    Halted,
    /// A person let a halted search go on.
    Resumed,
    /// A result of another search was taken over.
    Imported,
    /// A damaged row was blanked.
    Void,
    /// A person changed a key of the configuration: `reason` is `key=value`.
    Set,
    /// Rows before this one were blanked, or a view of them was replaced: what was read of them is forgotten.
    Repaired,
}

impl Event {
    /// Every event, in the order of their meaning's table.
    pub const ALL: [Self; 15] = [
        Self::Claimed,
        Self::Pending,
        Self::Trained,
        Self::Stopped,
        Self::Failed,
        Self::OutOfMemory,
        Self::Reused,
        Self::Lost,
        Self::Exhausted,
        Self::Halted,
        Self::Resumed,
        Self::Imported,
        Self::Set,
        Self::Void,
        Self::Repaired,
    ];

    /// Returns whether the event gives its architecture a result.
    pub const fn is_result(self) -> bool {
        matches!(
            self,
            Self::Trained | Self::Stopped | Self::Failed | Self::OutOfMemory | Self::Imported
        )
    }

    /// Returns the event as it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Pending => "pending",
            Self::Trained => "trained",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::OutOfMemory => "out_of_memory",
            Self::Reused => "reused",
            Self::Lost => "lost",
            Self::Exhausted => "exhausted",
            Self::Halted => "halted",
            Self::Resumed => "resumed",
            Self::Imported => "imported",
            Self::Set => "set",
            Self::Void => "void",
            Self::Repaired => "repaired",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One event with every column of the log; a column that does not apply is empty.
///
/// The order of the fields is the order of the columns: it is part of the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of the sampled architecture.
    pub iteration: Option<Iteration>,
    /// What has happened.
    pub event: Event,
    /// Which attempt at this iteration, from 1.
    pub attempt: Option<u32>,
    /// The round of the task that writes.
    pub round: Option<u32>,
    /// The epsilon at which the architecture was sampled.
    pub epsilon: Option<f64>,
    /// The architecture, with its dropout marks.
    pub architecture: Option<String>,
    /// The iteration whose training is awaited, or whose result is reused.
    pub of_iteration: Option<Iteration>,
    /// What Q-learning learns from.
    pub reward: Option<f64>,
    /// Greatest validation accuracy over the epochs, in [0, 1].
    pub best_validation_accuracy: Option<f64>,
    /// The epoch of that accuracy, from 1.
    pub best_epoch: Option<u32>,
    /// Validation accuracy after the last epoch, in [0, 1].
    pub last_validation_accuracy: Option<f64>,
    /// Number of epochs trained.
    pub epochs: Option<u32>,
    /// The predicted last-epoch accuracy at the verdict; may leave [0, 1].
    pub predicted_accuracy: Option<f64>,
    /// Its standard deviation.
    pub sigma: Option<f64>,
    /// The accuracy to beat, as the verdict saw it.
    pub y_best: Option<f64>,
    /// Probability that the network would not have beaten it.
    pub stop_probability: Option<f64>,
    /// The probability at which training is stopped.
    pub threshold: Option<f64>,
    /// Whether the rule would have stopped this network, which was trained on to audit the rule.
    pub audit: Option<bool>,
    /// Weights and biases of the network.
    pub parameters: Option<u64>,
    /// Multiply-accumulates for one image.
    pub macs: Option<u64>,
    /// Number of layers, the softmax not counted.
    pub layers: Option<u32>,
    /// The learning rate that passed the first-epoch test.
    pub learning_rate: Option<f64>,
    /// How many learning rates failed that test.
    pub restarts: Option<u32>,
    /// Seconds spent on the training that the row is the result of: over all starts of this attempt,
    /// and over the epochs of earlier attempts that it goes on from.
    pub train_seconds: Option<f64>,
    /// Seconds that the stopping rule is estimated to have saved.
    pub saved_seconds: Option<f64>,
    /// Seconds of training that came to nothing, not part of `train_seconds`.
    pub lost_seconds: Option<f64>,
    /// The view (rows digested) that the attempt began with. Its predictor judges the epochs that this attempt trains;
    /// a first attempt was sampled from it. (An audited training keeps the first verdict, which may be an earlier
    /// attempt's: the `claimed` row of that one names its view.)
    pub view: Option<u64>,
    /// Why, in words; on a `claimed` row, that the attempt before counts as a loss, or left on the time warning without
    /// a new epoch.
    pub reason: Option<String>,
    /// The device that trains.
    pub device: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// The Slurm array job, or `local`.
    pub job: Option<String>,
    /// The element of the array, or the local process.
    pub task: Option<String>,
    /// When the attempt began.
    pub started_at: Option<Time>,
    /// When the row was written.
    pub time: Option<Time>,
    /// When the claim ends by itself.
    pub expires_at: Option<Time>,
    /// Which training of the architecture, from 1, in every row with an architecture; only a `list` experiment trains
    /// one several times.
    pub repeat: Option<u32>,
    /// The predictor that judges the epochs of the attempt, by the full curves that the log held when it was fitted.
    pub predictor: Option<u64>,
    /// Why a strategy drew the architecture, in a few words; empty for Q-learning.
    pub strategy: Option<String>,
}

impl Row {
    /// Returns a row of which only the event is known.
    pub const fn new(event: Event) -> Self {
        Self {
            iteration: None,
            event,
            attempt: None,
            round: None,
            epsilon: None,
            architecture: None,
            of_iteration: None,
            reward: None,
            best_validation_accuracy: None,
            best_epoch: None,
            last_validation_accuracy: None,
            epochs: None,
            predicted_accuracy: None,
            sigma: None,
            y_best: None,
            stop_probability: None,
            threshold: None,
            audit: None,
            parameters: None,
            macs: None,
            layers: None,
            learning_rate: None,
            restarts: None,
            train_seconds: None,
            saved_seconds: None,
            lost_seconds: None,
            view: None,
            reason: None,
            device: None,
            host: None,
            job: None,
            task: None,
            started_at: None,
            time: None,
            expires_at: None,
            repeat: None,
            predictor: None,
            strategy: None,
        }
    }

    /// Returns the attempt that the row is about, if it names one.
    pub fn attempt(&self) -> Option<Attempt> {
        Some(Attempt { iteration: self.iteration?, number: self.attempt? })
    }

    /// Returns the architecture and reward that the row adds to the replay memory: those of
    /// results and `reused` rows that carry a reward.
    pub fn memory(&self) -> Option<(&str, f64)> {
        if self.event.is_result() || self.event == Event::Reused {
            Some((self.architecture.as_deref()?, self.reward?))
        } else {
            None
        }
    }
}
