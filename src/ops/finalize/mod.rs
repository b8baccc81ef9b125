//! `metaqnn finalize`: from a search to trained networks with a test error.
//!
//! | step | makes, below `final/` | file |
//! | --- | --- | --- |
//! | networks | `networks.yaml`: which are trained, from the log of the search | `networks.rs` |
//! | validate | `1-validate/`, a list: each for long, judged on the validation part | |
//! | whole | `2-whole/`, a list: the best of these, several times, on all images but test | |
//! | test | `test/`: `plan.yaml`, `reads/`, the outputs of each model | `test.rs` |
//! | report | tables and the certificate | |
//!
//! Each step follows from the files of those before it, and does nothing where its own are there;
//! so the command can be killed, repeated, and run twice at once. A longer search changes nothing.

mod jobs;
mod networks;
mod report;
mod test;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use itertools::Itertools;
use jiff::Timestamp;

use crate::model::ModelCard;
use crate::ops::init::{absolute, open_or_make};
use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::reduce;
use crate::ops::train::LOCAL;
use crate::ops::verify::Finding;
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, MEDIUM};
use crate::report::finals::Finals;
use crate::space::Candidate;
use crate::storage::fs::sealed;
use crate::storage::search_state::Standing;
use crate::storage::{Event, ExperimentDir, Row};

use jobs::{submit_child, submit_test};
pub use networks::FinalizeOptions;
use networks::{FOLDER, NETWORKS, Networks};
use report::MODEL;
use test::TestFolder;

const VALIDATE: &str = "1-validate";
const WHOLE: &str = "2-whole";
const CERTIFICATE: &str = "certificate.md";

/// Who trains and tests.
pub enum By<'a> {
    /// This machine, by what trains an experiment to its end.
    Machine(&'a mut dyn FnMut(&Experiment) -> Result<()>),
    /// Jobs of the scheduler: the last reduce of a step submits the next.
    Jobs,
}

/// Does what is left to do and writes the report, or submits the next step and says so.
pub fn finalize(
    parent: &Experiment,
    options: &FinalizeOptions,
    by: By<'_>,
) -> Result<ControlFlow<Vec<String>, Finals>> {
    if let Some([_, search]) = above(parent) {
        bail!(Refusal::Usage(format!(
            "`{}` is a step of a final training (name its search, `{}`)",
            parent.dir().root().display(),
            search.display()
        )));
    }
    go_on(parent, &parent.dir().root().join(options.folder()?), options, by)
}

fn go_on(
    parent: &Experiment,
    place: &Path,
    options: &FinalizeOptions,
    mut by: By<'_>,
) -> Result<ControlFlow<Vec<String>, Finals>> {
    let networks = Networks::open_or_choose(parent, &place.join(NETWORKS), options)?;
    let mut children = Vec::<Experiment>::new();
    for step in [VALIDATE, WHOLE] {
        // Once the second is made, its list is the choice: a late result of the first changes
        // nothing.
        let config = || match children.first() {
            None => absolute(networks.validate_config(parent)?, parent.dir().root()),
            Some(validate) => absolute(networks.whole_config(validate)?, parent.dir().root()),
        };
        let child = open_or_make(&place.join(step), parent.trust, config)?;
        if trainings_left(&child)? > 0 {
            match &mut by {
                By::Jobs => return submit_child(parent, &child).map(ControlFlow::Break),
                By::Machine(train) => {
                    excuse(&child)?;
                    train(&child)?;
                }
            }
        }
        // It may have been killed before its last view and tables.
        reduce(&child, &EndedJobs::None)?;
        if trainings_left(&child)? > 0 {
            bail!(Refusal::TryAgain(format!("`{step}` was halted (the same command goes on)")));
        }
        children.push(child.reopened()?);
    }
    let (test, children) = (TestFolder::of(place), [&children[0], &children[1]]);
    let untested = match (test.make_plan(children, options.read_test_again)?, by) {
        (Some(why), _) => Some(why),
        (None, By::Jobs) if !test.is_done(children[1])? => {
            let said = submit_test(parent, &test.root, options.data.as_deref())?;
            return Ok(ControlFlow::Break(said));
        }
        (None, _) => test.evaluate(children)?,
    };
    report::write(parent, &networks, children, untested).map(ControlFlow::Continue)
}

/// The place of a final training of which an experiment is a step, and the search.
fn above(child: &Experiment) -> Option<[&Path; 2]> {
    let root = child.dir().root();
    let place = root.parent()?;
    let is_step = [VALIDATE, WHOLE].map(|step| root.ends_with(step)).contains(&true);
    (is_step && place.join(NETWORKS).exists()).then_some([place, place.parent()?])
}

/// Submits the next step after a child of an experiment, as its last reduce does; nothing for any
/// other experiment.
pub fn submit_next(child: &Experiment) -> Result<Vec<String>> {
    let Some([place, parent]) = above(child) else { return Ok(Vec::new()) };
    let parent = Experiment::open(parent)?.trusted_by(child.trust)?;
    let options = sealed::read::<Networks>(&place.join(NETWORKS))?.options;
    // Here, whatever the file of `--data` says by now.
    match go_on(&parent, place, &options, By::Jobs)? {
        ControlFlow::Break(said) => Ok(said),
        ControlFlow::Continue(_) => Ok(progress(&parent).into_iter().collect()),
    }
}

/// Those without a result that are not quarantined.
fn trainings_left(child: &Experiment) -> Result<usize> {
    let journal = Journal::open_to_look(child)?;
    let Some(list) = &child.config().strategy.list else { return Ok(0) };
    let has_ended = |it: &&Candidate| {
        matches!(journal.state().standing(it), Standing::Known(_) | Standing::Quarantined)
    };
    Ok(list.len() - list.iter().filter(has_ended).count())
}

/// A training that was killed together with this command is no loss of its network: a search that
/// was halted after its claim does not count it. Both rows come in one write, so that trainings of
/// another process go on.
fn excuse(child: &Experiment) -> Result<()> {
    Journal::open(child)?.transaction(|transaction| {
        if transaction.state().open.values().any(|open| &*open.job == LOCAL) {
            let now = Timestamp::now().into();
            transaction
                .push_all(vec![Row::at(Event::Halted, now), Row::at(Event::Resumed, now)])?;
        }
        Ok(())
    })
}

/// Folders of final trainings below an experiment.
fn places(root: &Path) -> Vec<PathBuf> {
    let names = regular_file::names(root).unwrap_or_default().into_iter().sorted();
    let places = names.filter(|name| name.to_string_lossy().starts_with(FOLDER));
    places.map(PathBuf::from).filter(|place| root.join(place).join(NETWORKS).exists()).collect()
}

/// The experiments that an experiment has for its final trainings, by their paths below it.
pub fn children(root: &Path) -> Vec<PathBuf> {
    let children = places(root).into_iter().flat_map(|at| [VALIDATE, WHOLE].map(|it| at.join(it)));
    children.filter(|child| ExperimentDir::is_at(&root.join(child))).collect()
}

/// What the certificate says, where there is one: of the images of the search. One that lacks what
/// this program reads, as of an earlier build, is a notice: it can be written anew.
pub fn certificate(parent: &Experiment) -> Result<Option<Finals>, String> {
    certificate_at(parent, Path::new(FOLDER))
}

/// Those on the images of the search and on others, each with the experiment of its first step.
pub fn certificates(parent: &Experiment) -> Vec<(Result<Experiment>, Result<Finals, String>)> {
    let root = parent.dir().root();
    let places = places(root).into_iter();
    let all = places.filter_map(|place| {
        let finals = certificate_at(parent, &place).transpose()?;
        Some((Experiment::open(&root.join(place).join(VALIDATE)), finals))
    });
    all.collect()
}

fn certificate_at(parent: &Experiment, place: &Path) -> Result<Option<Finals>, String> {
    let root = parent.dir().root();
    let path = root.join(place).join("certificate.json");
    if !path.exists() {
        return Ok(None);
    }
    let text = regular_file::read(&path, MEDIUM);
    let parsed = text.map_err(anyhow::Error::from).and_then(|it| Ok(serde_json::from_slice(&it)?));
    parsed.map(Some).map_err(|error| {
        format!(
            "what `{}` says is left out: {error:#} (`metaqnn finalize {}` writes it anew)",
            path.display(),
            root.display()
        )
    })
}

/// What of their other files is damaged.
pub fn check_files(root: &Path) -> Vec<Finding> {
    let of_place = |at: PathBuf| {
        let place = root.join(&at);
        let networks = sealed::read::<Networks>(&place.join(NETWORKS)).map_err(anyhow::Error::from);
        let damaged = networks.err().into_iter().chain(TestFolder::of(&place).damage());
        let damaged = damaged.map(|error| Finding::damage(&at, format!("{error:#}")));
        let model = place.join(MODEL);
        let model = model.exists().then(|| ModelCard::check(&model).err()).flatten();
        let remedy = "or run `metaqnn finalize`, which copies it from `2-whole/models`";
        let model = model.map(|error| Finding::note(at.join(MODEL), format!("{error}, {remedy}")));
        damaged.chain(model).collect_vec()
    };
    places(root).into_iter().flat_map(of_place).collect()
}

/// Which step of each final training is next, and how to go on.
pub fn progress(parent: &Experiment) -> Vec<String> {
    let root = parent.dir().root();
    let state = |place: PathBuf| match next_step(&place) {
        Ok(Some(step)) => {
            let networks = sealed::read::<Networks>(&place.join(NETWORKS));
            let data = networks.ok().and_then(|of| of.options.data);
            let data = data.map_or(String::new(), |path| format!(" --data {}", path.display()));
            format!("next is {step}: `metaqnn finalize {}{data}`", root.display())
        }
        Ok(None) => format!("done, see `{}`", place.join(CERTIFICATE).display()),
        Err(error) => format!("{error:#}"),
    };
    let states = places(root).into_iter().map(|place| state(root.join(place)));
    states.map(|state| format!("Final trainings: {state}.")).collect()
}

/// The first step that is not done, from what is there.
fn next_step(place: &Path) -> Result<Option<String>> {
    sealed::read::<Networks>(&place.join(NETWORKS))?;
    for step in [VALIDATE, WHOLE] {
        let dir = place.join(step);
        let child = ExperimentDir::is_at(&dir).then(|| Experiment::open(&dir)).transpose()?;
        let left = child.as_ref().map(trainings_left).transpose()?;
        if left != Some(0) {
            let left = left.map_or(String::new(), |left| format!(" ({left} trainings left)"));
            return Ok(Some(format!("`{step}`{left}")));
        }
    }
    let test = TestFolder::of(place);
    if !test.is_done(&Experiment::open(&place.join(WHOLE))?)? {
        return Ok(Some("`test`".to_owned()));
    }
    let certificate = regular_file::read(&place.join(CERTIFICATE), MEDIUM).unwrap_or_default();
    let certificate = String::from_utf8_lossy(&certificate);
    // One that was written before the test does not name its plan.
    let plan = test.newest_plan_file()?.unwrap_or_default();
    let plan = plan.file_name().unwrap_or_default().to_string_lossy();
    let is_reported = !certificate.is_empty() && certificate.contains(&*plan);
    Ok((!is_reported).then(|| "the report".to_owned()))
}
