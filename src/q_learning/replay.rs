//! The replay memory: what has been learned from, kept to be learned from again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rand::Rng;

use super::q_table::{Place, QTable};
use super::trajectory::Trajectory;
use crate::outcome::Accuracy;
use crate::space::Architecture;

#[derive(Debug, Clone, PartialEq)]
pub struct Experience {
    pub(super) architecture: Architecture,
    pub(super) reward: Accuracy,
    /// Where the Q-values of its trajectory lie.
    pub(super) trajectory: Box<[Place]>,
}

/// The experiences so far, in the order of their iterations: a multiset.
///
/// An architecture sampled five times has five rows, and five times the chance to be replayed.
/// The experience itself is kept once; a row is its number.
#[derive(Debug, Clone, Default)]
pub struct ReplayMemory {
    /// In the order of their first appearance.
    pub(super) experiences: Vec<Experience>,
    pub(super) rows: Vec<u32>,
    /// By architecture and the bits of the reward.
    number_of: BTreeMap<(Architecture, u64), u32>,
}

impl ReplayMemory {
    /// Appends a row and returns its experience. States new to the table get their rows in it.
    pub(super) fn append(
        &mut self,
        architecture: &Architecture,
        reward: Accuracy,
        q_table: &mut QTable,
    ) -> &Experience {
        let number = match self.number_of.entry((architecture.clone(), reward.value().to_bits())) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let trajectory = q_table.places(&Trajectory::of(q_table.space(), architecture));
                let architecture = architecture.clone();
                self.experiences.push(Experience { architecture, reward, trajectory });
                *new.insert(self.experiences.len() as u32 - 1)
            }
        };
        self.rows.push(number);
        &self.experiences[number as usize]
    }

    /// Draws a row, each with equal chance; takes one draw from `rng`.
    pub(super) fn sample(&self, rng: &mut impl Rng) -> &Experience {
        // 32 bits, so that the stream does not depend on the width of `usize`.
        let row = rng.random_range(0..self.rows.len() as u32);
        &self.experiences[self.rows[row as usize] as usize]
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::space::{DataShape, SpaceParams};

    const A: &str = "[C(64,3,1), SM(10)]";
    const B: &str = "[C(128,3,1), SM(10)]";
    const C: &str = "[C(256,3,1), SM(10)]";

    fn memory_of(rows: &[(&str, f64)]) -> ReplayMemory {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        let mut q_table = QTable::new(SpaceParams::default().check(image).unwrap(), 0.5);
        let mut memory = ReplayMemory::default();
        for &(architecture, reward) in rows {
            let architecture = q_table.space().parse(architecture).unwrap();
            memory.append(&architecture, Accuracy::new(reward).unwrap(), &mut q_table);
        }
        memory
    }

    fn rows_of(memory: &ReplayMemory) -> impl Iterator<Item = &Experience> {
        memory.rows.iter().map(|&number| &memory.experiences[number as usize])
    }

    fn names<'a>(experiences: impl Iterator<Item = &'a Experience>) -> Vec<(String, f64)> {
        let pair = |e: &Experience| (e.architecture.to_string(), e.reward.value());
        experiences.map(pair).collect()
    }

    fn owned(rows: &[(&str, f64)]) -> Vec<(String, f64)> {
        rows.iter().map(|&(name, reward)| (name.to_owned(), reward)).collect()
    }

    #[test]
    fn rows_are_kept_in_order_and_experiences_once_by_first_appearance() {
        let rows = [(B, 0.5), (A, 0.7), (B, 0.5), (C, 0.2), (A, 0.7)];
        let memory = memory_of(&rows);
        assert_eq!(memory.rows.len(), 5);
        assert_eq!(names(rows_of(&memory)), owned(&rows));
        assert_eq!(names(memory.experiences.iter()), owned(&[(B, 0.5), (A, 0.7), (C, 0.2)]));
    }

    #[test]
    fn every_row_keeps_the_reward_it_was_given() {
        let rows = [(A, 0.5), (A, 0.7), (A, 0.5)];
        assert_eq!(names(rows_of(&memory_of(&rows))), owned(&rows));
    }

    #[test]
    fn an_architecture_of_two_rows_is_drawn_twice_as_often() {
        let memory = memory_of(&[(A, 0.5), (B, 0.6), (A, 0.5)]);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let drawn = (0..30_000).filter(|_| memory.sample(&mut rng).reward.value() == 0.5).count();
        // The deviation of the count is sqrt(30,000 x 2/3 x 1/3) = 82.
        assert!(drawn.abs_diff(20_000) < 4 * 82, "{drawn}");
    }
}
