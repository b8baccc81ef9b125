//! What a predictor learns from: what a network is, how it is trained, and its learning curve.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::maths::log10;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictorError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Curves or features that no predictor can take, or that do not go together.
    #[error("{0}")]
    Unusable(String),
    /// A saved predictor whose parts do not fit together.
    #[error("saved predictor: {0} does not fit the curves saved with it")]
    Saved(String),
}

type Result<T> = std::result::Result<T, PredictorError>;

/// Refuses what is not finite or overflows when squared; `is` words a value by its number from 1.
fn computable(values: Vec<f64>, is: impl Fn(usize, f64) -> String) -> Result<Vec<f64>> {
    let is_computable = |value: &f64| value.abs() < 1e100;
    let Some((number, value)) = (1..).zip(&values).find(|(_, value)| !is_computable(value)) else {
        return Ok(values);
    };
    let problem = format!("{} (must be finite and below 1e100 in size)", is(number, *value));
    Err(PredictorError::Unusable(problem))
}

/// The validation accuracies y_1 .. y_T of a training, one per epoch, at least one; as shares, not
/// percent, or another metric of which more is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct LearningCurve(Vec<f64>);

impl TryFrom<Vec<f64>> for LearningCurve {
    type Error = PredictorError;
    fn try_from(values: Vec<f64>) -> Result<Self> {
        if values.is_empty() {
            return Err(PredictorError::Unusable("learning curve without an epoch".to_owned()));
        }
        let is = |epoch, value| format!("learning curve has `{value}` at epoch {epoch}");
        computable(values, is).map(Self)
    }
}

impl LearningCurve {
    pub fn epochs(&self) -> usize {
        self.0.len()
    }

    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// y_T, the value after the last epoch (not the best one): the predictor's target.
    pub fn last(&self) -> f64 {
        *self.0.last().expect("a curve is never empty")
    }

    /// The curve of a training that ended after `epochs`, from 1 to as many as there are.
    pub fn up_to(&self, epochs: usize) -> Self {
        assert!(epochs > 0, "a curve is never empty");
        Self(self.0[..epochs].to_vec())
    }
}

/// What does not depend on the epoch: architecture, then hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct Features(Vec<f64>);

impl TryFrom<Vec<f64>> for Features {
    type Error = PredictorError;
    fn try_from(values: Vec<f64>) -> Result<Self> {
        computable(values, |number, value| format!("feature {number} is `{value}`")).map(Self)
    }
}

impl Features {
    /// Those of our search: log10 of the number of weights, number of layers, log10 of the learning
    /// rate (that of the last start), the one hyperparameter that varies within a search.
    pub fn of_network(parameters: u64, layers: u32, learning_rate: f64) -> Result<Self> {
        Self::try_from(vec![log10(parameters as f64), f64::from(layers), log10(learning_rate)])
    }

    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

/// A network trained to the end: what a predictor learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub features: Features,
    pub curve: LearningCurve,
}

impl Example {
    /// Refuses fewer than `least`, at least 1, and any that differ in epochs or in features.
    pub(crate) fn check_alike(examples: &[Self], least: usize) -> Result<()> {
        let size = |example: &Self| (example.curve.epochs(), example.features.values().len());
        let differs = |(_, other): &(usize, &Self)| size(other) != size(&examples[0]);
        if examples.len() < least {
            return Err(PredictorError::Unusable(format!(
                "{} full learning curves (at least {least} needed)",
                examples.len()
            )));
        }
        let Some((index, other)) = (1..).zip(examples).find(differs) else { return Ok(()) };
        let ((epochs, features), (has_epochs, has_features)) = (size(&examples[0]), size(other));
        Err(PredictorError::Unusable(if has_epochs != epochs {
            format!(
                "learning curve {index} has {has_epochs} epochs where the first has {epochs} (all \
                 must be trained alike)"
            )
        } else {
            format!("network {index} has {has_features} features where the first has {features}")
        }))
    }
}

/// Columns at `epoch` observed epochs and `fixed` features besides the curve.
pub fn n_features(fixed: usize, epoch: usize) -> usize {
    fixed + epoch + epoch.saturating_sub(1) + epoch.saturating_sub(2)
}

/// One row: architecture and hyperparameters, then y_1..y_tau, the first differences y'_2..y'_tau
/// and the second differences y''_3..y''_tau (Baker et al., 2017, section 3.1): from tau = 2 on
/// linearly dependent.
pub(super) fn feature_row(features: &Features, observed: &[f64]) -> Vec<f64> {
    let differences = |values: &[f64]| values.windows(2).map(|y| y[1] - y[0]).collect::<Vec<_>>();
    let first = differences(observed);
    let second = differences(&first);
    [features.values(), observed, &first, &second].concat()
}

#[derive(Debug, Clone)]
pub(crate) struct EpochTable {
    pub rows: Vec<Vec<f64>>,
    pub last_seen: Vec<f64>,
    /// y_T of each.
    pub targets: Vec<f64>,
}

impl EpochTable {
    pub fn new(examples: &[Example], epoch: usize) -> Self {
        let row = |e: &Example| feature_row(&e.features, &e.curve.values()[..epoch]);
        Self {
            rows: examples.iter().map(row).collect(),
            last_seen: examples.iter().map(|e| e.curve.values()[epoch - 1]).collect(),
            targets: examples.iter().map(|e| e.curve.last()).collect(),
        }
    }

    pub fn part(&self, networks: &[usize]) -> Self {
        let of = |column: &[f64]| networks.iter().map(|&network| column[network]).collect();
        Self {
            rows: networks.iter().map(|&network| self.rows[network].clone()).collect(),
            last_seen: of(&self.last_seen),
            targets: of(&self.targets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(observed: &[f64]) -> Vec<f64> {
        feature_row(&Features::try_from(vec![6.0, 9.0]).unwrap(), observed)
    }

    #[test]
    fn values_that_are_no_numbers_are_refused_by_epoch() {
        let refused = LearningCurve::try_from(vec![0.1, f64::NAN]).unwrap_err();
        assert!(refused.to_string().starts_with("learning curve has `NaN` at epoch 2"));
        assert!(LearningCurve::try_from(vec![f64::INFINITY]).is_err());
        assert!(LearningCurve::try_from(vec![1e200]).is_err());
        assert!(LearningCurve::try_from(vec![]).is_err());
    }

    #[test]
    fn the_target_is_the_last_value_not_the_best() {
        assert_eq!(LearningCurve::try_from(vec![0.1, 0.9, 0.8]).unwrap().last(), 0.8);
    }

    #[test]
    fn rows_by_hand() {
        assert_eq!(row(&[0.5]), [6.0, 9.0, 0.5]);
        assert_eq!(row(&[0.5, 0.75]), [6.0, 9.0, 0.5, 0.75, 0.25]);
        // y' = 0.25, 0.125; y'' = 0.125 - 0.25.
        assert_eq!(row(&[0.5, 0.75, 0.875]), [6.0, 9.0, 0.5, 0.75, 0.875, 0.25, 0.125, -0.125]);
        // y = 1/2, 1, 3, 2, 2: y' = 1/2, 2, -1, 0; y'' = 3/2, -3, 1.
        assert_eq!(
            row(&[0.5, 1.0, 3.0, 2.0, 2.0]),
            [6.0, 9.0, 0.5, 1.0, 3.0, 2.0, 2.0, 0.5, 2.0, -1.0, 0.0, 1.5, -3.0, 1.0]
        );
        // Squares 1, 4, 9 .. 361: y' = 3, 5 .. 37 and every y'' = 2.
        let squares: Vec<f64> = (1..=19).map(|t| f64::from(t * t)).collect();
        let row = row(&squares);
        assert_eq!(row[2..21], squares);
        assert!(row[21..39].iter().zip((3..).step_by(2)).all(|(y, odd)| *y == f64::from(odd)));
        assert_eq!(row[39..], [2.0; 17]);
    }

    #[test]
    fn lengths_are_those_of_the_paper() {
        // |AP| + |HP| + 1 at the first epoch, |AP| + |HP| + 3 tau - 3 from the second on.
        assert_eq!([1, 2, 3, 5, 19].map(|tau| n_features(3, tau)), [4, 6, 9, 15, 57]);
    }

    #[test]
    fn weights_and_learning_rate_enter_by_their_logarithm() {
        let features = Features::of_network(1_000_000, 7, 0.001).unwrap();
        assert_eq!(features.values(), [6.0, 7.0, -3.0]);
        assert!(Features::of_network(0, 7, 0.001).is_err());
        assert!(Features::of_network(10, 7, -0.001).is_err());
    }

    proptest! {
        #[test]
        fn a_row_is_as_long_as_promised(observed in proptest::collection::vec(-1.0..1.0, 1..30)) {
            prop_assert_eq!(row(&observed).len(), n_features(2, observed.len()));
        }
    }
}
