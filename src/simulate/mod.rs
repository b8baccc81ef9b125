//! What early stopping would have saved, and lost, on recorded curves. Appends nothing.
//!
//! | file | what |
//! | --- | --- |
//! | `files`, `curves_file` | [`SimulationInput`]: what is read, and the files that are written |
//! | `walk` | [`RecordedCurves`], their [`Orders`], one of them walked through a [`RuleSetting`] |
//! | `simulation` | [`simulate`]: all orders and settings (section 4.1 of the paper) |
//! | `hyperband` | [`simulate_hyperband`]: with and without stopping in its rungs (section 5) |
//! | `summary` | `SettingSummary`, `HyperbandSummary`: means over orders, as tables too |
//! | `regressor_scores` | [`EpochScore`]: R squared of a regressor, epoch by epoch |
//!
//! The rule and its predictor are those of [`crate::predictor`]. Used by `cli` alone.

mod curves_file;
mod files;
#[cfg(test)]
mod golden;
mod hyperband;
mod regressor_scores;
mod simulation;
mod summary;
mod walk;

pub use curves_file::{CurveOptions, read_recorded};
pub use files::{SimulationInput, check_target, write_scores, write_trace};
pub use hyperband::simulate_hyperband;
pub use regressor_scores::{EpochScore, score_beside_last_seen, score_regressor};
pub use simulation::{SearchScope, SimulationParams, simulate};
pub use summary::{hyperband_table, stopping_table};
pub use walk::{Orders, RecordedCurves, RuleSetting};
