//! Which row may follow what is known: the table in [`super`], row by row.

use crate::storage::fs::time::Time;
use crate::storage::log::event::{
    AFTER_TIMEOUT, CAME_TO_NOTHING, Event, Iteration, Row, TIME_TOO_SHORT, counts_as_loss,
};
use crate::storage::search_state::{Knowledge, LOSSES_TO_QUARANTINE, Standing};

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
    /// With the column `of_iteration`.
    Pending(Drawn<'a>, Iteration),
    Reused(Drawn<'a>, Iteration),
    Lost {
        drawn: Drawn<'a>,
        /// The attempt that was lost; `None` for an iteration that was never claimed.
        attempt: Option<u32>,
        counts_loss: bool,
        timed_out: bool,
    },
    /// With its attempt.
    Result(Drawn<'a>, u32),
    Imported(Drawn<'a>),
    /// At an epsilon.
    Exhausted(f64),
    Halted,
    Resumed,
    Set(&'a str),
    Repaired,
    Void,
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
            Event::Pending => Self::Pending(drawn()?, need(row.of_iteration, "of_iteration")?),
            Event::Reused => Self::Reused(drawn()?, need(row.of_iteration, "of_iteration")?),
            Event::Lost => Self::Lost {
                drawn: drawn()?,
                attempt: row.attempt,
                counts_loss: counts_as_loss(row.reason.as_deref()),
                timed_out: row.reason.as_deref() == Some(TIME_TOO_SHORT),
            },
            Event::Trained | Event::Stopped | Event::Failed | Event::OutOfMemory => {
                Self::Result(drawn()?, need(row.attempt, "attempt")?)
            }
            Event::Imported => Self::Imported(drawn()?),
            Event::Exhausted => Self::Exhausted(need(row.epsilon, "epsilon")?),
            Event::Halted => Self::Halted,
            Event::Resumed => Self::Resumed,
            Event::Set => Self::Set(need(row.reason.as_deref(), "reason")?),
            Event::Repaired => Self::Repaired,
            Event::Void => Self::Void,
        })
    }
}

fn need<T>(value: Option<T>, column: &'static str) -> Result<T, Rule> {
    value.ok_or(Rule::Missing(column))
}

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

impl Knowledge {
    pub(crate) fn check(&self, fact: &Fact<'_>, row: &Row) -> Result<(), Rule> {
        match *fact {
            Fact::Claimed { drawn, attempt: 1, .. } => {
                self.check_draw(drawn)?;
                match self.standing(drawn.architecture) {
                    Standing::Free => Ok(()),
                    Standing::Known(known) => Err(Rule::Known(known.iteration)),
                    Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
                    Standing::Open(open) => Err(Rule::Open(open)),
                    Standing::Quarantined if self.has_blanks() => Ok(()),
                    Standing::Quarantined => Err(Rule::Quarantined),
                }
            }
            Fact::Claimed { drawn, attempt, .. } if self.is_in_doubt(drawn.iteration) => {
                self.check_unknown(drawn.architecture)?;
                self.check_attempt_in_doubt(drawn, attempt.saturating_sub(1))
            }
            Fact::Claimed { drawn, attempt, job, task, counts_loss, .. } => {
                self.check_attempt(drawn, attempt.saturating_sub(1))?;
                let open = &self.open[&drawn.iteration];
                if (open.job.as_str(), open.task.as_str()) != (job, task) || !open.is_newest_of_task
                {
                    return Err(Rule::NotNewestOfTask);
                }
                let losses = self.losses(drawn.architecture) + u32::from(counts_loss);
                if losses < LOSSES_TO_QUARANTINE || self.has_blanks() {
                    Ok(())
                } else {
                    Err(Rule::Quarantined)
                }
            }
            Fact::Pending(drawn, of_iteration) => {
                self.check_draw(drawn)?;
                match self.standing(drawn.architecture) {
                    Standing::Open(open) if open == of_iteration => Ok(()),
                    Standing::Known(known) => Err(Rule::Known(known.iteration)),
                    Standing::Open(open) if !self.is_in_doubt(open) => Err(Rule::NotOpen),
                    _ if self.is_in_doubt(of_iteration) => Ok(()),
                    _ => Err(Rule::NotOpen),
                }
            }
            Fact::Reused(drawn, of_iteration) => {
                // One whose draw was blanked may have waited since.
                if !self.may_be_drawn_in_doubt(drawn.iteration) {
                    if drawn.iteration == self.next_iteration {
                        self.check_draw(drawn)?;
                    } else {
                        self.check_unfinished(drawn)?;
                    }
                }
                match self.known.get(drawn.architecture) {
                    Some(known) if known.iteration != of_iteration => Err(Rule::NotKnown),
                    Some(known) if known.reward != row.reward => Err(Rule::OtherReward),
                    Some(_) => Ok(()),
                    None if self.is_in_doubt(of_iteration) => Ok(()),
                    None => Err(Rule::NotKnown),
                }
            }
            Fact::Lost { drawn, attempt: Some(attempt), .. }
                if self.is_in_doubt(drawn.iteration) =>
            {
                self.check_attempt_in_doubt(drawn, attempt)
            }
            Fact::Lost { drawn, attempt: Some(attempt), .. } => self.check_attempt(drawn, attempt),
            Fact::Lost { drawn, attempt: None, .. } => self.check_lost_without_attempt(drawn),
            Fact::Result(drawn, attempt) => self.check_result(drawn, attempt),
            Fact::Imported(drawn) => {
                self.check_draw(drawn)?;
                self.check_unknown(drawn.architecture)
            }
            Fact::Exhausted(epsilon) => self.check_wanted(epsilon),
            Fact::Halted | Fact::Resumed | Fact::Set(_) | Fact::Repaired | Fact::Void => Ok(()),
        }
    }

    /// A draw takes the next number, at an epsilon that is still drawn at.
    fn check_draw(&self, drawn: Drawn<'_>) -> Result<(), Rule> {
        let next = self.next_iteration;
        if drawn.iteration != next && !self.may_be_drawn_in_doubt(drawn.iteration) {
            return Err(Rule::NotNext(next));
        }
        self.check_wanted(drawn.epsilon)
    }

    fn check_wanted(&self, epsilon: f64) -> Result<(), Rule> {
        match (self.halted, self.is_exhausted(epsilon)) {
            (true, _) if !self.doubt.halt => Err(Rule::Halted),
            (_, true) => Err(Rule::Exhausted),
            _ => Ok(()),
        }
    }

    fn check_unknown(&self, architecture: &str) -> Result<(), Rule> {
        match self.known.get(architecture) {
            Some(known) => Err(Rule::Known(known.iteration)),
            None => Ok(()),
        }
    }

    /// The iteration is open, and this is its newest attempt.
    fn check_attempt(&self, drawn: Drawn<'_>, attempt: u32) -> Result<(), Rule> {
        match self.open.get(&drawn.iteration) {
            Some(open) if open.attempt == attempt => same(drawn, &open.architecture, open.epsilon),
            _ => Err(Rule::NotAtAttempt),
        }
    }

    /// The iteration was open at this attempt or an earlier one, by the rows that were not blanked.
    fn check_attempt_in_doubt(&self, drawn: Drawn<'_>, attempt: u32) -> Result<(), Rule> {
        match self.open.get(&drawn.iteration) {
            Some(open) if open.attempt <= attempt => same(drawn, &open.architecture, open.epsilon),
            None if self.may_be_drawn_in_doubt(drawn.iteration) => Ok(()),
            _ => Err(Rule::NotAtAttempt),
        }
    }

    /// The iteration is open or pending.
    fn check_unfinished(&self, drawn: Drawn<'_>) -> Result<(), Rule> {
        if let Some(open) = self.open.get(&drawn.iteration) {
            same(drawn, &open.architecture, open.epsilon)
        } else if let Some(pending) = self.pending.get(&drawn.iteration) {
            same(drawn, &pending.architecture, pending.epsilon)
        } else {
            Err(Rule::Ended)
        }
    }

    /// A draw of a quarantined architecture, or a pending iteration whose training has ended.
    fn check_lost_without_attempt(&self, drawn: Drawn<'_>) -> Result<(), Rule> {
        let standing = self.standing(drawn.architecture);
        let in_doubt = self.may_be_drawn_in_doubt(drawn.iteration);
        if drawn.iteration == self.next_iteration && !in_doubt {
            self.check_draw(drawn)?;
            return match standing {
                Standing::Quarantined => Ok(()),
                Standing::Free if self.has_blanks() => Ok(()),
                Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
                _ => Err(Rule::NotQuarantined),
            };
        }
        match self.pending.get(&drawn.iteration) {
            Some(pending) => same(drawn, &pending.architecture, pending.epsilon)?,
            None if in_doubt => {}
            None => return Err(Rule::Ended),
        }
        match standing {
            Standing::Known(known) => Err(Rule::Known(known.iteration)),
            Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
            Standing::Open(open) => Err(Rule::Open(open)),
            Standing::Free | Standing::Quarantined => Ok(()),
        }
    }

    /// The iteration is open or a lost claim, the attempt one of its own, and its architecture has
    /// no result.
    fn check_result(&self, drawn: Drawn<'_>, attempt: u32) -> Result<(), Rule> {
        self.check_unknown(drawn.architecture)?;
        let newest = if let Some(open) = self.open.get(&drawn.iteration) {
            same(drawn, &open.architecture, open.epsilon)?;
            open.attempt
        } else if let Some(lost) = self.lost.get(&drawn.iteration) {
            same(drawn, &lost.architecture, lost.epsilon)?;
            lost.attempt
        } else if self.may_be_drawn_in_doubt(drawn.iteration) {
            return Ok(());
        } else {
            return Err(Rule::Ended);
        };
        let is_there = (1..=newest).contains(&attempt) || self.is_in_doubt(drawn.iteration);
        if is_there { Ok(()) } else { Err(Rule::NotAtAttempt) }
    }
}

fn same(drawn: Drawn<'_>, architecture: &str, epsilon: f64) -> Result<(), Rule> {
    if (drawn.architecture, drawn.epsilon) == (architecture, epsilon) {
        Ok(())
    } else {
        Err(Rule::OtherDraw)
    }
}
