//! Recorded curves walked through the stopping rule over many orders: speedup and regret.
//!
//! As in section 4.1 of the paper: the first networks of an order are trained to the end and cost
//! their full price; the predictor is fitted to them once; the rest is walked in order.

use rand::Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::ordered_fits::{OrderedFits, SearchScope};
use super::recorded::{Orders, RecordedCurves};
use super::setting_summary::{OrderResult, SettingSummary};
use super::walk::{Setting, Step};
use crate::predictor::FoldScaling;
use crate::predictor::PredictorError;
use crate::predictor::ValidPredictorParams;

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationParams {
    /// Regressor, its hyperparameters and the burn-in; the rule's own parameters come from the lists below.
    pub predictor: ValidPredictorParams,
    /// In which orders the networks come.
    pub orders: Orders,
    /// Stop probabilities (Delta) to try.
    pub thresholds: Vec<f64>,
    /// Numbers of best networks to keep, to try.
    pub top_n: Vec<usize>,
    /// Offsets to try, in units of the curves.
    pub offsets: Vec<f64>,
    /// Whose burn-in hyperparameters are searched on.
    pub search: SearchScope,
    /// Where the scales of the leave-one-out folds come from.
    pub scaling: FoldScaling,
}

/// One walked network under one setting: its stop, or its last verdict.
///
/// Values are in the units the predictor sees: recorded losses have been negated (after their logarithm).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceRow {
    /// Stop probability from which networks are stopped.
    pub delta: f64,
    /// The rule compares with the n-th best.
    pub top_n: usize,
    /// Networks predicted within this of the best may finish.
    pub offset: f64,
    /// Name of the network.
    pub id: String,
    /// Whether it was stopped.
    pub stopped: bool,
    /// Epoch of its stop or last verdict, from 1.
    pub epoch: usize,
    /// Predicted last value.
    pub predicted: Option<f64>,
    /// Deviation of such predictions.
    pub sigma: Option<f64>,
    /// What it was compared with, before the offset.
    pub best: Option<f64>,
    /// Probability that it ends below.
    pub stop_probability: Option<f64>,
}

/// The outcome of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// One per setting: thresholds outermost, offsets innermost.
    pub summaries: Vec<SettingSummary>,
    /// In the order of the file, setting by setting; empty with random orders.
    pub trace: Vec<TraceRow>,
}

/// Walks recorded curves through the rule.
///
/// `on_order` is told of each order that is done, from any thread. The result depends on curves,
/// parameters and `rng`; not on the number of threads. Where the burn-in leaves no network, nobody
/// is stopped.
///
/// # Errors
/// When a list holds a value that no rule allows, or no order is asked for.
pub fn simulate(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: &mut impl Rng,
    on_order: &(dyn Fn() + Sync),
) -> Result<Simulation, PredictorError> {
    let grid = Setting::grid(&params.thresholds, &params.top_n, &params.offsets)?;
    let orders = OrderedFits::new(recorded, params, rng)?;
    // Only what is summed up is kept of random orders: there may be many.
    let is_traced = params.orders == Orders::File;
    let walked = (0..orders.count())
        .into_par_iter()
        .map(|number| {
            let walks = orders.walk(number, &grid)?;
            let results = walks.iter().map(|steps| OrderResult::of(recorded, steps)).collect();
            let trace = if is_traced { trace(recorded, &grid, &walks) } else { Vec::new() };
            on_order();
            Ok((results, trace))
        })
        .collect::<Result<Vec<(Vec<OrderResult>, Vec<TraceRow>)>, PredictorError>>()?;
    let (results, traces): (Vec<_>, Vec<_>) = walked.into_iter().unzip();
    let summarise = |(at, setting): (usize, &Setting)| {
        let of_setting: Vec<&OrderResult> = results.iter().map(|of_order| &of_order[at]).collect();
        SettingSummary::of(setting, &of_setting)
    };
    let trace = traces.into_iter().flatten().collect();
    Ok(Simulation { summaries: grid.iter().enumerate().map(summarise).collect(), trace })
}

fn trace(recorded: &RecordedCurves, grid: &[Setting], walks: &[Vec<Step>]) -> Vec<TraceRow> {
    let row = |setting: &Setting, step: &Step| TraceRow {
        delta: setting.threshold,
        top_n: setting.top_n,
        offset: setting.offset,
        id: recorded.id(step.network).to_owned(),
        stopped: step.stopped,
        epoch: step.epoch,
        predicted: step.prediction.map(|prediction| prediction.mean),
        sigma: step.prediction.map(|prediction| prediction.sigma),
        best: step.best,
        stop_probability: step.stop_probability,
    };
    let of_setting = |(setting, steps)| {
        let steps: &Vec<Step> = steps;
        steps.iter().map(move |step| row(setting, step))
    };
    grid.iter().zip(walks).flat_map(of_setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::PredictorParams;
    use crate::predictor::Regressor;
    use crate::predictor::synthetic_curves;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const NETWORKS: usize = 60;
    const EPOCHS: usize = 8;

    fn params(burn_in: usize, orders: Orders) -> SimulationParams {
        let predictor =
            PredictorParams { regressor: Regressor::Ols, burn_in, ..PredictorParams::default() };
        SimulationParams {
            predictor: predictor.check().unwrap(),
            orders,
            thresholds: vec![0.95],
            top_n: vec![1],
            offsets: vec![0.0],
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        }
    }

    fn run(params: &SimulationParams) -> Result<Simulation, PredictorError> {
        let recorded = RecordedCurves::new(synthetic_curves::named(NETWORKS, EPOCHS)).unwrap();
        simulate(&recorded, params, &mut ChaCha8Rng::seed_from_u64(1), &|| ())
    }

    #[test]
    fn a_burn_in_of_everybody_stops_nobody() {
        for burn_in in [NETWORKS, 1_000] {
            let summary = run(&params(burn_in, Orders::Random(2))).unwrap().summaries.remove(0);
            assert_eq!((summary.speedup, summary.speedup_after_burn_in), (1.0, None));
            assert_eq!((summary.share_stopped, summary.regret_max), (0.0, 0.0));
            assert_eq!((summary.orders_best_in_walk, summary.top10_kept), (0, 10.0));
        }
    }

    #[test]
    fn speedup_is_bounded_by_the_burn_in() {
        let summary = run(&params(20, Orders::Random(4))).unwrap().summaries.remove(0);
        // 60 * 8 / (20 * 8 + 40 * 1) = 2.4.
        assert!(summary.speedup > 1.0 && summary.speedup <= 2.4, "{summary:?}");
    }

    #[test]
    fn a_higher_threshold_stops_no_more() {
        let mut params = params(20, Orders::Random(4));
        params.thresholds = vec![0.9, 0.95, 0.99];
        params.offsets = vec![0.0, 0.05];
        let summaries = run(&params).unwrap().summaries;
        let shares: Vec<f64> = summaries.iter().step_by(2).map(|s| s.share_stopped).collect();
        assert!(shares.windows(2).all(|pair| pair[0] >= pair[1]), "{shares:?}");
        assert!(summaries.chunks(2).all(|pair| pair[0].share_stopped >= pair[1].share_stopped));
    }

    #[test]
    fn the_same_seed_gives_the_same_table_on_any_number_of_threads() {
        let mut params = params(20, Orders::Random(3));
        let mut predictor = PredictorParams::clone(&params.predictor);
        (predictor.regressor, predictor.draws) = (Regressor::NuSvrRbf, 3);
        params.predictor = predictor.check().unwrap();
        for search in [SearchScope::Once, SearchScope::PerOrder] {
            params.search = search;
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| run(&params).unwrap())
            };
            assert_eq!(on(1), on(3));
        }
    }

    #[test]
    fn the_trace_has_every_walked_network_once_per_setting() {
        let mut params = params(20, Orders::File);
        params.thresholds = vec![0.9, 0.99];
        let trace = run(&params).unwrap().trace;
        assert_eq!(trace.len(), 2 * (NETWORKS - 20));
        assert_eq!((trace[0].id.as_str(), trace[39].id.as_str()), ("20", "59"));
        for row in &trace {
            let is_over = row.stop_probability.unwrap() >= row.delta;
            assert_eq!(row.stopped, is_over);
            assert!(row.stopped || row.epoch == EPOCHS - 1);
        }
        assert!(run(&self::params(20, Orders::Random(1))).unwrap().trace.is_empty());
    }
}
