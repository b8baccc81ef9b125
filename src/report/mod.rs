//! Reports: what a search has found, as values, then as tables for a spreadsheet and for the terminal.
//!
//! The caller fills flat records ([`IterationRecord`], [`CurveRecord`], [`QValueRecord`]) from the
//! replay log, the curves and the Q-table; everything here is computed from those and returned as
//! values and text. Writing files, printing and the clock are the caller's business.
//!
//! [`Summary`] is the search in numbers (`status --json`), [`terminal`] shows it to people,
//! [`tables`] are the CSV files with their data dictionary.

mod architectures;
mod counts;
mod early_stopping;
mod epsilons;
#[cfg(test)]
mod golden;
mod hosts;
mod records;
#[cfg(test)]
mod sample;
mod settings;
mod summary;
pub mod tables;
pub mod terminal;
mod time_left;

pub use architectures::{ArchitectureRecord, ranking};
pub use early_stopping::{EarlyStopping, PredictorRecord};
pub use hosts::{CommonFailure, HostTask, Hosts, WorkEnd};
pub use records::{CurveRecord, EpochRecord, IterationRecord, QValueRecord, Status};
pub use settings::{Condition, EpsilonStage, SearchSettings, SearchState, TrainedBy};
pub use summary::Summary;
