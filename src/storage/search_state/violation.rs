//! The rules of the log, and what breaks them.

use crate::storage::log::event::{Event, Iteration};

/// A row that may not stand where it stands: damage, or a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` row{} breaks the rules of the log: {rule}", of(*.iteration))]
pub struct Violation {
    /// What the row says has happened.
    pub event: Event,
    /// The iteration it is about, if any.
    pub iteration: Option<Iteration>,
    /// The rule it breaks.
    pub rule: Rule,
}

fn of(iteration: Option<Iteration>) -> String {
    iteration.map_or_else(String::new, |iteration| format!(" of iteration `{iteration}`"))
}

/// A rule of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The event needs a column that is empty.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// Draws are numbered without gaps.
    #[error("the next iteration is `{0}`")]
    NotNext(Iteration),
    /// Nothing is drawn while the search is halted.
    #[error("the search is halted")]
    Halted,
    /// Nothing is drawn at an epsilon that was closed.
    #[error("its epsilon is exhausted")]
    Exhausted,
    /// An architecture is trained once.
    #[error("its architecture has a result, of iteration `{0}`")]
    Known(Iteration),
    /// Only a result can be reused.
    #[error("its architecture has no result of iteration `of_iteration`")]
    NotKnown,
    /// A reused result has the reward of the first.
    #[error("its reward is not that of the result")]
    OtherReward,
    /// An architecture is trained by one iteration at a time.
    #[error("its architecture is in training, in iteration `{0}`")]
    Open(Iteration),
    /// One can only wait for a training that goes on.
    #[error("its architecture is not in training in iteration `of_iteration`")]
    NotOpen,
    /// An architecture with three losses is not tried again.
    #[error("its architecture is quarantined")]
    Quarantined,
    /// Only a quarantined architecture is lost without an attempt.
    #[error("its architecture is not quarantined")]
    NotQuarantined,
    /// The iteration has ended, or is at another attempt.
    #[error("the iteration is not at that attempt")]
    NotAtAttempt,
    /// The iteration has ended.
    #[error("the iteration has ended, or never began")]
    Ended,
    /// Another task has the claim, or the task has a newer one.
    #[error("it is not the newest claim of its job and task")]
    NotNewestOfTask,
    /// An iteration keeps its architecture and its epsilon.
    #[error("the iteration has another architecture or epsilon")]
    OtherDraw,
}
