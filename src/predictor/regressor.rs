//! Which regression model predicts, and that model fitted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::PredictorError;
use super::least_squares::LeastSquares;
use super::nu_svr::{NuSvr, NuSvrParams};
use super::random_forest::RandomForest;

/// The regression models that a configuration can name (Baker et al., 2017, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regressor {
    /// nu-SVR with a radial basis function: the paper's default.
    NuSvrRbf,
    /// nu-SVR with a linear kernel.
    NuSvrLinear,
    /// Ordinary least squares.
    Ols,
    /// Random forest.
    RandomForest,
    /// The last value observed: the simplest baseline.
    LastSeen,
}

impl Regressor {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 5] =
        [Self::NuSvrRbf, Self::NuSvrLinear, Self::Ols, Self::RandomForest, Self::LastSeen];

    /// Returns its name in configurations, on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NuSvrRbf => "nu-svr-rbf",
            Self::NuSvrLinear => "nu-svr-linear",
            Self::Ols => "ols",
            Self::RandomForest => "random-forest",
            Self::LastSeen => "last-seen",
        }
    }
}

impl fmt::Display for Regressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Regressor {
    type Err = PredictorError;
    fn from_str(name: &str) -> Result<Self, PredictorError> {
        Self::ALL.into_iter().find(|regressor| regressor.name() == name).ok_or_else(|| {
            PredictorError::UnknownRegressor {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

/// A regression model with everything chosen but what it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hyperparameters {
    /// nu-SVR, either kernel.
    NuSvr(NuSvrParams),
    /// Ordinary least squares has none.
    Ols,
    /// Random forest.
    RandomForest {
        /// Seed of its bootstrap samples and feature choices.
        seed: u64,
    },
    /// The last value observed has none.
    LastSeen,
}

/// A fitted regression model over standardised rows. Training rows that it refers to are kept beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "regressor", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Model {
    NuSvr(NuSvr),
    Ols(LeastSquares),
    RandomForest(RandomForest),
    LastSeen,
}

impl Model {
    /// Fits to at least one standardised row.
    pub fn fit(
        hyperparameters: Hyperparameters,
        rows: &[Vec<f64>],
        targets: &[f64],
    ) -> Result<Self, PredictorError> {
        Ok(match hyperparameters {
            Hyperparameters::NuSvr(params) => Self::NuSvr(NuSvr::fit(params, rows, targets)?),
            Hyperparameters::Ols => Self::Ols(LeastSquares::fit(rows, targets)),
            Hyperparameters::RandomForest { seed } => {
                Self::RandomForest(RandomForest::grow(seed, rows, targets))
            }
            Hyperparameters::LastSeen => Self::LastSeen,
        })
    }

    /// Makes a model just read from a file usable again, given the rows it was fitted to.
    ///
    /// # Errors
    /// Names the part that does not fit the rows.
    pub fn restore(&mut self, rows: &[Vec<f64>], targets: &[f64]) -> Result<(), &'static str> {
        match self {
            Self::NuSvr(model) if model.training_rows() != rows.len() => Err("`coefficients`"),
            Self::Ols(model) if model.n_features() != rows[0].len() => Err("`weights`"),
            Self::RandomForest(model) => {
                model.regrow(rows, targets);
                Ok(())
            }
            Self::NuSvr(_) | Self::Ols(_) | Self::LastSeen => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regressor_has_one_name_everywhere() {
        for regressor in Regressor::ALL {
            assert_eq!(regressor.name().parse(), Ok(regressor));
            assert_eq!(serde_yaml::to_string(&regressor).unwrap().trim(), regressor.name());
        }
        let unknown = "svr".parse::<Regressor>().unwrap_err().to_string();
        assert!(unknown.contains("`svr`") && unknown.contains("nu-svr-rbf"), "{unknown}");
    }
}
