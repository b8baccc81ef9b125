//! What reports are made from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::predictor::{AuditFindings, Scores};
use crate::q_learning::{EpsilonStage, StageCounts};
use crate::space::{Action, StateKey};
use crate::storage::{Attempt, Curve, Event, Iteration, Row};

/// A search as read from its files. `status` leaves empty what the tables alone show.
#[derive(Debug, Clone, Default)]
pub struct SearchData {
    pub experiment: String,
    /// The same for experiments that differ in name and seed alone.
    pub family: String,
    /// The configured trainer, `torch`, `command`, `synthetic` or `recorded`, or [`IMPORTED`].
    pub trainer: &'static str,
    pub epochs: u32,
    /// By how many images a network that was trained here is judged, where that is known.
    pub validation_images: Option<u64>,
    pub stages: Vec<(EpsilonStage, StageCounts)>,
    /// One row an iteration, in their order ([`super::by_iteration`]).
    pub iterations: Vec<Row>,
    pub early_stopping: EarlyStopping,
    /// Of the attempts that have a result.
    pub curves: BTreeMap<Attempt, Curve>,
    pub q_values: Vec<QValue>,
    /// Of the table that was imported with results.
    pub imported_q_values: Vec<QValue>,
    pub initial_q_value: f64,
    /// Networks that the newest predictor was fitted to.
    pub predictor_networks: u64,
    /// Sigma, and the scores on networks left out of the fit, by observed epochs from 1.
    pub predictor_scores: Vec<(f64, Scores)>,
}

#[derive(Debug, Clone, Copy)]
pub struct QValue {
    pub state: StateKey,
    pub action: Action,
    pub value: f64,
    /// Not known of an imported one.
    pub updates: Option<u64>,
}

impl SearchData {
    /// Whether a Q-value was ever updated: as far as can be told, of an imported one.
    pub fn is_updated(&self, of: &QValue) -> bool {
        of.updates.map_or(of.value != self.initial_q_value, |updates| updates > 0)
    }

    pub fn row_of(&self, iteration: Iteration) -> Option<&Row> {
        let found = self.iterations.binary_search_by_key(&Some(iteration), |row| row.iteration);
        found.ok().map(|place| &self.iterations[place])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EarlyStopping {
    pub enabled: bool,
    /// Networks trained to the end before the first may be stopped.
    pub burn_in: u64,
    pub full_curves: u64,
    pub predictor_curves: Option<u64>,
    #[serde(skip)]
    pub findings: AuditFindings,
    pub stopped: u64,
    pub audited: u64,
    pub false_stops: u64,
    pub false_stop_rate: Option<f64>,
    pub false_stop_rate_lower: Option<f64>,
    pub false_stop_rate_upper: Option<f64>,
    pub switched_off: bool,
    pub epochs_trained: u64,
    pub epochs_saved: u64,
}

impl EarlyStopping {
    /// With the fields after `findings`, which follow from these and the iterations.
    pub fn summed_up(self, search: &SearchData) -> Self {
        let stopped = search.iterations.iter().filter(|row| row.event == Event::Stopped);
        let trained = |row: &Row| u64::from(row.epochs.unwrap_or(0));
        let saved = |row: &Row| u64::from(search.epochs).saturating_sub(trained(row));
        let (lower, upper) = self.findings.interval().unzip();
        Self {
            stopped: stopped.clone().count() as u64,
            audited: self.findings.audited,
            false_stops: self.findings.false_stops,
            false_stop_rate: self.findings.rate(),
            false_stop_rate_lower: lower,
            false_stop_rate_upper: upper,
            switched_off: self.findings.is_switched_off(),
            epochs_trained: search.iterations.iter().map(trained).sum(),
            epochs_saved: stopped.map(saved).sum(),
            ..self
        }
    }
}

pub const IMPORTED: &str = "imported";

pub fn who_trained(configured: &'static str, iterations: &[Row]) -> &'static str {
    let needs_no_trainer =
        |row: &Row| matches!(row.event, Event::Imported | Event::Reused | Event::Void);
    let has_imported = iterations.iter().any(|row| row.event == Event::Imported);
    if has_imported && iterations.iter().all(needs_no_trainer) { IMPORTED } else { configured }
}

pub fn mark(trainer: &str) -> Option<&'static str> {
    match trainer {
        "synthetic" => {
            Some("The accuracies of networks trained here are made up (trainer `synthetic`).")
        }
        "recorded" => Some("The accuracies are recorded ones: none was trained here."),
        IMPORTED => Some("The accuracies are imported: none was trained here."),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Condition {
    #[default]
    Active,
    Halted,
    /// Every epsilon has its architectures or is exhausted, and nothing is open.
    Finished,
    /// The rounds that were asked for are done.
    Paused,
    /// Not finished, and no round is queued or running.
    #[strum(to_string = "chain broken")]
    ChainBroken,
    /// A round is queued or runs, and makes no progress until a person acts.
    Stuck,
}

impl Condition {
    /// A broken chain may be on its way to the next round.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Halted | Self::Finished | Self::Paused)
    }
}
