//! One operation per command, on typed values.
//!
//! `experiment` opens a directory with the configuration in force; `journal` has its log and search
//! state, and transactions that append under the lock; `rounds` are jobs of the scheduler.
//!
//! Used by `cli` and `simulate`.

pub mod benchmark;
pub mod check_trainer;
pub mod compare;
pub mod doctor;
mod experiment;
pub mod explain;
pub mod export;
pub mod finalize;
pub mod import;
pub mod init;
pub(crate) mod journal;
pub mod list;
pub mod pictures;
pub mod predict;
pub(crate) mod recording;
pub mod reduce;
mod refusal;
pub mod report;
pub mod reproduce;
pub mod rounds;
pub mod run;
pub mod set;
pub mod siblings;
pub mod status;
pub mod train;
pub mod verify;

pub use experiment::Experiment;
pub use refusal::Refusal;
pub use train::event::TrainEvent;
