//! Every rule of a configuration, checked once.

use super::error::ConfigError;
use super::{ExperimentConfig, ExperimentParams};
use crate::dataset::ValidDataParams;
use crate::invalid::Invalid;
use crate::predictor::ValidPredictorParams;
use crate::q_learning::{EpsilonSchedule, RewardParams, ValidQLearningParams};
use crate::slurm::ValidSlurmParams;
use crate::space::{DataShape, Space};
use crate::training::{TrainerKind, ValidRecipe};

/// A configuration that passed every check.
#[derive(Debug, Clone)]
pub struct ValidConfig {
    /// The configuration as it was checked.
    pub config: ExperimentConfig,
    /// The images.
    pub data: ValidDataParams,
    /// The search space over images of their shape.
    pub space: Space,
    /// The agent.
    pub q_learning: ValidQLearningParams,
    /// Its epsilon schedule.
    pub schedule: EpsilonSchedule,
    /// The recipe for networks.
    pub recipe: ValidRecipe,
    /// The predictor and its stopping rule.
    pub early_stopping: ValidPredictorParams,
    /// The jobs.
    pub slurm: ValidSlurmParams,
}

impl ExperimentConfig {
    /// Checks every section and what spans several. Nothing is read from disk.
    ///
    /// # Errors
    /// The first rule that is broken, with its key and value.
    pub fn check(self) -> Result<ValidConfig, ConfigError> {
        check_name(&self.experiment.name)?;
        let image = DataShape {
            size: self.data.input_size,
            channels: self.data.channels,
            classes: self.data.classes,
        };
        if self.training.trainer == TrainerKind::Torch && self.data.kind.is_none() {
            let allowed = "`training.trainer` is `torch`: name format and folder of the images, \
                           `data.kind` and `data.path`";
            return Err(Invalid::new("data.kind", "null", allowed).into());
        }
        Ok(ValidConfig {
            data: self.data.clone().check()?,
            space: self.search_space.clone().check(image)?,
            q_learning: self.q_learning.clone().check()?,
            schedule: self.epsilon_schedule.clone().check()?,
            recipe: self.training.clone().check(image.classes)?,
            early_stopping: self.early_stopping.clone().check()?,
            slurm: self.slurm.clone().check()?,
            config: self,
        })
    }
}

impl ValidConfig {
    /// Returns name and seed.
    pub const fn experiment(&self) -> &ExperimentParams {
        &self.config.experiment
    }

    /// Returns the seed of every random number.
    pub const fn seed(&self) -> u64 {
        self.config.experiment.seed
    }

    /// Returns what outcomes are worth.
    pub const fn reward(&self) -> &RewardParams {
        &self.config.reward
    }
}

/// The name becomes a folder and a job name, so it is kept free of anything a shell or a path could read.
fn check_name(name: &str) -> Result<(), Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && name.len() <= 64;
    let allowed = "use 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first";
    Invalid::unless(well_formed, "experiment.name", name.escape_debug(), allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_for_paths_and_shells() {
        for name in ["svhn", "cifar-10_b.2"] {
            assert!(check_name(name).is_ok());
        }
        for name in ["", "a b", "../x", "-x", "a/b", "$(x)", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
