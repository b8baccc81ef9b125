//! The configuration of an experiment: one YAML file, one section per module.
//!
//! [`ExperimentConfig`] is what a person wrote, defaults filled in; [`ValidConfig`] is the same
//! after every rule was checked, and all that the rest of the program trusts.

mod final_training;
mod keys;
mod load;
mod warnings;

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use final_training::{FinalRate, FinalTrainingParams};
pub use keys::check_changeable;
pub use load::{DEFAULTS, Setting, leaves, load, parse};

use crate::dataset::{DataParams, ValidDataParams};
use crate::invalid::Invalid;
use crate::predictor::{PredictorParams, ValidPredictorParams};
use crate::q_learning::{
    EpsilonScheduleParams, QLearningParams, RewardParams, ValidQLearningParams,
};
use crate::slurm::{SlurmParams, ValidSlurmParams};
use crate::space::{DataShape, Space, SpaceParams};
use crate::strategy::{StrategyKind, StrategyParams, ValidStrategyParams};
use crate::training::{Recipe, RecordedTrainings, TrainerKind, ValidRecipe};

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read the configuration")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Unusable(String),
    #[error("unknown key `{key}` ({hint})")]
    UnknownKey { key: String, hint: String },
    #[error(
        "`{0}` is frozen: what was learned with one value says nothing of another (make a new \
         experiment with it: `metaqnn init CONFIG NEW_DIR --set {0}=VALUE`; to be changed are only \
         `slurm.*`, `epsilon_schedule`, `strategy.architectures` and `training.` device, threads, \
         silence_limit, claim_lifetime, checkpoint_dir)"
    )]
    Frozen(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("`final_training`: {0}")]
    FinalTraining(Box<ConfigError>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    pub experiment: ExperimentParams,
    pub data: DataParams,
    #[serde(default)]
    pub search_space: SpaceParams,
    #[serde(default)]
    pub strategy: StrategyParams,
    #[serde(default)]
    pub q_learning: QLearningParams,
    #[serde(default)]
    pub epsilon_schedule: EpsilonScheduleParams,
    #[serde(default)]
    pub reward: RewardParams,
    #[serde(default)]
    pub training: Recipe,
    #[serde(default)]
    pub final_training: FinalTrainingParams,
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

/// A configuration that passed every check: as written, and section by section.
#[derive(Debug, Clone, derive_more::Deref)]
pub struct ValidConfig {
    #[deref]
    pub config: ExperimentConfig,
    pub data: ValidDataParams,
    pub space: Space,
    pub strategy: ValidStrategyParams,
    pub q_learning: ValidQLearningParams,
    pub recipe: ValidRecipe,
    pub early_stopping: ValidPredictorParams,
    pub slurm: ValidSlurmParams,
    /// Of the trainer `recorded`.
    pub recording: Option<Arc<RecordedTrainings>>,
}

impl ExperimentConfig {
    /// Reads nothing from disk, so that a recording is left out.
    pub fn check(self) -> Result<ValidConfig, ConfigError> {
        self.check_with(None)
    }

    pub fn check_with(
        self,
        recording: Option<Arc<RecordedTrainings>>,
    ) -> Result<ValidConfig, ConfigError> {
        check_name(&self.experiment.name)?;
        if self.training.trainer == TrainerKind::Torch && self.data.kind.is_none() {
            let allowed = "`training.trainer` is `torch`: name format and folder of the images, \
                           `data.kind` and `data.path`";
            return Err(Invalid::new("data.kind", "null", allowed).into());
        }
        if !self.data.has_validation() && self.strategy.kind != StrategyKind::List {
            let allowed = "a search needs images that judge its networks: give a number, or null \
                           for a fifth; 0 is for `strategy.kind: list`";
            return Err(Invalid::new("data.validation.images", 0, allowed).into());
        }
        if !self.data.has_validation() && self.early_stopping.enabled {
            let allowed = "`data.validation.images` is 0, so that no network is judged: leave it \
                           out, or give a number there";
            return Err(Invalid::new("early_stopping.enabled", true, allowed).into());
        }
        let mut space = self.space_of_strategy()?;
        if let Some(trainings) = &recording {
            let networks = trainings.networks(&space);
            space = space.restricted_to(&networks);
        }
        for (key, text) in self.training.named_networks() {
            check_name_of_network(key, text, &space)?;
        }
        let strategy = self.strategy.clone().check(&space, &self.epsilon_schedule)?;
        if self.final_training != FinalTrainingParams::default() {
            let last = self.final_config(Vec::new()).and_then(Self::check);
            last.map_err(|problem| ConfigError::FinalTraining(Box::new(problem)))?;
        }
        Ok(ValidConfig {
            data: self.data.clone().check()?,
            space,
            strategy,
            q_learning: self.q_learning.clone().check()?,
            recipe: self.training.clone().check(self.data.classes)?,
            early_stopping: self.early_stopping.clone().check()?,
            slurm: self.slurm.clone().check()?,
            recording,
            config: self,
        })
    }

    /// In a list every network is legal that can be built.
    pub fn space_of_strategy(&self) -> Result<Space, Invalid> {
        let space = self.space()?;
        Ok(if self.strategy.kind == StrategyKind::List { space.buildable() } else { space })
    }

    pub fn space(&self) -> Result<Space, Invalid> {
        let DataParams { input_size: size, channels, classes, .. } = self.data;
        self.search_space.clone().check(DataShape { size, channels, classes })
    }

    /// A frozen configuration after settings, checked key by key but not as a whole.
    pub fn in_force(&self, settings: &[Setting]) -> Result<Self, ConfigError> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        settings.iter().try_for_each(|setting| check_changeable(&setting.path).map(drop))?;
        self.changed(settings)
    }

    pub fn changed(&self, settings: &[Setting]) -> Result<Self, ConfigError> {
        load::parse(&self.to_yaml(), settings)
    }

    /// Every default is written out.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).expect("a configuration has only plain values")
    }
}

/// A network with settings of its own is found by its text in the log, which another spelling is
/// not.
fn check_name_of_network(key: &str, text: &str, space: &Space) -> Result<(), Invalid> {
    let name = space.parse(text).map_or_else(|problem| problem.to_string(), |it| it.to_string());
    let allowed = format!("give the network as the log has it: {name}");
    Invalid::unless(name == text, key, text.escape_debug(), &allowed)
}

/// The name becomes a folder and a job name: nothing that a shell or a path could interpret.
fn check_name(name: &str) -> Result<(), Invalid> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let holds = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_plain)
        && name.len() <= 64;
    let allowed = "use 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first";
    Invalid::unless(holds, "experiment.name", name.escape_debug(), allowed)
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

    #[test]
    fn a_learning_rate_of_a_network_that_the_log_calls_otherwise_is_refused() {
        let with = |text: &str| {
            let setting = format!("training.learning_rates=[[\"{text}\", 0.01]]").parse().unwrap();
            load::parse(DEFAULTS, &[setting]).unwrap().check().map(drop)
        };
        let name = "[C(64,3,1), C(64,3,1), D(1,1), SM(10)]";
        assert!(with(name).is_ok());
        let problem = with("[C(64,3,1), C(64,3,1), SM(10)]").unwrap_err().to_string();
        assert!(problem.contains(&format!("as the log has it: {name}")), "{problem}");
        assert!(with("SM(10)").unwrap_err().to_string().contains("expected `[`"));
    }
}
