//! Strategies: which network is trained next.
//!
//! A strategy sees the log alone ([`SearchHistory`]), so that any number of tasks without a memory can
//! ask it, and draws with the generator of the iteration, so that a search can be repeated. All but
//! `q_learning` and `exploit_best` draw only what is free ([`Standing::Free`]).
//!
//! Pure: nothing here reads a file, a clock or a generator of its own.

mod bayesian;
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

use std::sync::Arc;

use itertools::Itertools;
use rand_chacha::ChaCha8Rng;

pub use params::{ListParams, ListSource, StrategyKind, StrategyParams, ValidStrategyParams};

use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::space::{Architecture, Candidate, Space};
use crate::storage::search_state::Standing;
use crate::storage::{Event, Knowledge, Row};

/// Draws without anything new after which none is left.
pub const MOST_DRAWS: u32 = 1_000;

/// What a strategy keeps is a cache of what the log says.
pub trait Strategy: Send {
    /// What can be worked out before the log is locked. The generator is the one that
    /// [`Self::next`] would be given if the lock were free.
    fn prepare(&mut self, _history: &SearchHistory<'_>, _rng: &mut ChaCha8Rng) {}

    /// The candidate that comes next and, but for Q-learning, why in a few words; `None` when none
    /// is left.
    fn next(
        &mut self,
        history: &SearchHistory<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Option<(Candidate, Option<String>)>;
}

/// A search so far: what is known and open.
#[derive(Clone, Copy)]
pub struct SearchHistory<'a> {
    pub rows: &'a [Row],
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

    /// The same with only the rows after the first `rows`.
    pub fn after(self, rows: usize) -> Self {
        Self { rows: &self.rows[rows..], ..self }
    }

    pub fn is_free(&self, candidate: &Candidate) -> bool {
        self.state.standing(candidate) == Standing::Free
    }

    /// What each result counts, in the order of the log. (A training that ran out of memory says
    /// nothing of its network.)
    pub fn results(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, f64)> {
        let counts = |row: &&Row| row.event.is_result() && row.event != Event::OutOfMemory;
        self.rows.iter().filter(counts).filter_map(|row| row.architecture.as_ref().zip(row.reward))
    }

    /// Of the results so many, the best first, of equally good ones the newest.
    pub fn best(&self, count: usize) -> Vec<(&Arc<str>, f64)> {
        self.results().rev().sorted_by(|(_, a), (_, b)| b.total_cmp(a)).take(count).collect()
    }

    /// A free network of the policy of epsilon 1.
    pub fn new_at_random(&self, rng: &mut ChaCha8Rng) -> Option<Candidate> {
        let draw = || sample_trajectory(self.q_table, Epsilon::RANDOM, rng);
        self.first_free(std::iter::repeat_with(draw))
    }

    /// The first free one of [`MOST_DRAWS`].
    pub fn first_free(&self, draws: impl Iterator<Item = Architecture>) -> Option<Candidate> {
        let draws = draws.take(MOST_DRAWS as usize);
        let mut candidates = draws.map(|drawn| Candidate::once(drawn.to_string()));
        candidates.find(|candidate| self.is_free(candidate))
    }
}
