//! The search state as data: the parts of [`Knowledge`](super::Knowledge).

use crate::storage::fs::time::Time;
use crate::storage::log::event::Iteration;

/// How many losses keep an architecture from being tried again.
pub(crate) const LOSSES_TO_QUARANTINE: u32 = 3;

/// How many attempts in a row may leave on the time warning without a new epoch; then the claim is
/// lost.
pub(crate) const TIMEOUTS_TO_LOSE: u32 = 3;

/// How many claims in a row may be lost so; then nothing is claimed until `slurm.time` is set.
pub(crate) const TIMED_OUT_CLAIMS_TO_STOP: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    pub iteration: Iteration,
    /// At which the architecture counts.
    pub epsilon: f64,
    pub reward: Option<f64>,
    /// Of a stopped training that of its epochs.
    pub best_validation_accuracy: Option<f64>,
}

/// An iteration whose architecture is being trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    pub architecture: String,
    pub epsilon: f64,
    /// The newest attempt, from 1.
    pub attempt: u32,
    pub round: Option<u32>,
    pub job: String,
    pub task: String,
    pub host: Option<String>,
    pub claimed_at: Option<Time>,
    pub expires_at: Time,
    /// Whether this is the newest claim of its job and task: only that one is taken up again.
    pub is_newest_of_task: bool,
    /// Whether the search was halted after the newest attempt had begun: its loss does not count.
    pub was_halted: bool,
    /// Attempts in a row, up to the one before the newest, that left on the time warning without a
    /// new epoch.
    pub timeouts: u32,
}

/// An iteration that waits for the training of its architecture by another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub architecture: String,
    pub epsilon: f64,
    pub round: Option<u32>,
}

/// A claim that was lost: its result may still come.
#[derive(Debug, Clone, PartialEq)]
pub struct LostClaim {
    pub architecture: String,
    pub epsilon: f64,
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpsilonTally {
    pub epsilon: f64,
    /// Architectures whose result belongs to an iteration drawn at it.
    pub results: u64,
    /// Whether it was closed because nothing new could be drawn.
    pub exhausted: bool,
}

/// The best network so far, of those that were trained to the end or imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    pub iteration: Iteration,
    pub architecture: String,
    pub best_validation_accuracy: f64,
}

/// A network that was trained to the end against a verdict to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    pub iteration: Iteration,
    /// Whether its last epoch has beaten the best network of the verdict.
    pub is_false_stop: bool,
}

/// Seconds of training, summed over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seconds {
    pub train: f64,
    pub saved: f64,
    pub lost: f64,
}
