//! What can go wrong with an experiment on disk; every error names the file.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::regular_file::NotAFile;
use crate::storage::log::text::{RowError, line_after};

pub type Result<T, E = StorageError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("cannot {action} `{path}`{}", remedy(source.kind()))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "`{path}` is not an experiment directory (name one that `metaqnn init` or `metaqnn run` \
         has made)"
    )]
    NotAnExperiment { path: PathBuf },
    #[error(
        "`{path}` has format version {found}, this program reads version {expected} (use the \
         program that began the experiment, or begin a new one)"
    )]
    OtherFormat { path: PathBuf, found: u32, expected: u32 },
    #[error("`{path}` exists already (choose another directory, or remove it)")]
    AlreadyExists { path: PathBuf },
    /// Sound, and not for this program or this command.
    #[error("`{path}` {problem}")]
    Unusable { path: PathBuf, problem: String },
    /// Other users could run programs as this one, or other machines ignore the lock.
    #[error("`{path}` {problem}")]
    Unsafe { path: PathBuf, problem: String },
    #[error("`{path}` {problem}")]
    Damaged { path: PathBuf, problem: String },
    #[error("`{path}` is unreadable")]
    Yaml { path: PathBuf, source: serde_yaml::Error },
    #[error("`{path}` is no CSV file of its kind")]
    Csv { path: PathBuf, source: csv::Error },
    #[error(
        "`{path}` is damaged at {place} (`metaqnn verify` lists what can be mended, and mends it \
         with `--repair`)"
    )]
    /// At `line 3, byte 525`; the header is line 1.
    DamagedRow { path: PathBuf, place: String, source: RowError },
    #[error(
        "`{path}` was changed by another program: {how} (put it back from a copy, or see what \
         `metaqnn verify` says: only metaqnn writes it)"
    )]
    Changed { path: PathBuf, how: String },
    #[error(
        "view `{path}` was made with another `experiment.yaml` (put back the one that the \
         experiment was made with: what was learned with one says nothing of another)"
    )]
    OtherConfiguration { path: PathBuf },
    #[error("row for `{path}` cannot be written")]
    Unwritable { path: PathBuf, source: RowError },
    #[error(
        "`{path}` has been locked for {seconds} s (look for a stopped or hanging `metaqnn` with \
         `lsof {path}` on the machines that work on it; a dead machine frees its lock after the \
         lease of the file server)"
    )]
    Locked { path: PathBuf, seconds: u64 },
    #[error(
        "the file system of `{path}` does not support locks (put the experiment on one that does: \
         NFS with its lock service running, Lustre mounted with `flock`, GPFS, a local disk)"
    )]
    LocksUnsupported { path: PathBuf, source: io::Error },
}

impl StorageError {
    /// Whether files of the experiment are not what this program wrote.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Io { source, .. } => NotAFile::is_in(source),
            Self::Damaged { .. }
            | Self::Yaml { .. }
            | Self::Csv { .. }
            | Self::DamagedRow { .. }
            | Self::Changed { .. }
            | Self::OtherConfiguration { .. } => true,
            _ => false,
        }
    }

    /// Whether a file is not there, or no more: on NFS one that was removed under its reader is
    /// stale.
    pub fn is_gone(&self) -> bool {
        use ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};
        matches!(self.kind(), Some(NotFound | NotADirectory | StaleNetworkFileHandle))
    }

    /// Whether a file is there already that is made only once.
    pub fn is_taken(&self) -> bool {
        self.kind() == Some(ErrorKind::AlreadyExists)
    }

    /// Whether the disk or a quota is full, which may pass.
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    fn kind(&self) -> Option<ErrorKind> {
        if let Self::Io { source, .. } = self { Some(source.kind()) } else { None }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn csv(path: &Path) -> impl Fn(csv::Error) -> Self + Copy {
        move |source| Self::Csv { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn row(path: &Path, rows_before: u64, source: impl Into<RowError>) -> Self {
        let place = format!("line {}", line_after(rows_before));
        Self::DamagedRow { path: path.to_owned(), place, source: source.into() }
    }

    /// A line that is readable and cannot be right.
    pub(crate) fn line(path: &Path, line: u64, reason: impl std::fmt::Display) -> Self {
        Self::damaged(path, format!("is wrong at line {line}: {reason}"))
    }

    pub(crate) fn no_folder(path: &Path) -> Self {
        let remedy = "move it away: the program makes the folder when it needs one";
        Self::damaged(path, format!("is no folder ({remedy})"))
    }
}

const fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => " (see its permissions and those of its folder)",
        ErrorKind::FileTooLarge => " (this process may write no larger files: see `ulimit -f`)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            " (remove files, or ask for more room)"
        }
        ErrorKind::ReadOnlyFilesystem => " (its file system is mounted for reading only)",
        ErrorKind::StaleNetworkFileHandle => {
            " (it was removed, or its file server has restarted: run the command once more)"
        }
        _ => "",
    }
}
