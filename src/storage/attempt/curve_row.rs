//! One epoch of a learning curve, and what the stopping rule said after it.

use serde::{Deserialize, Serialize};

use crate::outcome::Accuracy;
use crate::predictor::{Prediction, StoppingRule, Verdict};
use crate::storage::fs::time::Time;

/// The columns, in the order of the fields of [`CurveRow`].
pub(crate) const COLUMNS: [&str; 13] = [
    "epoch",
    "start",
    "learning_rate",
    "training_loss",
    "training_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "time",
    "predicted_accuracy",
    "sigma",
    "stop_probability",
    "y_best",
];

/// What is known after one epoch. A number that the trainer does not tell is `None`.
///
/// A loss or a prediction that is not finite (a network that diverges) is written like one that is
/// not told, as an empty cell: a spreadsheet would take `NaN` for text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// Number of the epoch within its start, from 1.
    pub epoch: u32,
    /// Number of the start, from 1.
    pub start: u32,
    /// Learning rate of the optimizer.
    pub learning_rate: Option<f64>,
    /// Mean loss over the training images.
    pub training_loss: Option<f64>,
    /// Accuracy on the training images.
    pub training_accuracy: Option<Accuracy>,
    /// Mean loss over the validation images.
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation images.
    pub validation_accuracy: Accuracy,
    /// What the epoch took, its evaluation included.
    pub seconds: Option<f64>,
    /// When it ended, in UTC.
    pub time: Time,
    /// Mean of the prediction of the last epoch's accuracy; may lie outside [0, 1].
    pub predicted_accuracy: Option<f64>,
    /// Standard deviation of the prediction.
    pub sigma: Option<f64>,
    /// Probability that the last epoch stays below the best network so far.
    pub stop_probability: Option<f64>,
    /// The accuracy to beat when that was asked.
    #[serde(default)]
    pub y_best: Option<f64>,
}

impl CurveRow {
    /// Has the stopping rule judge a prediction made after this epoch, and keeps the numbers.
    pub fn judge(
        &mut self,
        rule: StoppingRule,
        prediction: Prediction,
        y_best: Option<f64>,
    ) -> Verdict {
        let verdict = rule.judge(Some(prediction), y_best);
        self.predicted_accuracy = Some(prediction.mean);
        self.sigma = Some(prediction.sigma);
        self.y_best = y_best;
        self.stop_probability = verdict.stop_probability();
        verdict
    }

    /// Whether the rule says to stop after this epoch, asked again with the numbers that were kept.
    pub fn is_stop(&self, rule: StoppingRule) -> bool {
        let (Some(mean), Some(sigma)) = (self.predicted_accuracy, self.sigma) else { return false };
        rule.judge(Some(Prediction { mean, sigma }), self.y_best).is_stop()
    }

    /// Orders the rows of a file: by start, then epoch.
    pub(crate) const fn position(&self) -> (u32, u32) {
        (self.start, self.epoch)
    }

    pub(crate) fn with_finite_numbers(mut self) -> Self {
        for number in [
            &mut self.learning_rate,
            &mut self.training_loss,
            &mut self.validation_loss,
            &mut self.seconds,
            &mut self.predicted_accuracy,
            &mut self.sigma,
            &mut self.stop_probability,
            &mut self.y_best,
        ] {
            *number = number.filter(|number| number.is_finite());
        }
        self
    }
}
