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

use crate::dataset::{DatasetError, find_test_images, read_array};
use crate::model::ModelCard;
use crate::ops::journal::Journal;
use crate::ops::run::catch_interrupts;
use crate::ops::train::attempt::rehearsal;
use crate::ops::train::{host, is_gone, process_name};
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, LARGE};
use crate::report::finals::{Outputs, Read};
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::{sealed, yaml};
use crate::storage::{Attempt, Event, Row, dir::number};
use crate::training::protocol::{EvaluatedPart, Evaluation, VERSION};
use crate::training::{TrainerKind, TrainingEnd, evaluate};

/// The name of outputs of a model of a child: `1-validate-000001.1`.
pub fn model_name(child: &Experiment, attempt: Attempt) -> String {
    let step = child.dir().root().file_name().unwrap_or_default().to_string_lossy();
    format!("{step}-{attempt}")
}

/// `plan.yaml`, and with `--read-test-again` `plan.2.yaml` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestPlan {
    models: Vec<PlannedModel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedModel {
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
    root: PathBuf,
}

impl TestFolder {
    pub fn of(place: &Path) -> Self {
        Self { place: place.to_owned(), root: place.join("test") }
    }

    fn plan(&self, plan: u32) -> PathBuf {
        let again = if plan == 1 { String::new() } else { format!(".{plan}") };
        self.root.join(format!("plan{again}.yaml"))
    }

    fn newest_plan(&self) -> Result<Option<(u32, TestPlan)>> {
        let plans = publish::listing(&self.root, |name| match name {
            "plan.yaml" => Some(1),
            _ => number(name.strip_prefix("plan.")?.strip_suffix(".yaml")?, 1),
        })?;
        let Some((plan, path)) = plans.last() else { return Ok(None) };
        Ok(Some((u32::try_from(*plan)?, sealed::read(path)?)))
    }

    fn outputs(&self, plan: u32, model: &str) -> PathBuf {
        let again = if plan == 1 { String::new() } else { format!(".{plan}") };
        self.root.join(format!("{model}{again}.npz"))
    }

    /// Of the newest plan; `None` where the model is not in it, or not evaluated.
    pub fn read_outputs(&self, model: &str) -> Result<Option<Outputs>> {
        let Some((plan, TestPlan { models })) = self.newest_plan()? else { return Ok(None) };
        let path = self.outputs(plan, model);
        let is_there = models.iter().any(|of| of.model == model) && path.exists();
        is_there.then(|| outputs_in(&path)).transpose()
    }

    /// Each opening of the test images, the first one first.
    pub fn reads(&self) -> Result<Vec<Read>> {
        let name = |name: &str| name.strip_suffix(".yaml").map(str::to_owned);
        let listed = publish::listing(&self.root.join("reads"), name)?.into_iter();
        let read = listed.map(|(_, path)| yaml::read::<Read>(&path));
        let mut reads = read.collect::<Result<Vec<_>, _>>()?;
        reads.sort_by(|one, other| (one.time, &one.host).cmp(&(other.time, &other.host)));
        Ok(reads)
    }

    /// Whether nothing is left to evaluate.
    pub fn is_done(&self) -> Result<bool> {
        let Some((plan, TestPlan { models })) = self.newest_plan()? else { return Ok(false) };
        Ok(models.iter().all(|of| self.outputs(plan, &of.model).exists()))
    }

    /// What of its files is damaged.
    pub fn damage(&self) -> Vec<anyhow::Error> {
        let models = self.newest_plan().map(|plan| plan.map_or_else(Vec::new, |(_, of)| of.models));
        let outputs = |models: Vec<PlannedModel>| {
            models.iter().filter_map(|of| self.read_outputs(&of.model).err()).collect()
        };
        let outputs = models.map_or_else(|error| vec![error], outputs);
        outputs.into_iter().chain(self.reads().err()).collect()
    }

    /// Makes another plan, where there are other models than those of the newest.
    pub fn plan_again(&self, children: [&Experiment; 2]) -> Result<()> {
        let newest = self.newest_plan()?;
        let models = self.trained_models(children)?;
        match newest {
            Some((plan, newest)) if newest.models != models => {
                sealed::publish_once(&self.plan(plan + 1), &TestPlan { models })?;
                Ok(())
            }
            newest => bail!(Refusal::Usage(format!(
                "`--read-test-again`: {} (leave it out)",
                match newest {
                    None => "the test images were not read yet".to_owned(),
                    Some((plan, _)) =>
                        format!("the models are those of `{}`", self.plan(plan).display()),
                }
            ))),
        }
    }

    /// Evaluates what the plan names, which is made once. Returns why not, where it is left out.
    pub fn evaluate(&self, children: [&Experiment; 2]) -> Result<Option<String>> {
        if self.newest_plan()?.is_none() {
            if let Some(why) = why_left_out(children[1])? {
                return Ok(Some(why));
            }
            let models = self.trained_models(children)?;
            if !models.iter().any(|of| of.part == EvaluatedPart::Test) {
                return Ok(Some("the trainer has kept no model".to_owned()));
            }
            make_folder(&self.root.join("reads"))?;
            sealed::publish_once(&self.plan(1), &TestPlan { models })?;
        }
        let Some((plan, TestPlan { models })) = self.newest_plan()? else {
            bail!(Refusal::TryAgain(format!("`{}` has vanished", self.plan(1).display())));
        };
        let work = self.work_folder()?;
        let parts = [EvaluatedPart::Validation, EvaluatedPart::Test];
        let mut why = None;
        for (part, child) in parts.into_iter().zip(children) {
            let is_there = |of: &PlannedModel| self.outputs(plan, &of.model).exists();
            let of_part = models.iter().filter(|of| of.part == part);
            let missing: Vec<_> = of_part.filter(|of| !is_there(of)).collect();
            if why.is_none() && !missing.is_empty() {
                why = self.evaluate_part(plan, &part, child, &missing, &work)?;
            }
        }
        // After an error it stays to be looked at, until another process works here.
        regular_file::remove_folder(&work)
            .with_context(|| format!("failed to remove `{}`", work.display()))?;
        Ok(why)
    }

    /// Of each network that was trained to the end, where its model is there.
    fn trained_models(&self, children: [&Experiment; 2]) -> Result<Vec<PlannedModel>> {
        let parts = [EvaluatedPart::Validation, EvaluatedPart::Test];
        let mut models = Vec::new();
        for (part, child) in parts.into_iter().zip(children) {
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

    fn evaluate_part(
        &self,
        plan: u32,
        part: &EvaluatedPart,
        child: &Experiment,
        missing: &[&PlannedModel],
        work: &Path,
    ) -> Result<Option<String>> {
        let output = work.join("outputs");
        let mut models = Vec::new();
        for of in missing {
            let copy = work.join(&of.model);
            [&copy, &output].into_iter().try_for_each(|folder| make_folder(folder))?;
            let folder = self.place.join(&of.folder);
            if ModelCard::copy(&folder, &copy)?.checksum() != of.sha256 {
                bail!(Refusal::Damage(format!(
                    "`{}` is not the model that `{}` names (put it back from a copy; \
                     `--read-test-again` reads the test images once more, for the models there \
                     are, and the certificate says so)",
                    folder.display(),
                    self.plan(plan).display()
                )));
            }
            models.push(copy);
        }
        child.check_data()?;
        let threads = child
            .config()
            .recipe
            .threads
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get) as u32);
        let request = rehearsal(child, threads)?;
        let asked = Evaluation {
            protocol: VERSION,
            models,
            part: part.clone(),
            output: output.clone(),
            data: request.data,
            experiment_seed: request.experiment_seed,
            threads,
            recipe: request.recipe,
        };
        let interrupt = catch_interrupts()?;
        if *part == EvaluatedPart::Test {
            self.publish_read(plan, missing)?;
        }
        match evaluate(asked, &work.join("log"), interrupt) {
            Ok(TrainingEnd::Done) => {}
            Ok(TrainingEnd::Interrupted) => bail!(Refusal::TryAgain(
                "interrupted (the same command goes on where it was)".to_owned()
            )),
            // Other trainers need not answer.
            Err(error) if child.config().recipe.trainer == TrainerKind::Command => {
                return Ok(Some(format!("the trainer evaluates no models: {error}")));
            }
            ended => {
                let ended = ended?;
                bail!(Refusal::Environment(format!("the trainer ended otherwise: {ended:?}")));
            }
        }
        for of in missing {
            let (made, path) =
                (output.join(format!("{}.npz", of.model)), self.outputs(plan, &of.model));
            outputs_in(&made)?;
            let bytes = regular_file::read(&made, LARGE)?;
            if publish::file_once(&path, &bytes)? == Published::AlreadyThere
                && regular_file::read(&path, LARGE)? != bytes
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

    fn publish_read(&self, plan: u32, missing: &[&PlannedModel]) -> Result<()> {
        let models = missing.iter().map(|of| of.model.clone()).collect();
        let (host, process, time) = (host()?, process::id(), Timestamp::now().into());
        let read = Read { host, process, time, plan, models };
        for opening in 1.. {
            let name = format!("{}.{process}.{opening}.yaml", read.host);
            let path = self.root.join("reads").join(name);
            let text = yaml::print(&read, &path)?;
            if publish::file_once(&path, text.as_bytes())? == Published::First {
                break;
            }
        }
        Ok(())
    }

    /// A folder of this process alone; those of processes that are gone are removed.
    fn work_folder(&self) -> Result<PathBuf> {
        let process = |name: &str| {
            let process = name.strip_prefix("work.")?.strip_suffix(".partial")?;
            Some(process.to_owned())
        };
        for (process, folder) in publish::private_listing(&self.root, process)? {
            if is_gone(&process) {
                regular_file::remove_folder(&folder)?;
            }
        }
        let own =
            process_name(&host()?, process::id())?.context("failed to read `/proc/self/stat`")?;
        let work = self.root.join(format!(".work.{own}.partial"));
        make_folder(&work)?;
        Ok(work)
    }
}

/// Why nothing can be tested.
pub fn why_left_out(whole: &Experiment) -> Result<Option<String>> {
    let is_command = match whole.config().recipe.trainer {
        TrainerKind::Synthetic => {
            return Ok(Some("the networks of the trainer `synthetic` are made up".to_owned()));
        }
        kind => kind == TrainerKind::Command,
    };
    // A trainer of one's own may bring its own images.
    if is_command && whole.config().data.kind.is_none() {
        return Ok(None);
    }
    match find_test_images(&whole.trainer_data().check()?) {
        Err(DatasetError::Unsuitable(why)) => Ok(Some(why)),
        found => Ok(found.map(|()| None)?),
    }
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make `{}`", path.display()))
}

fn outputs_in(path: &Path) -> Result<Outputs> {
    let probabilities = read_array(path, "probabilities")?.numbers().unwrap_or_default();
    let labels = read_array(path, "labels")?.integers().unwrap_or_default();
    let classes = probabilities.len() / labels.len().max(1);
    let is_share = |share: &f32| (0.0..=1.001).contains(share);
    let holds = classes > 1
        && probabilities.len() == classes * labels.len()
        && probabilities.iter().all(is_share)
        && labels.iter().all(|label| (0..classes as i64).contains(label));
    if !holds {
        bail!(Refusal::Damage(format!(
            "`{}` does not hold probabilities and labels of images (put it back from a copy; \
             removed, it is made again)",
            path.display()
        )));
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Outputs { file, probabilities, labels, classes })
}
