//! Recorded curves walked through the stopping rule over many orders: speedup and regret.
//!
//! As in section 4.1 of the paper: the first networks of an order are trained to the end and cost
//! their full price; the predictor is fitted to them once; the rest is walked in order.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use super::error::PredictorError;
use super::fitted::FittedPredictor;
use super::params::ValidPredictorParams;
use super::recorded::{Orders, RecordedCurves};
use super::regressor::Hyperparameters;
use super::search;
use super::uncertainty::FoldScaling;
use super::walk::{Setting, Step, predict_all, walk};

/// Best networks of a set that are counted as kept or lost.
const TOP: usize = 10;

/// Whose burn-in hyperparameters are searched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchScope {
    /// The first order's, for all orders.
    Once,
    /// Each order's own.
    PerOrder,
}

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

/// What one setting of the rule did, over all orders. The field names are those of `simulate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingSummary {
    /// Stop probability from which networks are stopped.
    pub delta: f64,
    /// The rule compares with the n-th best.
    pub top_n: usize,
    /// Networks predicted within this of the best may finish.
    pub offset: f64,
    /// Mean over orders of N T / epochs spent, burn-in included.
    pub speedup: f64,
    /// The same of the walked networks alone; none where the burn-in leaves none.
    pub speedup_after_burn_in: Option<f64>,
    /// Mean share of the walked networks that were stopped, 0 to 1.
    pub share_stopped: f64,
    /// Orders among those of the next field in which the best network was trained to the end.
    pub best_kept: usize,
    /// Orders in which the best network of all came after the burn-in.
    pub orders_best_in_walk: usize,
    /// Mean number of the ten best networks trained to the end, burn-in included.
    pub top10_kept: f64,
    /// Mean over orders of the best of all minus the best trained to the end, in units of the curves.
    pub regret_mean: f64,
    /// The greatest such difference.
    pub regret_max: f64,
    /// Mean absolute error of the predictions by which networks were stopped; none where none was.
    pub stopped_mean_absolute_error: Option<f64>,
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
    let walks = (0..orders.count())
        .into_par_iter()
        .map(|number| {
            let walks = orders.walk(number, &grid);
            on_order();
            walks
        })
        .collect::<Result<Vec<Vec<Vec<Step>>>, _>>()?;
    let summarise = |(at, setting): (usize, &Setting)| {
        let results: Vec<OrderResult> =
            walks.iter().map(|walks| OrderResult::of(recorded, &walks[at])).collect();
        summarise(setting, &results)
    };
    let trace = match params.orders {
        Orders::File => trace(recorded, &grid, &walks[0]),
        Orders::Random(_) => Vec::new(),
    };
    Ok(Simulation { summaries: grid.iter().enumerate().map(summarise).collect(), trace })
}

/// The orders with all that their fits need, so that each can be fitted on any thread.
pub(super) struct OrderedFits<'a> {
    recorded: &'a RecordedCurves,
    params: &'a SimulationParams,
    orders: Vec<Vec<usize>>,
    generators: Vec<ChaCha8Rng>,
    /// Chosen on the first order's burn-in, where once is enough.
    chosen: Option<Vec<Hyperparameters>>,
}

impl<'a> OrderedFits<'a> {
    pub fn new(
        recorded: &'a RecordedCurves,
        params: &'a SimulationParams,
        rng: &mut impl Rng,
    ) -> Result<Self, PredictorError> {
        let orders = params.orders.draw(recorded.networks(), rng)?;
        let generators = orders.iter().map(|_| ChaCha8Rng::from_rng(rng)).collect();
        let mut fits = Self { recorded, params, orders, generators, chosen: None };
        if params.search == SearchScope::Once && fits.walks_any() {
            fits.chosen = Some(fits.choose(0)?);
        }
        Ok(fits)
    }

    pub fn count(&self) -> usize {
        self.orders.len()
    }

    /// Whether the burn-in leaves any network to walk.
    pub fn walks_any(&self) -> bool {
        self.recorded.networks() > self.params.predictor.params().burn_in
    }

    /// Returns the networks of the burn-in and those walked after it.
    pub fn parts(&self, number: usize) -> (&[usize], &[usize]) {
        let order = &self.orders[number];
        order.split_at(self.params.predictor.params().burn_in.min(order.len()))
    }

    /// Returns the hyperparameters of an order's models.
    pub fn choose(&self, number: usize) -> Result<Vec<Hyperparameters>, PredictorError> {
        if let Some(chosen) = &self.chosen {
            return Ok(chosen.clone());
        }
        let examples = self.recorded.examples(self.parts(number).0, self.recorded.epochs());
        let rng = &mut self.generators[number].clone();
        search::hyperparameters(&examples, &self.params.predictor, rng)
    }

    /// Fits an order's predictor and walks the rest under every setting.
    fn walk(&self, number: usize, grid: &[Setting]) -> Result<Vec<Vec<Step>>, PredictorError> {
        if !self.walks_any() {
            return Ok(vec![Vec::new(); grid.len()]);
        }
        let (burn_in, walked) = self.parts(number);
        let examples = self.recorded.examples(burn_in, self.recorded.epochs());
        let chosen = self.choose(number)?;
        let predictor = FittedPredictor::fit_with(examples, &chosen, self.params.scaling)?;
        let predictions = predict_all(self.recorded, &predictor, walked);
        let walk = |setting| walk(self.recorded, burn_in, walked, &predictions, setting);
        Ok(grid.iter().map(walk).collect())
    }
}

/// What one setting did in one order.
struct OrderResult {
    speedup: f64,
    speedup_after_burn_in: Option<f64>,
    share_stopped: f64,
    best_is_walked: bool,
    best_is_kept: bool,
    top_kept: usize,
    regret: f64,
    /// |yhat - y_T| of each stopped network.
    stopped_errors: Vec<f64>,
}

impl OrderResult {
    fn of(recorded: &RecordedCurves, steps: &[Step]) -> Self {
        let (networks, epochs) = (recorded.networks(), recorded.epochs());
        let spent: usize =
            steps.iter().map(|step| if step.stopped { step.epoch } else { epochs }).sum();
        let burn_in = (networks - steps.len()) * epochs;
        let mut is_kept = vec![true; networks];
        steps.iter().filter(|step| step.stopped).for_each(|step| is_kept[step.network] = false);
        let ranking = recorded.ranking();
        let best = ranking[0];
        let best_kept =
            *ranking.iter().find(|network| is_kept[**network]).expect("a burn-in is kept");
        let error = |step: &Step| {
            let predicted = step.prediction.filter(|_| step.stopped)?.mean;
            Some((predicted - recorded.last(step.network)).abs())
        };
        let walked = steps.len() as f64;
        let stopped_errors: Vec<f64> = steps.iter().filter_map(error).collect();
        Self {
            speedup: (networks * epochs) as f64 / (burn_in + spent) as f64,
            speedup_after_burn_in: (!steps.is_empty())
                .then(|| walked * epochs as f64 / spent as f64),
            share_stopped: stopped_errors.len() as f64 / walked.max(1.0),
            best_is_walked: steps.iter().any(|step| step.network == best),
            best_is_kept: is_kept[best],
            top_kept: ranking.iter().take(TOP).filter(|network| is_kept[**network]).count(),
            regret: recorded.last(best) - recorded.last(best_kept),
            stopped_errors,
        }
    }
}

fn summarise(setting: &Setting, orders: &[OrderResult]) -> SettingSummary {
    let over_orders =
        |of: &dyn Fn(&OrderResult) -> f64| mean(orders.iter().map(of)).expect("there is an order");
    let in_walk = orders.iter().filter(|order| order.best_is_walked);
    SettingSummary {
        delta: setting.threshold,
        top_n: setting.top_n,
        offset: setting.offset,
        speedup: over_orders(&|order| order.speedup),
        speedup_after_burn_in: mean(orders.iter().filter_map(|order| order.speedup_after_burn_in)),
        share_stopped: over_orders(&|order| order.share_stopped),
        best_kept: in_walk.clone().filter(|order| order.best_is_kept).count(),
        orders_best_in_walk: in_walk.count(),
        top10_kept: over_orders(&|order| order.top_kept as f64),
        regret_mean: over_orders(&|order| order.regret),
        regret_max: orders.iter().map(|order| order.regret).fold(0.0, f64::max),
        stopped_mean_absolute_error: mean(
            orders.iter().flat_map(|order| order.stopped_errors.iter().copied()),
        ),
    }
}

/// Returns the mean of some values, if there are any.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
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
    use super::super::params::PredictorParams;
    use super::super::regressor::Regressor;
    use super::super::synthetic_curves;
    use super::*;

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
    fn speedup_and_regret_by_hand() {
        // Four networks of four epochs, the best last and in the burn-in none of the best two; three
        // are walked: one stopped after 1 epoch, one trained, one (the best) stopped after 2.
        let finals = [0.5, 0.1, 0.7, 0.9];
        let named = |(id, mut network): (usize, (String, super::super::Example))| {
            let curve = super::super::LearningCurve::new(vec![0.0, 0.0, 0.0, finals[id]]).unwrap();
            network.1.curve = curve;
            network
        };
        let networks = synthetic_curves::named(4, 4).into_iter().enumerate().map(named).collect();
        let recorded = RecordedCurves::new(networks).unwrap();
        let step = |network, stopped, epoch, mean| Step {
            network,
            stopped,
            epoch,
            prediction: Some(super::super::Prediction { mean, sigma: 0.1 }),
            best: Some(0.5),
            stop_probability: Some(0.5),
        };
        let steps = [step(1, true, 1, 0.2), step(2, false, 3, 0.7), step(3, true, 2, 0.6)];
        let result = OrderResult::of(&recorded, &steps);
        // 16 epochs in all; spent 4 in the burn-in, then 1 + 4 + 2 of 12.
        assert_eq!(result.speedup, 16.0 / 11.0);
        assert_eq!(result.speedup_after_burn_in, Some(12.0 / 7.0));
        assert_eq!(result.share_stopped, 2.0 / 3.0);
        assert!(result.best_is_walked && !result.best_is_kept);
        assert_eq!(result.top_kept, 2);
        assert!((result.regret - 0.2).abs() < 1e-12);
        // |0.2 - 0.1| and |0.6 - 0.9|.
        let setting = Setting::grid(&[0.9], &[1], &[0.0]).unwrap()[0];
        let summary = summarise(&setting, &[result]);
        assert!((summary.stopped_mean_absolute_error.unwrap() - 0.2).abs() < 1e-12);
        assert_eq!((summary.best_kept, summary.orders_best_in_walk), (0, 1));
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
        let mut predictor = params.predictor.params().clone();
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
