//! What the trained networks say of the test images: one plan of models, fixed before the first
//! reading; each opening is published before it.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataset::{Array, DatasetError, Fingerprint, find_test_images, read_array};
use crate::model::ModelCard;
use crate::ops::journal::Journal;
use crate::ops::run::catch_interrupts;
use crate::ops::train::attempt::rehearsal;
use crate::ops::train::{host, is_gone, process_name};
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, LARGE};
use crate::report::finals::{Outputs, Read};
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::sealed;
use crate::storage::{Attempt, Event, Row, dir::number};
use crate::training::protocol::{EvaluatedPart, Evaluation, Request};
use crate::training::{TrainerKind, TrainingEnd, evaluate};

/// The name of outputs of a model of a child: `1-validate-000001.1`.
pub fn model_name(child: &Experiment, attempt: Attempt) -> String {
    let step = child.dir().root().file_name().unwrap_or_default().to_string_lossy();
    format!("{step}-{attempt}")
}

/// `plan.yaml`, and with `--read-test-again` `plan.2.yaml` and so on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestPlan {
    plan: u32,
    models: Vec<PlannedModel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedModel {
    /// The name of its outputs.
    model: String,
    /// Below `final/`.
    folder: PathBuf,
    part: EvaluatedPart,
    sha256: String,
}

/// `final/test/`.
pub struct TestFolder {
    /// `final/`
    place: PathBuf,
    pub root: PathBuf,
}

/// Which test images were read.
pub const IMAGES: &str = "images.yaml";

/// What the models of `1-validate`, and those of `2-whole`, are evaluated on.
const PARTS: [EvaluatedPart; 2] = [EvaluatedPart::Validation, EvaluatedPart::Test];

impl TestFolder {
    pub fn of(place: &Path) -> Self {
        Self { place: place.to_owned(), root: place.join("test") }
    }

    /// `<name>.<end>` of the first plan, `<name>.2.<end>` of the second one.
    fn path(&self, name: &str, plan: u32, end: &str) -> PathBuf {
        let again = if plan == 1 { String::new() } else { format!(".{plan}") };
        self.root.join(format!("{name}{again}.{end}"))
    }

    pub fn newest_plan_file(&self) -> Result<Option<PathBuf>> {
        let plans = publish::listing(&self.root, |name| match name {
            "plan.yaml" => Some(1),
            _ => number(name.strip_prefix("plan.")?.strip_suffix(".yaml")?, 1),
        })?;
        Ok(plans.into_iter().next_back().map(|(_, path)| path))
    }

    fn newest_plan(&self) -> Result<Option<TestPlan>> {
        Ok(self.newest_plan_file()?.map(|path| sealed::read(&path)).transpose()?)
    }

    /// Of the newest plan; `None` where the model is not in it, or not evaluated.
    pub fn read_outputs(&self, model: &str) -> Result<Option<Outputs>> {
        let Some(TestPlan { plan, models }) = self.newest_plan()? else { return Ok(None) };
        let Some(of) = models.iter().find(|of| of.model == model) else { return Ok(None) };
        let path = self.path(model, plan, "npz");
        path.exists().then(|| outputs_in(&path, of)).transpose()
    }

    /// Each opening of the test images, the first one first.
    pub fn reads(&self) -> Result<Vec<Read>> {
        let folder = self.root.join("reads");
        let name = |name: &str| name.strip_suffix(".yaml").map(str::to_owned);
        let listed = publish::listing(&folder, name)?.into_iter();
        let read = listed.map(|(_, path)| sealed::read::<Read>(&path));
        let mut reads = read.collect::<Result<Vec<_>, _>>()?;
        reads.sort_by(|one, other| (one.time, &one.host).cmp(&(other.time, &other.host)));
        let Some(TestPlan { plan, models }) = self.newest_plan()? else { return Ok(reads) };
        let tested = models.into_iter().filter(|of| of.part == EvaluatedPart::Test);
        for PlannedModel { model, .. } in tested {
            let is_recorded =
                reads.iter().any(|read| read.plan == plan && read.models.contains(&model));
            let path = self.path(&model, plan, "npz");
            if !is_recorded && path.exists() {
                bail!(Refusal::Damage(format!(
                    "no file in `{}` says when the test images were opened for `{}` (put it back \
                     from a copy)",
                    folder.display(),
                    path.display()
                )));
            }
        }
        Ok(reads)
    }

    /// Whether nothing is left to evaluate, or nothing can be.
    pub fn is_done(&self, whole: &Experiment) -> Result<bool> {
        let Some(TestPlan { plan, models }) = self.newest_plan()? else {
            return Ok(why_left_out(whole)?.is_some());
        };
        Ok(models.iter().all(|of| self.path(&of.model, plan, "npz").exists()))
    }

    /// What of its files is damaged.
    pub fn damage(&self) -> Vec<anyhow::Error> {
        // A damaged plan is the error of `reads`.
        let models = self.newest_plan().ok().flatten().map_or_else(Vec::new, |plan| plan.models);
        let outputs = models.iter().filter_map(|of| self.read_outputs(&of.model).err());
        outputs.chain(self.reads().err()).collect()
    }

    /// Makes the plan where there is none, or `again` one of other models. Returns why not, where
    /// the test is left out.
    pub fn make_plan(&self, children: [&Experiment; 2], again: bool) -> Result<Option<String>> {
        let newest = self.newest_plan()?;
        if newest.is_none() || again {
            if let Some(why) = why_left_out(children[1])? {
                return Ok(Some(why));
            }
            let models = self.trained_models(children)?;
            if newest.as_ref().is_some_and(|newest| newest.models == models) {
                let problem = "the models are those of the newest plan (leave it out)";
                bail!(Refusal::Usage(format!("`--read-test-again`: {problem}")));
            }
            make_folder(&self.root)?;
            let plan = newest.map_or(1, |newest| newest.plan + 1);
            sealed::publish_once(&self.path("plan", plan, "yaml"), &TestPlan { plan, models })?;
        }
        Ok(None)
    }

    /// Evaluates what the newest plan names. Returns why not, where the trainer cannot.
    pub fn evaluate(&self, children: [&Experiment; 2]) -> Result<Option<String>> {
        let Some(plan) = self.newest_plan()? else { return Ok(None) };
        let work = self.work_folder()?;
        let mut why = None;
        for (part, child) in PARTS.into_iter().zip(children) {
            let is_missing = |of: &&PlannedModel| {
                of.part == part && !self.path(&of.model, plan.plan, "npz").exists()
            };
            let missing: Vec<_> = plan.models.iter().filter(is_missing).collect();
            if why.is_none() && !missing.is_empty() {
                why = self.evaluate_part(plan.plan, &missing, child, &work)?;
            }
        }
        // After an error it stays to be looked at, until another process works here.
        remove(&work)?;
        Ok(why)
    }

    /// Of each network that was trained to the end, where its model is there.
    fn trained_models(&self, children: [&Experiment; 2]) -> Result<Vec<PlannedModel>> {
        let mut models = Vec::new();
        for (part, child) in PARTS.into_iter().zip(children) {
            let journal = Journal::open_to_look(child)?;
            let trained = journal.rows().iter().filter(|row| row.event == Event::Trained);
            for attempt in trained.filter_map(Row::attempt) {
                let path = child.dir().model(attempt);
                if !path.is_dir() {
                    log::warn!("`{}` is not there, so that it is not evaluated", path.display());
                    continue;
                }
                let remedy = "put it back from a copy; removed, it is left out";
                let card = ModelCard::check_network(&path).context(remedy)?;
                let folder = path.strip_prefix(&self.place).unwrap_or(&path).to_owned();
                let (model, part) = (model_name(child, attempt), part.clone());
                let sha256 = card.checksum().to_owned();
                models.push(PlannedModel { model, folder, part, sha256 });
            }
        }
        Ok(models)
    }

    /// Evaluates models of one part, and publishes their outputs.
    fn evaluate_part(
        &self,
        plan: u32,
        missing: &[&PlannedModel],
        child: &Experiment,
        work: &Path,
    ) -> Result<Option<String>> {
        let (part, output) = (missing[0].part.clone(), work.join("outputs"));
        make_folder(&output)?;
        let models = missing.iter().map(|of| {
            let (folder, copy) = (self.place.join(&of.folder), work.join(&of.model));
            make_folder(&copy)?;
            if ModelCard::copy(&folder, &copy)?.checksum() != of.sha256 {
                bail!(Refusal::Damage(format!(
                    "`{}` is not the model that `{}` names (put it back from a copy; \
                     `--read-test-again` reads the test images once more, for the models there \
                     are, and the certificate says so)",
                    folder.display(),
                    self.path("plan", plan, "yaml").display()
                )));
            }
            Ok(copy)
        });
        let models = models.collect::<Result<_>>()?;
        child.check_data()?;
        let cores = || thread::available_parallelism().map_or(1, NonZero::get) as u32;
        let threads = child.config().recipe.threads.unwrap_or_else(cores);
        let Request { data, experiment_seed, recipe, .. } = rehearsal(child, threads)?;
        let is_command = recipe.trainer == TrainerKind::Command;
        if is_command {
            log::warn!(
                "the trainer is asked to evaluate {} models: one that ignores this is left after \
                 {} s of silence for each (`training.silence_limit`)",
                missing.len(),
                recipe.silence_limit
            );
        }
        let interrupt = catch_interrupts()?;
        if part == EvaluatedPart::Test {
            self.publish_read(plan, missing)?;
            self.check_images(child)?;
        }
        let asked = Evaluation {
            models,
            part,
            output: output.clone(),
            data,
            experiment_seed,
            threads,
            recipe,
            ..Evaluation::default()
        };
        let made = |of: &PlannedModel| output.join(format!("{}.npz", of.model));
        let problem = match evaluate(asked, &work.join("log"), interrupt) {
            Ok(TrainingEnd::Interrupted) => bail!(Refusal::TryAgain(
                "interrupted (the same command goes on where it was)".to_owned()
            )),
            Ok(TrainingEnd::Done | TrainingEnd::EndedItself | TrainingEnd::Stopped) => {
                missing.iter().find_map(|of| outputs_in(&made(of), of).err())
            }
            Ok(TrainingEnd::Failed { reason }) => Some(Refusal::Environment(reason).into()),
            Ok(TrainingEnd::OutOfMemory { .. }) => {
                let problem = "they do not fit into the memory of the device";
                Some(Refusal::Environment(problem.to_owned()).into())
            }
            Err(error) => Some(error.into()),
        };
        match problem {
            None => {}
            // Other trainers need not answer.
            Some(error) if is_command => {
                return Ok(Some(format!("the trainer evaluates no models: {error:#}")));
            }
            Some(error) => return Err(error.context("the models are not evaluated")),
        }
        for of in missing {
            let made = made(of);
            let (bytes, path) = (read(&made)?, self.path(&of.model, plan, "npz"));
            if publish::file_once(&path, &bytes)? == Published::AlreadyThere
                && read(&path)? != bytes
            {
                bail!(Refusal::Damage(format!(
                    "`{}` and `{}` differ, and are of the same model (the first one stays; another \
                     device computes last digits otherwise)",
                    path.display(),
                    made.display()
                )));
            }
        }
        Ok(None)
    }

    /// Checks that the test images are those of the first reading, whose checksums it keeps.
    fn check_images(&self, child: &Experiment) -> Result<()> {
        if child.config().data.kind.is_none() {
            return Ok(());
        }
        let (path, data) = (self.root.join(IMAGES), child.trainer_data().check()?);
        let found = Fingerprint::of_test_files(&data)?;
        sealed::publish_once(&path, &found)?;
        let first: Fingerprint = sealed::read(&path)?;
        match first.differs_in(&found) {
            None => Ok(()),
            Some(name) => bail!(Refusal::Damage(format!(
                "`{name}` holds other test images than at the first reading, of which `{}` has \
                 the checksums (put those back)",
                path.display()
            ))),
        }
    }

    fn publish_read(&self, plan: u32, missing: &[&PlannedModel]) -> Result<()> {
        let models = missing.iter().map(|of| of.model.clone()).collect();
        let (host, process, time) = (host()?, process::id(), Timestamp::now().into());
        let read = Read { host, process, time, plan, models };
        let folder = self.root.join("reads");
        make_folder(&folder)?;
        for opening in 1.. {
            let path = folder.join(format!("{}.{process}.{opening}.yaml", read.host));
            if sealed::publish_once(&path, &read)? == Published::First {
                break;
            }
        }
        Ok(())
    }

    /// A folder of this process alone; those of processes that are gone are removed.
    fn work_folder(&self) -> Result<PathBuf> {
        let process =
            |name: &str| Some(name.strip_prefix("work.")?.strip_suffix(".partial")?.to_owned());
        for (_, folder) in publish::private_listing(&self.root, process)?
            .into_iter()
            .filter(|(process, _)| is_gone(process))
        {
            remove(&folder)?;
        }
        let own = process_name(&host()?, process::id())?.unwrap_or_default();
        let work = self.root.join(format!(".work.{own}.partial"));
        make_folder(&work).map(|()| work)
    }
}

/// Why nothing can be tested.
pub fn why_left_out(whole: &Experiment) -> Result<Option<String>> {
    let config = whole.config();
    match config.recipe.trainer {
        TrainerKind::Synthetic => {
            Ok(Some("the networks of the trainer `synthetic` are made up".to_owned()))
        }
        _ if whole.dir().list_models()?.is_empty() => {
            Ok(Some("the trainer has kept no model".to_owned()))
        }
        _ => why_no_images(whole),
    }
}

/// Why there are no test images. Of a trainer with its own images that is not known.
pub fn why_no_images(whole: &Experiment) -> Result<Option<String>> {
    if whole.config().data.kind.is_none() {
        return Ok(None);
    }
    match find_test_images(&whole.trainer_data().check()?) {
        // Its name is that of a cache.
        Err(DatasetError::Unsuitable(_)) if whole.config().data.class_names.is_some() => {
            Ok(Some("no picture is for testing".to_owned()))
        }
        Err(DatasetError::Unsuitable(why)) => Ok(Some(why)),
        found => Ok(found.map(|()| None)?),
    }
}

pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make `{}`", path.display()))
}

fn remove(folder: &Path) -> Result<()> {
    let failed = || format!("failed to remove `{}`", folder.display());
    regular_file::remove_folder(folder).with_context(failed)
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("failed to read `{}`", path.display());
    regular_file::read(path, LARGE).with_context(failed)
}

fn outputs_in(path: &Path, of: &PlannedModel) -> Result<Outputs> {
    let remedy = "remove it: `metaqnn finalize` makes it again; or put it back from a copy";
    let array =
        |name| read_array(path, name).with_context(|| format!("damaged outputs ({remedy})"));
    let probabilities = array("probabilities")?.numbers().unwrap_or_default();
    let labels = array("labels")?.integers().unwrap_or_default();
    if array("model")? != Array::new("u1", vec![64], of.sha256.clone().into_bytes()) {
        bail!(Refusal::Damage(format!(
            "`{}` holds outputs of another model than `{}` ({remedy})",
            path.display(),
            of.folder.display()
        )));
    }
    let classes = probabilities.len() / labels.len().max(1);
    let is_share = |share: &f32| (0.0..=1.001).contains(share);
    let holds = classes > 1
        && probabilities.len() == classes * labels.len()
        && probabilities.iter().all(is_share)
        && labels.iter().all(|label| (0..classes as i64).contains(label));
    if !holds {
        bail!(Refusal::Damage(format!(
            "`{}` does not hold probabilities and labels of images ({remedy})",
            path.display()
        )));
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Outputs { file, probabilities, labels, classes })
}
