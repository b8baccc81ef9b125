//! Learning curves: the validation accuracy after each epoch.

use serde::{Deserialize, Serialize};

use super::error::PredictorError;
use crate::outcome::Accuracy;

/// Largest size of a number the predictor computes with: its square is far from overflow.
pub(super) const LARGEST: f64 = 1e100;

/// The values y_1 .. y_T of a training, one per epoch; higher is better.
///
/// Never empty, and every value is a finite number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct LearningCurve(Vec<f64>);

impl LearningCurve {
    /// Makes a curve of values where higher is better: accuracies as shares, not percent.
    ///
    /// # Errors
    /// When there is no value, or one is not finite (or so large that its square would not be).
    pub fn new(values: Vec<f64>) -> Result<Self, PredictorError> {
        if values.is_empty() {
            return Err(PredictorError::EmptyCurve);
        }
        match values.iter().position(|value| !is_computable(*value)) {
            Some(at) => Err(PredictorError::CurveValue { epoch: at + 1, value: values[at] }),
            None => Ok(Self(values)),
        }
    }

    /// Makes a curve of accuracies.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_accuracies(accuracies: &[Accuracy]) -> Result<Self, PredictorError> {
        Self::new(accuracies.iter().map(|accuracy| accuracy.value()).collect())
    }

    /// Returns the number of epochs.
    pub fn epochs(&self) -> usize {
        self.0.len()
    }

    /// Returns all values.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Returns y_T, the value after the last epoch (not the best one): the predictor's target.
    pub fn last(&self) -> f64 {
        *self.0.last().expect("a curve is never empty")
    }

    /// Returns the curve of a training that ended after `epochs`, at least 1 and at most as many as there are.
    ///
    /// # Panics
    /// When the curve has fewer epochs, or `epochs` is 0.
    pub fn up_to(&self, epochs: usize) -> Self {
        assert!(epochs > 0, "a curve is never empty");
        Self(self.0[..epochs].to_vec())
    }
}

/// Whether the predictor can compute with a number.
pub(super) fn is_computable(value: f64) -> bool {
    value.abs() < LARGEST
}

/// Returns y'_t = y_t - y_{t-1} for t = 2 ..; one value fewer than given.
pub(super) fn differences(values: &[f64]) -> Vec<f64> {
    values.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

impl TryFrom<Vec<f64>> for LearningCurve {
    type Error = PredictorError;
    fn try_from(values: Vec<f64>) -> Result<Self, PredictorError> {
        Self::new(values)
    }
}

impl From<LearningCurve> for Vec<f64> {
    fn from(curve: LearningCurve) -> Self {
        curve.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_numbers_are_refused_by_epoch() {
        let refused = LearningCurve::new(vec![0.1, f64::NAN]).unwrap_err();
        assert!(
            matches!(refused, PredictorError::CurveValue { epoch: 2, value } if value.is_nan())
        );
        assert!(LearningCurve::new(vec![f64::INFINITY]).is_err());
        assert!(LearningCurve::new(vec![1e200]).is_err());
        assert_eq!(LearningCurve::new(vec![]), Err(PredictorError::EmptyCurve));
    }

    #[test]
    fn the_target_is_the_last_value_not_the_best() {
        assert_eq!(LearningCurve::new(vec![0.1, 0.9, 0.8]).unwrap().last(), 0.8);
    }
}
