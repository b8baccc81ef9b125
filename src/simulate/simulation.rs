//! Recorded curves walked through the rule over many orders: speedup and regret.
//!
//! As in section 4.1 of the paper: the first networks of an order are trained to the end and cost
//! their full price; the predictor is fitted to them once; the rest is walked in order.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::summary::{OrderResult, SettingSummary};
use super::walk::{Orders, Predictions, RecordedCurves, RuleSetting, WalkedNetwork, walk};
use crate::predictor::regressor::Hyperparameters;
use crate::predictor::{Example, FittedPredictor, FoldScaling, ValidPredictorParams, search};

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
    /// The first order's.
    Once,
    PerOrder,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    pub summaries: Vec<SettingSummary>,
    /// Setting by setting, in the order of the file; empty with random orders.
    pub trace: Vec<(RuleSetting, WalkedNetwork)>,
}

/// `on_order` is called after each order, from any thread. The result does not depend on the number
/// of threads. Where the burn-in leaves no network, none is stopped.
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
    pub orders: Vec<(Vec<usize>, ChaCha8Rng)>,
    chosen: Option<Vec<Hyperparameters>>,
}

impl<'a> OrderedFits<'a> {
    pub fn new(
        recorded: &'a RecordedCurves,
        params: &'a SimulationParams,
        rng: &mut impl Rng,
    ) -> Self {
        let orders = params.orders.draw(recorded.networks(), rng);
        let mut fits = Self { recorded, params, orders, chosen: None };
        if params.search == SearchScope::Once && fits.walks_any() {
            fits.chosen = Some(fits.choose(0));
        }
        fits
    }

    pub fn walks_any(&self) -> bool {
        self.recorded.networks() > self.params.predictor.burn_in
    }

    /// The burn-in and the rest.
    pub fn parts(&self, number: usize) -> (&[usize], &[usize]) {
        let (order, _) = &self.orders[number];
        order.split_at(self.params.predictor.burn_in.min(order.len()))
    }

    pub fn choose(&self, number: usize) -> Vec<Hyperparameters> {
        if let Some(chosen) = &self.chosen {
            return chosen.clone();
        }
        let examples = self.recorded.shortened(self.parts(number).0, self.recorded.epochs());
        let rng = &mut self.orders[number].1.clone();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{PredictorParams, Regressor, synthetic_curves};
    use rand_chacha::rand_core::SeedableRng;

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
}
