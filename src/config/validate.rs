//! Every rule of a configuration, checked once.

use super::ExperimentConfig;
use super::error::ConfigError;
use crate::dataset::ValidDataParams;
use crate::invalid::Invalid;
use crate::predictor::ValidPredictorParams;
use crate::q_learning::{EpsilonSchedule, ValidQLearningParams};
use crate::slurm::ValidSlurmParams;
use crate::space::{DataShape, Space};
use crate::training::{TrainerKind, ValidRecipe};

/// A configuration that passed every check: as written, and section by section.
#[derive(Debug, Clone, derive_more::Deref)]
pub struct ValidConfig {
    #[deref]
    pub config: ExperimentConfig,
    pub data: ValidDataParams,
    pub space: Space,
    pub q_learning: ValidQLearningParams,
    pub schedule: EpsilonSchedule,
    pub recipe: ValidRecipe,
    pub early_stopping: ValidPredictorParams,
    pub slurm: ValidSlurmParams,
}

impl ExperimentConfig {
    /// Checks every section and what spans several. Nothing is read from disk.
    ///
    /// # Errors
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
    /// Every default is written out.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_yaml::to_string(&self.config).map_err(ConfigError::Unwritable)
    }
}

/// The name becomes a folder and a job name: nothing that a shell or a path could interpret.
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
