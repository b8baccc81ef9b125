//! The learner: a Q-table with the replay memory it learns from, grown row by row.

use std::sync::Arc;

use indexmap::IndexMap;
use rand::Rng;

use super::params::ValidQLearningParams;
use super::q_table::{Place, QLearningError, QTable};
use super::trajectory::Trajectory;
use crate::outcome::Accuracy;
use crate::space::{Architecture, Space};

/// A reward, and where the Q-values of the trajectory lie: of resumed rows once they are drawn.
type Experience = (Accuracy, Option<Box<[Place]>>);

/// A function of the rows given to it and of their generators: taking it apart after any row and
/// [resuming](Learner::resume) changes nothing.
#[derive(Debug, Clone)]
pub struct Learner {
    params: ValidQLearningParams,
    q_table: QTable,
    /// By architecture and the bits of the reward, in the order of their first appearance.
    experiences: IndexMap<(Arc<str>, u64), Experience>,
    /// The replay memory, in the order of iterations: a multiset of experiences. An architecture
    /// sampled five times has five rows, and five times the chance to be replayed.
    memory: Vec<u32>,
}

impl Learner {
    pub fn new(params: ValidQLearningParams, space: Space) -> Self {
        let q_table = QTable::new(space, params.initial_q_value);
        Self::resume(params, q_table, [])
    }

    /// Puts together a Q-table and the rows, in order, that it was learned from. Few are drawn, so
    /// that an architecture is read when it is.
    pub fn resume(
        params: ValidQLearningParams,
        q_table: QTable,
        rows: impl IntoIterator<Item = (Arc<str>, Accuracy)>,
    ) -> Self {
        let (experiences, memory) = (IndexMap::new(), Vec::new());
        let mut learner = Self { params, q_table, experiences, memory };
        for (architecture, reward) in rows {
            learner.remember(architecture, reward);
        }
        learner
    }

    /// Appends a row to the memory, then draws K rows from it and updates the Q-values of each
    /// (MetaQNN, Algorithm 1), one draw before each update. Without experience replay, updates
    /// those of the row itself, without a draw. An architecture met again keeps its first reward.
    pub fn learn(
        &mut self,
        architecture: &Architecture,
        reward: Accuracy,
        rng: &mut impl Rng,
    ) -> Result<(), QLearningError> {
        let new = self.remember(architecture.to_string().into(), reward);
        let trajectory = Trajectory::of(self.q_table.space(), architecture);
        self.experiences[new as usize].1 = Some(self.q_table.places(&trajectory));
        if !self.params.experience_replay {
            return self.update(new);
        }
        (0..self.params.replay_size).try_for_each(|_| {
            let drawn = self.sample(rng);
            self.update(drawn)
        })
    }

    /// Appends a row and returns its experience.
    fn remember(&mut self, architecture: Arc<str>, reward: Accuracy) -> u32 {
        let entry = self.experiences.entry((architecture, reward.value().to_bits()));
        let experience = entry.index() as u32;
        entry.or_insert((reward, None));
        self.memory.push(experience);
        experience
    }

    /// Draws a row, each with equal chance; takes one draw from `rng`.
    fn sample(&self, rng: &mut impl Rng) -> u32 {
        // 32 bits, so that the stream does not depend on the width of `usize`.
        self.memory[rng.random_range(0..self.memory.len() as u32) as usize]
    }

    fn update(&mut self, experience: u32) -> Result<(), QLearningError> {
        let experience = self.experiences.get_index_mut(experience as usize);
        let ((architecture, _), (reward, places)) = experience.expect("a row of the memory");
        if places.is_none() {
            let read = self.q_table.space().parse(architecture);
            let read = read.map_err(|error| QLearningError(error.to_string()))?;
            let learned = self.q_table.len();
            *places = Some(self.q_table.places(&Trajectory::of(self.q_table.space(), &read)));
            if self.q_table.len() > learned {
                return Err(QLearningError(format!(
                    "the Q-table has no value for a state of `{architecture}`, which is in the \
                     replay memory"
                )));
            }
        }
        self.q_table.update(places.as_ref().expect("read just now"), *reward, &self.params);
        Ok(())
    }

    pub const fn q_table(&self) -> &QTable {
        &self.q_table
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::super::epsilon::{Epsilon, EpsilonScheduleParams, EpsilonStage, StageCounts};
    use super::super::params::QLearningParams;
    use super::*;
    use crate::q_learning::sample_trajectory;
    use crate::space::{Bin, DataShape, LastLayer, Layer, Pool, SpaceParams};

    fn small_space() -> Space {
        let params = SpaceParams {
            max_layers: 4,
            filters: vec![8, 16],
            kernels: vec![3],
            pools: vec![Pool(2, 2)],
            fc_widths: vec![32],
            ..SpaceParams::default()
        };
        params.check(DataShape { size: 8, channels: 1, classes: 10 }).unwrap()
    }

    fn learner(params: QLearningParams) -> Learner {
        Learner::new(params.check().unwrap(), small_space())
    }

    fn replay(iteration: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(iteration)
    }

    fn accuracy(value: f64) -> Accuracy {
        Accuracy::new(value).unwrap()
    }

    /// Rows of architectures sampled at random, with some reward.
    fn random_rows(seed: u64, count: u64) -> Vec<(Architecture, Accuracy)> {
        let q_table = QTable::new(small_space(), 0.5);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let row = |_| {
            let architecture = sample_trajectory(&q_table, Epsilon::RANDOM, &mut rng);
            (architecture, accuracy(rng.random()))
        };
        (0..count).map(row).collect()
    }

    fn learn_all(learner: &mut Learner, rows: &[(Architecture, Accuracy)], first: u64) {
        for (iteration, (architecture, reward)) in (first..).zip(rows) {
            learner.learn(architecture, *reward, &mut replay(iteration)).unwrap();
        }
    }

    #[test]
    fn without_experience_replay_each_row_is_learned_from_once() {
        let mut learner =
            learner(QLearningParams { experience_replay: false, ..QLearningParams::default() });
        let architecture = small_space().parse("[C(8,3,1), SM(10)]").unwrap();
        for reward in [0.9, 0.1] {
            let mut rng = replay(0);
            learner.learn(&architecture, accuracy(reward), &mut rng).unwrap();
            assert_eq!(rng.get_word_pos(), 0);
        }
        // As worked out in `update`: 0.504, then 0.504 + 0.01 (0.1 - 0.504) = 0.49996.
        let conv = small_space().states_of(&architecture)[1];
        let softmax = Layer::Softmax { classes: 10 };
        let value = learner.q_table().value(&small_space().key(&conv), softmax).unwrap();
        assert!((value - 0.49996).abs() < 1e-15, "{value}");
    }

    #[test]
    fn each_row_is_followed_by_k_updates_of_rows_so_far() {
        let mut learner = learner(QLearningParams { replay_size: 3, ..QLearningParams::default() });
        let architecture = small_space().parse("[SM(10)]").unwrap();
        let mut rng = replay(0);
        learner.learn(&architecture, accuracy(1.0), &mut rng).unwrap();
        // One word for each draw.
        assert_eq!(rng.get_word_pos(), 3);
        // Only one row to draw: 1 - 0.5 x 0.99^3 = 0.5148505.
        let start = small_space().key(&small_space().start());
        let value = learner.q_table().value(&start, Layer::Softmax { classes: 10 }).unwrap();
        assert!((value - 0.514_850_5).abs() < 1e-15, "{value}");
    }

    #[test]
    fn the_table_is_a_function_of_the_rows_and_the_seed() {
        let rows = random_rows(5, 40);
        let learned = |first| {
            let mut learner = learner(QLearningParams::default());
            learn_all(&mut learner, &rows, first);
            learner.q_table().clone()
        };
        assert_eq!(learned(0), learned(0));
        assert_ne!(learned(0), learned(1));
    }

    #[test]
    fn a_table_that_has_not_seen_the_memory_is_refused() {
        let params = QLearningParams::default().check().unwrap();
        let other = small_space().parse("[C(16,3,1), P(2,2), SM(10)]").unwrap();
        let rows = [(other.to_string().into(), accuracy(0.5))];
        let mut learner = Learner::resume(params, QTable::new(small_space(), 0.5), rows);
        let softmax = small_space().parse("[SM(10)]").unwrap();
        let refused = learner.learn(&softmax, accuracy(0.5), &mut replay(0));
        assert!(refused.unwrap_err().0.contains("has no value for a state of"));
    }

    /// Depends on the state before the softmax alone, and greatest for two poolings within four
    /// layers.
    fn worth(space: &Space, architecture: &Architecture) -> f64 {
        let states = space.states_of(architecture);
        let last = space.key(states.last().unwrap());
        let is_best = matches!(last.last, LastLayer::Pool { .. }) && last.bin == Bin::One;
        if is_best { 0.9 } else { 0.2 + 0.1 * f64::from(last.depth) }
    }

    #[test]
    fn a_search_ends_in_the_best_chain_and_counts_architectures_where_first_met() {
        let space = small_space();
        let stages = [(1.0, 40), (0.5, 10), (0.1, 5)].map(|(epsilon, architectures)| {
            EpsilonStage { epsilon: Some(Epsilon::new(epsilon).unwrap()), architectures }
        });
        let schedule = EpsilonScheduleParams(stages.into()).check().unwrap();
        let mut learner =
            learner(QLearningParams { learning_rate: 0.1, ..QLearningParams::default() });
        let mut counts = [StageCounts::default(); 3];
        let mut known = BTreeSet::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for iteration in 0..2_000 {
            let Some(stage) = schedule.stage_in_force(&counts) else { break };
            let epsilon = schedule.stages()[stage].epsilon.unwrap();
            let architecture = sample_trajectory(learner.q_table(), epsilon, &mut rng);
            let reward = accuracy(worth(&space, &architecture));
            learner.learn(&architecture, reward, &mut replay(iteration)).unwrap();
            // Met again, at whatever epsilon, it is a row of the memory and nothing more.
            if known.insert(architecture) {
                counts[stage].results += 1;
            }
        }
        assert_eq!(counts.map(|counts| counts.results), [40, 10, 5]);
        assert_eq!(learner.experiences.len(), 55);
        assert!(learner.memory.len() > 55);
        let greedy = Epsilon::new(0.0).unwrap();
        for _ in 0..20 {
            let architecture = sample_trajectory(learner.q_table(), greedy, &mut rng);
            assert_eq!(worth(&space, &architecture), 0.9, "{architecture}");
        }
    }

    proptest! {
        #[test]
        fn resuming_changes_nothing(seed: u64, before in 0u64..12, after in 1u64..12) {
            let rows = random_rows(seed, before + after);
            let (head, tail) = rows.split_at(before as usize);
            let params = QLearningParams { replay_size: 7, ..QLearningParams::default() };
            let mut whole = learner(params.clone());
            learn_all(&mut whole, head, 0);

            let mut q_table = QTable::new(small_space(), 0.5);
            for (key, row) in whole.q_table().rows() {
                let updates = whole.q_table().updates(&key).to_vec();
                q_table.insert_row(key, row.to_vec(), updates).unwrap();
            }
            let rows = head.iter().map(|(name, reward)| (name.to_string().into(), *reward));
            let mut resumed = Learner::resume(params.check().unwrap(), q_table, rows);

            learn_all(&mut whole, tail, before);
            learn_all(&mut resumed, tail, before);
            prop_assert_eq!(whole.q_table(), resumed.q_table());
        }

        #[test]
        fn q_values_stay_between_the_rewards_and_the_initial_value(seed: u64) {
            let rows = random_rows(seed, 20);
            let mut learner = learner(QLearningParams {
                learning_rate: 0.5,
                replay_size: 5,
                ..QLearningParams::default()
            });
            learn_all(&mut learner, &rows, 0);
            let bounds = || rows.iter().map(|(_, reward)| reward.value()).chain([0.5]);
            let (least, most) = (bounds().fold(1.0, f64::min), bounds().fold(0.0, f64::max));
            for (_, row) in learner.q_table().rows() {
                for &(_, value) in row {
                    prop_assert!((least..=most).contains(&value), "{value}");
                }
            }
        }
    }

    const A: &str = "[C(64,3,1), SM(10)]";
    const B: &str = "[C(128,3,1), SM(10)]";
    const C: &str = "[C(256,3,1), SM(10)]";

    fn memory_of(rows: &[(&str, f64)]) -> Learner {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        let space = SpaceParams::default().check(image).unwrap();
        let mut learner = Learner::new(QLearningParams::default().check().unwrap(), space);
        for &(architecture, reward) in rows {
            let architecture = learner.q_table.space().parse(architecture).unwrap();
            learner.remember(architecture.to_string().into(), accuracy(reward));
        }
        learner
    }

    fn pairs(learner: &Learner, numbers: impl Iterator<Item = usize>) -> Vec<(String, f64)> {
        let pair = |number| {
            let ((architecture, _), (reward, _)) = learner.experiences.get_index(number).unwrap();
            (architecture.to_string(), reward.value())
        };
        numbers.map(pair).collect()
    }

    fn of_rows(learner: &Learner) -> Vec<(String, f64)> {
        pairs(learner, learner.memory.iter().map(|&number| number as usize))
    }

    fn owned(rows: &[(&str, f64)]) -> Vec<(String, f64)> {
        rows.iter().map(|&(name, reward)| (name.to_owned(), reward)).collect()
    }

    #[test]
    fn rows_are_kept_in_order_and_experiences_once_by_first_appearance() {
        let rows = [(B, 0.5), (A, 0.7), (B, 0.5), (C, 0.2), (A, 0.7)];
        let learner = memory_of(&rows);
        assert_eq!(learner.memory.len(), 5);
        assert_eq!(of_rows(&learner), owned(&rows));
        assert_eq!(pairs(&learner, 0..3), owned(&[(B, 0.5), (A, 0.7), (C, 0.2)]));
    }

    #[test]
    fn every_row_keeps_the_reward_it_was_given() {
        let rows = [(A, 0.5), (A, 0.7), (A, 0.5)];
        assert_eq!(of_rows(&memory_of(&rows)), owned(&rows));
    }

    #[test]
    fn an_architecture_of_two_rows_is_drawn_twice_as_often() {
        let learner = memory_of(&[(A, 0.5), (B, 0.6), (A, 0.5)]);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let drawn = (0..30_000).filter(|_| learner.sample(&mut rng) == 0).count();
        // The deviation of the count is sqrt(30,000 x 2/3 x 1/3) = 82.
        assert!(drawn.abs_diff(20_000) < 4 * 82, "{drawn}");
    }
}
