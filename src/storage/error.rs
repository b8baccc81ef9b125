//! What can go wrong with an experiment on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::outcome::NotAnAccuracy;
use crate::q_learning::QLearningError;
use crate::regular_file::NotAFile;
use crate::space::SpaceError;
use crate::storage::format::FormatVersion;
use crate::storage::log::text::RowError;
use crate::storage::search_state::Violation;

/// An error of storage. Every one names the file.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused something.
    #[error("cannot {action} `{path}`{}", remedy(source.kind()))]
    Io {
        /// What was tried: `read`, `append to`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A folder that is no experiment.
    #[error(
        "`{path}` is not an experiment directory (name one that `metaqnn init` or `metaqnn run` has made)"
    )]
    NotAnExperiment {
        /// The folder.
        path: PathBuf,
    },
    /// An experiment of another format version.
    #[error(
        "`{path}` has format version {found}, this program reads version {expected} (use the program that began the experiment, or begin a new one)"
    )]
    OtherFormat {
        /// Its `experiment.yaml`.
        path: PathBuf,
        /// Its version.
        found: FormatVersion,
        /// The version of this program.
        expected: FormatVersion,
    },
    /// A frozen configuration that is not as it was written.
    #[error(
        "`{path}` is not what `metaqnn init` wrote: {how} (put it back from a copy; what may change, `metaqnn set` changes)"
    )]
    Unfrozen {
        /// The file.
        path: PathBuf,
        /// How that is seen.
        how: &'static str,
    },
    /// A frozen configuration, whole, with a key that this program does not know.
    #[error(
        "`{path}` holds the key `{key}`, which a newer program wrote and this one does not know (use the program that made the experiment)"
    )]
    NewerKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Another user could make this one run a program.
    #[error("`{path}` {why}, and what stands in an experiment is run as you ({remedy})")]
    Untrusted {
        /// The file or folder.
        path: PathBuf,
        /// Who may write it.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A view of another configuration.
    #[error(
        "view `{path}` was made with another `experiment.yaml` (put back the one that the experiment was made with: what was learned with one says nothing of another)"
    )]
    OtherConfiguration {
        /// The view.
        path: PathBuf,
    },
    /// Something is there already that is made only once.
    #[error("`{path}` exists already (choose another directory, or remove it)")]
    AlreadyExists {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file where an experiment has a folder.
    #[error("`{path}` is no folder (move it away: the program makes the folder when it needs one)")]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// A file that was published together with others, which are there.
    #[error("`{path}` is missing (the other files of its folder are there)")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A YAML file of an experiment that cannot be read.
    #[error("`{path}` is unreadable")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// A CSV file that cannot be read or written; the source names the line.
    #[error("`{path}` is no CSV file of its kind")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// A CSV file of another program without a column that is needed.
    #[error("`{path}` lacks the column `{column}`")]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// Name of the column.
        column: &'static str,
    },
    /// A part of an experiment that lies elsewhere.
    #[error(
        "`{path}` is a symbolic link that leads out of the experiment (put the file or folder itself there; the whole experiment may lie behind a link)"
    )]
    LeadsOut {
        /// The link.
        path: PathBuf,
    },
    /// A line that is readable and cannot be right.
    #[error("`{path}` is wrong at line {line}: {reason}")]
    WrongLine {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that cannot be written.
    #[error("row for `{path}` cannot be written")]
    Unwritable {
        /// The log.
        path: PathBuf,
        /// The column.
        source: RowError,
    },
    /// A damaged row with good rows after it.
    #[error(
        "`{path}` is damaged at line {line}, byte {byte} (`metaqnn verify` tells what can be mended, and mends it with `--repair`)"
    )]
    DamagedRow {
        /// The log.
        path: PathBuf,
        /// Number of the line, the header being 1.
        line: u64,
        /// Where the line begins, from 0.
        byte: u64,
        /// What is wrong with it.
        source: RowError,
    },
    /// The log is not what this program wrote.
    #[error(
        "`{path}` was changed by another program: {how} (put it back from a copy, or see what `metaqnn verify` says: only metaqnn writes it)"
    )]
    Changed {
        /// The log.
        path: PathBuf,
        /// How that is seen.
        how: String,
    },
    /// The lock of a file stayed taken.
    #[error(
        "`{path}` has been locked for {seconds} s (look for a stopped or hanging `metaqnn` with `lsof {path}` on the machines that work on it; a dead machine frees its lock after the lease of the file server)"
    )]
    Locked {
        /// The log.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A file system that has no locks.
    #[error(
        "the file system of `{path}` does not support locks (put the experiment on one that does: NFS with its lock service running, Lustre mounted with `flock`, GPFS, a local disk)"
    )]
    LocksUnsupported {
        /// The log.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A file system whose locks exclude nobody on other machines.
    #[error(
        "the file system of `{path}` {why}: its locks do not reach other machines (put the experiment on another, such as NFS 4 without `nolock`, Lustre mounted with `flock`, GPFS; or, if only this machine works on it, `metaqnn run`, or `--single-node`)"
    )]
    NodeLocalLocks {
        /// The experiment.
        path: PathBuf,
        /// What keeps them: `is mounted with `nolock``, `is sshfs`.
        why: String,
    },
    /// A row that a view cannot take in.
    #[error(
        "`{path}` is damaged at line {line} (`metaqnn verify` tells what can be mended, and mends it with `--repair`)"
    )]
    RefusedRow {
        /// The log.
        path: PathBuf,
        /// Number of the line, the header being 1.
        line: u64,
        /// Why not.
        source: RefusedRow,
    },
    /// A view that is not what was written.
    #[error("view `{path}` is damaged: {how}")]
    DamagedView {
        /// The file.
        path: PathBuf,
        /// How that is seen.
        how: &'static str,
    },
    /// A view whose Q-table and replay memory do not belong together.
    #[error("view `{path}` cannot be learned on from")]
    Learner {
        /// Its folder.
        path: PathBuf,
        /// How that is seen.
        source: QLearningError,
    },
    /// Less was written than given.
    #[error(
        "only {written} of {expected} bytes fit into `{path}` (disk full, over quota, or at the limit of `ulimit -f`?)"
    )]
    ShortWrite {
        /// The log.
        path: PathBuf,
        /// Bytes that were written, and cut off again.
        written: usize,
        /// Bytes given.
        expected: usize,
    },
}

impl StorageError {
    /// Whether files of the experiment are not what this program wrote.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Io { source, .. } if NotAFile::is_in(source))
            || matches!(
                self,
                Self::NoFolder { .. }
                    | Self::Missing { .. }
                    | Self::Yaml { .. }
                    | Self::Unfrozen { .. }
                    | Self::OtherConfiguration { .. }
                    | Self::Csv { .. }
                    | Self::NoColumn { .. }
                    | Self::WrongLine { .. }
                    | Self::DamagedRow { .. }
                    | Self::Changed { .. }
                    | Self::RefusedRow { .. }
                    | Self::DamagedView { .. }
                    | Self::Learner { .. }
            )
    }

    /// Whether the person named the wrong directory.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotAnExperiment { .. }
                | Self::OtherFormat { .. }
                | Self::NewerKey { .. }
                | Self::LeadsOut { .. }
                | Self::AlreadyExists { .. }
        )
    }

    /// Whether a file is not there, or no more: on NFS one that was removed under its reader is stale.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::StaleNetworkFileHandle
        ))
    }

    /// Whether a file is there already that is made only once.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// Whether the disk or a quota is full, which may pass.
    pub fn is_full(&self) -> bool {
        match self {
            Self::ShortWrite { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Returns a closure that names the file and the action for an I/O error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Returns a closure that names the file for an error of the CSV reader or writer.
    pub(crate) fn csv(path: &Path) -> impl Fn(csv::Error) -> Self + Copy {
        move |source| Self::Csv { path: path.to_owned(), source }
    }

    /// Returns the error of a line of a file.
    pub(crate) fn line(path: &Path, line: u64, reason: impl Into<String>) -> Self {
        Self::WrongLine { path: path.to_owned(), line, reason: reason.into() }
    }
}

/// What a person can do about an answer of the operating system; nothing where it says that itself.
const fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => " (see its permissions and those of its folder)",
        io::ErrorKind::FileTooLarge => " (this process may write no larger files: see `ulimit -f`)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (remove files, or ask for more room)"
        }
        io::ErrorKind::ReadOnlyFilesystem => " (its file system is mounted for reading only)",
        io::ErrorKind::StaleNetworkFileHandle => {
            " (somebody removed it, or its file server has started again: run the command once more)"
        }
        _ => "",
    }
}

/// Why a view does not take in a row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RefusedRow {
    /// It may not stand where it stands.
    #[error(transparent)]
    AgainstTheRules(#[from] Violation),
    /// Its architecture is not in the search space.
    #[error(transparent)]
    Architecture(#[from] SpaceError),
    /// Its reward is outside [0, 1].
    #[error("column `reward`: {0}")]
    Reward(#[from] NotAnAccuracy),
}
