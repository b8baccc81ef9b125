//! How the training of a network ended.

use serde::{Deserialize, Serialize};

/// A share of correctly classified images, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, derive_more::Into)]
#[serde(try_from = "f64", into = "f64")]
pub struct Accuracy(f64);

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("accuracy `{0}` is outside [0, 1]")]
pub struct NotAnAccuracy(pub f64);

impl Accuracy {
    pub fn new(value: f64) -> Result<Self, NotAnAccuracy> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value + 0.0)) } else { Err(NotAnAccuracy(value)) }
    }

    /// Brings a prediction, which may leave the range, back into [0, 1].
    pub fn clamped(value: f64) -> Self {
        assert!(!value.is_nan(), "a prediction is a number");
        Self(value.clamp(0.0, 1.0))
    }

    /// Returns the accuracy of guessing among `classes` equally frequent classes.
    pub fn chance(classes: u32) -> Self {
        Self(1.0 / f64::from(classes))
    }

    pub const fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Accuracy {
    type Error = NotAnAccuracy;
    fn try_from(value: f64) -> Result<Self, NotAnAccuracy> {
        Self::new(value)
    }
}

/// The results of the event log, and the row of the replay memory each one earns.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Trained {
        /// Best validation accuracy over the epochs: the reward.
        best: Accuracy,
        /// Validation accuracy after the last epoch: the predictor's target.
        last: Accuracy,
    },
    Stopped {
        /// The predicted last-epoch accuracy, which may lie outside [0, 1].
        predicted: f64,
    },
    /// The network's own fault.
    Failed {
        /// Best validation accuracy before it failed; `None` when no learning rate passed the
        /// first-epoch test.
        best: Option<Accuracy>,
    },
    /// Does not fit into the memory of the device, micro-batches included, as the trainer says. A
    /// trainer that the kernel kills for want of memory is a loss instead: this outcome is final,
    /// and a kill does not show whose fault it was.
    OutOfMemory,
    Imported {
        best: Accuracy,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_is_a_share() {
        assert_eq!(Accuracy::new(1.0).map(Accuracy::value), Ok(1.0));
        assert_eq!(Accuracy::new(86.0), Err(NotAnAccuracy(86.0)));
        assert!(Accuracy::new(f64::NAN).is_err());
        assert!(Accuracy::new(-0.0).is_ok_and(|accuracy| accuracy.value().is_sign_positive()));
        assert_eq!(Accuracy::clamped(1.2).value(), 1.0);
        assert_eq!(Accuracy::chance(10).value(), 0.1);
    }
}
