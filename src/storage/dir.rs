//! The experiment directory: the only place where its paths are built.

mod making;

use std::path::{Path, PathBuf};

use itertools::{Either, Itertools};
use strum::{IntoStaticStr, VariantArray};

use crate::storage::log::event::{Attempt, Iteration};
use crate::storage::{error::Result, fs::publish};

pub type Files = Vec<(Attempt, PathBuf)>;

/// The version of all files of an experiment, `format_version` in `experiment.yaml`. A program
/// reads and writes exactly one: several copies of it may work on an experiment for weeks, and one
/// that understood the files a little differently would damage them.
///
/// Raised whenever another version could misread a file: another column of the log or of a view, or
/// another meaning of one; another rule for which rows may follow which; another path; another key
/// of a generator. Not for `tables/`, which no program reads, nor for a new key of
/// `experiment.yaml` that has a default.
pub const FORMAT_VERSION: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentDir {
    root: PathBuf,
    /// Where checkpoints are kept outside of it.
    pub scratch: Option<PathBuf>,
}

const CONFIGURATION: &str = "experiment.yaml";
const LOG: &str = "replay.csv";
/// Ends the name of a model that its attempt may still write to.
const UNFINISHED: &str = ".part";

#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Folder {
    Views,
    Predictors,
    Curves,
    /// It holds the marks of attempts in any case, which must not vanish.
    Checkpoints,
    Models,
    Rounds,
    Torn,
    Tables,
}

impl ExperimentDir {
    /// For `verify`, when the configuration cannot be read.
    pub fn unchecked(root: &Path) -> Self {
        Self { root: root.to_owned(), scratch: None }
    }

    pub fn is_at(root: &Path) -> bool {
        root.join(CONFIGURATION).symlink_metadata().is_ok()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn configuration(&self) -> PathBuf {
        self.root.join(CONFIGURATION)
    }

    pub fn folder(&self, folder: Folder) -> PathBuf {
        self.root.join(<&str>::from(folder))
    }

    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        Folder::VARIANTS.iter().map(|&folder| self.folder(folder))
    }

    pub fn replay_log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    pub fn view(&self, rows: u64) -> PathBuf {
        self.folder(Folder::Views).join(format!("{rows:09}"))
    }

    pub fn list_views(&self) -> Result<Vec<(u64, PathBuf)>> {
        publish::listing(&self.folder(Folder::Views), |name| number(name, 9))
    }

    pub fn predictor(&self, full_curves: u64) -> PathBuf {
        self.folder(Folder::Predictors).join(format!("{full_curves:06}"))
    }

    pub fn list_predictors(&self) -> Result<Vec<(u64, PathBuf)>> {
        publish::listing(&self.folder(Folder::Predictors), |name| number(name, 6))
    }

    /// By the number of full curves.
    pub fn list_started_fits(&self) -> Result<Vec<(u64, PathBuf)>> {
        publish::listing(&self.folder(Folder::Predictors), |name| {
            number(name.strip_prefix("started.")?.split('.').next()?, 6)
        })
    }

    pub fn curve(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Curves).join(format!("{attempt}.csv"))
    }

    /// The tail of the trainer's stderr.
    pub fn trainer_log(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Curves).join(format!("{attempt}.log"))
    }

    pub fn list_curves(&self) -> Result<Files> {
        Ok(self.list_curves_and_results()?.0)
    }

    /// By one listing of their folder: there are as many as results.
    pub fn list_curves_and_results(&self) -> Result<(Files, Files)> {
        let listed = publish::listing(&self.folder(Folder::Curves), |name| {
            let (attempt, kind) = name.rsplit_once('.')?;
            ["csv", "result"].contains(&kind).then_some((attempt_of(attempt)?, kind == "result"))
        })?;
        Ok(listed.into_iter().partition_map(|((attempt, is_result), path)| match is_result {
            false => Either::Left((attempt, path)),
            true => Either::Right((attempt, path)),
        }))
    }

    pub fn checkpoint(&self, attempt: Attempt) -> PathBuf {
        let place = self.scratch.clone().unwrap_or_else(|| self.folder(Folder::Checkpoints));
        place.join(attempt.to_string())
    }

    pub fn list_checkpoints(&self) -> Result<Files> {
        self.in_checkpoint_places(|place| publish::listing(place, attempt_of))
    }

    /// Copies that are being made, or were when their attempt was killed.
    pub fn list_unfinished_checkpoints(&self) -> Result<Files> {
        self.in_checkpoint_places(|place| publish::private_listing(place, attempt_in_private))
    }

    fn in_checkpoint_places(&self, list: impl Fn(&Path) -> Result<Files>) -> Result<Files> {
        let places = [self.folder(Folder::Checkpoints)].into_iter().chain(self.scratch.clone());
        let lists = places.map(|place| list(&place)).collect::<Result<Vec<_>>>()?;
        Ok(lists.concat().into_iter().sorted().collect())
    }

    /// Of an attempt among the best.
    pub fn model(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Models).join(attempt.to_string())
    }

    /// While the attempt trains.
    pub fn unfinished_model(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Models).join(format!("{attempt}{UNFINISHED}"))
    }

    /// Finished ones and others.
    pub fn list_models(&self) -> Result<Files> {
        let of_name = |name: &str| attempt_of(name.strip_suffix(UNFINISHED).unwrap_or(name));
        publish::listing(&self.folder(Folder::Models), of_name)
    }

    /// Copies of models that were cut short.
    pub fn list_unfinished_copies(&self) -> Result<Files> {
        publish::private_listing(&self.folder(Folder::Models), attempt_in_private)
    }

    pub fn round(&self, round: u32) -> PathBuf {
        self.folder(Folder::Rounds).join(format!("{round:04}"))
    }

    pub fn list_rounds(&self) -> Result<Vec<(u32, PathBuf)>> {
        publish::listing(&self.folder(Folder::Rounds), |name| u32::try_from(number(name, 4)?).ok())
    }

    pub fn newest_round(&self) -> Result<Option<u32>> {
        Ok(self.list_rounds()?.last().map(|(number, _)| *number))
    }

    pub fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }
}

fn attempt_of(name: &str) -> Option<Attempt> {
    let (iteration, attempt) = name.split_once('.')?;
    let iteration = Iteration(number(iteration, 6)?);
    Some(Attempt { iteration, number: u32::try_from(number(attempt, 1)?).ok()? })
}

fn attempt_in_private(name: &str) -> Option<Attempt> {
    let (iteration, rest) = name.split_once('.')?;
    attempt_of(&format!("{iteration}.{}", rest.split('.').next()?))
}

/// Reads a number of at least `width` digits, written as this program writes it.
pub(crate) fn number(name: &str, width: usize) -> Option<u64> {
    let has_zeros = name.len() > width && name.starts_with('0');
    let is_canonical = name.len() >= width && !has_zeros && !name.starts_with('+');
    name.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
impl ExperimentDir {
    /// An experiment below a folder that vanishes with the first value.
    pub(crate) fn made_up() -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("search");
        let experiment =
            Self::create(&root, "format_version: 2\nseed: 7\n", crate::storage::Trust::Owner)
                .unwrap();
        (folder, experiment)
    }
}

#[cfg(test)]
mod tests;
