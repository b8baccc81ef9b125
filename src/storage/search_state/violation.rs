//! The rules of the log, and what breaks them.

use crate::storage::log::event::{Event, Iteration};

/// A row that may not stand where it stands: damage, or a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` row{} breaks the rules of the log: {rule}", of(*.iteration))]
pub struct Violation {
    pub event: Event,
    pub iteration: Option<Iteration>,
    pub rule: Rule,
}

fn of(iteration: Option<Iteration>) -> String {
    iteration.map_or_else(String::new, |iteration| format!(" of iteration `{iteration}`"))
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("it has no `{0}`")]
    Missing(&'static str),
    #[error("the next iteration is `{0}`")]
    NotNext(Iteration),
    #[error("the search is halted")]
    Halted,
    #[error("its epsilon is exhausted")]
    Exhausted,
    #[error("its architecture has a result, of iteration `{0}`")]
    Known(Iteration),
    #[error("its architecture has no result of iteration `of_iteration`")]
    NotKnown,
    #[error("its reward is not that of the result")]
    OtherReward,
    #[error("its architecture is in training, in iteration `{0}`")]
    Open(Iteration),
    #[error("its architecture is not in training in iteration `of_iteration`")]
    NotOpen,
    #[error("its architecture is quarantined")]
    Quarantined,
    #[error("its architecture is not quarantined")]
    NotQuarantined,
    #[error("the iteration is not at that attempt")]
    NotAtAttempt,
    #[error("the iteration has ended, or never began")]
    Ended,
    #[error("it is not the newest claim of its job and task")]
    NotNewestOfTask,
    #[error("the iteration has another architecture or epsilon")]
    OtherDraw,
}
