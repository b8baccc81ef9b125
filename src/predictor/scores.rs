//! How good predictions are, and how sure a share is.

use serde::{Deserialize, Serialize};

use crate::maths::square;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    pub r_squared: Option<f64>,
    /// In units of the target.
    pub mean_absolute_error: f64,
}

impl Scores {
    pub fn of(targets: &[f64], predictions: &[f64]) -> Self {
        Self {
            r_squared: r_squared(targets, predictions),
            mean_absolute_error: mean_absolute_error(targets, predictions),
        }
    }
}

/// Returns `1 - sum (y - yhat)^2 / sum (y - mean y)^2`: 1 for perfect predictions, 0 for the mean.
///
/// None where all targets are equal, and where squares vanish or leave the range of floats.
pub(super) fn r_squared(targets: &[f64], predictions: &[f64]) -> Option<f64> {
    let mean = targets.iter().sum::<f64>() / targets.len() as f64;
    let total: f64 = targets.iter().map(|y| square(y - mean)).sum();
    let left: f64 = targets.iter().zip(predictions).map(|(y, yhat)| square(y - yhat)).sum();
    // Of equal targets rounding may leave a total.
    let differ = targets.iter().any(|y| *y != targets[0]);
    differ.then(|| 1.0 - left / total).filter(|r_squared| r_squared.is_finite())
}

/// Returns `mean |y - yhat|`.
fn mean_absolute_error(targets: &[f64], predictions: &[f64]) -> f64 {
    let sum: f64 = targets.iter().zip(predictions).map(|(y, yhat)| (y - yhat).abs()).sum();
    sum / targets.len() as f64
}

/// Quantile of the standard normal distribution that leaves 2.5 % on each side.
const Z: f64 = 1.959_963_984_540_054;

/// Returns Wilson's 95 % interval of a share, `found` of `of`; none of nothing:
///
/// ```text
/// (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n),  p = found / n, z = 1.96
/// ```
///
/// Wilson, 1927, *Probable inference, the law of succession, and statistical inference*. Unlike the
/// textbook interval it stays in [0, 1] and says something of few trials.
pub(super) fn wilson_interval(found: u64, of: u64) -> Option<(f64, f64)> {
    if of == 0 {
        return None;
    }
    let n = of as f64;
    let p = found as f64 / n;
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // Exact where rounding would leave a trace: 0 is above no limit.
    let lower = if found == 0 { 0.0 } else { (middle - reach) / scale };
    let upper = if found == of { 1.0 } else { (middle + reach) / scale };
    Some((lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn the_interval_by_hand() {
        let is = |found, of, lower: f64, upper: f64| {
            let (low, high) = wilson_interval(found, of).unwrap();
            assert!((low - lower).abs() < 1e-4 && (high - upper).abs() < 1e-4, "{low} {high}");
        };
        // z^2 = 3.8415. n = 10, p = 0.1: middle 0.1 + 0.19207 = 0.29207; reach
        // 1.95996 sqrt(0.009 + 0.0096036) = 0.26733; scale 1.38415.
        is(1, 10, 0.017876, 0.404150);
        // n = 1, p = 1: middle 1 + 1.92073; reach 1.95996 sqrt(0.96036) = 1.92073; scale 4.8415.
        is(1, 1, 0.206543, 1.0);
        // n = 20, p = 0: upper end 2 * 0.096036 / 1.192073.
        is(0, 20, 0.0, 0.161125);
        assert_eq!(wilson_interval(0, 0), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share(of in 1_u64..10_000, part in 0.0..=1.0_f64) {
            let found = (of as f64 * part).floor() as u64;
            let (lower, upper) = wilson_interval(found, of).unwrap();
            let share = found as f64 / of as f64;
            prop_assert!((0.0..=share).contains(&lower) && (share..=1.0).contains(&upper));
        }
    }
}
