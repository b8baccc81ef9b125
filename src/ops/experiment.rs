//! An experiment, opened: its directory and its frozen configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{self, ConfigError, ExperimentConfig, Setting, ValidConfig};
use crate::dataset::Fingerprint;
use crate::ops::Refusal;
use crate::storage::fs::yaml;
use crate::storage::view::ViewParams;
use crate::storage::{ExperimentDir, Nodes, ReplayLog, StorageError, Trust, check_locks_of_mount};

/// What stands in `experiment.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frozen {
    /// Version of the files.
    pub format_version: u32,
    /// The program that made the experiment.
    pub program_version: String,
    /// The image files as they were; null when the trainer brings its own images.
    pub data_files: Option<Fingerprint>,
    /// Images that train; null when the trainer brings its own.
    pub training_images: Option<u64>,
    /// The configuration, every default spelled out.
    pub config: ExperimentConfig,
}

impl Frozen {
    /// Writes it as the text of `experiment.yaml`.
    pub fn to_yaml(&self) -> anyhow::Result<String> {
        Ok(yaml::print(self, Path::new("experiment.yaml"))?)
    }
}

/// An experiment directory with the configuration in force: the frozen one, changed by the `set` rows of the log.
#[derive(Debug)]
pub struct Experiment {
    dir: ExperimentDir,
    config: ValidConfig,
    frozen: Frozen,
    /// Checksum of the frozen one.
    sha256: String,
    /// The `set` rows.
    settings: Vec<String>,
    /// Who may write to it, besides this user.
    trust: Trust,
}

impl Experiment {
    /// Opens an experiment directory.
    ///
    /// # Errors
    /// When it is none, of another format version, or its configuration does not pass the checks.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::open_with(path, ReplayLog::settings)
    }

    /// Opens an experiment of which a `set` row has no value that can be in force, without any of them; others, and
    /// those with a row that a newer program has written, are not opened because of `error`.
    ///
    /// # Errors
    /// `error`.
    pub(crate) fn open_as_frozen(path: &Path, error: anyhow::Error) -> anyhow::Result<Self> {
        let is_value = |cause: &ConfigError| {
            !matches!(cause, ConfigError::UnknownKey { .. } | ConfigError::Frozen(_))
        };
        match error.downcast_ref() {
            Some(cause) if is_value(cause) => {
                Self::open_with(path, |_| Ok(Vec::new())).map_err(|_| error)
            }
            _ => Err(error),
        }
    }

    fn open_with(
        path: &Path,
        settings: impl Fn(&ExperimentDir) -> Result<Vec<String>, StorageError>,
    ) -> anyhow::Result<Self> {
        // Absolute: jobs run in other folders.
        let path = std::path::absolute(path).context("failed to find the current folder")?;
        let (dir, text) = ExperimentDir::open_frozen(&path)?;
        let frozen: Frozen = yaml::parse(&text.text, &dir.configuration()).map_err(newer_key)?;
        let settings = settings(&dir)?;
        let config = in_force(&dir, &frozen, &settings)?;
        let dir = with_scratch(dir, &config, &text.sha256)?;
        Ok(Self { dir, config, frozen, sha256: text.sha256, settings, trust: Trust::Owner })
    }

    /// Checks that only trusted users can write to the experiment: before a program that it names is started, here or by a
    /// job.
    ///
    /// # Errors
    /// Another user can.
    pub fn trusted_by(self, trust: Trust) -> anyhow::Result<Self> {
        self.dir.check_trust(trust)?;
        Ok(Self { trust, ..self })
    }

    /// Reads everything again, with what was changed since.
    ///
    /// # Errors
    /// Those of [`Experiment::open`] and [`Experiment::trusted_by`].
    pub fn reopened(&self) -> anyhow::Result<Self> {
        Self::open(self.dir.root())?.trusted_by(self.trust)
    }

    /// Returns the experiment with the configuration in force after these `set` rows, which were read under the lock.
    pub(crate) fn changed_by(&self, settings: Vec<String>) -> anyhow::Result<Self> {
        let (dir, frozen, sha256) = (self.dir.clone(), self.frozen.clone(), self.sha256.clone());
        let config = in_force(&dir, &frozen, &settings)?;
        let dir = with_scratch(dir, &config, &sha256)?;
        Self { dir, config, frozen, sha256, settings, trust: self.trust }.trusted_by(self.trust)
    }

    /// Returns whom the person who started this process trusts.
    pub(crate) const fn trust(&self) -> Trust {
        self.trust
    }

    /// Returns the configuration in force after these `set` rows.
    ///
    /// # Errors
    /// One of them changes what this program does not know or does not change.
    pub(crate) fn in_force(&self, settings: &[String]) -> anyhow::Result<ValidConfig> {
        in_force(&self.dir, &self.frozen, settings)
    }

    /// Returns the `set` rows that the configuration was read with.
    pub(crate) fn settings(&self) -> &[String] {
        &self.settings
    }

    /// Returns the configuration as it was frozen.
    pub(crate) const fn frozen(&self) -> &ExperimentConfig {
        &self.frozen.config
    }

    /// Returns the directory.
    pub const fn dir(&self) -> &ExperimentDir {
        &self.dir
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &ValidConfig {
        &self.config
    }

    /// Returns what a view is made with.
    pub(crate) fn view_params(&self) -> ViewParams {
        ViewParams {
            space: self.config.space.clone(),
            q_learning: self.config.q_learning.clone(),
            seed: self.config.experiment.seed,
            sha256: self.sha256.clone(),
        }
    }

    /// Returns the optimizer steps of an epoch; 1 when the trainer brings its own images, so that
    /// steps are epochs.
    pub fn steps_per_epoch(&self) -> u64 {
        let batch = u64::from(self.config.recipe.batch_size);
        self.frozen.training_images.map_or(1, |images| (images / batch).max(1))
    }

    /// Checks that the lock of the log excludes every machine that works on the experiment, as far as
    /// the mount options tell.
    ///
    /// # Errors
    /// When it does not, and several machines may.
    pub fn check_locks(&self, nodes: Nodes) -> anyhow::Result<()> {
        Ok(check_locks_of_mount(self.dir.root(), nodes)?)
    }

    /// Checks that the image files are those that the experiment was made with. Nothing to check
    /// when the trainer brings its own.
    ///
    /// # Errors
    /// Names the file that is missing or has changed.
    pub fn check_data(&self) -> anyhow::Result<()> {
        if let Some(files) = &self.frozen.data_files {
            files.check_files(&self.config.data)?;
        }
        Ok(())
    }
}

/// Checks that checkpoints which are to lie outside of the experiment do.
///
/// # Errors
/// [`Refusal::CheckpointsInside`].
pub(crate) fn check_checkpoint_dir(config: &ValidConfig, root: &Path) -> Result<(), Refusal> {
    let Some(place) = &config.recipe.checkpoint_dir else { return Ok(()) };
    // Resolved as far as they exist.
    let resolved = |path: &Path| {
        let existing = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
        let (above, real) = existing.unwrap_or((path, path.to_owned()));
        real.join(path.strip_prefix(above).unwrap_or(path))
    };
    if resolved(place).starts_with(resolved(root)) {
        return Err(Refusal::CheckpointsInside { place: place.clone() });
    }
    Ok(())
}

/// Puts checkpoints where the configuration in force wants them, in a folder of the experiment's own.
fn with_scratch(
    dir: ExperimentDir,
    config: &ValidConfig,
    sha256: &str,
) -> Result<ExperimentDir, StorageError> {
    let place = config.recipe.checkpoint_dir.as_ref();
    let folder = |place: &PathBuf| {
        let name = format!("{}-{}", config.experiment.name, dir.identity(sha256)?);
        Ok(place.join(name))
    };
    let scratch = place.map(folder).transpose()?;
    Ok(dir.with_scratch(scratch))
}

fn in_force(
    dir: &ExperimentDir,
    frozen: &Frozen,
    settings: &[String],
) -> anyhow::Result<ValidConfig> {
    let parsed = settings.iter().map(|setting| setting.parse::<Setting>());
    let config = parsed
        .collect::<Result<Vec<_>, _>>()
        .and_then(|parsed| config::in_force(&frozen.config, &parsed)?.check())
        .with_context(|| match settings {
            [] => format!("`{}`", dir.configuration().display()),
            _ => format!(
                "`{}` with the `set` rows of `{}` (`metaqnn verify` names the row)",
                dir.configuration().display(),
                dir.replay_log().display()
            ),
        })?;
    check_checkpoint_dir(&config, dir.root())?;
    Ok(config)
}

/// A file that is as it was written, with a key that this program does not know, is a newer program's.
fn newer_key(error: StorageError) -> StorageError {
    let StorageError::Yaml { path, source } = &error else { return error };
    let text = source.to_string();
    let key = text.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`'));
    match key {
        Some((key, _)) => StorageError::Unusable {
            path: path.clone(),
            problem: format!(
                "holds the key `{key}`, which a newer program wrote and this one does not know \
                 (use the program that made the experiment)"
            ),
        },
        None => error,
    }
}
