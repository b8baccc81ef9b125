//! Bayesian optimisation (Snoek, Larochelle and Adams, 2012, *Practical Bayesian optimization of
//! machine learning algorithms*), with the kernel of Swersky et al., 2014: see
//! [`super::gaussian_process`].
//!
//! After `burn_in` results drawn at random the next network is the one of the greatest expected
//! improvement, of `candidates` drawn for it: every second an edit of one of the ten best results,
//! the others at random. It is the improvement over what is expected of those ten, not over the
//! best result, which was lucky, too (Picheny, Wagner and Ginsbourger, 2013, *A benchmark of
//! kriging-based infill criteria for noisy optimization*). They are ranked before the log is
//! locked; under the lock the first that is still free is taken, whatever has been claimed since.
//!
//! The hyperparameters are those of the first `burn_in` results, of twice, four times .. as many.
//! So they follow from the log; [`FIT_POINTS`] bounds the work to a tenth of a second, and a view
//! keeps them.

use indexmap::IndexMap;
use itertools::Itertools;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::edits::edit_of_result;
use super::gaussian_process::{Expectation, GaussianProcess};
use super::{Draw, SearchHistory, Strategy};
use crate::q_learning::{Epsilon, sample_trajectory};
use crate::space::{Architecture, Candidate, Space};

/// Results from which hyperparameters are found: the best and the newest.
const FIT_POINTS: usize = 128;

/// For each wanted candidate, since edits repeat, and small networks are drawn at random again.
const MOST_DRAWS_EACH: u64 = 3;

/// The best results: candidates are edits of them, and are compared with them.
const PARENTS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BayesianParams {
    #[default = 10]
    pub burn_in: u64,
    /// The most results that are looked at, half of them the best, half the newest.
    #[default = 500]
    pub points: u64,
    #[default = 1000]
    pub candidates: u64,
}

impl BayesianParams {
    /// For a search of so many networks: at random at most a fifth of them.
    pub fn scaled(self, networks: u64) -> Self {
        Self { burn_in: self.burn_in.min(networks.div_ceil(5)).max(2), ..self }
    }
}

pub struct Bayesian {
    pub params: BayesianParams,
    /// With the number of first results that it was fitted to, and of which replay.
    process: Option<((usize, u32), GaussianProcess)>,
    /// The best first.
    ranking: Vec<Draw>,
}

/// An architecture and what its result counts.
type Outcome<'a> = (&'a str, f64);

/// The best first.
fn best_and_newest<'a>(results: &[Outcome<'a>], most: usize) -> Vec<Outcome<'a>> {
    let mut order: Vec<usize> = (0..results.len()).collect();
    order.sort_by(|&a, &b| results[b].1.total_cmp(&results[a].1));
    let (best, rest) = order.split_at_mut((most / 2).min(results.len()));
    rest.sort_unstable();
    let newest = rest.iter().rev().take(most - best.len());
    best.iter().chain(newest).map(|&at| results[at]).collect()
}

fn parse(space: &Space, points: &[Outcome<'_>]) -> Vec<(Architecture, f64)> {
    let parse = |&(name, reward): &Outcome<'_>| Some((space.parse(name).ok()?, reward));
    points.iter().filter_map(parse).collect()
}

impl Bayesian {
    pub const fn new(params: BayesianParams) -> Self {
        Self { params, process: None, ranking: Vec::new() }
    }

    fn process(
        &mut self,
        history: &SearchHistory<'_>,
        results: &[Outcome<'_>],
    ) -> &GaussianProcess {
        let burn_in = self.params.burn_in as usize;
        let count = burn_in << (results.len() / burn_in).ilog2();
        let (space, of) = (history.space(), (count, history.replays));
        if self.process.as_ref().is_none_or(|&(fitted_to, _)| fitted_to != of) {
            let points = parse(space, &best_and_newest(&results[..count], FIT_POINTS));
            self.process = Some((of, GaussianProcess::fit(space, &points)));
        }
        &self.process.as_ref().expect("fitted").1
    }

    /// Free ones, each with the edit that it is, if it is one.
    fn candidates(
        &self,
        history: &SearchHistory<'_>,
        parents: &[Outcome<'_>],
        rng: &mut ChaCha8Rng,
    ) -> IndexMap<Candidate, Option<String>> {
        let (wanted, mut found) = (self.params.candidates, IndexMap::new());
        for number in 0..MOST_DRAWS_EACH * wanted {
            if found.len() as u64 == wanted {
                break;
            }
            let drawn = if number % 2 == 0 {
                let (parent, _) = parents.choose(rng).expect("the burn-in is over");
                edit_of_result(history, parent, rng, |_| true)
            } else {
                let drawn = sample_trajectory(history.q_table, Epsilon::RANDOM, rng);
                Some((Candidate::once(drawn.to_string()), None))
            };
            if let Some((candidate, edit)) = drawn.filter(|(drawn, _)| history.is_free(drawn)) {
                found.entry(candidate).or_insert(edit);
            }
        }
        found
    }
}

impl Strategy for Bayesian {
    fn prepare(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) {
        self.ranking.clear();
        let (space, params) = (history.space(), self.params);
        let results: Vec<_> = history.results().collect();
        if (results.len() as u64) < params.burn_in {
            return;
        }
        let points = best_and_newest(&results, params.points as usize);
        let drawn = self.candidates(history, &points[..points.len().min(PARENTS)], rng);
        let known = parse(space, &points);
        let of = |candidate: &Candidate| space.parse(&candidate.architecture);
        let candidates = drawn.keys().map(|drawn| of(drawn).expect("drawn from this space"));
        let parents = known.iter().take(PARENTS).map(|(parent, _)| parent.clone());
        let networks: Vec<_> = candidates.chain(parents).collect();
        let open = history.state.open.values();
        let open: Vec<_> = open.filter_map(|open| of(&open.candidate).ok()).collect();
        let mut expected = self.process(history, &results).predict(&known, &open, &networks);
        let of_parents = expected.split_off(drawn.len()).into_iter().map(|it| it.mean);
        let best = of_parents.fold(f64::NEG_INFINITY, f64::max);
        let ranked = expected.into_iter().zip(drawn).map(|(expected, (candidate, edit))| {
            let improvement = expected.expected_improvement(best);
            let Expectation { mean, deviation } = expected;
            let edit = edit.map(|edit| format!("; {edit}")).unwrap_or_default();
            let why = format!(
                "expected {mean:.4}, deviation {deviation:.4}, improvement {improvement:.1e}{edit}"
            );
            (improvement, (candidate, Some(why)))
        });
        let ranked = ranked.sorted_by(|(a, _), (b, _)| b.total_cmp(a));
        self.ranking = ranked.map(|(_, drawn)| drawn).collect();
    }

    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        let ranked = self.ranking.iter().find(|(candidate, _)| history.is_free(candidate));
        ranked.cloned().or_else(|| history.new_at_random(rng))
    }

    fn state(&mut self, history: &SearchHistory<'_>) -> Option<Vec<f64>> {
        let results: Vec<_> = history.results().collect();
        if (results.len() as u64) < self.params.burn_in {
            return None;
        }
        self.process(history, &results);
        let ((count, _), process) = self.process.as_ref()?;
        Some([&[*count as f64][..], &process.logarithms].concat())
    }

    fn resume(&mut self, history: &SearchHistory<'_>, state: &[f64]) -> Option<()> {
        let (&count, logarithms) = state.split_first()?;
        let process = GaussianProcess::new(history.space(), logarithms.try_into().ok()?);
        self.process = Some(((count as usize, history.replays), process));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::space::{Layer, Pool, SpaceParams};
    use crate::storage::{AT_RANDOM, Event};
    use crate::strategy::made_up_search::MadeUpSearch;
    use crate::strategy::random::Random;

    fn strategy(burn_in: u64) -> Bayesian {
        Bayesian::new(BayesianParams { burn_in, candidates: 60, ..BayesianParams::default() })
    }

    /// 146 networks.
    fn space() -> SpaceParams {
        SpaceParams {
            max_layers: 3,
            filters: vec![8, 16, 32, 64],
            kernels: vec![3],
            pools: vec![Pool(2, 2)],
            fc_widths: vec![],
            ..SpaceParams::default()
        }
    }

    /// Best is `[C(32,3,1), C(32,3,1), C(32,3,1), SM(10)]`: a quarter for each convolution, less
    /// for each factor of 2 by which its filters are others than 32.
    fn made_up_reward(architecture: &Architecture) -> f64 {
        let of_layer = |layer: &Layer| match layer {
            Layer::Conv { filters, .. } => {
                0.25 - 0.05 * f64::from(filters.ilog2().abs_diff(32_u32.ilog2()))
            }
            _ => 0.0,
        };
        0.1 + architecture.layers().iter().map(of_layer).sum::<f64>()
    }

    fn train_next(search: &mut MadeUpSearch, strategy: &mut dyn Strategy, seed: u64) -> f64 {
        let (candidate, _) = search.next(strategy, None, seed).unwrap();
        let architecture = search.history(None).space().parse(&candidate.architecture).unwrap();
        let reward = made_up_reward(&architecture);
        search.train(&candidate.architecture, None, Event::Trained, reward);
        reward
    }

    #[test]
    fn points_are_the_best_and_the_newest() {
        let results = [0.5, 0.9, 0.1, 0.9, 0.3, 0.2].map(|reward| ("", reward));
        let rewards = |most| {
            best_and_newest(&results, most).iter().map(|(_, reward)| *reward).collect::<Vec<_>>()
        };
        // Two of the best, then 0.2 and 0.3 as the newest of the others.
        assert_eq!(rewards(4), [0.9, 0.9, 0.2, 0.3]);
        assert_eq!(rewards(5), [0.9, 0.9, 0.2, 0.3, 0.1]);
        assert_eq!(rewards(100), [0.9, 0.9, 0.5, 0.3, 0.2, 0.1]);
    }

    #[test]
    fn the_first_networks_are_drawn_at_random_the_next_by_expected_improvement() {
        let mut search = MadeUpSearch::new(space());
        let mut strategy = strategy(4);
        for number in 0..12 {
            let (candidate, why) = search.next(&mut strategy, None, 1).unwrap();
            assert_eq!(why.unwrap().contains("improvement"), number >= 4);
            search.train(&candidate.architecture, None, Event::Trained, 0.5);
            let count = strategy.process.as_ref().map(|&(count, _)| count);
            assert_eq!(count, [None, Some((4, 0)), Some((8, 0))][number / 4]);
        }
    }

    #[test]
    fn whoever_asks_gets_the_same_network_and_says_why() {
        let mut search = MadeUpSearch::new(space());
        let mut lasting = strategy(4);
        for _ in 0..20 {
            let fresh = search.next(&mut strategy(4), None, 3);
            assert_eq!(search.next(&mut lasting, None, 3), fresh);
            train_next(&mut search, &mut lasting, 3);
        }
        let (_, why) = search.next(&mut lasting, None, 3).unwrap();
        let why = why.unwrap();
        assert!(why.starts_with("expected ") && why.contains(", improvement "), "{why}");
    }

    #[test]
    fn after_a_replay_of_the_log_the_hyperparameters_are_found_anew() {
        let search = |reward: fn(&Architecture) -> f64| {
            let mut search = MadeUpSearch::new(space());
            let networks = ["", "C(8,3,1), ", "C(16,3,1), ", "C(64,3,1), "];
            for name in networks.map(|layer| format!("[{layer}SM(10)]")) {
                let network = search.history(None).space().parse(&name).unwrap();
                search.train(&name, None, Event::Trained, reward(&network));
            }
            search
        };
        let (mut fresh, mut stale) = (strategy(4), strategy(4));
        let mut other = search(made_up_reward);
        let expected = other.next(&mut fresh, None, 1);
        search(|network| 0.1 * network.depth() as f64).next(&mut stale, None, 1).unwrap();
        // As many results, which are others.
        assert_ne!(other.next(&mut stale, None, 1), expected);
        other.replays = 1;
        assert_eq!(other.next(&mut stale, None, 1), expected);
    }

    #[test]
    fn what_others_have_claimed_meanwhile_is_passed_over() {
        let mut search = MadeUpSearch::new(space());
        let mut strategy = strategy(4);
        for _ in 0..8 {
            train_next(&mut search, &mut strategy, 5);
        }
        search.next(&mut strategy, None, 5);
        let ranking = strategy.ranking.clone();
        assert!(ranking.iter().all(|(candidate, _)| search.history(None).is_free(candidate)));
        search.claim(&ranking[0].0.architecture, None);
        search.train(&ranking[1].0.architecture, None, Event::Failed, 0.1);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (candidate, _) = strategy.next(&search.history(None), &mut rng).unwrap();
        assert_eq!(candidate, ranking[2].0);
        strategy.ranking.truncate(2);
        let (candidate, why) = strategy.next(&search.history(None), &mut rng).unwrap();
        assert!(search.history(None).is_free(&candidate));
        assert_eq!(why.unwrap(), AT_RANDOM);
    }

    #[test]
    fn expected_improvement_finds_the_best_network_sooner_than_chance() {
        let count = |strategy: &mut dyn Strategy, seed| {
            let mut search = MadeUpSearch::new(space());
            let mut found = iter::repeat_with(|| train_next(&mut search, strategy, seed));
            1 + found.position(|reward| reward > 0.849).unwrap()
        };
        let by_improvement = (1..=7).map(|seed| count(&mut strategy(10), seed)).sorted();
        let by_chance = (1..=7).map(|seed| count(&mut Random, seed)).sorted();
        let [by_improvement, by_chance] = [by_improvement, by_chance].map(|it| it.collect_vec());
        assert!(2 * by_improvement[3] < by_chance[3], "{by_improvement:?} {by_chance:?}");
    }
}
