//! From an architecture to the end of its training. In reading order:
//!
//! * [`protocol`]: the trainer protocol, one JSON object a line;
//! * `recipe`: how networks are trained ([`Recipe`], checked: [`ValidRecipe`] with the learning
//!   rates and the first-epoch test); `error`, `interrupt` (signals of the scheduler);
//! * `trainer`: what every [`Trainer`] does, and how a training ends ([`TrainingEnd`]);
//! * `synthetic`: made-up curves, for trying a search out ([`SyntheticTrainer`]);
//! * `program`: a trainer that is a program, `metaqnn-torch` or any other (`ProgramTrainer`),
//!   with `command` (where it lies), `dialogue` (which line may follow), `divergence` (NaN in
//!   JSON), `timeouts`, `child` (child processes, those of `run` and `doctor` too) and
//!   `stderr_tail`.
//!
//! Used by `ops`, `config`, `cli` and the program `metaqnn-torch`. Nothing here knows libtorch, the
//! log, the scheduler or the predictor.

mod child;
mod command;
mod dialogue;
mod divergence;
mod error;
#[cfg(test)]
mod fixture;
mod interrupt;
mod program;
pub mod protocol;
mod recipe;
mod stderr_tail;
mod synthetic;
mod timeouts;
mod trainer;

pub(crate) use child::{ChildCommand, ChildProcess, Output, TICK};
pub use command::freeze_command;
pub use error::TrainingError;
pub use interrupt::{Interrupt, Signal};
pub use protocol::EpochReport;
pub use recipe::{
    Device, Initialisation, Precision, Recipe, TrainerKind, ValidRecipe,
    default_first_epoch_threshold,
};
pub use synthetic::SyntheticTrainer;
pub use trainer::{Trainer, TrainingEnd};

use std::env;

use program::ProgramTrainer;

/// Returns the trainer that `recipe` asks for; nothing is started before its first request. The
/// signals of `interrupt` end a training.
pub(crate) fn trainer(
    recipe: &Recipe,
    interrupt: Interrupt,
) -> Result<Box<dyn Trainer>, TrainingError> {
    Ok(match recipe.trainer {
        TrainerKind::Synthetic => Box::new(SyntheticTrainer::new(interrupt)),
        TrainerKind::Torch => {
            // Where the running program cannot be found, PATH is left.
            let executable = env::current_exe().unwrap_or_default();
            let command = ChildCommand::torch(&executable, env::var_os("PATH").as_deref())?;
            let mut trainer = ProgramTrainer::new(command, interrupt);
            trainer.rehearses = true;
            Box::new(trainer)
        }
        TrainerKind::Command => {
            let command = ChildCommand::given(&recipe.command)?;
            Box::new(ProgramTrainer::new(command, interrupt))
        }
    })
}
