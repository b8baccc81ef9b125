//! What became of the tasks on one host.

use serde::Serialize;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HostTally {
    pub host: String,
    /// Claims that ended with a result.
    pub results: u64,
    /// Claims that ended without one.
    pub lost: u64,
    /// Tasks whose trainer refused to work.
    pub refused: u64,
    /// How many of the newest failed, one after the other.
    pub failures_in_a_row: u64,
    /// Why the newest failed one did.
    pub last_reason: Option<String>,
    /// Whether the host seems to be at fault.
    pub bad: bool,
}
