//! The files of a data set: found under one of their names, read, named in every error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{DataKind, DatasetError, FileDefect, cifar, idx, svhn};
use crate::regular_file;

/// Far more than any data set that a trainer holds in memory.
const MOST_BYTES: u64 = 1 << 37;

/// One file in memory.
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl SourceFile {
    /// Reads a file whole.
    pub(super) fn read(path: PathBuf) -> Result<Self, DatasetError> {
        match regular_file::read_linked(&path, MOST_BYTES) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(source) => Err(DatasetError::Read { path, source }),
        }
    }

    /// Says that this file has the defect.
    pub(super) fn defect(&self, defect: FileDefect) -> DatasetError {
        defect.at(&self.path)
    }
}

/// Which half of a data set: a search reads only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Training,
    Test,
}

/// The names that one file may have, the preferred one first.
pub(super) type FileNames = &'static [&'static str];

/// Returns the names of the files of one part, relative to the folder of the data set, in the order
/// in which they are read.
pub(super) fn names(kind: DataKind, part: Part) -> &'static [FileNames] {
    match (kind, part) {
        (DataKind::Idx, Part::Training) => &idx::TRAINING_FILES,
        (DataKind::Idx, Part::Test) => &idx::TEST_FILES,
        (DataKind::Cifar10, Part::Training) => &cifar::CIFAR10_TRAINING_FILES,
        (DataKind::Cifar10, Part::Test) => &cifar::CIFAR10_TEST_FILES,
        (DataKind::Cifar100, Part::Training) => &cifar::CIFAR100_TRAINING_FILES,
        (DataKind::Cifar100, Part::Test) => &cifar::CIFAR100_TEST_FILES,
        (DataKind::Svhn, Part::Training) => &svhn::TRAINING_FILES,
        (DataKind::Svhn, Part::Test) => &svhn::TEST_FILES,
    }
}

/// Returns the name, relative to `folder`, under which each file of one part is there.
pub(super) fn locate(
    folder: &Path,
    kind: DataKind,
    part: Part,
) -> Result<Vec<&'static str>, DatasetError> {
    names(kind, part).iter().map(|&names| locate_one(folder, kind, names)).collect()
}

fn locate_one(
    folder: &Path,
    kind: DataKind,
    names: FileNames,
) -> Result<&'static str, DatasetError> {
    for name in names {
        let path = folder.join(name);
        match fs::metadata(&path) {
            // A folder or a pipe under this name is no data file; reading the latter never ends.
            Ok(metadata) if metadata.is_file() => return Ok(name),
            Ok(_) => continue,
            Err(error) if is_absence(&error) => continue,
            Err(source) => return Err(DatasetError::Read { path, source }),
        }
    }
    Err(DatasetError::Missing { folder: folder.to_owned(), names, kind })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_names_what_was_looked_for_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = locate(folder.path(), DataKind::Idx, Part::Training).unwrap_err().to_string();
        for part in [
            "found no `train-images-idx3-ubyte` or `train-images-idx3-ubyte.gz`",
            "scripts/fetch-data.sh fashion-mnist",
            folder.path().to_str().unwrap(),
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("train_32x32.mat")).unwrap();
        let error = locate(folder.path(), DataKind::Svhn, Part::Training).unwrap_err();
        assert!(matches!(error, DatasetError::Missing { .. }), "{error}");
    }
}
