//! From an architecture to the end of its training. In reading order:
//!
//! * [`protocol`]: the trainer protocol, one JSON object a line;
//! * `recipe`: how networks are trained ([`Recipe`], checked: [`ValidRecipe`] with the learning
//!   rates and the first-epoch test);
//! * `trainer`: what every [`Trainer`] does, how a training ends ([`TrainingEnd`],
//!   [`TrainingError`]), and the signals of the scheduler ([`Interrupt`]);
//! * `synthetic`: made-up curves, for trying a search out ([`SyntheticTrainer`]);
//! * `recorded`: the curves of an experiment once more ([`RecordedTrainings`]);
//! * `program`: the trainer that a recipe asks for ([`start_trainer`]), and one that is a program:
//!   which line may follow, with `message` (what a line says), `command` (whether its program is
//!   there), `timeouts`, `child` (child processes, those of `run` and `doctor` too) and
//!   `stderr_tail`;
//! * `evaluate`: what trained networks say of images ([`evaluate()`]).
//!
//! Used by `ops`, `config`, `cli` and the program `metaqnn-torch`. Nothing here knows libtorch, the
//! log, the scheduler or the predictor.

mod child;
mod command;
mod evaluate;
#[cfg(test)]
mod fixture;
mod message;
mod program;
pub mod protocol;
mod recipe;
mod recorded;
mod stderr_tail;
mod synthetic;
mod timeouts;
mod trainer;

pub(crate) use child::{ChildCommand, ChildProcess, Output};
pub(crate) use command::{doubt_of_command, freeze_command};
pub use evaluate::evaluate;
pub(crate) use program::{Dialogue, Introduction, ProgramTrainer, start_trainer};
pub use protocol::EpochReport;
pub use recipe::{
    Device, Initialisation, KeptModels, OptimizerKind, Precision, Recipe, Schedule, TrainerKind,
    ValidRecipe, default_first_epoch_threshold,
};
pub use recorded::{RecordedEvent, RecordedRow, RecordedTrainings};
pub use synthetic::SyntheticTrainer;
pub(crate) use trainer::TICK;
pub use trainer::{Interrupt, Report, Signal, Trainer, TrainingEnd, TrainingError};
