//! Regularised evolution (Real, Aggarwal, Huang and Le, 2019, *Regularized Evolution for Image
//! Classifier Architecture Search*, algorithm 1), with one edit of a layer for a mutation, as Real
//! et al., 2017, *Large-Scale Evolution of Image Classifiers* add, remove and alter layers.
//!
//! The population is the newest results: each leaves it by age, however good it is. While there are
//! fewer, trainings under way counted, networks are new at random. From then on the best of a
//! sample of the population, drawn evenly and with replacement as in the paper, is the parent of
//! the next network: its first edit that is new, else one new at random. Of equally good ones the
//! newest is the parent, so that a child as good as its parent goes further.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::edits::edit_of_result;
use super::{Draw, SearchHistory, Strategy};

#[derive(Debug, Clone, Copy, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionParams {
    #[default = 100]
    pub population: u64,
    #[default = 25]
    pub sample: u64,
}

impl EvolutionParams {
    /// For a search of so many networks: at most a fifth of them, else most would be drawn before
    /// the first parent, and a sample smaller by the same factor.
    pub fn scaled(self, networks: u64) -> Self {
        let population = self.population.min(networks.div_ceil(5));
        Self { population, sample: (self.sample * population).div_ceil(self.population) }
    }
}

pub struct Evolution(pub EvolutionParams);

impl Strategy for Evolution {
    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        let EvolutionParams { population, sample } = self.0;
        // The newest first.
        let members: Vec<_> = history.results().rev().take(population as usize).collect();
        let has_all = (members.len() + history.state.open.len()) as u64 >= population;
        let edited = (has_all && !members.is_empty()).then(|| {
            let sample = (0..sample).map(|_| rng.random_range(0..members.len()));
            let reward = |&member: &usize| members[member].1;
            let order = |a: &usize, b: &usize| reward(a).total_cmp(&reward(b)).then(b.cmp(a));
            let (parent, _) = members[sample.max_by(order)?];
            edit_of_result(history, parent, rng, |candidate| history.is_free(candidate))
        });
        edited.flatten().or_else(|| history.new_at_random(rng))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::space::SpaceParams;
    use crate::storage::Event;
    use crate::strategy::made_up_search::MadeUpSearch;

    fn evolution(population: u64, sample: u64) -> Evolution {
        Evolution(EvolutionParams { population, sample })
    }

    /// How often the next network is an edit of which iteration, by the reason.
    fn parents(
        search: &MadeUpSearch,
        strategy: &mut Evolution,
        draws: u64,
    ) -> BTreeMap<String, u64> {
        let mut parents = BTreeMap::new();
        for seed in 0..draws {
            let (candidate, why) = search.next(strategy, None, seed).unwrap();
            assert!(search.history(None).is_free(&candidate));
            let why = why.unwrap().split(':').next().unwrap().to_owned();
            *parents.entry(why).or_default() += 1;
        }
        parents
    }

    /// Iterations 1 to 9.
    fn search() -> MadeUpSearch {
        let mut search = MadeUpSearch::new(SpaceParams::default());
        search.train("[C(64,3,1), SM(10)]", None, Event::Trained, 0.9);
        search.train("[C(128,3,1), SM(10)]", None, Event::Trained, 0.5);
        search.train("[C(256,3,1), SM(10)]", None, Event::Failed, 0.1);
        search.train("[C(512,3,1), SM(10)]", None, Event::OutOfMemory, 0.95);
        search.train("[C(64,5,1), SM(10)]", None, Event::Stopped, 0.7);
        search.lose("[C(128,5,1), SM(10)]");
        search.claim("[C(256,5,1), SM(10)]", None);
        search
    }

    #[test]
    fn a_parent_is_the_best_of_the_newest_results_drawn_with_replacement() {
        let search = search();
        // Iterations 5, 3 and 2 by age: those that ran out of memory or are open or lost do not
        // count, and the best of all is too old.
        assert_eq!(
            parents(&search, &mut evolution(3, 60), 50),
            BTreeMap::from([("edit of 5".to_owned(), 50)])
        );
        // Of two drawn with replacement the best of three is one with a probability of 1 - (2/3)^2 =
        // 5/9, the worst both with 1/9. (Without replacement: 2/3 and 0.)
        let found = parents(&search, &mut evolution(3, 2), 1_800);
        let share = |number: u32| found[&format!("edit of {number}")];
        // The deviations are sqrt(1800 x 5/9 x 4/9) = 21 and sqrt(1800 x 1/9 x 8/9) = 13.
        assert!(share(5).abs_diff(1_000) < 4 * 21, "{found:?}");
        assert!(share(3).abs_diff(200) < 4 * 13, "{found:?}");
        assert_eq!(found.values().sum::<u64>(), share(5) + share(3) + share(2));
    }

    #[test]
    fn of_equally_good_ones_the_newest_is_the_parent() {
        let mut search = search();
        search.train("[C(512,5,1), SM(10)]", None, Event::Trained, 0.9);
        let found = parents(&search, &mut evolution(5, 200), 20);
        assert_eq!(found, BTreeMap::from([("edit of 8".to_owned(), 20)]));
    }

    #[test]
    fn the_population_begins_at_random_and_counts_what_is_open() {
        // Four results that count, and one open.
        let found = parents(&search(), &mut evolution(6, 3), 20);
        assert_eq!(found, BTreeMap::from([("at random".to_owned(), 20)]));
        assert!(!parents(&search(), &mut evolution(5, 3), 20).contains_key("at random"));
        let mut without_results = MadeUpSearch::new(SpaceParams::default());
        without_results.claim("[C(64,3,1), SM(10)]", None);
        let found = parents(&without_results, &mut evolution(1, 3), 5);
        assert_eq!(found, BTreeMap::from([("at random".to_owned(), 5)]));
    }

    #[test]
    fn where_no_edit_is_new_another_network_is_drawn_at_random() {
        let space = SpaceParams { max_layers: 2, filters: vec![8], ..SpaceParams::default() };
        let mut search = MadeUpSearch::new(space);
        let all = search.history(None).space().architectures();
        let [of_one, of_two] = [1, 2]
            .map(|depth| all.iter().filter(move |it| it.depth() == depth).map(ToString::to_string));
        // All but those of two layers are known: no edit of `[SM(10)]` is new.
        for name in of_one.chain(["[SM(10)]".to_owned()]) {
            search.train(&name, None, Event::Trained, 0.5);
        }
        let found = parents(&search, &mut evolution(1, 1), 5);
        assert_eq!(found, BTreeMap::from([("at random".to_owned(), 5)]));
        of_two.for_each(|name| search.train(&name, None, Event::Trained, 0.5));
        assert_eq!(search.next(&mut evolution(1, 1), None, 1), None);
    }

    #[test]
    fn the_population_gets_better() {
        let mut search = MadeUpSearch::new(SpaceParams::default());
        let mut strategy = evolution(20, 5);
        for _ in 0..200 {
            let (candidate, _) = search.next(&mut strategy, None, 7).unwrap();
            // Half a fifth for each convolution of 3 x 3 pixels.
            let good = candidate.architecture.matches(",3,1)").count() as f64;
            search.train(&candidate.architecture, None, Event::Trained, 0.08 * good);
        }
        let rewards: Vec<_> = search.history(None).results().map(|(_, reward)| reward).collect();
        let means: Vec<_> =
            rewards.chunks(20).map(|some| crate::maths::mean(some.iter().copied())).collect();
        assert!(means[9] > 2.0 * means[0], "{means:?}");
        assert!(means[9] > means[4] && means[4] > means[1], "{means:?}");
    }

    #[test]
    fn a_short_search_has_a_smaller_population() {
        let of = |networks| EvolutionParams::default().scaled(networks);
        assert_eq!(of(500), EvolutionParams::default());
        // 25 of 100 are 5 of 20.
        assert_eq!(of(100), EvolutionParams { population: 20, sample: 5 });
        assert_eq!(of(34), EvolutionParams { population: 7, sample: 2 });
        assert_eq!(of(1), EvolutionParams { population: 1, sample: 1 });
    }
}
