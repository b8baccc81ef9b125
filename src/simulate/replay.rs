//! What the figures of a report show of the stopping rule on an experiment's own curves.

use std::path::Path;

use super::curves_file::CurveOptions;
use super::files::SimulationInput;
use super::simulation::{SearchScope, SimulationParams, score_beside_last_seen, simulate};
use super::walk::{Orders, RuleSetting};
use crate::predictor::{FoldScaling, PredictorParams};
use crate::report::figures::{Replay, ReplayedSetting};
use crate::seed::{Purpose, generator};

const THRESHOLDS: [f64; 7] = [0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const OFFSET: f64 = 0.01;
const FEWEST: usize = 20;

/// `None` of fewer than 20 networks trained to their end. The burn-in is the paper's 100, or half
/// of the networks.
pub fn replay(path: &Path, orders: usize) -> anyhow::Result<Option<Replay>> {
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
    let rng = || generator(0, Purpose::Simulation, 0, 0);
    let simulation = simulate(&recorded, &params, &mut rng(), &|| ());
    let scores = score_beside_last_seen(&recorded, &params, rng)?.into_iter().map(|of| {
        let name = format!("replayed: {}", of.regressor);
        (name, of.epoch as u32, of.r_squared, of.r_squared_standard_error)
    });
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
    Ok(Some(Replay {
        networks,
        burn_in,
        orders,
        predictions: predictions.collect(),
        scores: scores.collect(),
        settings: settings.collect(),
    }))
}
