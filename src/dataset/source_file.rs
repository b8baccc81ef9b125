//! The files of a data set: found under one of their names, read, named in every error.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::DataKind;
use super::error::{DatasetError, Result, quoted};
use crate::regular_file;

/// Far more than any data set that a trainer holds in memory.
const MOST_BYTES: u64 = 1 << 37;

pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl SourceFile {
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let bytes = regular_file::read_linked(&path, MOST_BYTES)
            .map_err(|source| DatasetError::unreadable(&path, source))?;
        Ok(Self { path, bytes })
    }

    pub(super) fn parse<T>(&self, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T> {
        parse(&self.bytes).map_err(|problem| self.damaged(problem))
    }

    pub(super) fn damaged(&self, problem: impl Into<String>) -> DatasetError {
        DatasetError::damaged(&self.path, problem)
    }
}

/// The names that one file may have, the preferred one first: in the folder of the data set, or
/// where its archive puts it.
type FileNames = &'static [&'static str];

/// In the order in which they are read.
const fn names(kind: DataKind) -> &'static [FileNames] {
    match kind {
        DataKind::Idx => &[
            &["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"],
            &["train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz"],
        ],
        DataKind::Cifar10 => &[
            &["data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin"],
            &["data_batch_2.bin", "cifar-10-batches-bin/data_batch_2.bin"],
            &["data_batch_3.bin", "cifar-10-batches-bin/data_batch_3.bin"],
            &["data_batch_4.bin", "cifar-10-batches-bin/data_batch_4.bin"],
            &["data_batch_5.bin", "cifar-10-batches-bin/data_batch_5.bin"],
        ],
        DataKind::Cifar100 => &[&["train.bin", "cifar-100-binary/train.bin"]],
        DataKind::Svhn => &[&["train_32x32.mat"]],
    }
}

/// Returns the name, relative to `folder`, under which each training file is there.
pub(super) fn locate(folder: &Path, kind: DataKind) -> Result<Vec<&'static str>> {
    names(kind).iter().map(|&names| locate_one(folder, kind, names)).collect()
}

fn locate_one(folder: &Path, kind: DataKind, names: FileNames) -> Result<&'static str> {
    for name in names {
        let path = folder.join(name);
        match fs::metadata(&path) {
            // A folder or a pipe under this name is no data file; reading the latter never ends.
            Ok(metadata) if !metadata.is_file() => {}
            Ok(_) => return Ok(name),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(source) => return Err(DatasetError::unreadable(&path, source)),
        }
    }
    let (name, also) = match kind {
        DataKind::Idx => ("fashion-mnist".to_owned(), ", or with `mnist` that one"),
        other => (other.to_string(), ""),
    };
    Err(DatasetError::Unsuitable(format!(
        "found no {} in `{1}` (`scripts/fetch-data.sh {name} {1}` fetches it{also})",
        quoted(names, " or "),
        folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_names_what_was_looked_for_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = locate(folder.path(), DataKind::Idx).unwrap_err().to_string();
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
        let error = locate(folder.path(), DataKind::Svhn).unwrap_err();
        assert!(error.to_string().starts_with("found no `train_32x32.mat`"), "{error}");
    }
}
