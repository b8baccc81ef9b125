//! The configuration of an experiment: one YAML file, one section per module.
//!
//! [`ExperimentConfig`] is what a person wrote, defaults filled in; [`ValidConfig`] is the same
//! after every rule was checked, and all that the rest of the program trusts.
//!
//! * `load`: from text to [`ExperimentConfig`] and back; `defaults.yaml` holds every key;
//! * `keys`: unknown keys are refused with their path and the nearest known key;
//! * `yaml`: the parser's messages in plain words;
//! * `setting`: [`Setting`], `PATH=VALUE` of the command line, and the [`Change`] it makes;
//! * `validate`: [`ValidConfig`]; `warnings`: what is allowed, but hardly meant.
//!
//! Used by `ops` and `cli`.

mod error;
mod keys;
mod load;
mod setting;
mod validate;
mod warnings;
mod yaml;

use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use load::{DEFAULTS, in_force, leaves, load};
pub use setting::{Change, Setting};
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
    pub experiment: ExperimentParams,
    pub data: DataParams,
    #[serde(default)]
    pub search_space: SpaceParams,
    #[serde(default)]
    pub q_learning: QLearningParams,
    #[serde(default)]
    pub epsilon_schedule: EpsilonScheduleParams,
    #[serde(default)]
    pub reward: RewardParams,
    #[serde(default)]
    pub training: Recipe,
    #[serde(default)]
    pub early_stopping: PredictorParams,
    #[serde(default)]
    pub slurm: SlurmParams,
}

/// The `experiment` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentParams {
    pub name: String,
    #[serde(default)]
    pub seed: u64,
}
