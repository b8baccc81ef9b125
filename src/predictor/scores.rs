//! How good predictions are.

use serde::{Deserialize, Serialize};

use crate::maths::{mean, square};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    pub r_squared: Option<f64>,
    /// `mean |y - yhat|`, in units of the target.
    pub mean_absolute_error: f64,
}

impl Scores {
    pub fn of(targets: &[f64], predictions: &[f64]) -> Self {
        let errors = targets.iter().zip(predictions).map(|(y, yhat)| (y - yhat).abs());
        Self { r_squared: r_squared(targets, predictions), mean_absolute_error: mean(errors) }
    }
}

/// `1 - sum (y - yhat)^2 / sum (y - mean y)^2`: 1 for perfect predictions, 0 for the mean. None
/// where all targets are equal, and where squares vanish or leave the range of floats.
pub(super) fn r_squared(targets: &[f64], predictions: &[f64]) -> Option<f64> {
    let mean = mean(targets.iter().copied());
    let total: f64 = targets.iter().map(|y| square(y - mean)).sum();
    let left: f64 = targets.iter().zip(predictions).map(|(y, yhat)| square(y - yhat)).sum();
    // Of equal targets rounding may leave a total.
    let differ = targets.iter().any(|y| *y != targets[0]);
    differ.then(|| 1.0 - left / total).filter(|r_squared| r_squared.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        // Mean 2, total 1 + 0 + 1; left 0 + 1 + 0: R squared 1 - 1/2. Errors 0, 1, 0.
        let scores = Scores::of(&[1.0, 2.0, 3.0], &[1.0, 3.0, 3.0]);
        assert_eq!(scores, Scores { r_squared: Some(0.5), mean_absolute_error: 1.0 / 3.0 });
    }

    #[test]
    fn equal_targets_have_no_r_squared() {
        assert_eq!(r_squared(&[0.1, 0.1, 0.1], &[0.1, 0.2, 0.1]), None);
        // 1e-200 squared is 0.
        assert_eq!(r_squared(&[0.0, 1e-200], &[0.0, 1e-200]), None);
        assert_eq!(r_squared(&[0.0, 1.0], &[0.0, 1e200]), None);
    }
}
