//! Agreement with scikit-learn (LIBSVM), CVXOPT and numpy, on numbers written by
//! `scripts/golden-predictor.py`.

use serde::Deserialize;

use super::features::{EpochTable, Example};
use super::nu_svr::{Kernel, NuSvrParams};
use super::regressor::{EpochModel, Hyperparameters};
use super::uncertainty::{FoldScaling, predict_held_out, sigma};

/// Networks that the fits learned from; the rest was predicted.
const TRAINED_ON: usize = 100;

#[derive(Deserialize)]
struct GoldenNetworks {
    networks: Vec<Example>,
}

#[derive(Deserialize)]
struct Fits {
    fits: Vec<Fit>,
}

#[derive(Deserialize)]
struct Fit {
    epoch: usize,
    kernel: String,
    c: Option<f64>,
    nu: Option<f64>,
    gamma: Option<f64>,
    tolerance: Option<f64>,
    /// By scikit-learn, and of a nu-SVR by an interior-point solver in double precision.
    predictions: Vec<f64>,
    exact: Option<Vec<f64>>,
    sigma_refit: Option<f64>,
    sigma_shared: Option<f64>,
}

pub(crate) fn networks() -> Vec<Example> {
    let text = include_str!("../../tests/golden/predictor/networks.json");
    serde_json::from_str::<GoldenNetworks>(text).unwrap().networks
}

fn fits() -> Vec<Fit> {
    serde_json::from_str::<Fits>(include_str!("../../tests/golden/predictor/fits.json"))
        .unwrap()
        .fits
}

impl Fit {
    fn hyperparameters(&self) -> Hyperparameters {
        let kernel = match self.kernel.as_str() {
            "rbf" => Kernel::Rbf { gamma: self.gamma.unwrap() },
            "linear" => Kernel::Linear,
            _ => return Hyperparameters::Ols,
        };
        let (c, nu, tolerance) = (self.c.unwrap(), self.nu.unwrap(), self.tolerance.unwrap());
        Hyperparameters::NuSvr(NuSvrParams { kernel, c, nu, tolerance })
    }

    fn name(&self) -> String {
        format!("{} C {:?} nu {:?} epoch {}", self.kernel, self.c, self.nu, self.epoch)
    }
}

/// Returns the largest difference from numbers that each fit names, over the networks not seen.
fn largest_difference(expected: impl Fn(&Fit) -> Option<&[f64]>) -> f64 {
    let networks = networks();
    let (training, others) = networks.split_at(TRAINED_ON);
    let mut largest: f64 = 0.0;
    for fit in fits() {
        let Some(expected) = expected(&fit) else { continue };
        let model = EpochModel::fit(&EpochTable::new(training, fit.epoch), fit.hyperparameters());
        let unseen = EpochTable::new(others, fit.epoch);
        assert_eq!(unseen.rows.len(), expected.len());
        for ((row, last), expected) in unseen.rows.iter().zip(&unseen.last_seen).zip(expected) {
            let difference = (model.predict(row, *last) - expected).abs();
            assert!(difference < 1e-4, "{}: {difference}", fit.name());
            largest = largest.max(difference);
        }
    }
    largest
}

#[test]
fn predictions_agree_with_scikit_learn() {
    // 1.6e-5 at C = 100: LIBSVM rounds its kernel matrix to single precision.
    let largest = largest_difference(|fit| Some(&fit.predictions));
    assert!(largest < 2e-5, "{largest}");
}

#[test]
fn predictions_agree_with_a_quadratic_program_within_a_millionth() {
    let largest = largest_difference(|fit| fit.exact.as_deref());
    assert!(largest < 1e-6, "{largest}");
}

#[test]
fn sigma_at_the_default_tolerance_agrees_with_scikit_learn_within_two_percent() {
    let networks = networks();
    let mut compared = 0;
    for fit in fits() {
        let table = EpochTable::new(&networks[..TRAINED_ON], fit.epoch);
        let expected =
            [(FoldScaling::Refit, fit.sigma_refit), (FoldScaling::Shared, fit.sigma_shared)];
        for (scaling, expected) in expected {
            let Some(expected) = expected else { continue };
            let mut chosen = fit.hyperparameters();
            if let Hyperparameters::NuSvr(params) = &mut chosen {
                params.tolerance = 1e-3;
            }
            let whole = EpochModel::fit(&table, chosen);
            let held_out = predict_held_out(&table, chosen, scaling, &whole);
            let found = sigma(&table.targets, &held_out);
            let ratio = found / expected;
            assert!((ratio - 1.0).abs() < 0.02, "{} {scaling:?}: {ratio}", fit.name());
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
}
