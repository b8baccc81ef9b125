//! The learner: Q-table and replay memory, grown row by row.

use rand::Rng;

use super::params::ValidQLearningParams;
use super::q_table::{QLearningError, QTable};
use super::replay::ReplayMemory;
use crate::outcome::Accuracy;
use crate::space::{Architecture, Space};

/// A Q-table with the replay memory it learns from.
///
/// A function of the rows given to it and of their generators, and of nothing else: taking it
/// apart after any row (the table's rows, the memory's rows) and [resuming](Learner::resume)
/// changes nothing.
#[derive(Debug, Clone)]
pub struct Learner {
    params: ValidQLearningParams,
    q_table: QTable,
    memory: ReplayMemory,
}

impl Learner {
    pub fn new(params: ValidQLearningParams, space: Space) -> Self {
        let q_table = QTable::new(space, params.initial_q_value);
        Self { params, q_table, memory: ReplayMemory::default() }
    }

    /// Puts a learner together from a Q-table and the rows of the replay memory behind it, in
    /// order.
    pub fn resume(
        params: ValidQLearningParams,
        q_table: QTable,
        rows: impl IntoIterator<Item = (Architecture, Accuracy)>,
    ) -> Result<Self, QLearningError> {
        let learned = q_table.len();
        let mut learner = Self { params, q_table, memory: ReplayMemory::default() };
        for (architecture, reward) in rows {
            learner.memory.append(&architecture, reward, &mut learner.q_table);
            if learner.q_table.len() > learned {
                return Err(QLearningError(format!(
                    "the Q-table has no value for a state of `{architecture}`, which is in the \
                     replay memory"
                )));
            }
        }
        Ok(learner)
    }

    /// Learns from one more row: appends it to the memory, then draws K rows from the memory and
    /// updates the Q-values of each (MetaQNN, Algorithm 1). Without experience replay, updates
    /// those of the row itself, once.
    ///
    /// For an architecture met again, `reward` is that of its first result. Takes K draws from
    /// `rng`, one before each update; without experience replay, none.
    pub fn learn(&mut self, architecture: &Architecture, reward: Accuracy, rng: &mut impl Rng) {
        let new = self.memory.append(architecture, reward, &mut self.q_table);
        if !self.params.experience_replay {
            self.q_table.update(&new.trajectory, reward, &self.params);
            return;
        }
        for _ in 0..self.params.replay_size {
            let drawn = self.memory.sample(rng);
            self.q_table.update(&drawn.trajectory, drawn.reward, &self.params);
        }
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
            learner.learn(architecture, *reward, &mut replay(iteration));
        }
    }

    #[test]
    fn without_experience_replay_each_row_is_learned_from_once() {
        let mut learner =
            learner(QLearningParams { experience_replay: false, ..QLearningParams::default() });
        let architecture = small_space().parse("[C(8,3,1), SM(10)]").unwrap();
        for reward in [0.9, 0.1] {
            let mut rng = replay(0);
            learner.learn(&architecture, accuracy(reward), &mut rng);
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
        learner.learn(&architecture, accuracy(1.0), &mut rng);
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
        let refused = Learner::resume(params, QTable::new(small_space(), 0.5), random_rows(1, 1));
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
            EpsilonStage { epsilon: Epsilon::new(epsilon).unwrap(), architectures }
        });
        let schedule = EpsilonScheduleParams(stages.into()).check().unwrap();
        let mut learner =
            learner(QLearningParams { learning_rate: 0.1, ..QLearningParams::default() });
        let mut counts = [StageCounts::default(); 3];
        let mut known = BTreeSet::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for iteration in 0..2_000 {
            let Some(stage) = schedule.stage_in_force(&counts) else { break };
            let epsilon = schedule.stages()[stage].epsilon;
            let architecture = sample_trajectory(learner.q_table(), epsilon, &mut rng);
            let reward = accuracy(worth(&space, &architecture));
            learner.learn(&architecture, reward, &mut replay(iteration));
            // Met again, at whatever epsilon, it is a row of the memory and nothing more.
            if known.insert(architecture) {
                counts[stage].results += 1;
            }
        }
        assert_eq!(counts.map(|counts| counts.results), [40, 10, 5]);
        assert_eq!(learner.memory.experiences.len(), 55);
        assert!(learner.memory.rows.len() > 55);
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
            let rows = whole.memory.rows.iter().map(|&row| &whole.memory.experiences[row as usize]);
            let rows = rows.map(|e| (e.architecture.clone(), e.reward));
            let params = params.check().unwrap();
            let mut resumed = Learner::resume(params, q_table, rows).unwrap();

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
}
