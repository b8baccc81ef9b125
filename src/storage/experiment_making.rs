//! How an experiment directory is made, and opened: what must be there, and what must not.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::regular_file::{self, MEDIUM};
use crate::storage::dir::{CONFIGURATION, ExperimentDir, FOLDERS, LOG};
use crate::storage::error::StorageError;
use crate::storage::format::FormatVersion;
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::trust::Trust;
use crate::storage::log::text;

/// Returns the version in the first line of `experiment.yaml`, the part that every version of the program can read.
fn version_in(bytes: &[u8]) -> Option<FormatVersion> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    let number = str::from_utf8(line.strip_prefix(b"format_version: ")?).ok()?;
    number.trim().parse().ok().map(FormatVersion)
}

/// What stands before the checksum in the last line of `experiment.yaml`.
const CHECKSUM: &str = "# SHA-256 of all before this line: ";

/// The text of `experiment.yaml`, which is whole.
#[derive(Debug, Clone)]
pub struct FrozenText {
    /// All but the last line.
    pub text: Vec<u8>,
    /// The checksum in the last line.
    pub sha256: String,
}

impl FrozenText {
    /// Takes the last line off, and checks the rest by it.
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

impl ExperimentDir {
    /// Makes an experiment directory: an empty log and the folders, then, as the last step that
    /// makes it one, the frozen configuration.
    ///
    /// `configuration` is the text of `experiment.yaml`, `format_version` in it, without the checksum at its end.
    ///
    /// None but those whom `trust` names may write there, whatever the umask.
    ///
    /// # Errors
    /// `root` is there already and neither empty nor what an interrupted `create` has left, or cannot be written.
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
        let experiment = Self { root: root.to_owned(), scratch: None };
        if !experiment.is_unmade().map_err(StorageError::io("list", root))? {
            return Err(taken());
        }
        experiment.check_links()?;
        trust.restrict(root)?;
        // Of another user, for one: nothing is put there.
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

    /// Makes the folders that are not there: copies and archives may drop empty ones.
    ///
    /// # Errors
    /// One cannot be made, or a file stands in its place.
    pub fn make_folders(&self) -> Result<(), StorageError> {
        for folder in FOLDERS.map(|name| self.root.join(name)) {
            if folder.is_dir() {
                continue;
            }
            fs::create_dir_all(&folder).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => StorageError::NoFolder { path: folder.clone() },
                _ => StorageError::io("create", &folder)(error),
            })?;
        }
        Ok(())
    }

    /// Makes the folder for checkpoints outside of the experiment where it is not there: a scratch file system may have
    /// been purged.
    ///
    /// # Errors
    /// It cannot be made, this user may not write into it, or others may whom `trust` does not name: a checkpoint may be
    /// a program.
    pub fn make_scratch(&self, trust: Trust) -> Result<(), StorageError> {
        let Some(folder) = &self.scratch else { return Ok(()) };
        fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
        access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| StorageError::io("write into", folder)(error.into()))?;
        self.check_trust(trust)
    }

    /// Returns what distinguishes this experiment from every other, also from a copy of it: the frozen configuration and the
    /// log, which is never replaced. Equal on all nodes, and after a move within a file system that keeps its name.
    ///
    /// # Errors
    /// The log cannot be looked at.
    pub fn identity(&self, sha256: &str) -> Result<String, StorageError> {
        let log = self.replay_log();
        let inode = fs::metadata(&log).map_err(StorageError::io("read", &log))?.ino();
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let digest = checksum(format!("{sha256} {inode} {name}").as_bytes());
        Ok(digest[..12].to_owned())
    }

    /// Checks that this user may make files in each folder that is there.
    ///
    /// # Errors
    /// Not in one, or a file stands in its place.
    pub fn check_access(&self) -> Result<(), StorageError> {
        for folder in FOLDERS.map(|name| self.root.join(name)) {
            if folder.is_file() {
                return Err(StorageError::NoFolder { path: folder });
            }
            match access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(StorageError::io("write into", &folder)(error.into())),
            }
        }
        Ok(())
    }

    /// Whether nothing is there, or what [`ExperimentDir::create`] makes before it has made an experiment.
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

    /// Checks that what this program writes to lies in the directory: nothing is written elsewhere.
    fn check_links(&self) -> Result<(), StorageError> {
        let names = FOLDERS.into_iter().chain([CONFIGURATION, LOG]);
        let paths = names.map(|name| self.root.join(name)).chain([self.imported()]);
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|entry| entry.is_symlink());
        for path in paths.filter(|path| is_link(path)) {
            let ends = path.canonicalize().and_then(|end| Ok((end, self.root.canonicalize()?)));
            // One that ends nowhere now may end anywhere later.
            if !ends.is_ok_and(|(end, root)| end.starts_with(root)) {
                return Err(StorageError::LeadsOut { path });
            }
        }
        Ok(())
    }

    /// Opens an experiment directory.
    ///
    /// # Errors
    /// Those of [`ExperimentDir::open_frozen`].
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        Self::open_frozen(root).map(|(experiment, _)| experiment)
    }

    /// Opens an experiment directory and reads its frozen configuration.
    ///
    /// # Errors
    /// `root` is no experiment, or one of another format version; its configuration is not as it was written; a part of
    /// it is a link that leads out.
    pub fn open_frozen(root: &Path) -> Result<(Self, FrozenText), StorageError> {
        let experiment = Self { root: root.to_owned(), scratch: None };
        experiment.check_links()?;
        let path = root.join(CONFIGURATION);
        let bytes = match regular_file::read(&path, MEDIUM) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                ) =>
            {
                return Err(StorageError::NotAnExperiment { path: root.to_owned() });
            }
            bytes => bytes.map_err(StorageError::io("read", &path))?,
        };
        // Another version may end in another way, so that its number is read first.
        let (version, expected) = (version_in(&bytes), FormatVersion::CURRENT);
        if let Some(found) = version.filter(|found| *found != expected) {
            return Err(StorageError::OtherFormat { path, found, expected });
        }
        let frozen = FrozenText::of(bytes).map_err(|how| StorageError::Unfrozen { path, how })?;
        Ok((experiment, frozen))
    }
}

#[cfg(test)]
impl ExperimentDir {
    /// Makes an experiment below a folder that vanishes with the first value.
    pub(crate) fn made_up() -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("search");
        let experiment = Self::create(&root, "format_version: 2\nseed: 7\n", Trust::Owner).unwrap();
        (folder, experiment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_made_once() {
        let (_folder, experiment) = ExperimentDir::made_up();
        assert_eq!(ExperimentDir::open(experiment.root()).unwrap(), experiment);
        let log = fs::read_to_string(experiment.replay_log()).unwrap();
        assert_eq!(log, text::header());
        let again = ExperimentDir::create(experiment.root(), "format_version: 2\n", Trust::Owner)
            .unwrap_err();
        assert!(again.to_string().contains("exists already"));
        let text = fs::read_to_string(experiment.configuration()).unwrap();
        assert!(text.contains("seed: 7"));
    }

    #[test]
    fn what_an_interrupted_making_has_left_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("views")).unwrap();
        fs::write(root.join(".replay.csv.host.1.0.partial"), "iter").unwrap();
        fs::write(root.join("replay.csv"), text::header() + "1,claimed\n").unwrap();
        let create = || ExperimentDir::create(root, "format_version: 2\n", Trust::Owner);
        assert!(matches!(create(), Err(StorageError::AlreadyExists { .. })), "a log with a row");
        fs::write(root.join("replay.csv"), text::header()).unwrap();
        fs::write(root.join("notes"), "").unwrap();
        assert!(matches!(create(), Err(StorageError::AlreadyExists { .. })), "a person's file");
        fs::remove_file(root.join("notes")).unwrap();
        assert_eq!(create().unwrap(), ExperimentDir::open(root).unwrap());
    }

    #[test]
    fn another_folder_or_another_version_is_refused() {
        let (folder, experiment) = ExperimentDir::made_up();
        let message = |path: &Path| ExperimentDir::open(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("is not an experiment directory"));
        assert!(message(&folder.path().join("none")).contains("metaqnn init"));
        fs::write(experiment.configuration(), "format_version: 3\n").unwrap();
        assert!(
            message(experiment.root()).contains("format version 3, this program reads version 2")
        );
        fs::write(experiment.configuration(), "seed: 7\n").unwrap();
        assert!(message(experiment.root()).contains("does not end in its checksum"));
    }

    #[test]
    fn every_cut_and_every_changed_byte_of_the_configuration_is_found() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let text = fs::read(experiment.configuration()).unwrap();
        let refuses = |bytes: &[u8]| {
            fs::write(experiment.configuration(), bytes).unwrap();
            let error = ExperimentDir::open(experiment.root()).unwrap_err();
            error.is_damage() || matches!(error, StorageError::OtherFormat { .. })
        };
        assert!((0..text.len()).all(|end| refuses(&text[..end])));
        let changed = |at: usize| [&text[..at], b"#", &text[at + 1..]].concat();
        let other = (0..text.len()).filter(|&at| text[at] != b'#');
        assert!({ other }.all(|at| refuses(&changed(at))));
        assert!(refuses(&[&text[..], b"\n"].concat()));
        assert!(refuses(&[b"\n", &text[..]].concat()));
        assert!(refuses(&String::from_utf8(text).unwrap().replace('\n', "\r\n").into_bytes()));
    }

    #[test]
    fn no_link_leads_out_of_an_experiment() {
        let (folder, experiment) = ExperimentDir::made_up();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let around = folder.path().join("around");
        std::os::unix::fs::symlink(experiment.root(), &around).unwrap();
        for name in FOLDERS.into_iter().chain([LOG, CONFIGURATION]) {
            let (path, kept) = (experiment.root().join(name), folder.path().join("kept"));
            fs::rename(&path, &kept).unwrap();
            std::os::unix::fs::symlink(&kept, &path).unwrap();
            let refused = ExperimentDir::open(experiment.root()).unwrap_err();
            assert!(matches!(&refused, StorageError::LeadsOut { path: named } if *named == path));
            assert!(ExperimentDir::open(&around).is_err());
            fs::remove_file(&path).unwrap();
            fs::rename(&kept, &path).unwrap();
        }
        // A link to the experiment is no matter, nor is one that stays within.
        let views = experiment.root().join("older");
        fs::rename(experiment.views(), &views).unwrap();
        std::os::unix::fs::symlink("older", experiment.views()).unwrap();
        assert!(ExperimentDir::open(&around).is_ok());
        fs::remove_dir(&views).unwrap();
        assert!(ExperimentDir::open(&around).is_err(), "it ends nowhere");
        // None is made of a folder with such a link.
        let new = folder.path().join("new");
        fs::create_dir(&new).unwrap();
        std::os::unix::fs::symlink(&elsewhere, new.join("curves")).unwrap();
        assert!(ExperimentDir::create(&new, "format_version: 2\n", Trust::Owner).is_err());
        assert_eq!(fs::read_dir(&new).unwrap().count(), 1);
    }
}
