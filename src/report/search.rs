//! What reports are made from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::predictor::{AuditFindings, Scores};
use crate::q_learning::{EpsilonStage, StageCounts};
use crate::space::{Action, StateKey};
use crate::storage::{Attempt, Curve, Event, Row};

/// A search as read from its files. `status` leaves empty what the tables alone show.
#[derive(Debug, Clone, Default)]
pub struct SearchData {
    pub experiment: String,
    /// The configured trainer, `torch`, `command` or `synthetic`, or [`IMPORTED`].
    pub trainer: &'static str,
    pub epochs: u32,
    /// The epsilon schedule, and what has happened in each stage.
    pub stages: Vec<(EpsilonStage, StageCounts)>,
    /// One row an iteration, in their order ([`super::by_iteration`]).
    pub iterations: Vec<Row>,
    pub early_stopping: EarlyStopping,
    /// The curves of the attempts that have a result.
    pub curves: BTreeMap<Attempt, Curve>,
    /// The Q-table in the order of its states and actions.
    pub q_values: Vec<(StateKey, Action, f64)>,
    /// Networks that the newest predictor was fitted to.
    pub predictor_networks: u64,
    /// Its sigma, and the scores of predictions of networks left out of its fit, for each number
    /// of observed epochs from 1.
    pub predictor_scores: Vec<(f64, Scores)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EarlyStopping {
    pub enabled: bool,
    /// Networks trained to the end before the first may be stopped.
    pub burn_in: u64,
    pub full_curves: u64,
    /// Those that the newest predictor was fitted after.
    pub predictor_curves: Option<u64>,
    #[serde(skip)]
    pub findings: AuditFindings,
}

pub const IMPORTED: &str = "imported";

/// Returns who trained: the configured trainer, unless all results were imported.
pub fn who_trained(configured: &'static str, iterations: &[Row]) -> &'static str {
    let needs_no_trainer =
        |row: &Row| matches!(row.event, Event::Imported | Event::Reused | Event::Void);
    let has_imported = iterations.iter().any(|row| row.event == Event::Imported);
    if has_imported && iterations.iter().all(needs_no_trainer) { IMPORTED } else { configured }
}

/// Returns what a person should read beside accuracies that were not measured here.
pub fn mark(trainer: &str) -> Option<&'static str> {
    match trainer {
        "synthetic" => {
            Some("The accuracies of networks trained here are made up (trainer `synthetic`).")
        }
        IMPORTED => Some("The accuracies are imported: none was trained here."),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Condition {
    /// Not finished, and nothing is known to stand in its way.
    #[default]
    Active,
    Halted,
    /// Every epsilon has its architectures or is exhausted, and nothing is open.
    Finished,
    /// Not finished; the rounds that were asked for are done.
    Paused,
    /// Not finished, and no round is queued or running.
    ChainBroken,
    /// A round is queued or runs, and makes no progress until a person acts.
    Stuck,
}

impl Condition {
    /// Whether nothing changes any more until a person acts. A broken chain is not among these:
    /// it may be on its way to the next round.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Halted | Self::Finished | Self::Paused)
    }
}
