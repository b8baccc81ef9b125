//! One model: what is predicted after a given number of observed epochs.

use serde::Serialize;

use super::error::PredictorError;
use super::features::EpochTable;
use super::regressor::{Hyperparameters, Model};
use super::scaling::Scaling;

/// A regression model with its scales and the rows it was fitted to, which are not saved: they
/// follow from the training set.
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
    pub fn fit(
        table: &EpochTable,
        hyperparameters: Hyperparameters,
    ) -> Result<Self, PredictorError> {
        Self::fit_scaled(table, Scaling::of(table), hyperparameters)
    }

    pub(super) fn fit_scaled(
        table: &EpochTable,
        scaling: Scaling,
        hyperparameters: Hyperparameters,
    ) -> Result<Self, PredictorError> {
        let rows = scaling.rows(&table.rows);
        let model = Model::fit(hyperparameters, &rows, &scaling.targets(&table.targets))?;
        Ok(Self { scaling, rows, model })
    }

    /// Completes a saved model by the training set it was fitted to; names the part of it that does
    /// not fit.
    pub(super) fn restore(table: &EpochTable, mut model: Model) -> Result<Self, &'static str> {
        let scaling = Scaling::of(table);
        let rows = scaling.rows(&table.rows);
        model.restore(&rows, &scaling.targets(&table.targets))?;
        Ok(Self { scaling, rows, model })
    }

    /// Predicts y_T of a network from its row and the last value observed.
    pub fn predict(&self, row: &[f64], last_seen: f64) -> f64 {
        if self.model == Model::LastSeen {
            return last_seen;
        }
        let row = self.scaling.row(row);
        self.scaling.target.undo(match &self.model {
            Model::NuSvr(model) => model.predict(&self.rows, &row),
            Model::Ols(model) => model.predict(&row),
            Model::RandomForest(model) => model.predict(&row),
            Model::LastSeen => unreachable!("answered above"),
        })
    }

    /// Predicts each network of the training set by the trees of a forest that did not see it.
    pub fn predict_out_of_bag(&self) -> Option<Vec<f64>> {
        let Model::RandomForest(forest) = &self.model else { return None };
        let standardised = forest.predict_out_of_bag(&self.rows);
        Some(standardised.into_iter().map(|y| self.scaling.target.undo(y)).collect())
    }
}
