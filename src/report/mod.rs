//! Reports: what a search has found, as values, tables for spreadsheets and text for a terminal.
//!
//! Computed from [`SearchData`], which `ops` reads; writing files, printing and the clock are the
//! caller's. In reading order:
//!
//! * `search`: [`SearchData`], [`Condition`]; `iterations`: one row an iteration, the ranking
//! * `summary`: [`Summary`], the search in numbers (`status --json`); `time_left`
//! * [`terminal`]: text of 80 columns; [`tables`]: the CSV files with their data dictionary
//!
//! It may use `storage` for the types of rows; used by `ops` and `cli`.

#[cfg(test)]
mod golden;
mod iterations;
#[cfg(test)]
mod sample;
mod search;
mod summary;
pub mod tables;
pub mod terminal;
mod time_left;

pub use iterations::{ArchitectureRecord, by_iteration, first_start, ranking};
pub use search::{Condition, EarlyStopping, SearchData, who_trained};
pub use summary::{HostTally, Summary};
