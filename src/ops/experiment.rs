//! An experiment, opened: its directory and its frozen configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, ExperimentConfig, Setting, ValidConfig};
use crate::dataset::{DataKind, DataParams, Fingerprint, restore_pictures};
use crate::ops::{Refusal, recording};
use crate::seed;
use crate::space::Candidate;
use crate::storage::fs::yaml;
use crate::storage::view::ViewParams;
use crate::storage::{ExperimentDir, FORMAT_VERSION, ReplayLog, Row, StorageError, Trust};
use crate::strategy::Strategy;
use crate::training::TrainerKind;

/// `experiment.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frozen {
    pub format_version: u32,
    pub program_version: String,
    /// Null when the trainer brings its own images.
    pub data_files: Option<Fingerprint>,
    pub training_images: Option<u64>,
    #[serde(default)]
    pub validation_images: Option<u64>,
    /// Which picture is of which part, as CSV, where the images are pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<String>,
    /// Checksum of what the trainer `recorded` answers from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Every default spelled out.
    pub config: ExperimentConfig,
}

impl Frozen {
    pub fn without_images(config: ExperimentConfig) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            program_version: env!("CARGO_PKG_VERSION").into(),
            data_files: None,
            training_images: None,
            validation_images: None,
            pictures: None,
            recording: None,
            config,
        }
    }

    pub fn in_force(&self, dir: &ExperimentDir, settings: &[String]) -> Result<ValidConfig> {
        let parsed = settings.iter().map(|setting| setting.parse::<Setting>());
        let config = parsed
            .collect::<Result<Vec<_>, _>>()
            .and_then(|parsed| self.config.in_force(&parsed))
            .map_err(Into::into)
            .and_then(recording::checked)
            .with_context(|| match settings {
                [] => format!("`{}`", dir.configuration().display()),
                _ => format!(
                    "`{}` with the `set` rows of `{}` (`metaqnn verify` names the row)",
                    dir.configuration().display(),
                    dir.replay_log().display()
                ),
            })?;
        recording::check_unchanged(&config, self.recording.as_ref())?;
        check_checkpoint_dir(&config, dir.root())?;
        Ok(config)
    }
}

/// A directory with the configuration in force: the frozen one, changed by `set` rows of the log.
#[derive(Debug)]
pub struct Experiment {
    dir: ExperimentDir,
    config: ValidConfig,
    pub(crate) frozen: Frozen,
    /// Checksum of `experiment.yaml`.
    sha256: String,
    pub(crate) settings: Vec<String>,
    /// Who may write to it, besides this user.
    pub(crate) trust: Trust,
}

impl Experiment {
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, ReplayLog::settings)
    }

    /// Opens it without its `set` rows where one of them, as `error` says, has a value that cannot
    /// be in force; not where a newer program wrote the row.
    pub(crate) fn open_as_frozen(path: &Path, error: anyhow::Error) -> Result<Self> {
        match error.downcast_ref() {
            None | Some(ConfigError::UnknownKey { .. } | ConfigError::Frozen(_)) => Err(error),
            Some(_) => Self::open_with(path, |_| Ok(Vec::new())).map_err(|_| error),
        }
    }

    fn open_with(
        path: &Path,
        settings: impl FnOnce(&ExperimentDir) -> Result<Vec<String>, StorageError>,
    ) -> Result<Self> {
        // Absolute: jobs run in other folders.
        let path = std::path::absolute(path).context("failed to find the current folder")?;
        let (mut dir, text) = ExperimentDir::open_frozen(&path)?;
        let frozen: Frozen = yaml::parse(&text.text, &dir.configuration()).map_err(newer_key)?;
        let settings = settings(&dir)?;
        let config = frozen.in_force(&dir, &settings)?;
        if let Some(place) = &config.recipe.checkpoint_dir {
            // A folder of the experiment's own.
            let name = format!("{}-{}", config.experiment.name, dir.identity(&text.sha256)?);
            dir.scratch = Some(place.join(name));
        }
        Ok(Self { dir, config, frozen, sha256: text.sha256, settings, trust: Trust::Owner })
    }

    /// Checks who can write to it: before a program that it names is started, here or by a job.
    pub fn trusted_by(self, trust: Trust) -> Result<Self> {
        self.dir.check_trust(trust)?;
        Ok(Self { trust, ..self })
    }

    /// Reads everything again, with what was changed since.
    pub fn reopened(&self) -> Result<Self> {
        Self::open(self.dir.root())?.trusted_by(self.trust)
    }

    /// The experiment after these `set` rows.
    pub(crate) fn changed_by(&self, settings: Vec<String>) -> Result<Self> {
        self.seen_with(settings)?.trusted_by(self.trust)
    }

    /// The same, to be looked at.
    pub(crate) fn seen_with(&self, settings: Vec<String>) -> Result<Self> {
        Self::open_with(self.dir.root(), |_| Ok(settings))
    }

    pub const fn dir(&self) -> &ExperimentDir {
        &self.dir
    }

    pub const fn config(&self) -> &ValidConfig {
        &self.config
    }

    /// The configuration but for name and seed, as experiments with other seeds have it.
    pub(crate) fn family(&self) -> String {
        let mut config = self.config.config.clone();
        (config.experiment.name, config.experiment.seed) = (String::new(), 0);
        serde_json::to_string(&config).expect("a configuration has only plain fields")
    }

    pub(crate) fn view_params(&self) -> ViewParams {
        ViewParams {
            space: self.config.space.clone(),
            q_learning: self.config.q_learning.clone(),
            seed: self.config.experiment.seed,
            sha256: self.sha256.clone(),
        }
    }

    /// The strategy before the first row.
    pub(crate) fn strategy(&self) -> Box<dyn Strategy> {
        self.config.strategy.strategy(self.config.experiment.seed)
    }

    /// What the random numbers of a training follow from, besides the seed: its iteration, or in a
    /// list what is trained, so that a lost training is repeated as it was; so with a recording,
    /// which says the same of a network to every strategy.
    pub(crate) fn stream(&self, row: &Row) -> u64 {
        let is_given = self.config.strategy.kind.is_given() || self.config.recording.is_some();
        match row.candidate().filter(|_| is_given) {
            Some(Candidate { architecture, repeat }) => seed::of_candidate(&architecture, repeat),
            None => row.iteration.unwrap_or_default().0,
        }
    }

    /// Checks that the images are those of the beginning. Of pictures that is their cache, which is
    /// made again where it is gone or damaged.
    pub fn check_data(&self) -> Result<()> {
        let Some(files) = &self.frozen.data_files else { return Ok(()) };
        let data = self.trainer_data().check()?;
        let Err(error) = files.check_files(&data) else { return Ok(()) };
        match (&self.frozen.pictures, &self.config.config.strategy.list.from.experiment) {
            (Some(list), _) => restore_pictures(&self.config.data, list)?,
            // A list may train on the cache of the experiment that it was taken from.
            (None, Some(parent)) => {
                let restored = Self::open(parent).and_then(|parent| parent.check_data());
                restored.unwrap_or_else(|error| log::warn!("`{}`: {error:#}", parent.display()));
            }
            (None, None) => return Err(error.into()),
        }
        Ok(files.check_files(&data)?)
    }

    /// What a request names as its data.
    pub fn trainer_data(&self) -> DataParams {
        self.config.data.for_trainer(self.frozen.pictures.as_deref())
    }

    /// By how many images a network is judged: unknown where the trainer brings its own, or makes
    /// accuracies up.
    pub fn validation_images(&self) -> Option<u64> {
        let ValidConfig { data, recipe, .. } = &self.config;
        // Not counted where they were not there at the beginning, or by an earlier program.
        let configured = || data.kind.and(data.validation.images).map(u64::from);
        let images = self.frozen.validation_images.or_else(configured);
        images.filter(|_| recipe.trainer != TrainerKind::Synthetic)
    }

    /// In the order of their labels.
    pub fn class_names(&self) -> Vec<String> {
        let data = self.trainer_data();
        // SVHN's are its digits, whatever they begin at: class 9 is the digit 0.
        let first = data.first_label.filter(|_| data.kind != Some(DataKind::Svhn)).unwrap_or(0);
        let numbers = || (0..data.classes).map(|class| (first + class).to_string()).collect();
        data.class_names.unwrap_or_else(numbers)
    }
}

/// Resolved as far as it exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let (above, real) = existing.unwrap_or((path, path.to_owned()));
    real.join(path.strip_prefix(above).unwrap_or(path))
}

pub(crate) fn check_checkpoint_dir(config: &ValidConfig, root: &Path) -> Result<(), Refusal> {
    match &config.recipe.checkpoint_dir {
        Some(place) if resolved(place).starts_with(resolved(root)) => Err(Refusal::Usage(format!(
            "`training.checkpoint_dir` is `{}`, inside the experiment (name a folder outside, or \
             `null` for `checkpoints/` in it)",
            place.display()
        ))),
        _ => Ok(()),
    }
}

/// A whole file with a key that this program does not know is a newer program's.
fn newer_key(error: StorageError) -> StorageError {
    let StorageError::Yaml { path, source } = &error else { return error };
    let text = source.to_string();
    let Some((_, key)) = text.split_once("unknown field `") else { return error };
    let key = key.split('`').next().unwrap_or(key);
    let problem = format!(
        "holds the key `{key}`, which a newer program wrote and this one does not know (use the \
         program that made the experiment)"
    );
    StorageError::Unusable { path: path.clone(), problem }
}
