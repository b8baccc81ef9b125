//! From an architecture to an outcome.
//!
//! A [`Trainer`] trains one network, reports each epoch, and may be told to stop. There are two:
//! `ProgramTrainer` speaks the trainer protocol ([`protocol`]) with a program, ours
//! (`metaqnn-torch`) or anybody's, and `SyntheticTrainer` makes learning curves up for trying a
//! search out. How a network is to be trained is the [`Recipe`].
//!
//! Nothing here knows libtorch, the replay log, the scheduler or the predictor: a trainer gets a
//! request and a callback.

mod epoch_report;
mod error;
mod learning_rate;

pub mod protocol;
mod recipe;

use std::ops::ControlFlow;

pub use epoch_report::EpochReport;
pub use error::TrainingError;

pub use recipe::{Device, Initialisation, Precision, Recipe, TrainerKind, ValidRecipe};

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
    /// Ended by a signal after its checkpoint was made whole; to be taken up again.
    Interrupted,
}

/// Trains one network after another.
pub trait Trainer {
    /// Trains the network of `request`, calling `on_epoch` after each epoch; a break ends the training early.
    ///
    /// # Errors
    /// When the trainer, not the network, is at fault: it cannot be started, ends without an
    /// answer, breaks the protocol, or is silent for too long.
    fn train(
        &mut self,
        request: &protocol::Request,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<Ending, TrainingError>;
}
