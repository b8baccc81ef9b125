//! What every trainer does, and which one a recipe asks for.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;

use super::command::TrainerCommand;
use super::epoch_report::EpochReport;
use super::error::TrainingError;
use super::interrupt::Interrupt;
use super::program::ProgramTrainer;
use super::protocol::Request;
use super::recipe::{Recipe, TrainerKind};
use super::synthetic::SyntheticTrainer;

/// How a training ended, as far as the trainer can tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All epochs done.
    Done,
    /// Ended early because the callback asked for it.
    Stopped,
    /// The network's own fault.
    Failed {
        /// What the trainer says.
        reason: String,
    },
    /// Does not fit into the memory of the device.
    OutOfMemory {
        /// Greatest memory in use, when known.
        peak_bytes: Option<u64>,
    },
    /// Ended by a signal, its checkpoint whole if it keeps any; to be taken up again.
    /// [`Interrupt::signal`] says which signal; none when only the trainer got it.
    Interrupted,
}

/// Trains one network after another.
pub trait Trainer {
    /// Makes sure that networks can be trained here, before anything is claimed.
    ///
    /// `request` is one of 0 epochs: it names the recipe and the data, and asks for no network.
    ///
    /// # Errors
    /// When the trainer cannot be started or refuses to work.
    fn prepare(&mut self, request: &Request) -> Result<(), TrainingError>;

    /// Trains the network of `request`, calling `on_epoch` after each epoch; a break ends the
    /// training early, and from then on it is [`Ending::Stopped`] whatever else happens.
    ///
    /// `log` is where the last lines of the trainer's stderr go; a trainer that says nothing makes no file.
    ///
    /// # Errors
    /// When the trainer, not the network, is at fault: it cannot be started, refuses to work, ends
    /// without an answer, breaks the protocol, or is silent for too long. The next request begins afresh.
    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<Ending, TrainingError>;
}

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
            let command = TrainerCommand::torch(executable, search_path)?;
            Box::new(ProgramTrainer::new(command, interrupt).that_rehearses())
        }
        TrainerKind::Command => {
            let command = TrainerCommand::given(&recipe.command)?;
            Box::new(ProgramTrainer::new(command, interrupt))
        }
    })
}
