//! Reports: what a search has found, as values, tables for spreadsheets and text for a terminal.
//!
//! Made of [`SearchData`], which `ops` reads; writing, printing and the clock are its caller's.
//! `iterations`: one row an iteration, the ranking; [`Summary`]: the search in numbers, `status
//! --json`; [`terminal`]: the same as text; [`tables`]: the CSV files with their data dictionary;
//! [`finals`]: the long trainings after the search; [`benchmark`]: strategies compared;
//! [`explain`]: one iteration; [`figures`]: SVG; [`page`]: all of it in HTML;
//! [`mod@workbook`]: the tables as .xlsx; [`reproduce`]: the claims of the papers.

pub mod benchmark;
pub mod certificate;
pub mod compare;
pub mod explain;
pub mod figures;
pub mod finals;
#[cfg(test)]
mod golden;
mod iterations;
pub mod page;
pub mod reproduce;
mod resample;
#[cfg(test)]
mod sample;
mod search;
mod summary;
pub mod tables;
pub mod terminal;
mod time_left;
pub mod workbook;

pub use iterations::{
    ArchitectureRecord, Ledger, by_iteration, first_start, ordered_bits, ranking,
};
pub use search::{Condition, EarlyStopping, IMPORTED, QValue, SearchData, who_trained};
pub use summary::{HostTally, JobQueue, Summary, WaitingJobs};
