//! Recorded curves over many orders: speedup and regret of the rule, scores of the regressor.
//!
//! As in section 4.1 of the paper: the first networks of an order are trained to the end and cost
//! their full price; the predictor is fitted to them once; the rest is walked in order.

use itertools::Itertools;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::summary::{OrderResult, SettingSummary, mean_over};
use super::walk::{Orders, Predictions, RecordedCurves, RuleSetting, WalkedNetwork, walk};
use crate::invalid::Invalid;
use crate::maths::{mean_if_any, standard_error};
use crate::predictor::features::EpochTable;
use crate::predictor::regressor::{EpochModel, Hyperparameters};
use crate::predictor::{
    Example, FittedPredictor, FoldScaling, PredictorParams, Regressor, Scores,
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
    /// On the first order's, for all orders
    Once,
    /// On each order's own
    PerOrder,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    pub summaries: Vec<SettingSummary>,
    /// Setting by setting, in the order of the file; empty with random orders.
    pub trace: Vec<(RuleSetting, WalkedNetwork)>,
    /// Of each network after the burn-in of the first order.
    pub predictions: Vec<(usize, Predictions)>,
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
    let is_traced = params.orders == Orders::File;
    let walk_order = |order, burn_in: &[usize], walked: &[usize], chosen: &[Hyperparameters]| {
        let examples = recorded.shortened(burn_in, recorded.epochs());
        let predictor = FittedPredictor::fit_with(examples, chosen, params.scaling);
        let predict = |&network: &usize| {
            let Example { features, curve } = &recorded.examples[network];
            let epochs = 1..recorded.epochs();
            epochs.map(|epoch| predictor.predict(&curve.values()[..epoch], features)).collect()
        };
        let predictions: Vec<Predictions> = walked.iter().map(predict).collect();
        let walk = |&setting| walk(recorded, burn_in, walked, &predictions, setting);
        let walks: Vec<_> = grid.iter().map(walk).collect();
        let results: Vec<_> = walks.iter().map(|walk| OrderResult::of(recorded, walk)).collect();
        on_order();
        let walks = if is_traced { walks } else { Vec::new() };
        let predictions = if order == 0 { predictions } else { Vec::new() };
        (results, walks, walked.iter().copied().zip(predictions).collect::<Vec<_>>())
    };
    let of_orders = over_orders(recorded, params, rng, walk_order);
    let (results, walks, predictions): (Vec<_>, Vec<_>, Vec<_>) =
        of_orders.into_iter().multiunzip();
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
        predictions: predictions.into_iter().flatten().collect(),
    }
}

/// What `of` makes of each order: of its number, its burn-in, the networks after it, and the hyperparameters
/// for each epoch, none where no network is left.
fn over_orders<T: Send>(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: &mut impl Rng,
    of: impl Fn(usize, &[usize], &[usize], &[Hyperparameters]) -> T + Sync,
) -> Vec<T> {
    let orders = params.orders.draw(recorded.networks(), rng);
    let burn_in = params.predictor.burn_in.min(recorded.networks());
    let choose = |(order, generator): &(Vec<usize>, ChaCha8Rng)| {
        if burn_in == order.len() {
            return Vec::new();
        }
        let examples = recorded.shortened(&order[..burn_in], recorded.epochs());
        search::hyperparameters(&examples, &params.predictor, &mut generator.clone())
    };
    let once = (params.search == SearchScope::Once).then(|| choose(&orders[0]));
    let of_order = |(order, drawn): (usize, &(Vec<usize>, ChaCha8Rng))| {
        let (burn_in, others) = drawn.0.split_at(burn_in);
        of(order, burn_in, others, &once.clone().unwrap_or_else(|| choose(drawn)))
    };
    orders.par_iter().enumerate().map(of_order).collect()
}

/// Means over the orders, on the networks after the burn-in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochScore {
    pub regressor: Regressor,
    pub epoch: usize,
    pub r_squared: Option<f64>,
    /// None with a single order.
    pub r_squared_standard_error: Option<f64>,
    /// In units of the curves.
    pub mean_absolute_error: f64,
}

/// `rng` gives the same generator each time: both are scored over the same orders.
pub fn score_beside_last_seen<R: Rng>(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: impl Fn() -> R,
) -> Result<Vec<EpochScore>, Invalid> {
    let mut scores = score_regressor(recorded, params, &mut rng());
    if params.predictor.regressor != Regressor::LastSeen {
        let mut predictor = PredictorParams::clone(&params.predictor);
        predictor.regressor = Regressor::LastSeen;
        let params = SimulationParams { predictor: predictor.check()?, ..params.clone() };
        scores.extend(score_regressor(recorded, &params, &mut rng()));
    }
    Ok(scores)
}

/// Fits the regressor to the burn-in of each order and scores it on the rest (section 4 of the
/// paper): a row per epoch but the last; none where the burn-in leaves no network.
pub fn score_regressor(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: &mut impl Rng,
) -> Vec<EpochScore> {
    if recorded.networks() <= params.predictor.burn_in {
        return Vec::new();
    }
    let score_order = |_, burn_in: &[usize], others: &[usize], chosen: &[Hyperparameters]| {
        let [training, unseen] =
            [burn_in, others].map(|part| recorded.shortened(part, recorded.epochs()));
        let score = |(at, chosen): (usize, &Hyperparameters)| {
            let model = EpochModel::fit(&EpochTable::new(&training, at + 1), *chosen);
            let table = EpochTable::new(&unseen, at + 1);
            let rows = table.rows.iter().zip(&table.last_seen);
            let predictions: Vec<f64> = rows.map(|(row, seen)| model.predict(row, *seen)).collect();
            Scores::of(&table.targets, &predictions)
        };
        chosen.par_iter().enumerate().map(score).collect::<Vec<_>>()
    };
    let by_order = over_orders(recorded, params, rng, score_order);
    let row = |epoch: usize| {
        let r_squared = by_order.iter().filter_map(|scores| scores[epoch - 1].r_squared);
        let r_squared: Vec<f64> = r_squared.collect();
        EpochScore {
            regressor: params.predictor.regressor,
            epoch,
            r_squared: mean_if_any(&r_squared),
            r_squared_standard_error: standard_error(&r_squared),
            mean_absolute_error: mean_over(&by_order, |scores| {
                scores[epoch - 1].mean_absolute_error
            }),
        }
    };
    (1..recorded.epochs()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{Features, LearningCurve, synthetic_curves};
    use rand_chacha::rand_core::SeedableRng;
    use strum::VariantArray;

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

    fn score_params(predictor: PredictorParams) -> SimulationParams {
        SimulationParams {
            predictor: predictor.check().unwrap(),
            orders: Orders::Random(3),
            settings: vec![],
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        }
    }

    fn scores(regressor: Regressor, burn_in: usize) -> Vec<EpochScore> {
        let predictor =
            PredictorParams { regressor, burn_in, draws: 5, ..PredictorParams::default() };
        let recorded = RecordedCurves::new(synthetic_curves::named(60, 12)).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        score_regressor(&recorded, &score_params(predictor), rng)
    }

    #[test]
    fn every_regressor_beats_the_last_value_seen_at_a_quarter_of_the_curve() {
        let baseline = scores(Regressor::LastSeen, 40)[2].r_squared.unwrap();
        for regressor in &Regressor::VARIANTS[..4] {
            let found = &scores(*regressor, 40)[2];
            assert_eq!((found.regressor, found.epoch), (*regressor, 3));
            assert!(found.r_squared.unwrap() > baseline, "{found:?} {baseline}");
        }
    }

    #[test]
    fn only_networks_after_the_burn_in_are_scored() {
        let network = |(id, values): (usize, [f64; 2])| {
            let curve = LearningCurve::try_from(values.to_vec()).unwrap();
            (id.to_string(), Example { features: Features::try_from(vec![]).unwrap(), curve })
        };
        // Three of the burn-in, which the last value seen predicts exactly, and two that it does
        // not.
        let curves = [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.5, 0.4], [0.5, 0.6]];
        let named = curves.into_iter().enumerate().map(network).collect();
        let predictor = PredictorParams {
            regressor: Regressor::LastSeen,
            burn_in: 3,
            ..PredictorParams::default()
        };
        let params = SimulationParams { orders: Orders::File, ..score_params(predictor) };
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let found = score_regressor(&RecordedCurves::new(named).unwrap(), &params, rng);
        // Errors of 0.1 around a mean of 0.5, from which the targets are 0.1 away: 1 - 0.02 / 0.02.
        assert!(found[0].r_squared.unwrap().abs() < 1e-12);
        assert!((found[0].mean_absolute_error - 0.1).abs() < 1e-12);
    }

    #[test]
    fn without_networks_after_the_burn_in_there_are_no_scores() {
        assert!(scores(Regressor::Ols, 60).is_empty());
    }
}
