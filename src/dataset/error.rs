//! What can be wrong with the files of a data set.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

pub(super) type Result<T, E = DatasetError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}`: {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// No files, or whole ones that cannot be used as configured.
    #[error("{0}")]
    Unsuitable(String),
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq, derive_more::Display)]
pub(super) enum WrongFile {
    Damaged(String),
    /// A whole file of another kind.
    Unsuitable(String),
}

impl<T: Into<String>> From<T> for WrongFile {
    fn from(problem: T) -> Self {
        Self::Damaged(problem.into())
    }
}

impl DatasetError {
    pub(super) fn of(path: &Path, problem: WrongFile) -> Self {
        match problem {
            WrongFile::Damaged(problem) => Self::damaged(path, problem),
            WrongFile::Unsuitable(problem) => Self::unsuitable(path, problem),
        }
    }

    pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    pub(super) fn unsuitable(path: &Path, problem: impl Display) -> Self {
        Self::Unsuitable(format!("`{}`: {problem}", path.display()))
    }

    pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Self {
        |source| Self::Read { path: path.to_owned(), source }
    }
}

pub(super) fn quoted(names: &[impl AsRef<str>], separator: &str) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(separator)
}

pub(super) mod problem {
    use super::Display;

    pub const CORRUPT: &str = "damaged compressed data (fetch it again)";
    pub const TRAILING_BYTES: &str = "bytes follow the end of the data (fetch it again)";
    pub const NO_IMAGES: &str = "no images";

    pub fn truncated(found: u64, expected: u64) -> String {
        format!("truncated: `{found}` of `{expected}` bytes are there (fetch it again)")
    }

    pub fn counts_differ(images: usize, labels: usize) -> String {
        format!("`{labels}` labels for `{images}` images")
    }

    pub fn no_class(label: impl Display, image: usize, classes: impl Display) -> String {
        format!("label `{label}` of image `{image}` is outside the `{classes}` classes")
    }
}
