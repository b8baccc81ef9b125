//! The configuration of an experiment: one YAML file, one section per room.
//!
//! [`ExperimentConfig`] is what a person wrote, defaults filled in; [`ValidConfig`] is the same
//! after every rule was checked, and all that the rest of the program trusts. Unknown keys are
//! refused with their path and the nearest known key.

mod change;
mod document;
mod error;
mod keys;
mod load;
mod setting;
mod validate;
mod warnings;
mod wording;

use serde::{Deserialize, Serialize};

pub use change::{Change, in_force};
pub use error::ConfigError;
pub use load::{DEFAULTS, leaves, load};
pub use setting::Setting;
pub use validate::ValidConfig;

use crate::dataset::DataParams;
use crate::predictor::PredictorParams;
use crate::q_learning::{EpsilonScheduleParams, QLearningParams, RewardParams};
use crate::slurm::SlurmParams;
use crate::space::SpaceParams;
use crate::training::Recipe;

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Name and seed.
    pub experiment: ExperimentParams,
    /// The images.
    pub data: DataParams,
    /// Which networks exist.
    #[serde(default)]
    pub search_space: SpaceParams,
    /// How the agent learns.
    #[serde(default)]
    pub q_learning: QLearningParams,
    /// How many architectures are trained at which epsilon.
    #[serde(default)]
    pub epsilon_schedule: EpsilonScheduleParams,
    /// What outcomes are worth.
    #[serde(default)]
    pub reward: RewardParams,
    /// How networks are trained.
    #[serde(default)]
    pub training: Recipe,
    /// When trainings are ended early.
    #[serde(default)]
    pub early_stopping: PredictorParams,
    /// How jobs are submitted.
    #[serde(default)]
    pub slurm: SlurmParams,
}

/// The `experiment` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentParams {
    /// Name of the experiment: of its folder and of its jobs.
    pub name: String,
    /// Every random number of the search follows from it.
    #[serde(default)]
    pub seed: u64,
}
