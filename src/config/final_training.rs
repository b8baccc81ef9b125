//! The `final_training` section: what the long trainings after a search have different from its
//! own.

use std::mem;

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use super::keys::entries;
use super::load::{Setting, parse};
use super::{ConfigError, ExperimentConfig};
use crate::dataset::{AugmentParams, Preprocess};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinalTrainingParams {
    pub rate: FinalRate,
    /// Keys of `training` in place of the search's.
    pub training: Mapping,
    pub data: FinalDataParams,
}

/// The images are those of the search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinalDataParams {
    pub preprocess: Option<Preprocess>,
    pub augment: Option<AugmentParams>,
    pub extra: Option<bool>,
}

/// With which learning rate a network begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalRate {
    /// That of the schedule.
    #[default]
    Configured,
    /// The one with which it passed the first epoch in the search.
    Found,
}

impl ExperimentConfig {
    /// Returns the configuration of the final training, given the learning rates with which networks
    /// have passed their first epoch, by their texts in the log.
    pub fn final_config(&self, found: Vec<(String, f64)>) -> Result<Self, ConfigError> {
        let mut config = self.clone();
        let FinalTrainingParams { rate, training, data } = mem::take(&mut config.final_training);
        let keys = entries(&training, "training").into_iter();
        let settings = keys.map(|(path, value)| Setting { path, value: value.clone() });
        let mut own = parse(&config.to_yaml(), &settings.collect::<Vec<_>>())?;
        own.data.preprocess = data.preprocess.unwrap_or(own.data.preprocess);
        own.data.augment = data.augment.unwrap_or(own.data.augment);
        own.data.extra = data.extra.unwrap_or(own.data.extra);
        if rate == FinalRate::Found {
            own.training.learning_rates = found;
        }
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ValidConfig;
    use super::*;
    use crate::training::{OptimizerKind, Schedule};

    fn config(final_training: &str) -> Result<ValidConfig, ConfigError> {
        let least = "experiment: {name: x}\n\
                     data: {kind: idx, path: x, classes: 10, input_size: 28, channels: 1}\n\
                     training: {weight_decay: 0.001, precision: tf32}\n";
        parse(&format!("{least}final_training: {final_training}\n"), &[])?.check()
    }

    #[test]
    fn only_what_is_named_differs_in_the_final_training() {
        let search = config(
            "{training: {epochs: 3, optimizer: sgd, schedule: stages, stages: [[0.025, 2], [0.01, \
             1]]}, data: {augment: {translate: 5}}}",
        )
        .unwrap();
        let last = search.final_config(vec![("[SM(10)]".into(), 0.0004)]).unwrap();
        let recipe = &last.training;
        assert_eq!((recipe.epochs, recipe.optimizer), (3, OptimizerKind::Sgd));
        assert_eq!((recipe.schedule, recipe.stages.len()), (Schedule::Stages, 2));
        assert_eq!((recipe.weight_decay, recipe.learning_rates.len()), (0.001, 0));
        assert_eq!((last.data.augment.translate, last.data.augment.mirror), (5, false));
        assert_eq!(last.final_training, FinalTrainingParams::default());
        assert_eq!((search.training.epochs, search.data.augment.translate), (20, 0));
        let same = config("{}").unwrap();
        assert_eq!(same.final_config(Vec::new()).unwrap(), same.config);
    }

    #[test]
    fn rates_that_were_found_are_those_of_their_networks() {
        let found = vec![("[SM(10)]".to_owned(), 0.0004)];
        let last = config("{rate: found}").unwrap().final_config(found.clone()).unwrap();
        assert_eq!(last.training.learning_rates, found);
    }

    #[test]
    fn a_final_training_that_cannot_be_is_refused_before_the_search() {
        let problem = |text| config(text).unwrap_err().to_string();
        assert_eq!(
            problem("{training: {epoch: 3}}"),
            "unknown key `final_training.training.epoch` (did you mean `training.epochs`?)"
        );
        assert_eq!(
            problem("{training: {schedule: stages}}"),
            "`final_training`: `training.stages` is `[]` (`[rate, epochs]` of each if \
             `training.schedule` is `stages`, else `[]`)"
        );
        assert!(
            problem("{training: {epochs: many}}")
                .starts_with("`final_training`: training.epochs: ")
        );
        assert!(problem("{data: {classes: 3}}").contains("unknown key `classes`"));
        assert!(problem("{data: {augment: {translate: 99}}}").contains("data.augment.translate"));
        let problem_of_extra = problem("{data: {extra: true}}");
        assert!(problem_of_extra.contains("only `data.kind: svhn`"), "{problem_of_extra}");
        assert!(problem("{rate: best}").contains("`found`"));
    }
}
