//! What figures and claims say of the stopping rule on an experiment's own curves.

use std::path::Path;

use rand_chacha::ChaCha8Rng;

use super::curves_file::CurveOptions;
use super::files::SimulationInput;
use super::hyperband::simulate_hyperband;
use super::simulation::{
    EpochScore, SearchScope, SimulationParams, score_beside_last_seen, score_regressor, simulate,
};
use super::walk::{Orders, RecordedCurves, RuleSetting};
use crate::maths::square;
use crate::predictor::{FoldScaling, PredictorParams, Regressor};
use crate::report::figures::{Replay, ReplayedSetting};
use crate::seed::{Purpose, generator};

const THRESHOLDS: [f64; 7] = [0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const OFFSET: f64 = 0.01;
const FEWEST: usize = 20;
/// The paper's for Hyperband: eta, and Delta. Its kappa is not known: what goes on to the next rung.
const HYPERBAND: (usize, f64) = (3, 0.95);

/// `None` of fewer than 20 networks trained to their end. The burn-in is the paper's 100, or half
/// of the networks.
pub fn replay(path: &Path, orders: usize) -> anyhow::Result<Option<Replay>> {
    Ok(replayed(path, orders)?.map(|(replay, ..)| replay))
}

/// With the scores of the other regressors, and Hyperband with stopping inside its rungs.
pub fn replay_for_claims(path: &Path, orders: usize) -> anyhow::Result<Option<Replay>> {
    let Some((mut replay, recorded, params)) = replayed(path, orders)? else { return Ok(None) };
    for regressor in [Regressor::NuSvrLinear, Regressor::RandomForest, Regressor::Ols] {
        let predictor = PredictorParams { regressor, ..PredictorParams::clone(&params.predictor) };
        let params = SimulationParams { predictor: predictor.check()?, ..params.clone() };
        replay.scores.extend(named(score_regressor(&recorded, &params, &mut rng())));
    }
    let (eta, delta) = HYPERBAND;
    let params = SimulationParams { settings: RuleSetting::grid(&[delta], &[1], &[0.0]), ..params };
    let kappa = 1.0 / eta as f64;
    let found = simulate_hyperband(&recorded, &params, (eta, &[kappa]), &mut rng(), &|| ());
    // Too few networks for one run, or for a predictor in it, say nothing.
    if let Ok([plain, own]) = found.as_deref()
        && own.networks > replay.burn_in
    {
        let squares = [plain, own].map(|of| square(of.best_standard_error.unwrap_or(0.0)));
        let error = squares.iter().sum::<f64>().sqrt();
        replay.hyperband = Some((own.speedup, plain.best_mean - own.best_mean, error));
    }
    Ok(Some(replay))
}

fn rng() -> ChaCha8Rng {
    generator(0, Purpose::Simulation, 0, 0)
}

fn named(scores: Vec<EpochScore>) -> impl Iterator<Item = (String, u32, Option<f64>, Option<f64>)> {
    scores.into_iter().map(|of| {
        let name = format!("replayed: {}", of.regressor);
        (name, of.epoch as u32, of.r_squared, of.r_squared_standard_error)
    })
}

fn replayed(
    path: &Path,
    orders: usize,
) -> anyhow::Result<Option<(Replay, RecordedCurves, SimulationParams)>> {
    let recorded = SimulationInput::read(path, &CurveOptions::default())?.curves;
    let (networks, epochs) = (recorded.networks(), recorded.epochs());
    if networks < FEWEST || epochs < 2 {
        return Ok(None);
    }
    let burn_in = PredictorParams::default().burn_in.min(networks / 2);
    let settings = [(1, 0.0), (10, 0.0), (1, OFFSET)];
    let grid = |(top_n, offset)| RuleSetting::grid(&THRESHOLDS, &[top_n], &[offset]);
    let params = SimulationParams {
        predictor: PredictorParams { burn_in, ..PredictorParams::default() }.check()?,
        orders: Orders::Random(orders),
        settings: settings.into_iter().flat_map(grid).collect(),
        search: SearchScope::Once,
        scaling: FoldScaling::Refit,
    };
    let simulation = simulate(&recorded, &params, &mut rng(), &|| ());
    let scores = named(score_beside_last_seen(&recorded, &params, rng)?).collect();
    let quarter = (epochs / 4).max(1);
    let predictions = simulation.predictions.iter().filter_map(|(network, of)| {
        Some((quarter as u32, of[quarter - 1]?.mean, recorded.last(*network)))
    });
    let settings = simulation.summaries.iter().map(|of| ReplayedSetting {
        delta: of.setting.delta,
        top_n: of.setting.top_n as u64,
        offset: of.setting.offset,
        speedup: of.speedup,
        orders: of.orders_best_in_walk as u64,
        best_kept: of.best_kept as u64,
    });
    let replay = Replay {
        networks,
        burn_in,
        orders,
        predictions: predictions.collect(),
        scores,
        settings: settings.collect(),
        hyperband: None,
    };
    Ok(Some((replay, recorded, params)))
}
