//! Learning curves: the validation accuracy after each epoch.

use serde::{Deserialize, Serialize};

use super::error::PredictorError;

/// Its square is far from overflow.
const LARGEST: f64 = 1e100;

/// The values y_1 .. y_T of a training, one per epoch, at least one; all finite, higher is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct LearningCurve(Vec<f64>);

impl LearningCurve {
    /// Takes accuracies as shares, not percent, or another metric of which more is better.
    pub fn new(values: Vec<f64>) -> Result<Self, PredictorError> {
        if values.is_empty() {
            return Err(PredictorError::Unusable("learning curve without an epoch".to_owned()));
        }
        match values.iter().position(|value| !is_computable(*value)) {
            Some(at) => Err(PredictorError::Unusable(format!(
                "learning curve has `{}` at epoch {} (must be finite and below 1e100 in size)",
                values[at],
                at + 1
            ))),
            None => Ok(Self(values)),
        }
    }

    pub fn epochs(&self) -> usize {
        self.0.len()
    }

    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Returns y_T, the value after the last epoch (not the best one): the predictor's target.
    pub fn last(&self) -> f64 {
        *self.0.last().expect("a curve is never empty")
    }

    /// Returns the curve of a training that ended after `epochs`, from 1 to as many as there are.
    pub fn up_to(&self, epochs: usize) -> Self {
        assert!(epochs > 0, "a curve is never empty");
        Self(self.0[..epochs].to_vec())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_numbers_are_refused_by_epoch() {
        let refused = LearningCurve::new(vec![0.1, f64::NAN]).unwrap_err();
        assert!(refused.to_string().starts_with("learning curve has `NaN` at epoch 2"));
        assert!(LearningCurve::new(vec![f64::INFINITY]).is_err());
        assert!(LearningCurve::new(vec![1e200]).is_err());
        assert!(LearningCurve::new(vec![]).is_err());
    }

    #[test]
    fn the_target_is_the_last_value_not_the_best() {
        assert_eq!(LearningCurve::new(vec![0.1, 0.9, 0.8]).unwrap().last(), 0.8);
    }
}
