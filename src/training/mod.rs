//! From an architecture to the end of its training. In reading order:
//!
//! * [`protocol`]: the trainer protocol, one JSON object a line;
//! * `recipe`: how networks are trained ([`Recipe`], checked: [`ValidRecipe`] with the learning
//!   rates and the first-epoch test);
//! * `trainer`: what every [`Trainer`] does, how a training ends ([`TrainingEnd`],
//!   [`TrainingError`]), and the signals of the scheduler ([`Interrupt`]);
//! * `synthetic`: made-up curves, for trying a search out ([`SyntheticTrainer`]);
//! * `program`: a trainer that is a program, `metaqnn-torch` or any other (`ProgramTrainer`),
//!   with `dialogue` (which line may follow), `timeouts`, `child` (child processes, those of `run`
//!   and `doctor` too) and `stderr_tail`.
//!
//! Used by `ops`, `config`, `cli` and the program `metaqnn-torch`. Nothing here knows libtorch, the
//! log, the scheduler or the predictor.

mod child;
mod dialogue;
#[cfg(test)]
mod fixture;
mod program;
pub mod protocol;
mod recipe;
mod stderr_tail;
mod synthetic;
mod timeouts;
mod trainer;

pub(crate) use child::{ChildCommand, ChildProcess, Output, TICK};
pub use protocol::EpochReport;
pub(crate) use recipe::freeze_command;
pub use recipe::{
    Device, Initialisation, Precision, Recipe, TrainerKind, ValidRecipe,
    default_first_epoch_threshold,
};
pub use synthetic::SyntheticTrainer;
pub use trainer::{Interrupt, Signal, Trainer, TrainingEnd, TrainingError};

use std::env;

use program::ProgramTrainer;

/// Returns the trainer that a checked `recipe` asks for; nothing is started before its first
/// request. The signals of `interrupt` end a training.
pub(crate) fn trainer(
    recipe: &Recipe,
    interrupt: Interrupt,
) -> Result<Box<dyn Trainer>, TrainingError> {
    Ok(match recipe.trainer {
        TrainerKind::Synthetic => Box::new(SyntheticTrainer::new(interrupt)),
        TrainerKind::Torch => {
            // Where the running program cannot be found, PATH is left.
            let executable = env::current_exe().unwrap_or_default();
            let search_path = env::var_os("PATH");
            Box::new(ProgramTrainer::torch(&executable, search_path.as_deref(), interrupt)?)
        }
        TrainerKind::Command => Box::new(ProgramTrainer::given(&recipe.command, interrupt)),
    })
}
