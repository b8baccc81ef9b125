//! Which regression model predicts, and that model fitted.

use serde::{Deserialize, Serialize};

use super::error::PredictorError;
use super::least_squares::LeastSquares;
use super::nu_svr::{NuSvr, NuSvrParams, similarities};
use super::random_forest::RandomForest;

/// The regression models that a configuration can name (Baker et al., 2017, section 3.2), in the
/// order of tables.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Regressor {
    /// nu-SVR with a radial basis function: the paper's default.
    NuSvrRbf,
    NuSvrLinear,
    Ols,
    RandomForest,
    /// The last value observed: the simplest baseline.
    LastSeen,
}

/// A regression model with everything chosen but what it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hyperparameters {
    NuSvr(NuSvrParams),
    Ols,
    /// By the seed of its bootstrap samples and feature choices.
    RandomForest {
        seed: u64,
    },
    LastSeen,
}

/// A fitted regression model over standardised rows; training rows that it refers to are kept
/// beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "regressor", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Model {
    NuSvr(NuSvr),
    Ols(LeastSquares),
    RandomForest(RandomForest),
    LastSeen,
}

impl Model {
    pub fn fit(
        hyperparameters: Hyperparameters,
        rows: &[Vec<f64>],
        targets: &[f64],
    ) -> Result<Self, PredictorError> {
        Ok(match hyperparameters {
            Hyperparameters::NuSvr(params) => {
                let training = similarities(params.kernel, rows, rows);
                Self::NuSvr(NuSvr::fit(params, &training, targets)?)
            }
            Hyperparameters::Ols => Self::Ols(LeastSquares::fit(rows, targets)),
            Hyperparameters::RandomForest { seed } => {
                Self::RandomForest(RandomForest::grow(seed, rows, targets))
            }
            Hyperparameters::LastSeen => Self::LastSeen,
        })
    }

    /// Makes a model just read from a file usable again, given the rows it was fitted to; names the
    /// part of it that does not fit them.
    pub fn restore(&mut self, rows: &[Vec<f64>], targets: &[f64]) -> Result<(), &'static str> {
        match self {
            Self::NuSvr(model) if model.coefficients.len() != rows.len() => Err("`coefficients`"),
            Self::Ols(model) if model.weights.len() != rows[0].len() => Err("`weights`"),
            Self::RandomForest(model) => {
                *model = RandomForest::grow(model.seed, rows, targets);
                Ok(())
            }
            Self::NuSvr(_) | Self::Ols(_) | Self::LastSeen => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray;

    #[test]
    fn a_regressor_has_one_name_everywhere() {
        for regressor in Regressor::VARIANTS {
            let name = regressor.to_string();
            assert_eq!(name.parse(), Ok(*regressor));
            assert_eq!(serde_yaml::to_string(regressor).unwrap().trim(), name);
        }
    }
}
