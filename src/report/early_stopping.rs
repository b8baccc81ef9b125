//! What early stopping does in a search.

use serde::Serialize;

use super::search::{EarlyStopping, SearchData};
use crate::storage::{Event, Row};

/// Early stopping in numbers: a part of `status --json`, whose keys are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoppingSummary {
    #[serde(flatten)]
    pub known: EarlyStopping,
    pub stopped: u64,
    /// Networks trained to the end against a verdict to stop.
    pub audited: u64,
    /// Those among them that beat the best network of that verdict.
    pub false_stops: u64,
    pub false_stop_rate: Option<f64>,
    /// The ends of its 95 % interval (Wilson).
    pub false_stop_rate_lower: Option<f64>,
    pub false_stop_rate_upper: Option<f64>,
    /// Whether the audits have switched stopping off.
    pub switched_off: bool,
    /// Epochs of all trainings that have a result.
    pub epochs_trained: u64,
    /// Epochs that the stopped trainings had left.
    pub epochs_saved: u64,
}

impl StoppingSummary {
    pub fn of(search: &SearchData) -> Self {
        let stopped = search.iterations.iter().filter(|row| row.event == Event::Stopped);
        let trained = |row: &Row| u64::from(row.epochs.unwrap_or(0));
        let saved = |row: &Row| u64::from(search.epochs).saturating_sub(trained(row));
        let findings = search.early_stopping.findings;
        let (lower, upper) = findings.interval().unzip();
        Self {
            known: search.early_stopping,
            stopped: stopped.clone().count() as u64,
            audited: findings.audited,
            false_stops: findings.false_stops,
            false_stop_rate: findings.rate(),
            false_stop_rate_lower: lower,
            false_stop_rate_upper: upper,
            switched_off: findings.is_switched_off(),
            epochs_trained: search.iterations.iter().map(trained).sum(),
            epochs_saved: stopped.map(saved).sum(),
        }
    }
}
