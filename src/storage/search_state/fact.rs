//! A row of the log as the rules see it: the columns that an event needs, present.

use crate::storage::fs::time::Time;
use crate::storage::log::event::{AFTER_TIMEOUT, CAME_TO_NOTHING, TIME_TOO_SHORT, counts_as_loss};
use crate::storage::log::event::{Event, Iteration, Row};
use crate::storage::search_state::violation::Rule;

/// An iteration with its architecture and the epsilon at which that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn<'a> {
    pub(crate) iteration: Iteration,
    pub(crate) architecture: &'a str,
    pub(crate) epsilon: f64,
}

/// What a row says, its needed columns read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fact<'a> {
    Claimed {
        drawn: Drawn<'a>,
        attempt: u32,
        job: &'a str,
        task: &'a str,
        expires_at: Time,
        counts_loss: bool,
        after_timeout: bool,
    },
    Pending {
        drawn: Drawn<'a>,
        of_iteration: Iteration,
    },
    Reused {
        drawn: Drawn<'a>,
        of_iteration: Iteration,
    },
    Lost {
        drawn: Drawn<'a>,
        /// The attempt that was lost; `None` for an iteration that was never claimed.
        attempt: Option<u32>,
        counts_loss: bool,
        timed_out: bool,
    },
    Result {
        drawn: Drawn<'a>,
        attempt: u32,
    },
    Imported(Drawn<'a>),
    Exhausted {
        epsilon: f64,
    },
    Halted,
    Resumed,
    Set {
        setting: &'a str,
    },
    Repaired,
    Void {
        iteration: Option<Iteration>,
        attempt: Option<u32>,
    },
}

impl<'a> Fact<'a> {
    pub(crate) fn of(row: &'a Row) -> Result<Self, Rule> {
        let drawn = || {
            Ok(Drawn {
                iteration: need(row.iteration, "iteration")?,
                architecture: need(row.architecture.as_deref(), "architecture")?,
                epsilon: need(row.epsilon, "epsilon")?,
            })
        };
        Ok(match row.event {
            Event::Claimed => Self::Claimed {
                drawn: drawn()?,
                attempt: need(row.attempt, "attempt")?,
                job: need(row.job.as_deref(), "job")?,
                task: need(row.task.as_deref(), "task")?,
                expires_at: need(row.expires_at, "expires_at")?,
                counts_loss: row.reason.as_deref() == Some(CAME_TO_NOTHING),
                after_timeout: row.reason.as_deref() == Some(AFTER_TIMEOUT),
            },
            Event::Pending => Self::Pending {
                drawn: drawn()?,
                of_iteration: need(row.of_iteration, "of_iteration")?,
            },
            Event::Reused => Self::Reused {
                drawn: drawn()?,
                of_iteration: need(row.of_iteration, "of_iteration")?,
            },
            Event::Lost => Self::Lost {
                drawn: drawn()?,
                attempt: row.attempt,
                counts_loss: counts_as_loss(row.reason.as_deref()),
                timed_out: row.reason.as_deref() == Some(TIME_TOO_SHORT),
            },
            Event::Trained | Event::Stopped | Event::Failed | Event::OutOfMemory => {
                Self::Result { drawn: drawn()?, attempt: need(row.attempt, "attempt")? }
            }
            Event::Imported => Self::Imported(drawn()?),
            Event::Exhausted => Self::Exhausted { epsilon: need(row.epsilon, "epsilon")? },
            Event::Halted => Self::Halted,
            Event::Resumed => Self::Resumed,
            Event::Set => Self::Set { setting: need(row.reason.as_deref(), "reason")? },
            Event::Repaired => Self::Repaired,
            Event::Void => Self::Void { iteration: row.iteration, attempt: row.attempt },
        })
    }
}

fn need<T>(value: Option<T>, column: &'static str) -> Result<T, Rule> {
    value.ok_or(Rule::Missing(column))
}
