//! Hyperband (Li et al., 2018, algorithm 1) over recorded curves, with and without stopping inside
//! its rungs (section 5 of the paper).
//!
//! f-Hyperband begins as Hyperband does. Once enough networks have been trained to the length of a
//! rung, a predictor of the accuracy at *that* length is fitted to them, and in every later rung of
//! this length a network is stopped that will hardly be among the best `ceil(kappa n)` of its rung.
//! What the paper leaves open is decided here: a stopped network never goes on to the next rung,
//! and the first networks of a rung, as many as kappa protects, are not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::simulation::{SearchScope, SimulationParams};
use super::summary::{HyperbandResult, HyperbandSummary};
use super::walk::{RecordedCurves, RuleSetting};
use crate::predictor::regressor::Hyperparameters;
use crate::predictor::{BestFinals, Example, FittedPredictor, PredictorError, search};

/// In each order, plain and with stopping under each kappa, the share of a rung that is trained to
/// its end, and each setting of `params`, whose `top_n` kappa replaces. One network in `eta`, at
/// least 2, goes on to the next rung. None is predicted by a model that has learned from it. The
/// burn-in is the number of networks trained to a rung's length before stopping begins there.
pub fn simulate_hyperband(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    (eta, kappas): (usize, &[f64]),
    rng: &mut impl Rng,
    on_order: &(dyn Fn() + Sync),
) -> Result<Vec<HyperbandSummary>, PredictorError> {
    let with_kappa = |&kappa| params.settings.iter().map(move |rule| Some((kappa, *rule)));
    let settings: Vec<_> = iter::once(None).chain(kappas.iter().flat_map(with_kappa)).collect();
    let brackets = brackets(recorded.epochs(), eta);
    let per_run: usize = brackets.iter().map(|bracket| bracket[0].networks).sum();
    let runs = recorded.networks() / per_run;
    if runs == 0 {
        return Err(PredictorError::Unusable(format!(
            "{} networks are recorded (one run of Hyperband begins {per_run})",
            recorded.networks()
        )));
    }
    let orders = params.orders.draw(recorded.networks(), rng);
    // In ascending order. Of a single epoch nothing is predicted.
    let lengths: BTreeSet<usize> =
        brackets.iter().flatten().map(|rung| rung.epochs).filter(|epochs| *epochs > 1).collect();
    // A rung gets no predictor before as many networks as the burn-in have come to its end.
    let burn_in = params.predictor.burn_in;
    let stops_at_all = settings.len() > 1 && runs * per_run >= burn_in;
    let mut chosen = BTreeMap::new();
    if params.search == SearchScope::Once && stops_at_all {
        let (order, rng) = &mut orders[0].clone();
        for &length in &lengths {
            let examples = recorded.shortened(&order[..burn_in], length);
            chosen.insert(length, search::hyperparameters(&examples, &params.predictor, rng));
        }
    }
    let run_order = |(order, generator): &(Vec<usize>, ChaCha8Rng)| {
        let replay = |setting: &Option<_>| {
            let run = HyperbandRun {
                recorded,
                params,
                chosen: &chosen,
                rule: *setting,
                rng: generator.clone(),
                lengths: lengths.iter().map(|&length| (length, Length::default())).collect(),
                result: HyperbandResult { spent: 0, stopped: 0, best: f64::NEG_INFINITY },
            };
            run.run(&order[..runs * per_run], &brackets)
        };
        let results: Vec<_> = settings.par_iter().map(replay).collect();
        on_order();
        results
    };
    let by_order: Vec<_> = orders.par_iter().map(run_order).collect();
    let summary = |(at, setting): (usize, &Option<_>)| {
        let orders: Vec<_> = by_order.iter().map(|results| (results[0], results[at])).collect();
        HyperbandSummary::of((eta, runs, runs * per_run), *setting, &orders)
    };
    Ok(settings.iter().enumerate().map(summary).collect())
}

struct HyperbandRun<'a> {
    recorded: &'a RecordedCurves,
    params: &'a SimulationParams,
    chosen: &'a BTreeMap<usize, Vec<Hyperparameters>>,
    /// Kappa, and the rule.
    rule: Option<(f64, RuleSetting)>,
    rng: ChaCha8Rng,
    lengths: BTreeMap<usize, Length>,
    result: HyperbandResult,
}

#[derive(Default)]
struct Length {
    /// In the order in which they got there.
    trained: Vec<usize>,
    predictor: Option<FittedPredictor>,
}

impl HyperbandRun<'_> {
    fn run(mut self, mut networks: &[usize], brackets: &[Bracket]) -> HyperbandResult {
        while !networks.is_empty() {
            for bracket in brackets {
                let begun;
                (begun, networks) = networks.split_at(bracket[0].networks);
                self.halve(begun.to_vec(), bracket);
            }
        }
        self.result
    }

    fn halve(&mut self, mut contenders: Vec<usize>, bracket: &Bracket) {
        let mut from = 0;
        for (at, rung) in bracket.iter().enumerate() {
            let mut finished = self.climb(&contenders, from, *rung);
            // A stable sort: of equals, the earlier goes on.
            finished.sort_by(|a, b| b.1.total_cmp(&a.1));
            let go_on = bracket.get(at + 1).map_or(0, |next| next.networks);
            contenders = finished.into_iter().take(go_on).map(|(network, _)| network).collect();
            from = rung.epochs;
        }
    }

    /// Returns the networks that came to the end of a rung, with their value there.
    fn climb(&mut self, contenders: &[usize], from: usize, rung: Rung) -> Vec<(usize, f64)> {
        let protected = self.rule.map_or(1.0, |(kappa, _)| kappa) * rung.networks as f64;
        // A product that should be whole may be a hair above it.
        let protected = (protected - 1e-9).ceil().max(1.0) as usize;
        let mut best = BestFinals::of(protected, []);
        let mut finished = Vec::new();
        for &network in contenders {
            let reached = self.train(network, from, rung.epochs, best.nth(protected));
            self.result.spent += reached - from;
            for (_, known) in self.lengths.range_mut(from + 1..=reached) {
                known.trained.push(network);
            }
            if reached == rung.epochs {
                let value = self.recorded.examples[network].curve.values()[reached - 1];
                if reached == self.recorded.epochs() {
                    self.result.best = self.result.best.max(value);
                }
                best.add(value);
                finished.push((network, value));
            } else {
                self.result.stopped += 1;
            }
        }
        finished
    }

    /// Returns the epochs that a network has when its rung ends for it.
    fn train(&mut self, network: usize, from: usize, to: usize, best: Option<f64>) -> usize {
        let Example { features, curve } = &self.recorded.examples[network];
        let Some((_, rule)) = self.rule else { return to };
        let Some(predictor) = self.predictor(to) else { return to };
        let is_stopped = |epoch: &usize| {
            let prediction = predictor.predict(&curve.values()[..*epoch], features);
            rule.rule().judge(prediction, best).is_stop()
        };
        (from + 1..to).find(is_stopped).unwrap_or(to)
    }

    /// Fitted when enough networks have come to a length.
    fn predictor(&mut self, length: usize) -> Option<&FittedPredictor> {
        let params = &self.params.predictor;
        let Length { trained, predictor } = self.lengths.get_mut(&length)?;
        if predictor.is_none() && trained.len() >= params.burn_in {
            let examples = self.recorded.shortened(&trained[..params.burn_in], length);
            let chosen = self.chosen.get(&length).cloned();
            let chosen =
                chosen.unwrap_or_else(|| search::hyperparameters(&examples, params, &mut self.rng));
            *predictor = Some(FittedPredictor::fit_with(examples, &chosen, self.params.scaling));
        }
        predictor.as_ref()
    }
}

#[derive(Clone, Copy)]
struct Rung {
    /// Those that begin it.
    networks: usize,
    /// That each has at its end.
    epochs: usize,
}

type Bracket = Vec<Rung>;

/// Those of one run, the most aggressive first. With R epochs at most and s_max the largest
/// s with eta^s <= R, bracket s = s_max .. 0 begins with `n = ceil((s_max + 1) eta^s / (s + 1))`
/// networks; its rung i = 0 .. s has `floor(n / eta^i)` of them, trained to `R / eta^(s - i)`
/// epochs, rounded to the nearest, at least 1.
fn brackets(max_epochs: usize, eta: usize) -> Vec<Bracket> {
    // Powers 1, eta, eta^2 .. up to R.
    let powers: Vec<usize> = iter::successors(Some(1_usize), |power| power.checked_mul(eta))
        .take_while(|power| *power <= max_epochs)
        .collect();
    let bracket = |s: usize| {
        let begins = (powers.len() * powers[s]).div_ceil(s + 1);
        let rung = |i: usize| Rung {
            networks: begins / powers[i],
            epochs: ((max_epochs + powers[s - i] / 2) / powers[s - i]).max(1),
        };
        (0..=s).map(rung).collect()
    };
    (0..powers.len()).rev().map(bracket).collect()
}

#[cfg(test)]
mod tests {
    use super::super::walk::Orders;
    use super::*;
    use crate::predictor::{
        Example, Features, FoldScaling, LearningCurve, PredictorParams, Regressor, synthetic_curves,
    };
    use proptest::prelude::*;
    use rand_chacha::rand_core::SeedableRng;

    const EPOCHS: usize = 27;

    fn run(networks: usize, burn_in: usize, kappa: Option<f64>) -> Vec<HyperbandSummary> {
        let predictor =
            PredictorParams { regressor: Regressor::Ols, burn_in, ..PredictorParams::default() };
        run_with(networks, EPOCHS, predictor, kappa)
    }

    fn run_with(
        networks: usize,
        epochs: usize,
        predictor: PredictorParams,
        kappa: Option<f64>,
    ) -> Vec<HyperbandSummary> {
        let params = SimulationParams {
            predictor: predictor.check().unwrap(),
            orders: Orders::Random(2),
            settings: RuleSetting::grid(&[0.9, 0.99], &[1], &[0.0]),
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        };
        let recorded = RecordedCurves::new(synthetic_curves::named(networks, epochs)).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        simulate_hyperband(&recorded, &params, (3, kappa.as_slice()), rng, &|| ()).unwrap()
    }

    #[test]
    fn plain_hyperband_spends_what_its_schedule_says() {
        // 27 epochs: (27,1) (9,3) (3,9) (1,27) / (12,3) (4,9) (1,27) / (6,9) (2,27) / (4,27).
        // Each rung costs its networks times the epochs added:
        // 27 + 18 + 18 + 18 = 81; 36 + 24 + 18 = 78; 54 + 36 = 90; 108: 357 epochs, 49 networks.
        let [plain] = run(100, 10, None).try_into().unwrap();
        assert_eq!((plain.runs, plain.networks), (2, 98));
        assert_eq!((plain.epochs, plain.speedup, plain.share_stopped), (714.0, 1.0, 0.0));
        assert_eq!((plain.regret_mean, plain.regret_max), (0.0, 0.0));
    }

    #[test]
    fn the_same_networks_cost_less_with_stopping() {
        let summaries = run(300, 20, Some(1.0 / 3.0));
        let [plain, eager, careful] = summaries.as_slice() else { panic!("{summaries:?}") };
        assert_eq!(eager.networks, plain.networks);
        assert!(eager.speedup > 1.1 && eager.share_stopped > 0.0, "{eager:?}");
        assert!(careful.speedup > 1.0 && careful.speedup <= eager.speedup, "{careful:?}");
        assert!(careful.regret_mean.abs() < 0.02, "{careful:?}");
    }

    /// Ten networks of four epochs, predicted by the last value seen. Network i has 0.9 less
    /// i / 100 (network 6 has 0.855) for three epochs and 0.3 less after the last: what the second
    /// epoch brings is certain, what the last one brings is not.
    fn run_by_hand(kappa: f64) -> Vec<HyperbandSummary> {
        let network = |id: usize| {
            let value = if id == 6 { 0.855 } else { 0.9 - id as f64 / 100.0 };
            let curve = LearningCurve::try_from(vec![value, value, value, value - 0.3]).unwrap();
            (id.to_string(), Example { features: Features::try_from(vec![]).unwrap(), curve })
        };
        let predictor = PredictorParams {
            regressor: Regressor::LastSeen,
            burn_in: 4,
            ..PredictorParams::default()
        };
        let params = SimulationParams {
            predictor: predictor.check().unwrap(),
            orders: Orders::File,
            settings: RuleSetting::grid(&[0.9], &[1], &[0.0]),
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        };
        let recorded = RecordedCurves::new((0..10).map(network).collect()).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        simulate_hyperband(&recorded, &params, (2, &[kappa]), rng, &|| ()).unwrap()
    }

    #[test]
    fn a_rung_is_predicted_to_its_own_end_once_enough_networks_came_there() {
        // (4,1) (2,2) (1,4) / (3,2) (1,4) / (3,4): plain Hyperband spends 4 + 2 + 2, 6 + 2 and 12.
        // Networks 0, 1, 4 and 5 are the first four to have two epochs; of network 6 it is then
        // known after one that it stays below network 4: one epoch less. What follows the second
        // epoch is uncertain (sigma 0.3), and none else is stopped.
        let [plain, stopping] = run_by_hand(0.3).try_into().unwrap();
        assert_eq!((plain.epochs, plain.networks), (28.0, 10));
        assert_eq!((stopping.epochs, stopping.share_stopped), (27.0, 0.1));
        // ceil(0.4 * 3) = 2 networks are protected, and network 6 is ahead of the second best so
        // far.
        assert_eq!(run_by_hand(0.4)[1].share_stopped, 0.0);
    }

    #[test]
    fn a_kappa_of_one_stops_none() {
        for summary in run(300, 20, Some(1.0)) {
            assert_eq!((summary.share_stopped, summary.speedup), (0.0, 1.0));
        }
    }

    #[test]
    fn networks_too_few_to_learn_from_are_all_trained() {
        // Of two epochs a run is a single rung of a single network.
        let predictor = PredictorParams { burn_in: 3, ..PredictorParams::default() };
        let summaries = run_with(1, 2, predictor, Some(0.5));
        assert_eq!((summaries.len(), summaries[0].networks), (3, 1));
        assert!(summaries.iter().all(|s| (s.share_stopped, s.speedup) == (0.0, 1.0)));
    }

    #[test]
    fn before_enough_networks_reached_a_rung_none_is_stopped() {
        for summary in run(300, 1_000, Some(0.3)) {
            assert_eq!(summary.share_stopped, 0.0);
        }
    }

    fn schedule(max_epochs: usize, eta: usize) -> Vec<Vec<(usize, usize)>> {
        let pairs = |bracket: &Bracket| bracket.iter().map(|r| (r.networks, r.epochs)).collect();
        brackets(max_epochs, eta).iter().map(pairs).collect()
    }

    #[test]
    fn the_schedule_for_81_epochs_by_hand() {
        // s_max = 4; brackets begin with 5/5 * 81, ceil(5/4 * 27) = 34, 5/3 * 9, ceil(5/2 * 3) = 8
        // and 5.
        assert_eq!(
            schedule(81, 3),
            [
                vec![(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
                vec![(34, 3), (11, 9), (3, 27), (1, 81)],
                vec![(15, 9), (5, 27), (1, 81)],
                vec![(8, 27), (2, 81)],
                vec![(5, 81)],
            ]
        );
    }

    #[test]
    fn epochs_are_whole() {
        // 50 / 27 = 1.85, 50 / 9 = 5.56, 50 / 3 = 16.67.
        assert_eq!(schedule(50, 3)[0], [(27, 2), (9, 6), (3, 17), (1, 50)]);
    }

    #[test]
    fn a_single_epoch_is_a_single_rung() {
        assert_eq!(schedule(1, 3), [[(1, 1)]]);
    }

    proptest! {
        #[test]
        fn rungs_get_smaller_and_longer(max_epochs in 1_usize..400, eta in 2_usize..6) {
            for bracket in brackets(max_epochs, eta) {
                prop_assert_eq!(bracket.last().unwrap().epochs, max_epochs);
                for pair in bracket.windows(2) {
                    prop_assert!(pair[0].networks >= pair[1].networks && pair[1].networks >= 1);
                    prop_assert!(pair[0].epochs < pair[1].epochs);
                }
            }
        }
    }
}
