//! A configuration becomes an experiment directory.

use std::collections::BTreeSet;
use std::env;
use std::path::{self, Path};

use anyhow::{Context, bail};

use crate::config::{self, ExperimentConfig, Setting, ValidConfig, check_changeable};
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
    let given = differing(&experiment, &config.config)?;
    if given.is_empty() {
        return Ok(experiment);
    }
    let frozen = given.iter().filter(|(key, ..)| check_changeable(key).is_err());
    let differences: Vec<String> = frozen
        .map(|(key, there, here)| format!("`{key}` is {there} there and {here} here"))
        .collect();
    if !differences.is_empty() {
        let differences = differences.join(", ");
        bail!(Refusal::Usage(format!(
            "`{}` holds an experiment with another configuration: {differences} (name \
             another directory, or use the same configuration)",
            dir.display()
        )));
    }
    let settings = given.iter().map(|(key, _, here)| format!("{key}={here}").parse());
    for notice in set(&experiment, &settings.collect::<Result<Vec<_>, _>>()?)? {
        log::warn!("{notice}");
    }
    Experiment::open(dir)?.trusted_by(trust)
}

/// The keys whose given values are neither frozen nor in force: key, value in force, given value.
fn differing(
    experiment: &Experiment,
    given: &ExperimentConfig,
) -> anyhow::Result<Vec<(String, String, String)>> {
    let frozen = config::leaves(&experiment.frozen.config)?;
    let (there, given) = (config::leaves(&experiment.config().config)?, config::leaves(given)?);
    // A section that may be null is a key in one of them, and its keys are in the other.
    let none = "null".to_owned();
    let keys: BTreeSet<&String> = there.keys().chain(given.keys()).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let (there, here) = (there.get(key).unwrap_or(&none), given.get(key).unwrap_or(&none));
        let is_new = here != there && here != frozen.get(key).unwrap_or(&none);
        is_new.then(|| (key.clone(), there.clone(), here.clone()))
    });
    Ok(differing.collect())
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
