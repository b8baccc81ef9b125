//! How wrong predictions are: sigma from networks that a model has not seen.
//!
//! Errors are Gaussian with mean 0 and a deviation that depends on the observed epoch alone (Baker
//! et al., 2017, section 4). A poor regressor has a large sigma and so stops fewer networks, not
//! the wrong ones; that holds only because the residuals are held-out ones.

use rayon::prelude::*;

use super::features::EpochTable;
use super::folds::{Fold, interleaved};
use super::random_forest::RandomForest;
use super::regressor::{EpochModel, Hyperparameters};
use super::scaling::Scaling;
use crate::maths::square;

/// Networks; beyond, leave-one-out would take minutes.
const LEAVE_ONE_OUT_UP_TO: usize = 100;
const FOLDS: usize = 10;
/// Smallest sigma: that of curves without any noise.
pub(super) const LEAST_SIGMA: f64 = 1e-6;

/// Where the scales of a fold come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FoldScaling {
    // From the fold's training part: nothing of the network left out is seen.
    Refit,
    // From the whole training set; changes sigma by a few percent at 100 networks.
    Shared,
}

/// Predicts each network of a table by a model that has not seen it.
///
/// The hyperparameters stay those chosen on all. A random forest is grown once, since again for
/// each network left out would take hours: the third of its trees that did not draw a network
/// predict it (Breiman's out-of-bag predictions). A nu-SVR starts from the coefficients of `whole`,
/// the fit to all, at a quarter of its tolerance: from so near it ends at the edge of the tolerance,
/// which moved sigma by up to 1.5 % at C = 100; at a quarter 0.3 %, from zeros 0.2 %.
pub(super) fn predict_held_out(
    table: &EpochTable,
    mut hyperparameters: Hyperparameters,
    scaling: FoldScaling,
    whole: &EpochModel,
) -> Vec<f64> {
    match &mut hyperparameters {
        Hyperparameters::LastSeen => return table.last_seen.clone(),
        Hyperparameters::RandomForest { seed } => {
            let scaling = Scaling::of(table);
            let rows = scaling.rows(&table.rows);
            let forest = RandomForest::grow(*seed, &rows, &scaling.targets(&table.targets));
            let predicted = forest.predict_out_of_bag(&rows).into_iter();
            return predicted.map(|y| scaling.target.undo(y)).collect();
        }
        Hyperparameters::NuSvr(params) => params.tolerance /= 4.0,
        Hyperparameters::Ols => {}
    }
    let networks = table.rows.len();
    let folds = if networks <= LEAVE_ONE_OUT_UP_TO { networks } else { FOLDS };
    let predict_fold = |fold: Fold| -> Vec<(usize, f64)> {
        let training = table.part(&fold.training);
        let scaling = match scaling {
            FoldScaling::Refit => Scaling::of(&training),
            FoldScaling::Shared => Scaling::of(table),
        };
        let start = whole.coefficients();
        let start: Vec<f64> =
            fold.training.iter().filter_map(|network| start.get(*network)).copied().collect();
        let model = EpochModel::fit_scaled(&training, scaling, hyperparameters, &start);
        let predict =
            |network: usize| model.predict(&table.rows[network], table.last_seen[network]);
        fold.held_out.into_iter().map(|network| (network, predict(network))).collect()
    };
    let mut predictions: Vec<_> =
        interleaved(networks, folds).into_par_iter().flat_map_iter(predict_fold).collect();
    predictions.sort_unstable_by_key(|(network, _)| *network);
    predictions.into_iter().map(|(_, y)| y).collect()
}

/// Returns `sqrt(mean (yhat - y)^2)`, at least 1e-6. The error model has mean zero, so bias counts.
pub(super) fn sigma(targets: &[f64], predictions: &[f64]) -> f64 {
    let squares = targets.iter().zip(predictions).map(|(y, yhat)| square(yhat - y));
    (squares.sum::<f64>() / targets.len() as f64).sqrt().max(LEAST_SIGMA)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic_curves;
    use super::*;

    fn by_least_squares(table: &EpochTable, scaling: FoldScaling) -> Vec<f64> {
        let whole = EpochModel::fit(table, Hyperparameters::Ols);
        predict_held_out(table, Hyperparameters::Ols, scaling, &whole)
    }

    #[test]
    fn sigma_counts_the_bias() {
        // Errors 0.1 and 0.3: sqrt((0.01 + 0.09) / 2); their deviation would be 0.1.
        let found = sigma(&[0.5, 0.5], &[0.6, 0.8]);
        assert!((found - 0.05_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn sigma_has_a_floor() {
        assert_eq!(sigma(&[0.5], &[0.5]), 1e-6);
    }

    #[test]
    fn a_network_left_out_is_not_seen() {
        // Two features that name one network each would let a model that saw them predict exactly.
        let table = EpochTable {
            rows: (0..6).map(|i| vec![f64::from(i == 5)]).collect(),
            last_seen: vec![0.0; 6],
            targets: vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        };
        let found = by_least_squares(&table, FoldScaling::Refit);
        assert!(found[5].abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn beyond_a_hundred_networks_ten_folds_are_left_out() {
        // The mean of the others predicts where nothing else is known: with ten interleaved folds
        // networks 0, 10, 20 .. share one prediction, left out one by one they would not.
        let table = EpochTable {
            rows: vec![vec![1.0]; 101],
            last_seen: vec![0.0; 101],
            targets: (0..101).map(|i| f64::from(i) / 101.0).collect(),
        };
        let found = by_least_squares(&table, FoldScaling::Refit);
        assert_eq!(found[0], found[10]);
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn scales_of_the_whole_set_change_sigma_by_little() {
        let table = EpochTable::new(&synthetic_curves::examples(60, 10), 4);
        let sigma_by = |scaling| {
            let found = by_least_squares(&table, scaling);
            sigma(&table.targets, &found)
        };
        let (refit, shared) = (sigma_by(FoldScaling::Refit), sigma_by(FoldScaling::Shared));
        assert!((refit / shared - 1.0).abs() < 0.05, "{refit} {shared}");
    }
}
