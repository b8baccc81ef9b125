//! A configuration becomes an experiment directory.

use std::collections::BTreeSet;
use std::env;
use std::path::{self, Path};

use anyhow::{Context, bail};

use crate::config::{self, ExperimentConfig, FinalRate, Setting, ValidConfig, check_changeable};
use crate::dataset::{
    BYTES, DataKind, DataParams, Fingerprint, load_training_images, prepare_pictures, split,
};
use crate::model::ModelCard;
use crate::ops::experiment::{Frozen, check_checkpoint_dir, resolved};
use crate::ops::set::set;
use crate::ops::{Experiment, Refusal, list, recording};
use crate::slurm::check_experiment_path;
use crate::space::DataShape;
use crate::storage::fs::yaml;
use crate::storage::{ExperimentDir, StorageError, Trust};
use crate::strategy::{ListParams, ListSource, StrategyKind, StrategyParams};
use crate::training::protocol::{LayerDescription, Request};
use crate::training::{KeptModels, TrainerKind, freeze_command};

/// Reads and checks a configuration, with absolute paths: it means the same from every folder.
pub fn load(path: &Path, settings: &[Setting]) -> anyhow::Result<ValidConfig> {
    let config = config::load(path, settings).with_context(|| format!("`{}`", path.display()))?;
    absolute(config, path)
}

/// The same without the checks.
pub fn read(path: &Path, settings: &[Setting]) -> anyhow::Result<ExperimentConfig> {
    let config = config::load(path, settings).with_context(|| format!("`{}`", path.display()))?;
    with_absolute_paths(config, path)
}

/// The path names the configuration in errors.
pub(super) fn absolute(config: ExperimentConfig, path: &Path) -> anyhow::Result<ValidConfig> {
    let config = with_absolute_paths(config, path)?;
    let checked = recording::check_finished(&config).and_then(|()| recording::checked(config));
    let config = checked.with_context(|| format!("`{}`", path.display()))?;
    config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    Ok(config)
}

fn with_absolute_paths(
    mut config: ExperimentConfig,
    path: &Path,
) -> anyhow::Result<ExperimentConfig> {
    let folder = env::current_dir().context("failed to find the current folder")?;
    let (data, list) = (&mut config.data, &mut config.strategy.list);
    let paths = [&mut data.path, &mut data.cache, &mut list.file, &mut list.from.experiment];
    let weights = config.training.initial_weights.iter_mut().map(|(_, folder)| folder);
    let recorded = config.training.recorded.iter_mut();
    for data in paths.into_iter().flatten().chain(weights).chain(recorded) {
        let path = folder.join(&data);
        // Two spellings of one folder are one configuration, also before it is made.
        *data = path.canonicalize().unwrap_or_else(|_| resolved(&path));
        if data.to_str().is_none() {
            bail!(Refusal::Usage(format!(
                "`{}` cannot be written to `experiment.yaml`: it is not UTF-8 (rename the folder)",
                data.display()
            )));
        }
    }
    list::fill(&mut config).with_context(|| format!("`{}`", path.display()))?;
    config.training.command = freeze_command(&config.training.command, &folder);
    Ok(config)
}

/// The configuration of an experiment, as its `final_training` changes it, with its best networks
/// as the list to train.
pub fn load_from(
    experiment: &Path,
    (top, per_depth): (u32, u32),
    settings: &[Setting],
) -> anyhow::Result<ValidConfig> {
    let parent = Experiment::open(experiment)?;
    let mut config = final_list(&parent, parent.config().config.clone(), Vec::new())?;
    config.experiment.name = format!("{}-list", config.experiment.name);
    if settings.iter().any(|setting| ["data.path", "data.kind"].contains(&setting.path.as_str())) {
        let data = &mut config.data;
        (data.class_names, data.value_range, data.first_label) = (None, None, None);
        if matches!(config.data.kind, Some(DataKind::Images | DataKind::Npz)) {
            config.training.first_epoch_threshold = None;
        }
    } else {
        config.data = images_of(&parent, &config.data)?;
    }
    (config.strategy.list.from.top, config.strategy.list.from.per_depth) = (top, per_depth);
    let mut config = config.changed(settings)?;
    let found = list::fill(&mut config).with_context(|| format!("`{}`", experiment.display()))?;
    let is_found = parent.config().final_training.rate == FinalRate::Found;
    if is_found && config.training.learning_rates.is_empty() {
        config.training.learning_rates = found;
    }
    absolute(config, experiment)
}

/// A configuration as its `final_training` changes it, with a list of the networks of an experiment
/// that is still to be filled in. `rates`: as [`ExperimentConfig::final_config`] has it.
pub(super) fn final_list(
    parent: &Experiment,
    mut config: ExperimentConfig,
    rates: Vec<(String, f64)>,
) -> anyhow::Result<ExperimentConfig> {
    // All are judged anew. A `final_training` may say otherwise.
    config.training.keep_models = KeptModels::ALL;
    let mut config = config.final_config(rates)?;
    config.early_stopping.enabled = false;
    let experiment = Some(parent.dir().root().to_owned());
    let from = ListSource { experiment, ..ListSource::default() };
    let list = ListParams { from, ..ListParams::default() };
    config.strategy = StrategyParams { kind: StrategyKind::List, list, ..Default::default() };
    Ok(config)
}

/// The images of an experiment, prepared otherwise. Of pictures their cache: with the same split, no
/// picture of the test part ever trains.
pub(super) fn images_of(parent: &Experiment, prepared: &DataParams) -> anyhow::Result<DataParams> {
    parent.check_data()?;
    let DataParams { preprocess, augment, extra, .. } = *prepared;
    Ok(DataParams { preprocess, augment, extra, ..parent.trainer_data() })
}

/// Makes the experiment directory, which must not exist, or be empty.
pub fn init(config: ValidConfig, dir: &Path, trust: Trust) -> anyhow::Result<Experiment> {
    let dir = path::absolute(dir).context("failed to find the current folder")?;
    check_experiment_path(&dir)?;
    check_checkpoint_dir(&config, &dir)?;
    check_initial_weights(&config)?;
    let recording = config.recording.as_ref().map(|recording| recording.sha256());
    let frozen = match has_images(&config, &dir)? {
        true => check_images(&config)?,
        false => Frozen::without_images(config.config),
    };
    let frozen = Frozen { recording, ..frozen };
    ExperimentDir::create(&dir, &yaml::print(&frozen, Path::new("experiment.yaml"))?, trust)?;
    let experiment = Experiment::open(&dir)?.trusted_by(trust)?;
    experiment.dir().make_scratch(trust)?;
    Ok(experiment)
}

pub(super) fn check_initial_weights(config: &ValidConfig) -> anyhow::Result<()> {
    let DataShape { size: input_size, channels, .. } = config.space.image;
    for (text, folder) in &config.recipe.initial_weights {
        let layers = LayerDescription::of(&config.space, &config.space.parse(text)?);
        let own = Request { layers, channels, input_size, ..Request::default() };
        let (_, anew) = ModelCard::initial_weights(folder, &own)
            .with_context(|| format!("`training.initial_weights` of `{text}`"))?;
        if anew.len() > 2 {
            log::warn!("`{text}` begins anew not only in its last layer: {}", anew.join(", "));
        }
    }
    Ok(())
}

/// What [`check_images`] fills in where it is null.
const FILLED_IN: [&str; 3] =
    ["data.first_label", "data.value_range", "training.first_epoch_threshold"];

fn has_images(config: &ValidConfig, dir: &Path) -> anyhow::Result<bool> {
    // A trainer may bring its own images; those that are named and there are checked all the same.
    let Some(path) = &config.config.data.path else { return Ok(false) };
    if config.recipe.trainer == TrainerKind::Recorded {
        return Ok(false);
    }
    if config.recipe.trainer != TrainerKind::Torch && !path.exists() {
        log::warn!(
            "`{}` is not there, so no image is checked (this trainer may need none)",
            path.display()
        );
        return Ok(false);
    }
    let (pictures, dir) = (resolved(path), resolved(dir));
    let is_pictures = config.data.kind == Some(DataKind::Images);
    if is_pictures && (pictures.starts_with(&dir) || dir.starts_with(&pictures)) {
        bail!(Refusal::Usage(format!(
            "the pictures `{}` and the experiment `{}` may not contain each other (name another \
             directory)",
            path.display(),
            dir.display()
        )));
    }
    Ok(true)
}

/// Checks every image; decodes pictures into their cache. Returns what an experiment keeps of them.
pub(crate) fn check_images(config: &ValidConfig) -> anyhow::Result<Frozen> {
    let seed = config.experiment.seed;
    let mut pictures = None;
    if config.data.kind == Some(DataKind::Images) {
        let (list, notices) = prepare_pictures(&config.data, seed)?;
        notices.iter().for_each(|notice| log::warn!("{notice}"));
        pictures = Some(list);
    }
    let data = config.data.for_trainer(pictures.as_deref()).check()?;
    let images = load_training_images(&data)?;
    let usual = u32::from(data.kind == Some(DataKind::Svhn));
    if data.first_label.is_none() && images.first_label != usual {
        log::warn!(
            "labels begin at {0}, not at {usual}: `data.first_label: {0}` is filled in",
            images.first_label
        );
    }
    let parts = split(&images, &data, seed)?;
    let is_own = matches!(config.data.kind, Some(DataKind::Images | DataKind::Npz));
    let mut value_range = data.value_range;
    if is_own {
        value_range.get_or_insert(images.subset(&parts.training).pixels.range());
    }
    let [low, high] = value_range.unwrap_or(BYTES);
    let is_outside = |value: &u16| !(low..=high).contains(&u32::from(*value));
    let outside = value_range.map_or(0, |_| images.pixels.iter().filter(is_outside).count());
    if outside > 0 {
        log::warn!(
            "{outside} of {} values of pixels lie outside of `data.value_range`, [{low}, {high}]: \
             they become less than 0 or more than 255",
            images.pixels.iter().len()
        );
    }
    let validation = images.subset(&parts.validation).class_counts();
    let mut first_epoch_threshold = config.training.first_epoch_threshold;
    // Classes of own images are rarely equal: always the same answer must not pass.
    if is_own {
        let most = validation.iter().max().copied().unwrap_or(0);
        let all = validation.iter().sum::<usize>();
        let least = (most + 1).min(all.saturating_sub(1)) as f64 / all.max(1) as f64;
        if least > config.recipe.first_epoch_threshold() {
            first_epoch_threshold.get_or_insert(least);
        }
    }
    if first_epoch_threshold == config.training.first_epoch_threshold
        && let Some(warning) = config.warning_of_constant_answer(&validation)
    {
        log::warn!("{warning}");
    }
    let mut frozen = Frozen::without_images(config.config.clone());
    frozen.config.data.value_range = value_range;
    frozen.config.data.first_label = Some(images.first_label);
    frozen.config.training.first_epoch_threshold = first_epoch_threshold;
    [frozen.training_images, frozen.validation_images] =
        [&parts.training, &parts.validation].map(|part| Some(part.len() as u64));
    frozen.data_files = Some(Fingerprint::of_training_files(&data)?);
    Ok(Frozen { pictures, ..frozen })
}

/// Opens the experiment at `dir`, or makes it; of several at once, one makes it.
pub(super) fn open_or_make(
    dir: &Path,
    trust: Trust,
    config: impl FnOnce() -> anyhow::Result<ValidConfig>,
) -> anyhow::Result<Experiment> {
    if !ExperimentDir::is_at(dir) {
        match init(config()?, dir, trust) {
            Err(error)
                if matches!(error.downcast_ref(), Some(StorageError::AlreadyExists { .. }))
                    && ExperimentDir::is_at(dir) => {}
            made => return made,
        }
    }
    Experiment::open(dir)?.trusted_by(trust)
}

/// The same with the configuration that it has to have.
pub fn open_or_init(config: ValidConfig, dir: &Path, trust: Trust) -> anyhow::Result<Experiment> {
    let experiment = open_or_make(dir, trust, || Ok(config.clone()))?;
    let [frozen, there, here] =
        [&experiment.frozen.config, experiment.config(), &config.config].map(config::leaves);
    let (mut settings, mut differences) = (Vec::new(), Vec::new());
    // A section that may be null is a key in one of them, and its keys are in the other.
    for key in there.keys().chain(here.keys()).collect::<BTreeSet<_>>() {
        let [frozen, there, here] =
            [&frozen, &there, &here].map(|leaves| leaves.get(key).map_or("null", String::as_str));
        // Taken from a file or experiment, once: that may have changed since.
        let taken = config.config.strategy.list.is_taken();
        let was_taken = taken && key == "strategy.list.architectures";
        if was_taken && here != there {
            log::warn!(
                "the networks of `strategy.list` are others now than when `{}` was made, which \
                 goes on with its own",
                dir.display()
            );
        }
        let was_filled_in = here == "null" && FILLED_IN.contains(&key.as_str());
        if here == there || here == frozen || was_filled_in || was_taken {
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
