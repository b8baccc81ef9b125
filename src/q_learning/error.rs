//! What can be wrong with the parameters of Q-learning, or with a Q-table read from a file.

use super::epsilon::Epsilon;
use crate::space::{Action, StateKey};

/// An error of Q-learning.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QLearningError {
    /// A parameter outside its range.
    #[error("`{key}` is `{}` (must be {range})", readable(*value))]
    OutOfRange {
        /// Where it stands in the configuration.
        key: &'static str,
        /// The value found.
        value: f64,
        /// The legal values, in words.
        range: &'static str,
    },
    /// Text where an epsilon should stand.
    #[error("epsilon `{0}` is not a number (must be 0 to 1)")]
    NoNumber(String),
    /// A schedule without a stage.
    #[error("`epsilon_schedule` is empty (a search needs at least one stage)")]
    NoStages,
    /// An epsilon that stands twice: results are counted by their epsilon.
    #[error("`epsilon_schedule` holds epsilon `{0}` twice (join the two stages)")]
    RepeatedEpsilon(Epsilon),
    /// A row of the Q-table that stands twice.
    #[error("the Q-table holds the state `{0:?}` twice")]
    RepeatedState(StateKey),
    /// A row of the Q-table whose actions are not those the search space allows.
    #[error(
        "the Q-table's actions of the state `{state:?}` are not the legal ones ({expected} actions, {found} found)"
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

/// Writes a number out, unless that takes more digits than anybody reads.
fn readable(value: f64) -> String {
    if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") }
}
