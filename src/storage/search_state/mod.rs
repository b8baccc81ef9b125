//! The search state: a pure fold over the rows of the log.
//!
//! Sampling, claiming, recording, reducing, `status` and `verify` all decide from a [`Knowledge`].
//! It is built by [`Knowledge::apply`], row after row, and refuses a row that the rules do not
//! allow: such a row is damage. Decisions are functions of it that return the rows to append, which
//! are rows that it then allows.
//!
//! # Rules
//!
//! For a candidate X, an architecture with its repeat (above 1 in a `list` alone): *known* means
//! that it has a result; *open*, that one iteration of it is claimed and has not ended;
//! *quarantined*, neither of both, and three losses.
//!
//! | row | allowed when | iteration | candidate |
//! | --- | --- | --- | --- |
//! | a draw: the next number, not halted, its epsilon not exhausted | | | |
//! | - `claimed`, attempt 1 | X free | new → open(1) | open; counts at its epsilon |
//! | - `pending` | X open, not known | new → pending | |
//! | - `reused` | X known | new → reused | |
//! | - `lost`, no attempt | X quarantined | new → lost | no loss |
//! | - `imported` | X not known | new → result | known |
//! | `claimed`, attempt n + 1 | open(n), newest of its task | → open(n + 1) | a loss if it says so (2) |
//! | a result of attempt m ≤ n | open(n) or lost at n; X not known | → result | known (1) |
//! | `reused` | open or pending; X known | → reused | |
//! | `lost`, attempt n | open(n) | → lost | free; a loss (3) |
//! | `lost`, no attempt | pending; X neither open nor known | → lost | |
//! | `exhausted` | not halted, not exhausted | | |
//! | `halted`, `resumed`, `set`, `repaired`, `void` | always | | |
//!
//! (1) It counts at its epsilon. (2) Unless that were the third. (3) Unless halted after attempt n
//! began, or its reason says that it is not the network's fault.
//!
//! Every write of a result or a loss ends the other iterations of its architecture, too. A power
//! cut can drop the end of a write; then an open iteration of a known architecture, or a pending
//! one of an architecture that is free, stays behind until the next such write, which mends that
//! first ([`Knowledge::due_rows`]). So results can exceed the schedule only by late results: those
//! of claims that were lost before.
//!
//! A `claimed` row of attempt n + 1 also says when attempt n left on the time warning without a new
//! epoch; at the third such attempt in a row the claim is lost instead, and after three such claims
//! in a row, without a result between them, nothing is claimed until `slurm.time` is set. These are
//! decisions of those who append; a log that differs is no damage.
//!
//! A `void` row blanks a damaged one. Rows after it lack what that said, so that the rules are
//! relaxed for the iterations that it may have been about ([`blanked_rows::Doubt`]), and for no
//! other; neither its iteration nor its attempt is given again. A second result of an architecture
//! is never allowed.

mod blanked_rows;
mod decisions;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::predictor::BestFinals;
use crate::q_learning::{Epsilon, EpsilonSchedule, EpsilonStage, StageCounts};
use crate::space::Candidate;
use crate::storage::fs::time::Time;
use crate::storage::log::event::{Attempt, Event, Iteration, Row};
use blanked_rows::Doubt;
use rules::LOSSES_TO_QUARANTINE;

pub use decisions::{EarlierAttempt, Record, is_last_timeout};

/// Attempts in a row that leave on the time warning without a new epoch: the claim is lost.
const TIMEOUTS_TO_LOSE: u32 = 3;

/// Claims in a row lost so: nothing is claimed until `slurm.time` is set.
const TIMED_OUT_CLAIMS_TO_STOP: u32 = 3;

/// Memory is linear in the candidates met, not in the rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Knowledge {
    /// The candidates that have a result, each with its first one.
    pub known: rustc_hash::FxHashMap<Candidate, Known>,
    pub next_iteration: Iteration,
    pub halted: bool,
    pub open: BTreeMap<Iteration, Open>,
    pub pending: BTreeMap<Iteration, Pending>,
    pub lost: BTreeMap<Iteration, LostClaim>,
    /// Of candidates without a result; three quarantine one.
    pub losses: BTreeMap<Candidate, u32>,
    /// Claims in a row that were lost to the time warning; 0 after a result or a `slurm.time`.
    pub claims_timed_out: u32,
    /// In the order in which the epsilons came up.
    pub epsilons: Vec<EpsilonTally>,
    pub best: Option<Best>,
    pub last_accuracies: BestFinals,
    pub audits: Vec<Audit>,
    pub settings: Vec<String>,
    pub events: BTreeMap<Event, u64>,
    pub full_curves: usize,
    pub seconds: Seconds,
    pub newest_round_with_result: Option<u32>,
    pub doubt: Doubt,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    Free,
    Open(Iteration),
    Known(Known),
    Quarantined,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    pub iteration: Iteration,
    /// At which it counts.
    pub epsilon: Option<f64>,
    pub reward: Option<f64>,
    /// Of a stopped training that of its epochs.
    pub best_validation_accuracy: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    pub candidate: Candidate,
    pub epsilon: Option<f64>,
    /// The newest attempt, from 1.
    pub attempt: u32,
    pub round: Option<u32>,
    pub job: Arc<str>,
    pub task: Arc<str>,
    pub host: Option<Arc<str>>,
    pub claimed_at: Option<Time>,
    pub expires_at: Time,
    /// Whether this is the newest claim of its job and task: only that one is taken up again.
    pub is_newest_of_task: bool,
    /// Whether the search was halted after the newest attempt had begun: its loss does not count.
    pub was_halted: bool,
    /// Attempts in a row before the newest that left on the time warning without a new epoch.
    pub timeouts: u32,
}

/// It waits for the training of its architecture by another iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub candidate: Candidate,
    pub epsilon: Option<f64>,
    pub round: Option<u32>,
}

/// Its result may still come.
#[derive(Debug, Clone, PartialEq)]
pub struct LostClaim {
    pub candidate: Candidate,
    pub epsilon: Option<f64>,
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpsilonTally {
    /// `None` for a strategy without epsilons.
    pub epsilon: Option<f64>,
    /// Candidates whose result belongs to an iteration drawn at it.
    pub results: u64,
    pub exhausted: bool,
}

/// Of the networks that were trained to the end or imported; of equal ones the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    pub iteration: Iteration,
    pub architecture: Arc<str>,
    pub best_validation_accuracy: f64,
}

/// A network that was trained to the end against a verdict to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    pub iteration: Iteration,
    /// Whether its last epoch has beaten the best network of the verdict.
    pub is_false_stop: bool,
}

/// Of training, summed over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seconds {
    pub train: f64,
    pub saved: f64,
    pub lost: f64,
}

/// A row that may not stand where it stands: damage, or a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{event}` row{} breaks the rules of the log: {rule}",
    .iteration.map(|number| format!(" of iteration `{number}`")).unwrap_or_default()
)]
pub struct Violation {
    pub event: Event,
    pub iteration: Option<Iteration>,
    pub rule: Rule,
}

impl Violation {
    fn of(row: &Row, rule: Rule) -> Self {
        Self { event: row.event, iteration: row.iteration, rule }
    }
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

impl Open {
    fn is_of_task(&self, job: &str, task: &str) -> bool {
        (&*self.job, &*self.task) == (job, task)
    }
}

impl Knowledge {
    pub const fn is_time_too_short(&self) -> bool {
        self.claims_timed_out >= TIMED_OUT_CLAIMS_TO_STOP
    }

    /// A candidate that has a result is known, whatever else.
    pub fn standing(&self, candidate: &Candidate) -> Standing {
        if let Some(&known) = self.known.get(candidate) {
            return Standing::Known(known);
        }
        match self.open.iter().find(|(_, open)| open.candidate == *candidate) {
            Some((&iteration, _)) => Standing::Open(iteration),
            None if self.losses(candidate) >= LOSSES_TO_QUARANTINE => Standing::Quarantined,
            None => Standing::Free,
        }
    }

    /// Whether the log holds the claim of an attempt, or may have held it in a row now blanked.
    pub fn has_begun(&self, attempt: Attempt) -> bool {
        let Attempt { iteration, number } = attempt;
        let open = self.open.get(&iteration).map(|open| open.attempt);
        let newest = open.or(self.lost.get(&iteration).map(|lost| lost.attempt));
        // Of an iteration that has ended nothing is begun any more.
        let newest = newest.unwrap_or(u32::MAX);
        iteration < self.next_iteration && (number <= newest || self.is_in_doubt(iteration))
    }

    pub fn losses(&self, candidate: &Candidate) -> u32 {
        self.losses.get(candidate).copied().unwrap_or(0)
    }

    pub fn stage_counts(&self, schedule: &EpsilonSchedule) -> Vec<StageCounts> {
        let counts = |epsilon: Option<f64>| {
            let tally = self.epsilons.iter().find(|tally| tally.epsilon == epsilon);
            let (results, exhausted) =
                tally.map_or((0, false), |tally| (tally.results, tally.exhausted));
            let open = self.open.values().filter(|open| open.epsilon == epsilon).count() as u64;
            StageCounts { results, open, exhausted }
        };
        schedule.stages().iter().map(|stage| counts(stage.epsilon.map(Epsilon::value))).collect()
    }

    /// `None` when halted, or no stage wants more than it has and is being trained.
    pub fn stage_in_force(&self, schedule: &EpsilonSchedule) -> Option<EpsilonStage> {
        let stage = schedule.stage_in_force(&self.stage_counts(schedule))?;
        (!self.halted).then(|| schedule.stages()[stage])
    }

    pub fn is_finished(&self, schedule: &EpsilonSchedule) -> bool {
        self.open.is_empty() && schedule.is_finished(&self.stage_counts(schedule))
    }

    fn is_exhausted(&self, epsilon: Option<f64>) -> bool {
        self.epsilons.iter().any(|tally| tally.epsilon == epsilon && tally.exhausted)
    }
}
