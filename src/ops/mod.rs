//! One operation per command, on typed values.
//!
//! | file | holds |
//! | --- | --- |
//! | `experiment.rs` | [`Experiment`]: a directory with the configuration in force |
//! | `init.rs`, `set.rs` | a configuration becomes an experiment; `set` rows change it |
//! | `journal.rs` | `Journal`: log and search state; `Transaction`: rows appended under the lock |
//! | `train/` | one task: claim, train, record |
//! | `reduce/` | lost claims, Q-learning, the predictor, the tables |
//! | `rounds/` | rounds as jobs of the scheduler: submit, chain, cancel |
//! | `run.rs` | the same with processes of this machine |
//! | `status.rs` | how far a search is |
//! | `verify/`, `doctor/` | checks of an experiment; of this machine and cluster |
//! | `import.rs`, `export.rs` | the files of the published program |
//! | `refusal.rs` | [`Refusal`]: reasons not to begin, by exit code |
//!
//! Used by `cli` and `simulate`.

pub mod doctor;
mod experiment;
pub mod export;
pub mod import;
pub mod init;
pub(crate) mod journal;
pub mod reduce;
mod refusal;
pub mod rounds;
pub mod run;
pub mod set;
pub mod status;
pub mod train;
pub mod verify;

pub use experiment::Experiment;
pub use refusal::Refusal;
pub use train::event::TrainEvent;
