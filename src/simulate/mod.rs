//! What early stopping would have saved, and lost, on recorded curves. Appends nothing.
//!
//! Read by `files` and `curves_file`: [`SimulationInput`]. One order through one rule: `walk`. All
//! orders and settings, and R squared epoch by epoch: `simulation` (section 4.1 of the paper);
//! `hyperband` (section 5). Both into `summary`; for the figures of a report: `replay`.

mod curves_file;
mod files;
#[cfg(test)]
mod golden;
mod hyperband;
mod replay;
mod simulation;
mod summary;
mod walk;

pub use curves_file::{CurveOptions, read_recorded};
pub use files::{SimulationInput, check_target, write_predictions, write_scores, write_trace};
pub use hyperband::simulate_hyperband;
pub use replay::{replay, replay_for_claims};
pub use simulation::{
    EpochScore, SearchScope, SimulationParams, score_beside_last_seen, score_regressor, simulate,
};
pub use summary::{hyperband_table, stopping_table};
pub use walk::{Orders, RecordedCurves, RuleSetting};
