//! From an architecture to an outcome.
//!
//! A [`Trainer`] trains one network, reports each epoch, and may be told to stop. There are two:
//! [`ProgramTrainer`] speaks the trainer protocol ([`protocol`]) with a program, ours
//! (`metaqnn-torch`) or anybody's, and [`SyntheticTrainer`] makes learning curves up for trying a
//! search out. How a network is to be trained is the [`Recipe`].
//!
//! Nothing here knows libtorch, the replay log, the scheduler or the predictor: a trainer gets a
//! request, the path of a log and a callback.

mod command;
mod dialogue;
mod divergence;
mod epoch_report;
mod error;
#[cfg(test)]
mod fixture;
mod interrupt;
mod last_words;
mod learning_rate;
mod merit;
mod patience;
mod process;
mod program;
pub mod protocol;
mod recipe;
mod synthetic;
mod trainer;

pub use command::{TrainerCommand, freeze_command};
pub use epoch_report::EpochReport;
pub use error::TrainingError;
pub use interrupt::{Interrupt, Signal};
pub use patience::Patience;
pub use program::ProgramTrainer;
pub use recipe::{
    Device, Initialisation, Precision, Recipe, TrainerKind, ValidRecipe,
    default_first_epoch_threshold,
};
pub use synthetic::SyntheticTrainer;
pub use trainer::{Ending, Trainer, trainer};
