//! Strategies: which network is trained next.
//!
//! A strategy sees the log alone ([`SearchHistory`]), so that any number of tasks without a memory
//! can ask it, and draws with the generator of the iteration, so that a search can be repeated. All
//! but `q_learning` and `exploit_best` draw only what is free ([`Standing::Free`]).
//!
//! Pure: nothing here reads a file, a clock or a generator of its own.

mod bayesian;
mod controller;
mod edits;
mod evolution;
mod exhaustive;
mod exploit_best;
mod gaussian_process;
mod list;
#[cfg(test)]
mod made_up_search;
mod params;
mod policy_gradient;
mod q_learning;
mod random;

use itertools::Itertools;
use rand_chacha::ChaCha8Rng;

pub use params::{ListParams, ListSource, StrategyKind, StrategyParams, ValidStrategyParams};

use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::space::{Candidate, Space};
use crate::storage::search_state::Standing;
use crate::storage::{AT_RANDOM, Event, Knowledge, Row};

/// Draws without anything new after which none is left.
pub const MOST_DRAWS: u32 = 1_000;

/// What is trained next and, but for Q-learning, why in a few words.
pub type Draw = (Candidate, Option<String>);

/// What a strategy keeps is a cache of what the log says.
pub trait Strategy: Send {
    /// What can be worked out before the log is locked. The generator is the one that
    /// [`Self::next`] would be given if the lock were free.
    fn prepare(&mut self, _history: &SearchHistory<'_>, _rng: &mut ChaCha8Rng) {}

    /// What comes next; `None` when nothing is left.
    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw>;

    /// What it has learned from these rows, which a view keeps; `None` where it learns nothing that
    /// takes long.
    fn state(&mut self, _history: &SearchHistory<'_>) -> Option<Vec<f64>> {
        None
    }

    /// Goes on from its [`Self::state`] after these rows; `None` where that is of another strategy.
    fn resume(&mut self, _history: &SearchHistory<'_>, _state: &[f64]) -> Option<()> {
        None
    }
}

/// A search so far: what is known and open.
#[derive(Clone, Copy)]
pub struct SearchHistory<'a> {
    pub rows: &'a [Row],
    /// How often the log was read from its start: rows that were seen before may be others now.
    pub replays: u32,
    /// What follows from the rows.
    pub state: &'a Knowledge,
    /// In force; `None` for a strategy without epsilons.
    pub epsilon: Option<Epsilon>,
    /// Of its space; at epsilon 1, and without epsilons, not learned.
    pub q_table: &'a QTable,
}

impl<'a> SearchHistory<'a> {
    pub const fn space(&self) -> &Space {
        self.q_table.space()
    }

    pub fn is_free(&self, candidate: &Candidate) -> bool {
        self.state.standing(candidate) == Standing::Free
    }

    /// What each result counts, in the order of the log. (A training that ran out of memory says
    /// nothing of its network.)
    pub fn results(&self) -> impl DoubleEndedIterator<Item = (&str, f64)> {
        let counts = |row: &&Row| row.event.is_result() && row.event != Event::OutOfMemory;
        let results = self.rows.iter().filter(counts);
        results.filter_map(|row| row.architecture.as_deref().zip(row.reward))
    }

    /// Of the results so many, the best first, of equally good ones the newest.
    pub fn best(&self, count: usize) -> Vec<(&str, f64)> {
        self.results().rev().sorted_by(|(_, a), (_, b)| b.total_cmp(a)).take(count).collect()
    }

    /// The first free network of [`MOST_DRAWS`] by the policy of epsilon 1.
    pub fn new_at_random(&self, rng: &mut ChaCha8Rng) -> Option<Draw> {
        let mut draw = || sample_trajectory(self.q_table, Epsilon::RANDOM, rng).to_string();
        let mut drawn = (0..MOST_DRAWS).map(|_| Candidate::once(draw()));
        Some((drawn.find(|it| self.is_free(it))?, Some(AT_RANDOM.to_owned())))
    }
}
