//! What is counted and summed over iterations.

use std::collections::BTreeMap;

use serde::Serialize;

use super::records::{IterationRecord, Status};

/// How many iterations have which status; every status is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StatusCounts(BTreeMap<Status, u64>);

impl Default for StatusCounts {
    fn default() -> Self {
        Self(Status::ALL.into_iter().map(|status| (status, 0)).collect())
    }
}

impl StatusCounts {
    /// Returns how many iterations have a status.
    pub fn of(&self, status: Status) -> u64 {
        self.0[&status]
    }

    /// Returns how many iterations gave their architecture a result.
    pub fn results(&self) -> u64 {
        self.0.iter().filter(|(status, _)| status.is_result()).map(|(_, count)| count).sum()
    }

    pub(super) fn add(&mut self, status: Status) {
        *self.0.entry(status).or_default() += 1;
    }
}

/// Seconds of training, summed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Ledger {
    /// Spent on what has a result.
    pub train_seconds: f64,
    /// Saved by the stopping rule, as estimated.
    pub saved_seconds: f64,
    /// Spent on what came to nothing, not part of `train_seconds`.
    pub lost_seconds: f64,
}

impl Ledger {
    pub(super) fn add(&mut self, record: &IterationRecord) {
        self.train_seconds += record.train_seconds.unwrap_or(0.0);
        self.saved_seconds += record.saved_seconds.unwrap_or(0.0);
        self.lost_seconds += record.lost_seconds.unwrap_or(0.0);
    }
}

/// A sum with its number of terms.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Mean {
    sum: f64,
    pub(super) count: u64,
}

impl Mean {
    pub(super) fn add(&mut self, term: Option<f64>) {
        if let Some(term) = term {
            self.sum += term;
            self.count += 1;
        }
    }

    pub(super) fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}
