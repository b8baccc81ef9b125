//! The experiment directory: the only place where its paths are built.
//!
//! Who writes what is told in [`super`]; here a path is a function of the numbers in its name.

use std::path::{Path, PathBuf};

use crate::storage::error::StorageError;
use crate::storage::fs::publish;
use crate::storage::log::event::{Attempt, Iteration};

/// An experiment directory of this program's format version.
///
/// Files are made with the permissions of the process, whose umask [`crate::storage::Trust`] sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentDir {
    pub(crate) root: PathBuf,
    /// Where checkpoints are kept outside of it.
    pub(crate) scratch: Option<PathBuf>,
}

pub(crate) const CONFIGURATION: &str = "experiment.yaml";
pub(crate) const LOG: &str = "replay.csv";
/// The folders that are made with an experiment.
pub(crate) const FOLDERS: [&str; 6] =
    ["views", "curves", "checkpoints", "rounds", "torn", "tables"];

impl ExperimentDir {
    /// Names the paths of a directory whose configuration cannot be read, for `verify` to look at the rest.
    pub fn of_damaged(root: &Path) -> Self {
        Self { root: root.to_owned(), scratch: None }
    }

    /// Whether there is an experiment, readable or not.
    pub fn is_at(root: &Path) -> bool {
        root.join(CONFIGURATION).symlink_metadata().is_ok()
    }

    /// Returns the directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the frozen configuration.
    pub fn configuration(&self) -> PathBuf {
        self.root.join(CONFIGURATION)
    }

    /// Returns the replay log, which is also the lock.
    pub fn replay_log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// Returns the folder of the views.
    pub fn views(&self) -> PathBuf {
        self.root.join("views")
    }

    /// Returns the view of the first `rows` rows of the log.
    pub fn view(&self, rows: u64) -> PathBuf {
        self.views().join(format!("{rows:09}"))
    }

    /// Returns the views that are there, by the number of their rows.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list_views(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        publish::listing(&self.views(), |name| number(name, 9))
    }

    /// Returns the folder of the learning curves.
    pub fn curves(&self) -> PathBuf {
        self.root.join("curves")
    }

    /// Returns the learning curve of an attempt.
    pub fn curve(&self, attempt: Attempt) -> PathBuf {
        self.curves().join(format!("{attempt}.csv"))
    }

    /// Returns the last lines that the trainer of an attempt wrote.
    pub fn trainer_log(&self, attempt: Attempt) -> PathBuf {
        self.curves().join(format!("{attempt}.log"))
    }

    /// Returns the curves that are there, by attempt.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list_curves(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        self.list_of_attempts(".csv")
    }

    /// Returns the files of attempts in the folder of the curves whose names end so.
    pub(crate) fn list_of_attempts(
        &self,
        end: &str,
    ) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        publish::listing(&self.curves(), |name| attempt_of(name.strip_suffix(end)?))
    }

    /// Keeps checkpoints in `folder`, outside of the experiment.
    #[must_use]
    pub fn with_scratch(self, folder: Option<PathBuf>) -> Self {
        Self { scratch: folder, ..self }
    }

    /// Returns the folder outside of the experiment that holds checkpoints, if there is to be one.
    pub fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// Returns the folder of the checkpoints inside the experiment. It holds the marks of attempts in any case, which
    /// must not vanish.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Returns every folder that may hold checkpoints.
    fn checkpoint_places(&self) -> impl Iterator<Item = PathBuf> {
        [self.checkpoints()].into_iter().chain(self.scratch.clone())
    }

    /// Returns the checkpoint folder of an attempt.
    pub fn checkpoint(&self, attempt: Attempt) -> PathBuf {
        let place = self.scratch.clone().unwrap_or_else(|| self.checkpoints());
        place.join(attempt.to_string())
    }

    /// Returns the checkpoint folders that are there, by attempt.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list_checkpoints(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        let mut found = Vec::new();
        for place in self.checkpoint_places() {
            found.extend(publish::listing(&place, attempt_of)?);
        }
        found.sort();
        Ok(found)
    }

    /// Returns the copies of checkpoints that are being made, or were when their attempt was killed.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list_unfinished_checkpoints(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        let attempt_in = |name: &str| {
            let (iteration, rest) = name.split_once('.')?;
            attempt_of(&format!("{iteration}.{}", rest.split('.').next()?))
        };
        let mut found = Vec::new();
        for place in self.checkpoint_places() {
            found.extend(publish::private_listing(&place, attempt_in)?);
        }
        Ok(found)
    }

    /// Returns the folder of the rounds.
    pub fn rounds(&self) -> PathBuf {
        self.root.join("rounds")
    }

    /// Returns the folder of a round.
    pub fn round(&self, round: u32) -> PathBuf {
        self.rounds().join(format!("{round:04}"))
    }

    /// Returns the rounds that are there.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list_rounds(&self) -> Result<Vec<(u32, PathBuf)>, StorageError> {
        publish::listing(&self.rounds(), |name| u32::try_from(number(name, 4)?).ok())
    }

    /// Returns the number of the newest round, if there is any.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn newest_round(&self) -> Result<Option<u32>, StorageError> {
        Ok(self.list_rounds()?.last().map(|(number, _)| *number))
    }

    /// Returns the folder of what an import brought.
    pub fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }

    /// Returns the folder of what was cut or replaced in the log.
    pub fn torn(&self) -> PathBuf {
        self.root.join("torn")
    }

    /// Returns the folder of the spreadsheets.
    pub fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    /// Returns the folder of the report.
    pub fn report(&self) -> PathBuf {
        self.root.join("report")
    }

    /// Returns the folder of the final training.
    pub fn finals(&self) -> PathBuf {
        self.root.join("final")
    }
}

fn attempt_of(name: &str) -> Option<Attempt> {
    let (iteration, attempt) = name.split_once('.')?;
    let iteration = Iteration(number(iteration, 6)?);
    Some(Attempt { iteration, number: u32::try_from(number(attempt, 1)?).ok()? })
}

/// Reads a number of at least `width` digits, written as this program writes it.
fn number(name: &str, width: usize) -> Option<u64> {
    let number = name.parse().ok()?;
    (format!("{number:0width$}") == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_are_read_back_as_they_are_written() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let attempt = Attempt { iteration: Iteration(123), number: 2 };
        let curve = experiment.curve(attempt);
        assert!(curve.ends_with("curves/000123.2.csv"));
        assert!(experiment.view(3141).ends_with("views/000003141"));
        assert!(experiment.round(7).ends_with("rounds/0007"));
        fs::write(&curve, "").unwrap();
        fs::write(experiment.trainer_log(attempt), "").unwrap();
        assert_eq!(experiment.list_curves().unwrap(), [(attempt, curve)]);
        fs::create_dir_all(experiment.view(12)).unwrap();
        fs::create_dir_all(experiment.view(1_234_567_890)).unwrap();
        fs::create_dir_all(experiment.views().join("13")).unwrap();
        let views: Vec<u64> =
            experiment.list_views().unwrap().into_iter().map(|(rows, _)| rows).collect();
        assert_eq!(views, [12, 1_234_567_890]);
        assert_eq!(attempt_of("000123.02"), None);
    }
}
