//! A configuration becomes an experiment directory.

use std::collections::BTreeSet;
use std::env;
use std::path::{self, Path};

use anyhow::{Context, bail};

use crate::config::{self, Setting, ValidConfig, check_changeable};
use crate::dataset::{Fingerprint, load_training_images, split};
use crate::ops::experiment::{Frozen, check_checkpoint_dir};
use crate::ops::set::set;
use crate::ops::{Experiment, Refusal};
use crate::slurm::check_experiment_path;
use crate::storage::fs::yaml;
use crate::storage::{ExperimentDir, FORMAT_VERSION, StorageError, Trust};
use crate::training::{TrainerKind, freeze_command};

/// Reads and checks a configuration, with absolute paths: it means the same from every folder.
pub fn load(path: &Path, settings: &[Setting]) -> anyhow::Result<ValidConfig> {
    let folder = env::current_dir().context("failed to find the current folder")?;
    let mut config =
        config::load(path, settings).with_context(|| format!("`{}`", path.display()))?;
    if let Some(data) = &mut config.data.path {
        let path = folder.join(&data);
        // Resolved when it exists, so that two spellings of one folder are one configuration.
        *data = path.canonicalize().unwrap_or(path);
        if data.to_str().is_none() {
            bail!(Refusal::Usage(format!(
                "`{}` cannot be written to `experiment.yaml`: it is not UTF-8 (rename the folder)",
                data.display()
            )));
        }
    }
    config.training.command = freeze_command(&config.training.command, &folder);
    let config = config.check().with_context(|| format!("`{}`", path.display()))?;
    config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    Ok(config)
}

/// Makes the experiment directory, which must not exist, or be empty.
pub fn init(config: ValidConfig, dir: &Path, trust: Trust) -> anyhow::Result<Experiment> {
    let dir = path::absolute(dir).context("failed to find the current folder")?;
    check_experiment_path(&dir)?;
    check_checkpoint_dir(&config, &dir)?;
    let data = check_data(&config)?;
    let frozen = Frozen {
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").into(),
        training_images: data.as_ref().map(|(_, images)| *images),
        data_files: data.map(|(files, _)| files),
        config: config.config,
    };
    ExperimentDir::create(&dir, &yaml::print(&frozen, Path::new("experiment.yaml"))?, trust)?;
    let experiment = Experiment::open(&dir)?.trusted_by(trust)?;
    experiment.dir().make_scratch(trust)?;
    Ok(experiment)
}

/// Checks every image; returns the files and how many images train.
fn check_data(config: &ValidConfig) -> anyhow::Result<Option<(Fingerprint, u64)>> {
    // A trainer may bring its own images; those that are named and there are checked all the same.
    let Some(folder) = &config.config.data.path else { return Ok(None) };
    if config.recipe.trainer != TrainerKind::Torch && !folder.exists() {
        log::warn!(
            "`{}` is not there, so no image is checked (this trainer may need none)",
            folder.display()
        );
        return Ok(None);
    }
    let training = check_images(config)?;
    Ok(Some((Fingerprint::of_training_files(&config.data)?, training)))
}

/// Returns how many images train.
pub fn check_images(config: &ValidConfig) -> anyhow::Result<u64> {
    let images = load_training_images(&config.data)?;
    let parts = split(&images, &config.data, config.experiment.seed)?;
    let validation = images.subset(&parts.validation).class_counts();
    if let Some(warning) = config.warning_of_constant_answer(&validation) {
        log::warn!("{warning}");
    }
    Ok(parts.training.len() as u64)
}

/// Opens the experiment of this configuration, or makes it; of several at once, one makes it.
pub fn open_or_init(config: ValidConfig, dir: &Path, trust: Trust) -> anyhow::Result<Experiment> {
    if !ExperimentDir::is_at(dir) {
        match init(config.clone(), dir, trust) {
            Err(error)
                if matches!(error.downcast_ref(), Some(StorageError::AlreadyExists { .. }))
                    && ExperimentDir::is_at(dir) => {}
            made => return made,
        }
    }
    let experiment = Experiment::open(dir)?.trusted_by(trust)?;
    let [frozen, there, here] =
        [&experiment.frozen.config, experiment.config(), &config.config].map(config::leaves);
    let (mut settings, mut differences) = (Vec::new(), Vec::new());
    // A section that may be null is a key in one of them, and its keys are in the other.
    for key in there.keys().chain(here.keys()).collect::<BTreeSet<_>>() {
        let [frozen, there, here] =
            [&frozen, &there, &here].map(|leaves| leaves.get(key).map_or("null", String::as_str));
        if here == there || here == frozen {
            continue;
        }
        settings.push(format!("{key}={here}").parse()?);
        if check_changeable(key).is_err() {
            differences.push(format!("`{key}` is {there} there and {here} here"));
        }
    }
    if !differences.is_empty() {
        bail!(Refusal::Usage(format!(
            "`{}` holds an experiment with another configuration: {} (name another directory, or \
             use the same configuration)",
            dir.display(),
            differences.join(", ")
        )));
    }
    if settings.is_empty() {
        return Ok(experiment);
    }
    set(&experiment, &settings)?.iter().for_each(|notice| log::warn!("{notice}"));
    experiment.reopened()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a search of so many networks, all at epsilon 1, in the folder `search`.
    pub fn random_search(folder: &tempfile::TempDir, architectures: u32) -> Experiment {
        let configuration = format!(
            "experiment: {{name: search, seed: 1}}\n\
             data: {{classes: 10, input_size: 16, channels: 1}}\n\
             epsilon_schedule: [{{epsilon: 1.0, architectures: {architectures}}}]\n\
             training: {{trainer: synthetic}}\n"
        );
        experiment(&folder.path().join("search"), &configuration)
    }

    /// Makes the experiment of a configuration at `dir`, the file beside it.
    pub fn experiment(dir: &Path, configuration: &str) -> Experiment {
        let file = dir.with_extension("yaml");
        std::fs::write(&file, configuration).unwrap();
        init(load(&file, &[]).unwrap(), dir, Trust::Owner).unwrap()
    }
}
