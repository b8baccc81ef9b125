//! From an architecture to an outcome.
//!
//! A [`Trainer`] trains one network, reports each epoch, and may be told to stop. There are two:
//! [`ProgramTrainer`] speaks the trainer protocol ([`protocol`]) with a program, ours
//! (`metaqnn-torch`) or anybody's, and [`SyntheticTrainer`] makes learning curves up for trying a
//! search out. How a network is to be trained is the [`Recipe`].
//!
//! Nothing here knows libtorch, the replay log, the scheduler or the predictor: a trainer gets a
//! request, the path of a log and a callback.

mod child;
mod command;
mod dialogue;
mod divergence;
mod error;
#[cfg(test)]
mod fixture;
mod interrupt;
mod learning_rate;
mod merit;
mod program;
pub mod protocol;
mod recipe;
mod stderr_tail;
mod synthetic;
mod timeouts;
mod trainer;

pub use child::ChildCommand;
pub(crate) use child::{ChildProcess, Output, TICK};
pub use command::freeze_command;
pub use error::TrainingError;
pub use interrupt::{Interrupt, Signal};
pub use program::ProgramTrainer;
pub use protocol::EpochReport;
pub use recipe::{
    Device, Initialisation, Precision, Recipe, TrainerKind, ValidRecipe,
    default_first_epoch_threshold,
};
pub use synthetic::SyntheticTrainer;
pub use timeouts::Timeouts;
pub use trainer::{Trainer, TrainingEnd};

use std::ffi::OsStr;
use std::path::Path;

/// Returns the trainer that `recipe` asks for. Nothing is started before its first request.
///
/// `executable` is the running `metaqnn`, `search_path` the variable `PATH`, `interrupt` the
/// signals that end a training.
///
/// # Errors
/// When `metaqnn-torch` is wanted and not to be found.
pub fn trainer(
    recipe: &Recipe,
    executable: &Path,
    search_path: Option<&OsStr>,
    interrupt: Interrupt,
) -> Result<Box<dyn Trainer>, TrainingError> {
    Ok(match recipe.trainer {
        TrainerKind::Synthetic => Box::new(SyntheticTrainer::new(interrupt)),
        TrainerKind::Torch => {
            let command = ChildCommand::torch(executable, search_path)?;
            Box::new(ProgramTrainer::new(command, interrupt).that_rehearses())
        }
        TrainerKind::Command => {
            let command = ChildCommand::given(&recipe.command)?;
            Box::new(ProgramTrainer::new(command, interrupt))
        }
    })
}
