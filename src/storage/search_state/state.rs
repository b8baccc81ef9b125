//! What is known, as data: the parts of [`crate::storage::search_state::Knowledge`] and the form in which a view keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::predictor::{BestFinals, MOST_TOP_N};
use crate::storage::fs::time::Time;
use crate::storage::log::event::{Event, Iteration};
use crate::storage::search_state::doubt::Doubt;

/// How many losses keep an architecture from being tried again.
pub(crate) const LOSSES_TO_QUARANTINE: u32 = 3;

/// How many attempts in a row may leave on the time warning without a new epoch; then the claim is lost.
pub(crate) const TIMEOUTS_TO_LOSE: u32 = 3;

/// How many claims in a row may be lost so; then nothing is claimed until `slurm.time` is set.
pub(crate) const TIMED_OUT_CLAIMS_TO_STOP: u32 = 3;

/// The first result of an architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The iteration whose training gave the result.
    pub iteration: Iteration,
    /// The epsilon of that iteration, at which the architecture counts.
    pub epsilon: f64,
    /// The reward; `None` when the result carries none.
    pub reward: Option<f64>,
    /// Best validation accuracy of the training, if there was one; of a stopped one that of its epochs.
    pub best_validation_accuracy: Option<f64>,
}

/// An iteration whose architecture is being trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The architecture.
    pub architecture: String,
    /// The epsilon at which it was drawn.
    pub epsilon: f64,
    /// The newest attempt, from 1.
    pub attempt: u32,
    /// The round of that attempt.
    pub round: Option<u32>,
    /// The array job that claimed.
    pub job: String,
    /// Its task.
    pub task: String,
    /// The machine of the newest attempt.
    pub host: Option<String>,
    /// When the newest attempt began.
    pub claimed_at: Option<Time>,
    /// When the claim ends by itself.
    pub expires_at: Time,
    /// Whether this is the newest claim of its job and task: only that one is taken up again.
    pub is_newest_of_task: bool,
    /// Whether the search was halted after the newest attempt had begun: its loss does not count.
    pub was_halted: bool,
    /// Attempts in a row, up to the one before the newest, that left on the time warning without a new epoch.
    pub timeouts: u32,
}

/// An iteration that waits for the training of its architecture by another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The architecture.
    pub architecture: String,
    /// The epsilon at which it was drawn.
    pub epsilon: f64,
    /// The round in which it was drawn.
    pub round: Option<u32>,
    /// The iteration that trained it at that time.
    pub of_iteration: Iteration,
}

/// A claim that was lost: its result may still come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostClaim {
    /// The architecture.
    pub architecture: String,
    /// The epsilon at which it was drawn.
    pub epsilon: f64,
    /// The last attempt.
    pub attempt: u32,
}

/// What has come of one epsilon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpsilonTally {
    /// The epsilon.
    pub epsilon: f64,
    /// Architectures whose result belongs to an iteration drawn at it.
    pub results: u64,
    /// Whether it was closed because nothing new could be drawn.
    pub exhausted: bool,
}

/// The best network so far, of those that were trained to the end or imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its iteration.
    pub iteration: Iteration,
    /// Its architecture.
    pub architecture: String,
    /// Its best validation accuracy.
    pub best_validation_accuracy: f64,
}

/// A network that was trained to the end against a verdict to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Its iteration.
    pub iteration: Iteration,
    /// Whether its last epoch has beaten the best network of the verdict.
    pub is_false_stop: bool,
}

/// Seconds of training, summed over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seconds {
    /// Spent.
    pub train: f64,
    /// Saved by stopping early, as estimated.
    pub saved: f64,
    /// Spent for nothing.
    pub lost: f64,
}

/// All that is known but the results themselves: the part of a view's `view.yaml` that the rules
/// of the log need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeState {
    /// The number of the next draw.
    pub next_iteration: Iteration,
    /// Whether a person has stopped the search.
    pub halted: bool,
    /// Iterations in training.
    pub open: BTreeMap<Iteration, Open>,
    /// Iterations that wait for another one's training.
    pub pending: BTreeMap<Iteration, Pending>,
    /// Lost claims of architectures that have no result.
    pub lost: BTreeMap<Iteration, LostClaim>,
    /// How many losses an architecture without a result has; three quarantine it.
    pub losses: BTreeMap<String, u32>,
    /// Claims in a row that were lost since three attempts in a row left on the time warning without a new epoch; none
    /// after a result or another `slurm.time`.
    pub claims_timed_out: u32,
    /// Results and exhaustion per epsilon, in the order in which the epsilons came up.
    pub epsilons: Vec<EpsilonTally>,
    /// The best result so far; of equal ones the first.
    pub best: Option<Best>,
    /// The greatest last-epoch accuracies of `trained` rows.
    pub last_accuracies: BestFinals,
    /// The audits of the stopping rule, in the order of their rows.
    #[serde(default)]
    pub audits: Vec<Audit>,
    /// Changes of the configuration, in the order of their rows.
    pub settings: Vec<String>,
    /// How many rows of each event there are.
    pub events: BTreeMap<Event, u64>,
    /// Sums of the columns of seconds.
    pub seconds: Seconds,
    /// The newest round that brought a result.
    pub newest_round_with_result: Option<u32>,
    /// What blanked rows may have said.
    #[serde(default, skip_serializing_if = "Doubt::is_none")]
    pub doubt: Doubt,
}

impl Default for KnowledgeState {
    fn default() -> Self {
        Self {
            next_iteration: Iteration::FIRST,
            halted: false,
            open: BTreeMap::new(),
            pending: BTreeMap::new(),
            lost: BTreeMap::new(),
            losses: BTreeMap::new(),
            claims_timed_out: 0,
            epsilons: Vec::new(),
            best: None,
            last_accuracies: BestFinals::new(MOST_TOP_N),
            audits: Vec::new(),
            settings: Vec::new(),
            events: BTreeMap::new(),
            seconds: Seconds::default(),
            newest_round_with_result: None,
            doubt: Doubt::default(),
        }
    }
}
