//! One epoch of a learning curve, and what the stopping rule said after it.

use serde::{Deserialize, Serialize};

use crate::outcome::Accuracy;
use crate::storage::fs::time::Time;
use crate::storage::log::event::StopNumbers;

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

/// What the stopping rule was told after an epoch, and what it said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Predicted last-epoch accuracy; may lie outside [0, 1].
    pub predicted_accuracy: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// The accuracy to beat, once enough networks are trained to the end.
    pub y_best: Option<f64>,
    /// Probability that the network does not beat it.
    pub stop_probability: Option<f64>,
}

impl Forecast {
    /// Returns the numbers of a verdict to stop, if it is one at this threshold.
    pub fn stop(&self, threshold: f64) -> Option<StopNumbers> {
        let stop_probability = self.stop_probability.filter(|&found| found >= threshold)?;
        Some(StopNumbers {
            predicted_accuracy: self.predicted_accuracy,
            sigma: self.sigma,
            y_best: self.y_best?,
            stop_probability,
            threshold,
        })
    }
}

impl CurveRow {
    /// Returns the row with a forecast.
    #[must_use]
    pub fn with_forecast(self, forecast: &Forecast) -> Self {
        Self {
            predicted_accuracy: Some(forecast.predicted_accuracy),
            sigma: Some(forecast.sigma),
            stop_probability: forecast.stop_probability,
            y_best: forecast.y_best,
            ..self
        }
    }

    /// Returns the forecast after this epoch, if there was one.
    pub fn forecast(&self) -> Option<Forecast> {
        Some(Forecast {
            predicted_accuracy: self.predicted_accuracy?,
            sigma: self.sigma?,
            y_best: self.y_best,
            stop_probability: self.stop_probability,
        })
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
