//! Choosing a regressor's hyperparameters: random search scored by cross-validation.
//!
//! The paper says as much (section 3.2); ranges and number of draws are our decision, for
//! standardised features and target.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::features::{EpochTable, Example};
use super::folds::{Fold, shuffled};
use super::nu_svr::{Kernel, NuSvr, NuSvrParams, own_similarities, similarities};
use super::params::ValidPredictorParams;
use super::regressor::{Hyperparameters, Regressor};
use super::scaling::Scaling;
use super::scores::r_squared;
use crate::maths::pow;

const FOLDS: usize = 3;

/// Chooses the hyperparameters of every observed epoch 1 .. T-1, each by a search of its own.
///
/// The generators of the epochs are drawn from `rng` beforehand, so threads change nothing.
pub(crate) fn hyperparameters(
    examples: &[Example],
    params: &ValidPredictorParams,
    rng: &mut impl Rng,
) -> Vec<Hyperparameters> {
    let epochs = examples[0].curve.epochs();
    let generators: Vec<_> = (1..epochs).map(|_| ChaCha8Rng::from_rng(rng)).collect();
    let choose = |(at, mut rng): (usize, ChaCha8Rng)| match params.regressor {
        Regressor::NuSvrRbf | Regressor::NuSvrLinear => {
            let table = EpochTable::new(examples, at + 1);
            Hyperparameters::NuSvr(best_nu_svr(&table, params, &mut rng))
        }
        Regressor::Ols => Hyperparameters::Ols,
        Regressor::RandomForest => Hyperparameters::RandomForest { seed: rng.random() },
        Regressor::LastSeen => Hyperparameters::LastSeen,
    };
    generators.into_par_iter().enumerate().map(choose).collect()
}

/// Draws candidates and returns the first of those with the greatest R squared of the pooled
/// held-out predictions. Where nothing is left to choose, nothing is scored.
fn best_nu_svr(
    table: &EpochTable,
    params: &ValidPredictorParams,
    rng: &mut impl Rng,
) -> NuSvrParams {
    let draws = if params.is_search_needed() { params.draws } else { 1 };
    let candidates: Vec<NuSvrParams> = (0..draws).map(|_| draw(params, rng)).collect();
    if draws == 1 {
        return candidates[0];
    }
    let folds = shuffled(table.rows.len(), FOLDS, rng);
    // Similarities depend on the kind of kernel alone, which all candidates share.
    let kernel = candidates[0].kernel;
    let folds: Vec<_> = folds.into_iter().map(|fold| FoldTable::new(table, fold, kernel)).collect();
    let scores = scores(table, &folds, &candidates);
    let better = |best: usize, at: usize| if scores[at] > scores[best] { at } else { best };
    candidates[(1..draws).fold(0, better)]
}

/// RBF: C log-uniform in 1e-2..1e2, gamma log-uniform in 1e-4..1. Linear: C log-uniform in 1e-4..1.
/// Either: nu uniform in 0.05..1. What the configuration fixes replaces what is drawn.
fn draw(params: &ValidPredictorParams, rng: &mut impl Rng) -> NuSvrParams {
    let is_linear = params.regressor == Regressor::NuSvrLinear;
    let exponents = if is_linear { -4.0..0.0 } else { -2.0..2.0 };
    let c = pow(10.0, rng.random_range(exponents));
    let nu = rng.random_range(0.05..1.0);
    let gamma = pow(10.0, rng.random_range(-4.0..0.0));
    let kernel = if is_linear {
        Kernel::Linear
    } else {
        Kernel::Rbf { gamma: params.gamma.unwrap_or(gamma) }
    };
    NuSvrParams {
        kernel,
        c: params.c.unwrap_or(c),
        nu: params.nu.unwrap_or(nu),
        tolerance: params.tolerance,
    }
}

struct FoldTable {
    scaling: Scaling,
    targets: Vec<f64>,
    own: Vec<f64>,
    held_out: Vec<Vec<f64>>,
    held_out_networks: Vec<usize>,
}

impl FoldTable {
    fn new(table: &EpochTable, fold: Fold, kernel: Kernel) -> Self {
        let training = table.part(&fold.training);
        let scaling = Scaling::of(&training);
        let rows = scaling.rows(&training.rows);
        let held_out = scaling.rows(&table.part(&fold.held_out).rows);
        Self {
            targets: scaling.targets(&training.targets),
            own: own_similarities(kernel, &rows),
            held_out: similarities(kernel, &held_out, &rows),
            held_out_networks: fold.held_out,
            scaling,
        }
    }
}

/// Returns R squared of the pooled held-out predictions of each candidate; minus infinity where
/// there is none. In the order of C each fit starts from the one before: its coefficients, which C
/// bounds, grow with C.
fn scores(table: &EpochTable, folds: &[FoldTable], candidates: &[NuSvrParams]) -> Vec<f64> {
    let mut by_c: Vec<_> = candidates.iter().enumerate().collect();
    by_c.sort_by(|(_, a), (_, b)| a.c.total_cmp(&b.c));
    let predict = |fold: &FoldTable| -> Vec<_> {
        let mut start = vec![0.0; fold.targets.len()];
        let mut last_c = by_c[0].1.c;
        let predict_by = |(at, candidate): &(usize, &NuSvrParams)| {
            start.iter_mut().for_each(|b| *b *= candidate.c / last_c);
            let model = NuSvr::fit(**candidate, &fold.own, &fold.targets, &start);
            let predictions = model.predict_all(&fold.held_out);
            (start, last_c) = (model.coefficients, candidate.c);
            (*at, predictions)
        };
        by_c.iter().map(predict_by).collect()
    };
    let predicted: Vec<Vec<_>> = folds.par_iter().map(predict).collect();
    let mut pooled = vec![vec![0.0; table.targets.len()]; candidates.len()];
    for (fold, predicted) in folds.iter().zip(predicted) {
        for (at, predictions) in predicted {
            for (network, y) in fold.held_out_networks.iter().zip(predictions) {
                pooled[at][*network] = fold.scaling.target.undo(y);
            }
        }
    }
    let score = |predicted: &Vec<f64>| r_squared(&table.targets, predicted);
    pooled.iter().map(|it| score(it).unwrap_or(f64::NEG_INFINITY)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::params::PredictorParams;
    use super::super::synthetic_curves;
    use super::*;
    use crate::maths::log10;

    fn params(change: fn(&mut PredictorParams)) -> ValidPredictorParams {
        let mut params = PredictorParams::default();
        change(&mut params);
        params.check().unwrap()
    }

    fn draws(params: &ValidPredictorParams) -> Vec<NuSvrParams> {
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        (0..500).map(|_| draw(params, rng)).collect()
    }

    /// Returns the least and the greatest of some drawn numbers.
    fn span(drawn: &[NuSvrParams], number: fn(&NuSvrParams) -> f64) -> (f64, f64) {
        drawn
            .iter()
            .map(number)
            .fold((f64::INFINITY, 0.0), |(least, most), x| (least.min(x), most.max(x)))
    }

    /// Whether 500 draws fill a range: of each end the last twentieth is met with certainty.
    fn fill((least, most): (f64, f64), low: f64, high: f64) -> bool {
        let reach = (high - low) / 20.0;
        low <= least && least < low + reach && high - reach < most && most <= high
    }

    #[test]
    fn draws_fill_the_ranges_of_their_kernel() {
        let gamma = |drawn: &NuSvrParams| match drawn.kernel {
            Kernel::Rbf { gamma } => log10(gamma) + 4.0,
            Kernel::Linear => panic!("{drawn:?}"),
        };
        let rbf = draws(&params(|_| ()));
        assert!(fill(span(&rbf, |drawn| log10(drawn.c) + 2.0), 0.0, 4.0));
        assert!(fill(span(&rbf, |drawn| drawn.nu), 0.05, 1.0));
        assert!(fill(span(&rbf, gamma), 0.0, 4.0));
        let linear = draws(&params(|p| p.regressor = Regressor::NuSvrLinear));
        assert!(linear.iter().all(|drawn| drawn.kernel == Kernel::Linear));
        assert!(fill(span(&linear, |drawn| log10(drawn.c) + 4.0), 0.0, 4.0));
        assert!(fill(span(&linear, |drawn| drawn.nu), 0.05, 1.0));
    }

    #[test]
    fn what_is_given_is_not_searched() {
        let given = params(|p| (p.c, p.nu, p.gamma) = (Some(3.0), Some(0.4), Some(0.02)));
        let expected = NuSvrParams {
            kernel: Kernel::Rbf { gamma: 0.02 },
            c: 3.0,
            nu: 0.4,
            tolerance: given.tolerance,
        };
        let table = EpochTable::new(&synthetic_curves::examples(12, 6), 3);
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        assert_eq!(best_nu_svr(&table, &given, rng), expected);
        let half = params(|p| p.nu = Some(0.4));
        assert!(draws(&half).iter().all(|drawn| drawn.nu == 0.4));
    }

    #[test]
    fn the_chosen_candidate_scores_best_in_three_folds() {
        let params = params(|p| p.draws = 12);
        let table = EpochTable::new(&synthetic_curves::examples(30, 8), 3);
        // With another number of folds some of these seeds choose another candidate.
        for seed in 0..8 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let chosen = best_nu_svr(&table, &params, rng);
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let candidates: Vec<_> = (0..12).map(|_| draw(&params, rng)).collect();
            let folds: Vec<_> = shuffled(30, 3, rng)
                .into_iter()
                .map(|fold| FoldTable::new(&table, fold, chosen.kernel))
                .collect();
            let score = |one: NuSvrParams| scores(&table, &folds, &[one])[0];
            let best = score(chosen);
            // Scores differ in the digits that the tolerance leaves open.
            assert!(candidates.iter().all(|other| score(*other) <= best + 1e-3));
            assert!(best > 0.5, "{best}");
        }
    }
}
