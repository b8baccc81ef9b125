//! The experiment directory: the only place where its paths are built, and how it is made and
//! opened.
//!
//! [`super`] says who writes what; here a path is a function of the numbers in its name.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::regular_file::{self, MEDIUM};
use crate::storage::error::StorageError;
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::trust::Trust;
use crate::storage::log::event::{Attempt, Iteration};
use crate::storage::log::text;

/// The version of the form of all files below an experiment directory, in `experiment.yaml` as
/// `format_version`. A program reads and writes exactly one: within an experiment several copies of
/// the program may run for weeks, and one that understood the files a little differently would
/// damage them.
///
/// Raised by one whenever a file written by the new program could be misread by the old one, or the
/// other way round: a column of the log or of a view added, dropped, renamed, reordered or given
/// another meaning; another rule for which rows may follow which; another path; another key of a
/// generator. Not raised for `tables/` and `report/`, which no program reads, nor for a new key of
/// `experiment.yaml` that has a default.
pub const FORMAT_VERSION: u32 = 2;

/// An experiment directory of this program's format version.
///
/// Files are made with the permissions of the process, whose umask [`Trust`] sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentDir {
    root: PathBuf,
    /// Where checkpoints are kept outside of it.
    scratch: Option<PathBuf>,
}

const CONFIGURATION: &str = "experiment.yaml";
const LOG: &str = "replay.csv";
/// The folders that are made with an experiment.
const FOLDERS: [&str; 7] =
    ["views", "predictors", "curves", "checkpoints", "rounds", "torn", "tables"];

impl ExperimentDir {
    /// Names the paths of a directory without checking it: for `verify`, when its configuration
    /// cannot be read.
    pub fn unchecked(root: &Path) -> Self {
        Self { root: root.to_owned(), scratch: None }
    }

    /// Whether there is an experiment, readable or not.
    pub fn is_at(root: &Path) -> bool {
        root.join(CONFIGURATION).symlink_metadata().is_ok()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn configuration(&self) -> PathBuf {
        self.root.join(CONFIGURATION)
    }

    pub fn replay_log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    pub fn views(&self) -> PathBuf {
        self.root.join("views")
    }

    pub fn view(&self, rows: u64) -> PathBuf {
        self.views().join(format!("{rows:09}"))
    }

    pub fn list_views(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        publish::listing(&self.views(), |name| number(name, 9))
    }

    pub fn predictors(&self) -> PathBuf {
        self.root.join("predictors")
    }

    /// The predictor fitted when the log held so many full curves.
    pub fn predictor(&self, full_curves: u64) -> PathBuf {
        self.predictors().join(format!("{full_curves:06}"))
    }

    pub fn list_predictors(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        publish::listing(&self.predictors(), |name| number(name, 6))
    }

    /// The notes of processes that fit a predictor, by its number of full curves.
    pub fn list_started_fits(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        publish::listing(&self.predictors(), |name| {
            number(name.strip_prefix("started.")?.split('.').next()?, 6)
        })
    }

    pub fn curves(&self) -> PathBuf {
        self.root.join("curves")
    }

    pub fn curve(&self, attempt: Attempt) -> PathBuf {
        self.curves().join(format!("{attempt}.csv"))
    }

    /// The tail of the stderr of an attempt's trainer.
    pub fn trainer_log(&self, attempt: Attempt) -> PathBuf {
        self.curves().join(format!("{attempt}.log"))
    }

    pub fn list_curves(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        self.list_of_attempts(".csv")
    }

    pub(crate) fn list_of_attempts(
        &self,
        end: &str,
    ) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        publish::listing(&self.curves(), |name| attempt_of(name.strip_suffix(end)?))
    }

    #[must_use]
    pub fn with_scratch(self, folder: Option<PathBuf>) -> Self {
        Self { scratch: folder, ..self }
    }

    /// The folder outside of the experiment that holds checkpoints.
    pub fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// The folder of the checkpoints inside the experiment. It holds the marks of attempts in any
    /// case, which must not vanish.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    fn checkpoint_places(&self) -> impl Iterator<Item = PathBuf> {
        [self.checkpoints()].into_iter().chain(self.scratch.clone())
    }

    pub fn checkpoint(&self, attempt: Attempt) -> PathBuf {
        let place = self.scratch.clone().unwrap_or_else(|| self.checkpoints());
        place.join(attempt.to_string())
    }

    pub fn list_checkpoints(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        let mut found = Vec::new();
        for place in self.checkpoint_places() {
            found.extend(publish::listing(&place, attempt_of)?);
        }
        found.sort();
        Ok(found)
    }

    /// The copies of checkpoints that are being made, or were when their attempt was killed.
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

    pub fn rounds(&self) -> PathBuf {
        self.root.join("rounds")
    }

    pub fn round(&self, round: u32) -> PathBuf {
        self.rounds().join(format!("{round:04}"))
    }

    pub fn list_rounds(&self) -> Result<Vec<(u32, PathBuf)>, StorageError> {
        publish::listing(&self.rounds(), |name| u32::try_from(number(name, 4)?).ok())
    }

    pub fn newest_round(&self) -> Result<Option<u32>, StorageError> {
        Ok(self.list_rounds()?.last().map(|(number, _)| *number))
    }

    pub fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }

    pub fn torn(&self) -> PathBuf {
        self.root.join("torn")
    }

    pub fn tables(&self) -> PathBuf {
        self.root.join("tables")
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

/// What stands before the checksum in the last line of `experiment.yaml`.
const CHECKSUM: &str = "# SHA-256 of all before this line: ";

/// The text of `experiment.yaml`, after a check of its checksum.
#[derive(Debug, Clone)]
pub struct FrozenText {
    pub text: Vec<u8>,
    pub sha256: String,
}

impl FrozenText {
    fn of(mut bytes: Vec<u8>) -> Result<Self, &'static str> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or_default();
        let start = lines.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let Some(sha256) = lines[start..].strip_prefix(CHECKSUM.as_bytes()) else {
            return Err("it does not end in its checksum, so that a part of it may be missing");
        };
        let sha256 = String::from_utf8_lossy(sha256).into_owned();
        bytes.truncate(start);
        if sha256 != checksum(&bytes) {
            return Err("its checksum is that of another text, so that it was edited or damaged");
        }
        Ok(Self { text: bytes, sha256 })
    }
}

fn checksum(text: &[u8]) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// From the first line, which every version of the program can read.
fn version_in(bytes: &[u8]) -> Option<u32> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    str::from_utf8(line.strip_prefix(b"format_version: ")?).ok()?.trim().parse().ok()
}

impl ExperimentDir {
    /// Makes an experiment directory: an empty log and the folders, then, as the last step that
    /// makes it one, the frozen configuration. Only those whom `trust` names may write there,
    /// whatever the umask.
    ///
    /// `configuration` is the text of `experiment.yaml`, `format_version` in it, without the
    /// checksum at its end. `root` is to be new, empty, or what an interrupted `create` has left.
    pub fn create(root: &Path, configuration: &str, trust: Trust) -> Result<Self, StorageError> {
        let taken = || StorageError::AlreadyExists { path: root.to_owned() };
        if root.symlink_metadata().is_ok() && !root.is_dir() {
            return Err(taken());
        }
        fs::create_dir_all(root).map_err(|error| {
            match root.ancestors().find(|above| above.is_file()) {
                Some(file) => StorageError::AlreadyExists { path: file.to_owned() },
                None => StorageError::io("create", root)(error),
            }
        })?;
        let experiment = Self::unchecked(root);
        if !experiment.is_unmade().map_err(StorageError::io("list", root))? {
            return Err(taken());
        }
        experiment.check_links()?;
        trust.restrict(root)?;
        // A folder of another user is refused before anything is put there.
        experiment.check_trust(trust)?;
        experiment.make_folders()?;
        publish::file_once(&experiment.replay_log(), text::header().as_bytes())?;
        let sealed = format!("{configuration}{CHECKSUM}{}\n", checksum(configuration.as_bytes()));
        match publish::file_once(&experiment.configuration(), sealed.as_bytes())? {
            Published::First => {
                experiment.trusted_paths().try_for_each(|path| trust.restrict(&path))?;
                Self::open(root)
            }
            Published::AlreadyThere => Err(taken()),
        }
    }

    /// Whether nothing is there, or what [`ExperimentDir::create`] makes before the last step.
    fn is_unmade(&self) -> io::Result<bool> {
        for name in regular_file::names(&self.root)? {
            let name = name.to_string_lossy();
            let length = || self.root.join(LOG).symlink_metadata().map(|metadata| metadata.len());
            let is_unmade = FOLDERS.contains(&name.as_ref())
                || publish::is_private(&name)
                || (name == LOG && length()? == text::header().len() as u64);
            if !is_unmade {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn open(root: &Path) -> Result<Self, StorageError> {
        Self::open_frozen(root).map(|(experiment, _)| experiment)
    }

    pub fn open_frozen(root: &Path) -> Result<(Self, FrozenText), StorageError> {
        use ErrorKind::{IsADirectory, NotADirectory, NotFound};
        let experiment = Self::unchecked(root);
        experiment.check_links()?;
        let path = root.join(CONFIGURATION);
        let bytes = regular_file::read(&path, MEDIUM).map_err(|error| match error.kind() {
            NotFound | NotADirectory | IsADirectory => {
                StorageError::NotAnExperiment { path: root.to_owned() }
            }
            _ => StorageError::io("read", &path)(error),
        })?;
        // Another version may end in another way, so that its number is read first.
        if let Some(found) = version_in(&bytes).filter(|found| *found != FORMAT_VERSION) {
            return Err(StorageError::OtherFormat { path, found, expected: FORMAT_VERSION });
        }
        let frozen = FrozenText::of(bytes).map_err(|how| {
            let remedy = "put it back from a copy; what may change, `metaqnn set` changes";
            let problem = format!("is not what `metaqnn init` wrote: {how} ({remedy})");
            StorageError::damaged(&path, problem)
        })?;
        Ok((experiment, frozen))
    }

    /// Checks that what this program writes to lies in the directory: nothing is written elsewhere.
    fn check_links(&self) -> Result<(), StorageError> {
        let names = FOLDERS.into_iter().chain([CONFIGURATION, LOG]);
        let paths = names.map(|name| self.root.join(name)).chain([self.imported()]);
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|entry| entry.is_symlink());
        for path in paths.filter(|path| is_link(path)) {
            let ends = path.canonicalize().and_then(|end| Ok((end, self.root.canonicalize()?)));
            // One that ends nowhere now may end anywhere later.
            if !ends.is_ok_and(|(end, root)| end.starts_with(root)) {
                let problem = "is a symbolic link that leads out of the experiment (put the file \
                     or folder itself there; the whole experiment may lie behind a link)";
                return Err(StorageError::Unusable { path, problem: problem.to_owned() });
            }
        }
        Ok(())
    }

    /// Checks that no untrusted user can make this one run a program by writing to the experiment:
    /// the directory, its configuration, its log (whose `set` rows hold lines of a shell), and its
    /// folders (batch scripts, checkpoints).
    ///
    /// Folders above it are not checked: a user who may rename the experiment can put only files of
    /// their own in its place, which are refused, or another experiment of this user.
    pub fn check_trust(&self, trust: Trust) -> Result<(), StorageError> {
        for path in self.trusted_paths() {
            // What this program makes outside of the experiment is no link.
            let entry = if self.scratch.as_ref() == Some(&path) {
                fs::symlink_metadata(&path)
            } else {
                fs::metadata(&path)
            };
            match entry {
                Ok(entry) => trust.check(&path, &entry)?,
                // Copies may lack empty folders.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(StorageError::io("read", &path)(error)),
            }
        }
        Ok(())
    }

    pub(crate) fn trusted_paths(&self) -> impl Iterator<Item = PathBuf> {
        let names = [CONFIGURATION, LOG].into_iter().chain(FOLDERS);
        std::iter::once(self.root.clone())
            .chain(names.map(|name| self.root.join(name)))
            .chain(self.scratch.clone())
    }

    /// Makes the folders that are not there: copies and archives may drop empty ones.
    pub fn make_folders(&self) -> Result<(), StorageError> {
        for folder in FOLDERS.map(|name| self.root.join(name)) {
            if folder.is_dir() {
                continue;
            }
            fs::create_dir_all(&folder).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => StorageError::no_folder(&folder),
                _ => StorageError::io("create", &folder)(error),
            })?;
        }
        Ok(())
    }

    /// Makes the folder for checkpoints outside of the experiment where it is not there: a scratch
    /// file system may have been purged. Only those whom `trust` names may write there: a
    /// checkpoint may be a program.
    pub fn make_scratch(&self, trust: Trust) -> Result<(), StorageError> {
        let Some(folder) = &self.scratch else { return Ok(()) };
        fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
        access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| StorageError::io("write into", folder)(error.into()))?;
        self.check_trust(trust)
    }

    /// Checks that this user may make files in each folder that is there.
    pub fn check_access(&self) -> Result<(), StorageError> {
        for folder in FOLDERS.map(|name| self.root.join(name)) {
            if folder.is_file() {
                return Err(StorageError::no_folder(&folder));
            }
            match access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(StorageError::io("write into", &folder)(error.into())),
            }
        }
        Ok(())
    }

    /// What distinguishes this experiment from every other, also from a copy of it: the frozen
    /// configuration and the log, which is never replaced. Equal on all nodes, and after a move
    /// within a file system that keeps its name.
    pub fn identity(&self, sha256: &str) -> Result<String, StorageError> {
        let log = self.replay_log();
        let inode = fs::metadata(&log).map_err(StorageError::io("read", &log))?.ino();
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let digest = checksum(format!("{sha256} {inode} {name}").as_bytes());
        Ok(digest[..12].to_owned())
    }
}

#[cfg(test)]
impl ExperimentDir {
    /// An experiment below a folder that vanishes with the first value.
    pub(crate) fn made_up() -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("search");
        let experiment = Self::create(&root, "format_version: 2\nseed: 7\n", Trust::Owner).unwrap();
        (folder, experiment)
    }
}

#[cfg(test)]
mod tests;
