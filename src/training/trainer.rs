//! What every trainer does.

use std::ops::ControlFlow;
use std::path::Path;

use super::error::TrainingError;
use super::protocol::{EpochReport, Request};

/// How a training ended, as far as the trainer knows.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingEnd {
    Done,
    /// Ended early because the callback asked for it.
    Stopped,
    Failed {
        reason: String,
    },
    /// `peak_bytes`: the greatest memory in use, when known.
    OutOfMemory {
        peak_bytes: Option<u64>,
    },
    /// Ended by a signal, its checkpoint whole if it keeps any; to be taken up again.
    /// `Interrupt::signal` says which signal; none when only the trainer got it.
    Interrupted,
}

pub trait Trainer {
    /// Makes sure that networks can be trained here, before anything is claimed; returns where, in
    /// words, if the trainer says so.
    ///
    /// `request` is one of 0 epochs: it names the recipe and the data, and asks for no network.
    fn prepare(&mut self, request: &Request) -> Result<Option<String>, TrainingError>;

    /// Trains the network of `request`, calling `on_epoch` after each epoch; a break ends the
    /// training early, and from then on it is [`TrainingEnd::Stopped`] whatever else happens.
    ///
    /// `log` is where the last lines of the trainer's stderr go; a trainer that says nothing makes
    /// no file.
    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError>;
}
