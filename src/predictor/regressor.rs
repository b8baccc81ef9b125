//! Which regression model predicts, and that model fitted for one number of observed epochs.

use serde::{Deserialize, Serialize};

use super::features::EpochTable;
use super::least_squares::LeastSquares;
use super::nu_svr::{NuSvr, NuSvrParams, own_similarities};
use super::random_forest::RandomForest;
use super::scaling::Scaling;

/// As configurations name it (Baker et al., 2017, section 3.2), in the order of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(clap::ValueEnum, strum::Display, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Regressor {
    /// nu-SVR with a radial basis function: the paper's default
    NuSvrRbf,
    /// nu-SVR with a linear kernel
    NuSvrLinear,
    /// Ordinary least squares
    Ols,
    /// The mean of 100 trees
    RandomForest,
    /// The last value observed: the simplest baseline
    LastSeen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hyperparameters {
    NuSvr(NuSvrParams),
    Ols,
    RandomForest { seed: u64 },
    LastSeen,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "regressor", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Model {
    NuSvr(NuSvr),
    Ols(LeastSquares),
    RandomForest(RandomForest),
    LastSeen,
}

/// Scales and rows are not saved: they follow from the training set.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct EpochModel {
    #[serde(skip)]
    scaling: Scaling,
    /// Standardised training rows, which a nu-SVR refers to.
    #[serde(skip)]
    rows: Vec<Vec<f64>>,
    model: Model,
}

impl EpochModel {
    pub fn fit(table: &EpochTable, hyperparameters: Hyperparameters) -> Self {
        let start = vec![0.0; table.targets.len()];
        Self::fit_scaled(table, Scaling::of(table), hyperparameters, &start)
    }

    /// `start`: the coefficients of a nu-SVR of a similar table, or zeros.
    pub(super) fn fit_scaled(
        table: &EpochTable,
        scaling: Scaling,
        hyperparameters: Hyperparameters,
        start: &[f64],
    ) -> Self {
        let (rows, targets) = (scaling.rows(&table.rows), scaling.targets(&table.targets));
        let model = match hyperparameters {
            Hyperparameters::NuSvr(params) => {
                let own = own_similarities(params.kernel, &rows);
                Model::NuSvr(NuSvr::fit(params, &own, &targets, start))
            }
            Hyperparameters::Ols => Model::Ols(LeastSquares::fit(&rows, &targets)),
            Hyperparameters::RandomForest { seed } => {
                Model::RandomForest(RandomForest::grow(seed, &rows, &targets))
            }
            Hyperparameters::LastSeen => Model::LastSeen,
        };
        Self { scaling, rows, model }
    }

    /// Completes a saved model by its training set; names a part that does not fit.
    pub(super) fn restore(table: &EpochTable, model: Model) -> Result<Self, &'static str> {
        let scaling = Scaling::of(table);
        match model {
            Model::NuSvr(svr) if svr.coefficients.len() != table.rows.len() => {
                Err("`coefficients`")
            }
            Model::Ols(fit) if fit.weights.len() != table.rows[0].len() => Err("`weights`"),
            Model::RandomForest(RandomForest { seed, .. }) => {
                Ok(Self::fit_scaled(table, scaling, Hyperparameters::RandomForest { seed }, &[]))
            }
            model => Ok(Self { rows: scaling.rows(&table.rows), scaling, model }),
        }
    }

    /// alpha_i - alpha*_i of each training row of a nu-SVR; otherwise none.
    pub(super) fn coefficients(&self) -> &[f64] {
        if let Model::NuSvr(svr) = &self.model { &svr.coefficients } else { &[] }
    }

    pub fn predict(&self, row: &[f64], last_seen: f64) -> f64 {
        let row = self.scaling.row(row);
        self.scaling.target.undo(match &self.model {
            Model::NuSvr(model) => model.predict(&self.rows, &row),
            Model::Ols(model) => model.predict(&row),
            Model::RandomForest(model) => model.predict(&row),
            Model::LastSeen => return last_seen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use strum::VariantArray;

    #[test]
    fn a_regressor_has_one_name_everywhere() {
        for regressor in Regressor::VARIANTS {
            let name = regressor.to_string();
            assert_eq!(Regressor::from_str(&name, false), Ok(*regressor));
            assert_eq!(serde_yaml::to_string(regressor).unwrap().trim(), name);
        }
    }
}
