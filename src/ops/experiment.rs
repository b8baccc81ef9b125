//! An experiment, opened: its directory and its frozen configuration.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{ExperimentConfig, ValidConfig};
use crate::dataset::Fingerprint;
use crate::storage::{ExperimentDir, FormatVersion, Nodes, ViewParams, check_locks_of_mount, yaml};

/// What stands in `experiment.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frozen {
    /// Version of the files.
    pub format_version: FormatVersion,
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

/// An experiment directory with its checked configuration.
#[derive(Debug)]
pub struct Experiment {
    dir: ExperimentDir,
    config: ValidConfig,
    frozen: Frozen,
}

impl Experiment {
    /// Opens an experiment directory.
    ///
    /// # Errors
    /// When it is none, of another format version, or its configuration does not pass the checks.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // Absolute: jobs run in other folders.
        let path = std::path::absolute(path).context("failed to find the current folder")?;
        let dir = ExperimentDir::open(&path)?;
        let frozen: Frozen = yaml::read(&dir.configuration())?;
        let config = frozen
            .config
            .clone()
            .check()
            .with_context(|| format!("`{}`", dir.configuration().display()))?;
        Ok(Self { dir, config, frozen })
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
    pub(super) fn view_params(&self) -> ViewParams {
        ViewParams {
            space: self.config.space.clone(),
            q_learning: self.config.q_learning.clone(),
            seed: self.config.seed(),
        }
    }

    /// Returns the optimizer steps of an epoch; 1 when the trainer brings its own images, so that
    /// steps are epochs.
    pub fn steps_per_epoch(&self) -> u64 {
        let batch = u64::from(self.config.recipe.recipe().batch_size);
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
