//! How an experiment directory is made and opened: what must be there, and what must not.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::regular_file::{self, MEDIUM};
use crate::storage::dir::{CONFIGURATION, ExperimentDir, FORMAT_VERSION, LOG};
use crate::storage::fs::permissions::Trust;
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::sealed::{checksum, seal, unseal};
use crate::storage::{error::Result, error::StorageError, log::text};

const WRITABLE: Access = Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK);

/// The text of `experiment.yaml`, its checksum checked.
#[derive(Debug, Clone)]
pub struct FrozenText {
    pub text: Vec<u8>,
    pub sha256: String,
}

impl ExperimentDir {
    /// Makes an empty log and the folders, then, as the last step, the frozen configuration. Only
    /// those whom `trust` names may write there, whatever the umask. `root` is to be new, empty, or
    /// what an interrupted `create` has left.
    pub fn create(root: &Path, configuration: &str, trust: Trust) -> Result<Self> {
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
        let sealed = seal(configuration);
        match publish::file_once(&experiment.configuration(), sealed.as_bytes())? {
            Published::First => {
                experiment.trusted_paths().try_for_each(|path| trust.restrict(&path))?
            }
            Published::AlreadyThere => return Err(taken()),
        }
        Ok(experiment)
    }

    /// Whether nothing is there, or what [`ExperimentDir::create`] makes before the last step.
    fn is_unmade(&self) -> io::Result<bool> {
        for name in regular_file::names(&self.root)? {
            let name = name.to_string_lossy();
            let length = || self.root.join(LOG).symlink_metadata().map(|metadata| metadata.len());
            let is_unmade = self.folders().any(|folder| folder.ends_with(&*name))
                || publish::is_private(&name)
                || (name == LOG && length()? == text::header().len() as u64);
            if !is_unmade {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self::open_frozen(root)?.0)
    }

    pub fn open_frozen(root: &Path) -> Result<(Self, FrozenText)> {
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
        let (text, sha256) = unseal(&bytes).map_err(|how| {
            let problem = format!(
                "is not what `metaqnn init` wrote: {how} (put it back from a copy; what may \
                 change, `metaqnn set` changes)"
            );
            StorageError::damaged(&path, problem)
        })?;
        Ok((experiment, FrozenText { text: text.to_vec(), sha256 }))
    }

    /// Checks that nothing is written outside of the directory.
    fn check_links(&self) -> Result<()> {
        let files = [self.configuration(), self.replay_log(), self.imported()];
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|entry| entry.is_symlink());
        for path in self.folders().chain(files).filter(|path| is_link(path)) {
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

    /// Checks that no untrusted user can make this one run a program by writing to the directory,
    /// its configuration, its log (`set` rows hold lines of a shell), or its folders. Those above
    /// it are not checked: who may rename the experiment can put only files of their own in its
    /// place, which are refused, or another experiment of this user.
    pub fn check_trust(&self, trust: Trust) -> Result<()> {
        for path in self.trusted_paths() {
            // What this program makes outside of the experiment is no link.
            let is_scratch = self.scratch.as_ref() == Some(&path);
            let entry = if is_scratch { path.symlink_metadata() } else { path.metadata() };
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
        let files = [self.root.clone(), self.configuration(), self.replay_log()];
        files.into_iter().chain(self.folders()).chain(self.scratch.clone())
    }

    /// Copies and archives may drop empty folders.
    pub fn make_folders(&self) -> Result<()> {
        for folder in self.folders().filter(|folder| !folder.is_dir()) {
            fs::create_dir_all(&folder).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => StorageError::no_folder(&folder),
                _ => StorageError::io("create", &folder)(error),
            })?;
        }
        Ok(())
    }

    /// A scratch file system may have been purged; a checkpoint may be a program.
    pub fn make_scratch(&self, trust: Trust) -> Result<()> {
        let Some(folder) = &self.scratch else { return Ok(()) };
        fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
        access(folder, WRITABLE)
            .map_err(|error| StorageError::io("write into", folder)(error.into()))?;
        self.check_trust(trust)
    }

    pub fn check_access(&self) -> Result<()> {
        for folder in self.folders() {
            if folder.is_file() {
                return Err(StorageError::no_folder(&folder));
            }
            match access(&folder, WRITABLE) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(StorageError::io("write into", &folder)(error.into())),
            }
        }
        Ok(())
    }

    /// Distinguishes this experiment from every other, also from a copy. Equal on all nodes, and
    /// after a move within a file system that keeps its name.
    pub fn identity(&self, sha256: &str) -> Result<String> {
        let log = self.replay_log();
        let inode = fs::metadata(&log).map_err(StorageError::io("read", &log))?.ino();
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let digest = checksum(format!("{sha256} {inode} {name}").as_bytes());
        Ok(digest[..12].to_owned())
    }
}

/// The format version, from the first line, which every version of the program can read.
fn version_in(bytes: &[u8]) -> Option<u32> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    str::from_utf8(line.strip_prefix(b"format_version: ")?).ok()?.trim().parse().ok()
}
