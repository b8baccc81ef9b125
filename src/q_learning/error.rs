//! What can be wrong with the a Q-table read from a file.

use crate::space::{Action, StateKey};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QLearningError {
    #[error("the Q-table holds the state `{0:?}` twice")]
    RepeatedState(StateKey),
    #[error(
        "the Q-table's actions of the state `{state:?}` are not the legal ones ({expected} \
         actions, {found} found)"
    )]
    WrongActions { state: StateKey, expected: usize, found: usize },
    #[error("the Q-value of `{action}` in the state `{state:?}` is `{value}` (must be finite)")]
    NotFinite { state: StateKey, action: Action, value: f64 },
    /// A Q-table that has not learned from a row of the replay memory it is said to belong to.
    #[error("the Q-table has no value for a state of `{0}`, which is in the replay memory")]
    NotLearned(String),
}
