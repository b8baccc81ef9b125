//! One operation per verb, on typed values.
//!
//! The life of a round: [`submit`] plans it and hands an array of tasks and a reduce to the
//! scheduler. Each task is [`train`]: it claims an architecture under the lock of the replay log
//! (`claim`), has it trained (`attempt`), asks after each epoch whether to go on (`verdicts`), and
//! records the result. [`reduce`] loses the claims that ended without one, learns from the new rows,
//! fits the predictor at fixed counts (`refit`), publishes a view; [`chain`] submits the next round.
//! [`run`] does the same with processes of this machine.

mod attempt;
mod attempt_files;
pub mod cancel;
pub mod chain;
mod claim;
mod current;
mod curve_in_progress;
pub mod doctor;
mod experiment;
mod halt;
mod hosts;
pub mod init;
mod known_rows;
mod left_results;
mod live_log;
pub mod lost_claims;
pub mod rebuild;
mod records;
pub mod reduce;
pub mod reference;
mod refit;
mod refusal;
mod result_row;
mod round;
mod round_jobs;
mod round_plan;
mod round_refused;
mod round_size;
mod round_stage;
mod round_step;
pub mod run;
mod scheduler;
pub mod set;
pub mod simulate;
mod snapshot;
pub mod status;
pub mod submit;
pub mod tables;
mod task;
pub mod train;
mod train_event;
mod unclaimed;
mod verdicts;
pub mod verify;

pub use experiment::Experiment;
pub use refusal::Refusal;
pub use train_event::TrainEvent;
