//! What is counted and summed over iterations.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::iterations::STATUSES;
use crate::storage::{Event, Row};

/// How many iterations stand at which event; in JSON each of [`STATUSES`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusCounts(BTreeMap<Event, u64>);

impl StatusCounts {
    pub fn of(&self, status: Event) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// Returns how many iterations gave their architecture a result.
    pub fn results(&self) -> u64 {
        self.0.iter().filter(|(status, _)| status.is_result()).map(|(_, count)| count).sum()
    }

    pub fn add(&mut self, status: Event) {
        *self.0.entry(status).or_default() += 1;
    }
}

impl Serialize for StatusCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(STATUSES.map(|status| (status, self.of(status))))
    }
}

/// Seconds of training, summed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Ledger {
    /// Spent on what has a result.
    pub train_seconds: f64,
    /// Saved by the stopping rule, as estimated.
    pub saved_seconds: f64,
    /// Spent in vain, not part of `train_seconds`.
    pub lost_seconds: f64,
}

impl Ledger {
    pub fn add(&mut self, row: &Row) {
        self.train_seconds += row.train_seconds.unwrap_or(0.0);
        self.saved_seconds += row.saved_seconds.unwrap_or(0.0);
        self.lost_seconds += row.lost_seconds.unwrap_or(0.0);
    }
}
