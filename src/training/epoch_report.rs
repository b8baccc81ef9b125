//! What a trainer tells after each epoch.

use serde::{Deserialize, Serialize};

/// One row of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Which of the first-epoch restarts this is, from 1; the last start is the curve.
    #[serde(default = "first")]
    pub start: u32,
    /// Learning rate in this epoch.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Mean training loss over the epoch.
    #[serde(default)]
    pub training_loss: Option<f64>,
    /// Share of training images classified correctly during the epoch, in [0, 1].
    #[serde(default)]
    pub training_accuracy: Option<f64>,
    /// Mean loss over the validation images.
    #[serde(default)]
    pub validation_loss: Option<f64>,
    /// Share of validation images classified correctly, in [0, 1].
    pub validation_accuracy: f64,
    /// Wall-clock seconds of the epoch, evaluation included.
    #[serde(default)]
    pub seconds: Option<f64>,
}

const fn first() -> u32 {
    1
}
