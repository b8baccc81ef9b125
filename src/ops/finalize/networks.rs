//! Which networks are trained for long, as `networks.yaml` keeps them, and what came of that.

use std::io;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::config::{self, ExperimentConfig};
use crate::dataset::DataKind;
use crate::model::ModelCard;
use crate::ops::finalize::test::{make_folder, model_name};
use crate::ops::init::{check_initial_weights, final_list, images_of, load};
use crate::ops::journal::Journal;
use crate::ops::list::{adapted, ranked, read, select};
use crate::ops::train::host;
use crate::ops::{Experiment, Refusal, recording, status};
use crate::q_learning::Epsilon;
use crate::report::finals::{FinalNetwork, FinalRepeat, NetworkRole, SearchFacts, Selection};
use crate::report::{ArchitectureRecord, Ledger, by_iteration};
use crate::space::Candidate;
use crate::storage::fs::{publish, sealed};
use crate::storage::{Event, Row};
use crate::strategy::StrategyKind;
use crate::training::KeptModels;

pub const FOLDER: &str = "final";
pub const NETWORKS: &str = "networks.yaml";
const CONTROLS: usize = 10;
const WEIGHTS: &str = "weights";
const FOUND: &str = "found";

#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalizeOptions {
    /// How many of the best networks of the search
    #[arg(long, default_value_t = 10, value_name = "K")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub top: u32,
    /// And how many of the best of each depth, from the median depth up
    #[arg(long, default_value_t = 1, value_name = "K")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub per_depth: u32,
    /// How often each chosen network is trained with all images
    #[arg(long, default_value_t = 3, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub seeds: u32,
    /// How many networks the ensemble has
    #[arg(long, default_value_t = 5, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub ensemble: u32,
    /// Networks of your own to compare with, one a line (such as `configs/baselines.txt`)
    #[arg(long, value_name = "FILE", value_parser = absolute_path)]
    pub baselines: Option<PathBuf>,
    /// Take the control from this search, whose networks were all drawn at random, not from the
    /// random phase of DIR: for a comparison at equal cost
    #[arg(long, value_name = "EXPERIMENT", value_parser = absolute_path)]
    pub control: Option<PathBuf>,
    /// Train the networks on the data set of this configuration, as it says, below DIR/final-NAME,
    /// by its `experiment.name` (transfer)
    #[arg(long, value_name = "CONFIG", value_parser = absolute_path)]
    pub data: Option<PathBuf>,
    /// With `--data`: new weights, or those that the search has kept, but for the last layer
    #[arg(long, value_parser = ["scratch", FOUND], default_value = "scratch", requires = "data")]
    pub weights: String,
    /// Read the test images once more, for other models than those planned (the certificate says
    /// so)
    #[arg(long)]
    #[serde(skip)]
    pub read_test_again: bool,
    /// The names of those that must be as they were when the networks were chosen.
    #[arg(skip)]
    #[serde(skip)]
    pub given: Vec<String>,
}

/// The same from every folder.
fn absolute_path(path: &str) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// `networks.yaml`: all that is taken from the search, so that its later results change nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// Of `experiment.yaml` of the search.
    search_sha256: String,
    pub options: FinalizeOptions,
    /// From which the long trainings follow, where it is not that of the search.
    pub config: Option<ExperimentConfig>,
    pub search: SearchFacts,
    /// The search that the control is from, where it is another one.
    pub control: Option<SearchFacts>,
    pub networks: Vec<ChosenNetwork>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenNetwork {
    /// As the logs of the long trainings have it.
    pub architecture: String,
    pub role: NetworkRole,
    pub search_accuracy: Option<f64>,
    /// With which it has passed its first epoch in the search.
    pub learning_rate: Option<f64>,
    /// The model with whose weights it begins.
    pub weights: Option<PathBuf>,
}

type Found<'a> = (&'a ArchitectureRecord<'a>, &'a Experiment);

impl FinalizeOptions {
    /// Below the experiment of the search.
    pub fn folder(&self) -> Result<String> {
        let Some(path) = &self.data else { return Ok(FOLDER.to_owned()) };
        let other = config::load(path, &[]).with_context(|| format!("`{}`", path.display()))?;
        Ok(format!("{FOLDER}-{}", other.experiment.name))
    }
}

impl Networks {
    /// Reads them, or chooses them once.
    pub fn open_or_choose(
        parent: &Experiment,
        path: &Path,
        options: &FinalizeOptions,
    ) -> Result<Self> {
        if !path.exists() {
            let mut networks = Self::choose(parent, options)?;
            // What cannot be trained is refused before anything is made.
            check_initial_weights(&recording::checked(networks.validate_config(parent)?)?)?;
            networks.copy_weights(path.parent().unwrap_or(path))?;
            sealed::publish_once(path, &networks)?;
        }
        let mut networks: Self = sealed::read(path)?;
        for folder in networks.networks.iter_mut().filter_map(|of| of.weights.as_mut()) {
            follow(folder, path.parent().unwrap_or(path));
        }
        if networks.search_sha256 != parent.view_params().sha256 {
            bail!(Refusal::Damage(format!(
                "`{}` is of another search than `{}` (put back the folder that was there, or move \
                 it away to begin anew)",
                path.display(),
                parent.dir().root().display()
            )));
        }
        let there = serde_json::to_value(&networks.options)?;
        let here = serde_json::to_value(options)?;
        if let Some(name) = options.given.iter().find(|name| there.get(name) != here.get(name)) {
            bail!(Refusal::Usage(format!(
                "`--{}` is {} here, and {} in `{}`, by which networks are chosen once (leave it \
                 out to go on; move the folder away to begin anew)",
                name.replace('_', "-"),
                here[name],
                there[name],
                path.display()
            )));
        }
        Ok(networks)
    }

    fn choose(parent: &Experiment, options: &FinalizeOptions) -> Result<Self> {
        let ExperimentConfig { search_space, slurm, .. } = parent.config().config.clone();
        let other = options.data.as_deref().map(|path| load(path, &[])).transpose()?;
        if let Some(other) = &other {
            check_parts(&other.config, &parent.config().config)?;
        }
        let config = other.map(|it| ExperimentConfig { search_space, slurm, ..it.config });
        let space = config.as_ref().unwrap_or(&parent.config().config).space()?.buildable();
        let takes_weights = options.weights == FOUND;
        let mut networks = Vec::<ChosenNetwork>::new();
        // A network in several roles has the first.
        let mut add = |role, (architecture, learning_rate): (String, _), found: Option<Found>| {
            let is_new = networks.iter().all(|of| of.architecture != architecture);
            let search_accuracy = found.and_then(|(record, _)| record.best_validation_accuracy);
            let model = found.and_then(|(of, search)| Some(search.dir().model(of.attempt()?)));
            let weights = model.filter(|model| takes_weights && model.is_dir());
            if is_new && takes_weights && weights.is_none() {
                log::warn!("no model of `{architecture}` is kept: it begins with new weights");
            }
            let new = ChosenNetwork { architecture, role, search_accuracy, learning_rate, weights };
            networks.extend(is_new.then_some(new));
            is_new
        };
        let named = || format!("`{}`", parent.dir().root().display());
        let iterations = iterations_of(parent)?;
        let of_search = ranked(&iterations).with_context(named)?;
        let top = select(&of_search, options.top, 0).len();
        let selected = select(&of_search, options.top, options.per_depth);
        for (index, record) in selected.into_iter().enumerate() {
            let role = if index < top { NetworkRole::Top } else { NetworkRole::PerDepth };
            if let Some(own) = adapted(record, parent, &space) {
                add(role, own, Some((record, parent)));
            }
        }
        if let Some(file) = &options.baselines {
            for text in read(file, |text| space.adapted(text))? {
                add(NetworkRole::Baseline, (text, None), None);
            }
        }
        let other =
            options.control.as_deref().map(|path| open_control(path, parent)).transpose()?;
        let control = other.as_ref().unwrap_or(parent);
        let its_iterations = iterations_of(control)?;
        let mut at_random = ranked(&its_iterations).context("`--control`")?;
        at_random.retain(|record| record.is_at_random());
        let controls = select(&at_random, u32::MAX, 0).into_iter();
        let added = controls.filter(|record| {
            adapted(record, control, &space)
                .is_some_and(|own| add(NetworkRole::Control, own, Some((record, control))))
        });
        added.take(CONTROLS).for_each(drop);
        if (options.top, options.per_depth) == (0, 0) {
            let problem = "`--top` and `--per-depth` are 0 (raise one of them)";
            bail!(Refusal::Usage(problem.to_owned()));
        }
        let search = facts(parent)?;
        if !search.finished {
            log::warn!(
                "the search is not finished: its networks of now are taken, and later results \
                 change nothing"
            );
        }
        let control = other.as_ref().map(facts).transpose()?;
        let search_sha256 = parent.view_params().sha256;
        Ok(Self { search_sha256, options: options.clone(), config, search, control, networks })
    }

    /// Makes the folder, with copies of the models to begin with: a search may remove its own.
    fn copy_weights(&mut self, place: &Path) -> Result<()> {
        make_folder(place)?;
        // Of two processes each has its own copies.
        let own = format!("{}.{}", host()?, process::id());
        for (number, of) in (1..).zip(&mut self.networks) {
            let Some(model) = &of.weights else { continue };
            let copy = place.join(WEIGHTS).join(format!("{number}.{own}"));
            make_folder(&copy)?;
            ModelCard::copy(model, &copy)?;
            publish::sync_tree(&copy)?;
            of.weights = Some(copy);
        }
        Ok(())
    }

    /// The configuration of the first step: each network once, on the training part.
    pub fn validate_config(&self, parent: &Experiment) -> Result<ExperimentConfig> {
        let rates = self.networks.iter();
        let rates = rates.filter_map(|of| Some((of.architecture.clone(), of.learning_rate?)));
        let base = self.config.as_ref().unwrap_or(&parent.config().config).clone();
        let mut config = final_list(parent, base, rates.collect())?;
        if self.config.is_none() {
            config.data = images_of(parent, &config.data)?;
        }
        let weights = self.networks.iter();
        let weights = weights.filter_map(|of| Some((of.architecture.clone(), of.weights.clone()?)));
        config.training.initial_weights.extend(weights);
        config.experiment.name = format!("{:.55}-validate", config.experiment.name);
        config.training.keep_models = KeptModels::ALL;
        let list = &mut config.strategy.list;
        (list.from.top, list.from.per_depth) = (self.options.top, self.options.per_depth);
        list.architectures = self.networks.iter().map(|of| of.architecture.clone()).collect();
        Ok(config)
    }

    /// The configuration of the second step: that of the first with the best networks, each several
    /// times, on training and validation part together.
    pub fn whole_config(&self, validate: &Experiment) -> Result<ExperimentConfig> {
        let mut config = validate.config().config.clone();
        config.experiment.name = config.experiment.name.replace("-validate", "-whole");
        // Of pictures the same parts: no picture of the test part ever trains.
        config.data = images_of(validate, &config.data)?;
        let configured = config.data.validation.images.map(u64::from);
        let judging = validate.frozen.validation_images.or(configured).unwrap_or(0);
        if let Some(training) = &mut config.data.training_images {
            *training = training.saturating_add(judging.try_into().unwrap_or(u32::MAX));
        }
        config.data.validation.images = Some(0);
        let place = validate.dir().root().parent().unwrap_or(Path::new(""));
        for (_, folder) in &mut config.training.initial_weights {
            follow(folder, place);
        }
        let judged = self.judged(validate)?;
        let selection = Selection::of(&judged, self.options.ensemble as usize);
        if selection.winner().is_none() {
            bail!(Refusal::Environment(format!(
                "no network of the search has a validation accuracy in `{}`, so that none can be \
                 chosen (`metaqnn status` and the logs in its `curves` say why; correct the \
                 trainer, or begin a search with another `final_training`; then move the folder \
                 above it away)",
                validate.dir().root().display()
            )));
        }
        // There is no first-epoch test here: a network is trained with the rate that has passed it.
        let (iterations, recipe) = (iterations_of(validate)?, &validate.config().recipe);
        for FinalNetwork { architecture, .. } in selection.networks() {
            let row = result_of(&iterations, &Candidate::once(architecture.clone()));
            let restarted = row.filter(|row| row.restarts > Some(0));
            if let Some(rate) = restarted.and_then(|row| row.learning_rate) {
                let rates = &mut config.training.learning_rates;
                rates.retain(|(text, _)| text != architecture);
                rates.push((architecture.clone(), recipe.begun_with(rate)));
            }
        }
        let list = &mut config.strategy.list;
        list.architectures = selection.networks().map(|of| of.architecture.clone()).collect();
        list.repeats = self.options.seeds;
        Ok(config)
    }

    /// What came of the first step, whose list has to be this one.
    pub fn judged(&self, validate: &Experiment) -> Result<Vec<FinalNetwork>> {
        let own = self.networks.iter().map(|of| &of.architecture);
        if !own.eq(&validate.config().config.strategy.list.architectures) {
            bail!(Refusal::Damage(format!(
                "`{}` trains other networks than `{NETWORKS}` beside it names (put back the one \
                 that was there)",
                validate.dir().root().display()
            )));
        }
        let iterations = iterations_of(validate)?;
        let judge = |chosen: &ChosenNetwork| {
            let candidate = Candidate::once(chosen.architecture.clone());
            let result = result_of(&iterations, &candidate);
            let trained = result.filter(|row| row.event == Event::Trained);
            let of = came_of(&iterations, validate, &candidate);
            FinalNetwork {
                role: chosen.role,
                architecture: chosen.architecture.clone(),
                layers: result.and_then(|row| row.layers),
                parameters: result.and_then(|row| row.parameters),
                search_accuracy: chosen.search_accuracy,
                validation_accuracy: trained.and_then(|row| row.best_validation_accuracy),
                problem: of.problem,
                seconds: of.seconds,
                model: of.model,
                ..FinalNetwork::default()
            }
        };
        Ok(self.networks.iter().map(judge).collect())
    }
}

pub fn iterations_of(experiment: &Experiment) -> Result<Vec<Row>> {
    Ok(by_iteration(Journal::open_to_look(experiment)?.rows()))
}

fn facts(search: &Experiment) -> Result<SearchFacts> {
    Ok(SearchFacts::of(&status::status(search)?, search.config().experiment.seed))
}

/// Names the copy below this place, where it is there: a search may have been moved with its copies.
fn follow(folder: &mut PathBuf, place: &Path) {
    let here = place.join(WEIGHTS).join(folder.file_name().unwrap_or_default());
    if here.is_dir() {
        *folder = here;
    }
}

/// Of the same pictures another seed may have others for testing, which the search has seen.
fn check_parts(other: &ExperimentConfig, search: &ExperimentConfig) -> Result<()> {
    let pictures =
        |of: &ExperimentConfig| (of.data.kind == Some(DataKind::Images), of.data.path.clone());
    if pictures(other).0
        && pictures(other) == pictures(search)
        && other.experiment.seed != search.experiment.seed
    {
        bail!(Refusal::Usage(format!(
            "`--data` names the pictures of the search with another seed, by which others are for \
             testing (set its `experiment.seed` to {}, or name other pictures)",
            search.experiment.seed
        )));
    }
    Ok(())
}

/// Another search on the same images, all at random.
fn open_control(path: &Path, parent: &Experiment) -> Result<Experiment> {
    let control = Experiment::open(path)?;
    let images = |of: &Experiment| (of.frozen.data_files.clone(), of.config().space.image);
    let mut stages = control.config().strategy.schedule.stages().iter();
    let problem = if images(&control) != images(parent) {
        "is of other images (name a search on those of DIR)"
    } else if control.config().strategy.kind != StrategyKind::Random
        && !stages.all(|stage| stage.epsilon == Some(Epsilon::RANDOM))
    {
        "is no random search (name one of `strategy.kind: random`)"
    } else {
        return Ok(control);
    };
    bail!(Refusal::Usage(format!("`--control`: `{}` {problem}", path.display())))
}

fn result_of<'a>(iterations: &'a [Row], candidate: &Candidate) -> Option<&'a Row> {
    let mut results = iterations.iter().filter(|row| row.event.is_result());
    results.find(|row| row.candidate().as_ref() == Some(candidate))
}

/// What came of a training, but for its outputs. `iterations` are those of the child.
pub fn came_of(iterations: &[Row], child: &Experiment, candidate: &Candidate) -> FinalRepeat {
    let rows = iterations.iter().filter(|row| row.candidate().as_ref() == Some(candidate));
    let newest = result_of(iterations, candidate).or_else(|| rows.clone().next_back());
    let problem = newest.filter(|row| row.event != Event::Trained).map(|row| {
        let reason = row.reason.as_deref().unwrap_or("no reason is known");
        match row.event {
            Event::OutOfMemory => "does not fit into the memory of the device".to_owned(),
            Event::Failed => format!("failed: {reason}"),
            Event::Lost => format!("three trainings were lost, the last one: {reason}"),
            other => format!("{other}: {reason}"),
        }
    });
    let attempt = newest.filter(|row| row.event == Event::Trained).and_then(Row::attempt);
    FinalRepeat {
        repeat: candidate.repeat,
        seconds: Ledger::over(rows).spent(),
        model: attempt.map(|attempt| model_name(child, attempt)),
        problem,
        ..FinalRepeat::default()
    }
}
