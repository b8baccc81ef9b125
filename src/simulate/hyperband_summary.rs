//! What Hyperband spent and found, plain or with stopping inside its rungs.

use serde::Serialize;

use super::regressor_scores::standard_error;
use super::setting_summary::mean;
use crate::predictor::StoppingRule;

/// What Hyperband spent and found under one setting. Without `delta` it is plain Hyperband.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HyperbandSummary {
    /// `hyperband` or `f-hyperband`.
    pub scheduler: &'static str,
    /// Share of the networks of a rung that go on is one in eta.
    pub eta: usize,
    /// Share of the networks of a rung that are trained to its end.
    pub kappa: Option<f64>,
    /// Stop probability from which networks are stopped.
    pub delta: Option<f64>,
    /// Networks predicted within this may finish their rung.
    pub offset: Option<f64>,
    /// Consecutive runs of Hyperband in each order: as many as its networks are enough for.
    pub runs: usize,
    /// Networks begun in each order; the same under every setting.
    pub networks: usize,
    /// Mean over orders of the epochs spent.
    pub epochs: f64,
    /// Mean over orders of plain Hyperband's epochs / these.
    pub speedup: f64,
    /// Mean share of the networks that were stopped, 0 to 1.
    pub share_stopped: f64,
    /// Mean over orders of the best last value of a network trained to the end.
    pub best_mean: f64,
    /// Standard error of that mean; none with a single order.
    pub best_standard_error: Option<f64>,
    /// Mean over orders of plain Hyperband's best minus this one, in units of the curves.
    pub regret_mean: f64,
    /// The greatest such difference.
    pub regret_max: f64,
}

/// How a rung is cut short.
#[derive(Debug, Clone, Copy)]
pub(super) struct RungRule {
    pub kappa: f64,
    pub delta: f64,
    pub offset: f64,
    pub rule: StoppingRule,
}

/// What every setting has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub eta: usize,
    pub runs: usize,
    pub networks: usize,
}

/// What one order came to.
pub(super) struct Found {
    pub spent: usize,
    pub stopped: usize,
    pub best: f64,
}

impl HyperbandSummary {
    /// Sums up a setting over orders, at least one: what plain Hyperband came to in each, and what it did.
    pub(super) fn of<'a>(
        schedule: &Schedule,
        setting: Option<RungRule>,
        orders: impl Iterator<Item = (&'a Found, &'a Found)> + Clone,
    ) -> Self {
        let over_orders = |of: fn((&Found, &Found)) -> f64| {
            mean(orders.clone().map(of)).expect("there is an order")
        };
        let bests: Vec<f64> = orders.clone().map(|(_, found)| found.best).collect();
        let regrets = orders.clone().map(|(plain, found)| plain.best - found.best);
        Self {
            scheduler: if setting.is_some() { "f-hyperband" } else { "hyperband" },
            eta: schedule.eta,
            kappa: setting.map(|setting| setting.kappa),
            delta: setting.map(|setting| setting.delta),
            offset: setting.map(|setting| setting.offset),
            runs: schedule.runs,
            networks: schedule.networks,
            epochs: over_orders(|(_, found)| found.spent as f64),
            speedup: over_orders(|(plain, found)| plain.spent as f64 / found.spent as f64),
            share_stopped: over_orders(|(_, found)| found.stopped as f64)
                / schedule.networks as f64,
            best_mean: over_orders(|(_, found)| found.best),
            best_standard_error: standard_error(&bests),
            regret_mean: over_orders(|(plain, found)| plain.best - found.best),
            regret_max: regrets.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}
