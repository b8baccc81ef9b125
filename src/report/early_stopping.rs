//! What early stopping does in a search.

use serde::Serialize;

use super::records::{IterationRecord, Status};
use crate::predictor::{AuditFindings, Scores};

/// What the caller knows of early stopping: by the configuration, the log and the newest view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EarlyStopping {
    /// Whether the configuration asks for it.
    pub enabled: bool,
    /// Networks trained to the end before the first may be stopped.
    pub burn_in: u64,
    /// Networks trained to the end so far.
    pub full_curves: u64,
    /// What the audits have shown.
    pub findings: AuditFindings,
    /// The predictor, once there is one.
    pub predictor: Option<PredictorRecord>,
}

/// The predictor of the newest view.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictorRecord {
    /// Networks trained to the end when it was fitted.
    pub full_curves: u64,
    /// Networks among them that it was fitted to.
    pub networks: u64,
    /// Sigma and the scores of predictions of networks left out of the fit, for each number of observed epochs from 1.
    pub epochs: Vec<(f64, Scores)>,
}

/// Early stopping in numbers: a part of `status --json`. Field names are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoppingSummary {
    /// Whether the configuration asks for it.
    pub enabled: bool,
    /// Networks trained to the end before the first may be stopped.
    pub burn_in: u64,
    /// Networks trained to the end so far.
    pub full_curves: u64,
    /// Networks trained to the end when the predictor was fitted; `None` without a predictor.
    pub predictor_curves: Option<u64>,
    /// Networks whose training was ended.
    pub stopped: u64,
    /// Networks trained to the end against a verdict to stop.
    pub audited: u64,
    /// Those among them that beat the best network of that verdict.
    pub false_stops: u64,
    /// Their share.
    pub false_stop_rate: Option<f64>,
    /// Lower end of its 95 % interval (Wilson).
    pub false_stop_rate_lower: Option<f64>,
    /// Upper end of its 95 % interval (Wilson).
    pub false_stop_rate_upper: Option<f64>,
    /// Whether the audits have switched stopping off.
    pub switched_off: bool,
    /// Epochs of all trainings that have a result.
    pub epochs_trained: u64,
    /// Epochs that the stopped trainings had left.
    pub epochs_saved: u64,
}

impl StoppingSummary {
    /// Sums up; a whole training has `epochs`.
    pub(super) fn new(
        stopping: &EarlyStopping,
        epochs: u32,
        iterations: &[IterationRecord],
    ) -> Self {
        let stopped = iterations.iter().filter(|record| record.status == Status::Stopped);
        let trained = |record: &IterationRecord| u64::from(record.epochs.unwrap_or(0));
        let findings = stopping.findings;
        let interval = findings.interval();
        Self {
            enabled: stopping.enabled,
            burn_in: stopping.burn_in,
            full_curves: stopping.full_curves,
            predictor_curves: stopping.predictor.as_ref().map(|predictor| predictor.full_curves),
            stopped: stopped.clone().count() as u64,
            audited: findings.audited,
            false_stops: findings.false_stops,
            false_stop_rate: findings.rate(),
            false_stop_rate_lower: interval.map(|(lower, _)| lower),
            false_stop_rate_upper: interval.map(|(_, upper)| upper),
            switched_off: findings.is_switched_off(),
            epochs_trained: iterations.iter().map(trained).sum(),
            epochs_saved: stopped
                .map(|record| u64::from(epochs).saturating_sub(trained(record)))
                .sum(),
        }
    }
}
