//! One operation per verb, on typed values.
//!
//! The life of a round: [`rounds::submit`] plans it and hands an array of tasks and a reduce to the
//! scheduler. Each task is [`train`]: it claims an architecture under the lock of the replay log
//! (`claim`), has it trained (`attempt`), asks after each epoch whether to go on (`verdicts`), and
//! records the result. [`reduce`] loses the claims that ended without one, learns from the new rows,
//! fits the predictor at fixed counts (`refit`), publishes a view; [`rounds::chain`] submits the next round.
//! [`run`] does the same with processes of this machine.

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
