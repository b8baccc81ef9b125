//! Recorded curves walked through the rule over many orders: speedup and regret.
//!
//! As in section 4.1 of the paper: the first networks of an order are trained to the end and cost
//! their full price; the predictor is fitted to them once; the rest is walked in order.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use super::recorded::{Orders, RecordedCurves};
use super::summary::{OrderResult, SettingSummary};
use crate::predictor::regressor::Hyperparameters;
use crate::predictor::{
    BestFinals, Example, FittedPredictor, FoldScaling, Prediction, StoppingRule,
    ValidPredictorParams, search,
};

#[derive(Debug, Clone, PartialEq)]
pub struct SimulationParams {
    /// Its rule is not used, but those of `settings`.
    pub predictor: ValidPredictorParams,
    pub orders: Orders,
    pub settings: Vec<RuleSetting>,
    pub search: SearchScope,
    pub scaling: FoldScaling,
}

/// On whose burn-in hyperparameters are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SearchScope {
    /// The first order's, for all orders.
    Once,
    /// Each order's own.
    PerOrder,
}

/// A rule, and which of the best networks it compares with: the `top_n`-th.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RuleSetting {
    pub delta: f64,
    pub top_n: usize,
    /// In units of the curves.
    pub offset: f64,
}

impl RuleSetting {
    /// Thresholds outermost, offsets innermost; their values are checked where they are parsed.
    pub fn grid(thresholds: &[f64], top_ns: &[usize], offsets: &[f64]) -> Vec<Self> {
        let mut grid = Vec::new();
        for &delta in thresholds {
            for &top_n in top_ns {
                grid.extend(offsets.iter().map(|&offset| Self { delta, top_n, offset }));
            }
        }
        grid
    }

    pub(super) const fn rule(self) -> StoppingRule {
        StoppingRule { threshold: self.delta, offset: self.offset }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// One per setting: thresholds outermost, offsets innermost.
    pub summaries: Vec<SettingSummary>,
    /// Setting by setting, in the order of the file; empty with random orders, of which only what
    /// is summed up is kept.
    pub trace: Vec<(RuleSetting, WalkedNetwork)>,
}

/// `on_order` is called after each order, from any thread. The result depends on curves, parameters
/// and `rng`; not on the number of threads. Where the burn-in leaves no network, none is stopped.
pub fn simulate(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: &mut impl Rng,
    on_order: &(dyn Fn() + Sync),
) -> Simulation {
    let grid = &params.settings;
    let fits = OrderedFits::new(recorded, params, rng);
    let is_traced = params.orders == Orders::File;
    let walked = (0..fits.orders.len()).into_par_iter().map(|number| {
        let walks = fits.walk(number, grid);
        let results: Vec<_> = walks.iter().map(|walk| OrderResult::of(recorded, walk)).collect();
        on_order();
        (results, if is_traced { walks } else { Vec::new() })
    });
    let (results, walks): (Vec<_>, Vec<_>) = walked.unzip();
    let summarise = |(at, &setting): (usize, &RuleSetting)| {
        let of_setting: Vec<&OrderResult> = results.iter().map(|of_order| &of_order[at]).collect();
        SettingSummary::of(setting, &of_setting)
    };
    let rows = |(&setting, walk): (&RuleSetting, Vec<WalkedNetwork>)| {
        walk.into_iter().map(move |walked| (setting, walked))
    };
    Simulation {
        summaries: grid.iter().enumerate().map(summarise).collect(),
        trace: grid.iter().zip(walks.into_iter().flatten()).flat_map(rows).collect(),
    }
}

pub(super) struct OrderedFits<'a> {
    recorded: &'a RecordedCurves,
    params: &'a SimulationParams,
    pub orders: Vec<Vec<usize>>,
    generators: Vec<ChaCha8Rng>,
    /// Chosen on the first order's burn-in, where once is enough.
    chosen: Option<Vec<Hyperparameters>>,
}

impl<'a> OrderedFits<'a> {
    pub fn new(
        recorded: &'a RecordedCurves,
        params: &'a SimulationParams,
        rng: &mut impl Rng,
    ) -> Self {
        let orders = params.orders.draw(recorded.networks(), rng);
        let generators = orders.iter().map(|_| ChaCha8Rng::from_rng(rng)).collect();
        let mut fits = Self { recorded, params, orders, generators, chosen: None };
        if params.search == SearchScope::Once && fits.walks_any() {
            fits.chosen = Some(fits.choose(0));
        }
        fits
    }

    pub fn walks_any(&self) -> bool {
        self.recorded.networks() > self.params.predictor.burn_in
    }

    /// The burn-in, and the networks after it.
    pub fn parts(&self, number: usize) -> (&[usize], &[usize]) {
        let order = &self.orders[number];
        order.split_at(self.params.predictor.burn_in.min(order.len()))
    }

    pub fn choose(&self, number: usize) -> Vec<Hyperparameters> {
        if let Some(chosen) = &self.chosen {
            return chosen.clone();
        }
        let examples = self.recorded.shortened(self.parts(number).0, self.recorded.epochs());
        let rng = &mut self.generators[number].clone();
        search::hyperparameters(&examples, &self.params.predictor, rng)
    }

    fn walk(&self, number: usize, grid: &[RuleSetting]) -> Vec<Vec<WalkedNetwork>> {
        if !self.walks_any() {
            return vec![Vec::new(); grid.len()];
        }
        let (burn_in, walked) = self.parts(number);
        let examples = self.recorded.shortened(burn_in, self.recorded.epochs());
        let predictor =
            FittedPredictor::fit_with(examples, &self.choose(number), self.params.scaling);
        let predict = |&network: &usize| {
            let Example { features, curve } = &self.recorded.examples[network];
            let epochs = 1..self.recorded.epochs();
            epochs.map(|epoch| predictor.predict(&curve.values()[..epoch], features)).collect()
        };
        let predictions: Vec<Predictions> = walked.iter().map(predict).collect();
        let walk = |&setting| walk(self.recorded, burn_in, walked, &predictions, setting);
        grid.iter().map(walk).collect()
    }
}

/// The predictions of a network at each epoch but the last; none without a predictor.
type Predictions = Vec<Option<Prediction>>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalkedNetwork {
    pub network: usize,
    /// Else it was trained to the end.
    pub stopped: bool,
    /// Epoch of its stop, or of its last verdict, from 1.
    pub epoch: usize,
    pub prediction: Option<Prediction>,
    /// What it was compared with at that epoch, before the offset.
    pub best: Option<f64>,
    pub stop_probability: Option<f64>,
}

/// Walks networks in their order under a setting, after those of the burn-in were trained to the
/// end. Every network trained to the end counts for those that come later; predictions never do.
fn walk(
    recorded: &RecordedCurves,
    burn_in: &[usize],
    walked: &[usize],
    predictions: &[Predictions],
    setting: RuleSetting,
) -> Vec<WalkedNetwork> {
    let finals = burn_in.iter().map(|&network| recorded.last(network));
    let mut best = BestFinals::of(setting.top_n, finals);
    let walk_one = |(&network, predictions)| {
        let walked = judge(network, predictions, best.nth(setting.top_n), setting.rule());
        if !walked.stopped {
            best.add(recorded.last(network));
        }
        walked
    };
    walked.iter().zip(predictions).map(walk_one).collect()
}

fn judge(
    network: usize,
    predictions: &Predictions,
    best: Option<f64>,
    rule: StoppingRule,
) -> WalkedNetwork {
    let mut last = WalkedNetwork {
        network,
        stopped: false,
        // Of a single epoch there is no verdict; the training ends there all the same.
        epoch: predictions.len().max(1),
        prediction: None,
        best,
        stop_probability: None,
    };
    for (epoch, &prediction) in (1..).zip(predictions) {
        let verdict = rule.judge(prediction, best);
        let (stopped, stop_probability) = (verdict.is_stop(), verdict.stop_probability());
        last = WalkedNetwork { stopped, epoch, prediction, stop_probability, ..last };
        if stopped {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{Features, LearningCurve, PredictorParams, Regressor, synthetic_curves};

    const NETWORKS: usize = 60;
    const EPOCHS: usize = 8;

    fn params(burn_in: usize, orders: Orders) -> SimulationParams {
        let predictor =
            PredictorParams { regressor: Regressor::Ols, burn_in, ..PredictorParams::default() };
        SimulationParams {
            predictor: predictor.check().unwrap(),
            orders,
            settings: RuleSetting::grid(&[0.95], &[1], &[0.0]),
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        }
    }

    fn run(params: &SimulationParams) -> Simulation {
        let recorded = RecordedCurves::new(synthetic_curves::named(NETWORKS, EPOCHS)).unwrap();
        simulate(&recorded, params, &mut ChaCha8Rng::seed_from_u64(1), &|| ())
    }

    #[test]
    fn a_burn_in_of_all_networks_stops_none() {
        for burn_in in [NETWORKS, 1_000] {
            let summary = run(&params(burn_in, Orders::Random(2))).summaries.remove(0);
            assert_eq!((summary.speedup, summary.speedup_after_burn_in), (1.0, None));
            assert_eq!((summary.share_stopped, summary.regret_max), (0.0, 0.0));
            assert_eq!((summary.orders_best_in_walk, summary.top10_kept), (0, 10.0));
        }
    }

    #[test]
    fn speedup_is_bounded_by_the_burn_in() {
        let summary = run(&params(20, Orders::Random(4))).summaries.remove(0);
        // 60 * 8 / (20 * 8 + 40 * 1) = 2.4.
        assert!(summary.speedup > 1.0 && summary.speedup <= 2.4, "{summary:?}");
    }

    #[test]
    fn a_higher_threshold_stops_no_more() {
        let mut params = params(20, Orders::Random(4));
        params.settings = RuleSetting::grid(&[0.9, 0.95, 0.99], &[1], &[0.0, 0.05]);
        let summaries = run(&params).summaries;
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
                pool.install(|| run(&params))
            };
            assert_eq!(on(1), on(3));
        }
    }

    #[test]
    fn the_trace_has_every_walked_network_once_per_setting() {
        let mut params = params(20, Orders::File);
        params.settings = RuleSetting::grid(&[0.9, 0.99], &[1], &[0.0]);
        let trace = run(&params).trace;
        assert_eq!(trace.len(), 2 * (NETWORKS - 20));
        assert_eq!((trace[0].1.network, trace[39].1.network), (20, 59));
        for (setting, row) in &trace {
            let is_over = row.stop_probability.unwrap() >= setting.delta;
            assert_eq!(row.stopped, is_over);
            assert!(row.stopped || row.epoch == EPOCHS - 1);
        }
        assert!(run(&self::params(20, Orders::Random(1))).trace.is_empty());
    }

    /// Networks of three epochs with given last values, each predicted as it ends with sigma 0.01.
    fn walked_by_hand(finals: &[f64], top_n: usize) -> Vec<WalkedNetwork> {
        let network = |(id, y): (usize, &f64)| {
            let curve = LearningCurve::try_from(vec![0.0, 0.0, *y]).unwrap();
            (id.to_string(), Example { features: Features::try_from(vec![]).unwrap(), curve })
        };
        let recorded =
            RecordedCurves::new(finals.iter().enumerate().map(network).collect()).unwrap();
        let order: Vec<usize> = (0..finals.len()).collect();
        let predict = |y: &f64| vec![Some(Prediction { mean: *y, sigma: 0.01 }); 2];
        let predictions: Vec<Predictions> = finals[2..].iter().map(predict).collect();
        let setting = RuleSetting::grid(&[0.99], &[top_n], &[0.0])[0];
        walk(&recorded, &order[..2], &order[2..], &predictions, setting)
    }

    fn stopped(steps: &[WalkedNetwork]) -> Vec<bool> {
        steps.iter().map(|step| step.stopped).collect()
    }

    #[test]
    fn a_finished_network_raises_the_bar_and_a_stopped_one_does_not() {
        // 0.6 beats 0.5 and finishes; 0.55 then is 5 sigmas below 0.6; 0.59 is 1 below.
        let steps = walked_by_hand(&[0.5, 0.4, 0.6, 0.55, 0.59], 1);
        assert_eq!(stopped(&steps), [false, true, false]);
        assert_eq!(
            steps.iter().map(|step| step.best).collect::<Vec<_>>(),
            [Some(0.5), Some(0.6), Some(0.6)]
        );
        assert_eq!(steps.iter().map(|step| step.epoch).collect::<Vec<_>>(), [2, 1, 2]);
    }

    #[test]
    fn the_best_n_are_trained_to_the_end() {
        // Second best is 0.4, then 0.5, then 0.55.
        let steps = walked_by_hand(&[0.5, 0.4, 0.6, 0.55, 0.52], 2);
        assert_eq!(stopped(&steps), [false, false, true]);
        // With fewer than three trained, none is compared.
        let steps = walked_by_hand(&[0.5, 0.4, 0.1], 3);
        assert_eq!(
            (steps[0].stopped, steps[0].best, steps[0].stop_probability),
            (false, None, None)
        );
    }

    #[test]
    fn a_training_of_one_epoch_ends_there_without_a_verdict() {
        let rule = StoppingRule::default();
        let step = judge(0, &Vec::new(), Some(0.9), rule);
        assert_eq!((step.stopped, step.epoch, step.stop_probability), (false, 1, None));
    }

    #[test]
    fn lists_cross_to_a_grid() {
        let grid = RuleSetting::grid(&[0.9, 0.99], &[1, 3], &[0.0, 0.1]);
        let flat: Vec<_> = grid.iter().map(|s| (s.delta, s.top_n, s.offset)).collect();
        assert_eq!(flat[..3], [(0.9, 1, 0.0), (0.9, 1, 0.1), (0.9, 3, 0.0)]);
        assert_eq!(flat.len(), 8);
    }
}
