//! What can be wrong with the a Q-table read from a file.

use crate::space::{Action, StateKey};

/// An error of Q-learning.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QLearningError {
    /// A row of the Q-table that stands twice.
    #[error("the Q-table holds the state `{0:?}` twice")]
    RepeatedState(StateKey),
    /// A row of the Q-table whose actions are not those the search space allows.
    #[error(
        "the Q-table's actions of the state `{state:?}` are not the legal ones ({expected} \
         actions, {found} found)"
    )]
    WrongActions {
        /// The row's state.
        state: StateKey,
        /// Number of legal actions.
        expected: usize,
        /// Number of actions found.
        found: usize,
    },
    /// A Q-value that is no finite number.
    #[error("the Q-value of `{action}` in the state `{state:?}` is `{value}` (must be finite)")]
    NotFinite {
        /// The row's state.
        state: StateKey,
        /// The action.
        action: Action,
        /// The value found.
        value: f64,
    },
    /// A Q-table that has not learned from a row of the replay memory it is said to belong to.
    #[error("the Q-table has no value for a state of `{0}`, which is in the replay memory")]
    NotLearned(String),
}
