//! Files with a list of their sums, each checked when it is read.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::regular_file::{self, LARGE, SMALL};
use crate::storage::error::StorageError;

/// Name of the list, as `sha256sum` writes and checks it.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// Returns the lines of `SHA256SUMS`.
pub(crate) fn sums(files: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    files.iter().flat_map(|(name, bytes)| sum(name, bytes)).collect()
}

/// Returns the line of one file.
fn sum(name: &str, bytes: &[u8]) -> Vec<u8> {
    format!("{:x}  {name}\n", Sha256::digest(bytes)).into_bytes()
}

/// The files of a folder, each checked when it is read.
pub(crate) struct CheckedFiles<'a> {
    folder: &'a Path,
    sums: Vec<u8>,
}

impl<'a> CheckedFiles<'a> {
    /// Opens a folder that has the list.
    pub fn open(folder: &'a Path) -> Result<Self, StorageError> {
        let path = folder.join(SUMS);
        let sums = regular_file::read(&path, SMALL).map_err(StorageError::io("read", &path))?;
        Ok(Self { folder, sums })
    }

    /// Reads a file and checks it by its line of `SHA256SUMS`.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let path = self.folder.join(name);
        let bytes = regular_file::read(&path, LARGE).map_err(StorageError::io("read", &path))?;
        let sum = sum(name, &bytes);
        if self.sums.split_inclusive(|&byte| byte == b'\n').any(|line| line == sum) {
            return Ok(bytes);
        }
        Err(StorageError::damaged(&path, "is damaged: it is not what was written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_checked_by_its_own_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = [("one", b"1".to_vec()), ("other", b"2".to_vec())];
        files.iter().for_each(|(name, bytes)| fs::write(path(name), bytes).unwrap());
        fs::write(path(SUMS), sums(&files)).unwrap();
        let files = CheckedFiles::open(folder.path()).unwrap();
        assert_eq!(files.read("one").unwrap(), b"1");
        fs::write(path("other"), "1").unwrap();
        assert!(matches!(files.read("other"), Err(StorageError::Damaged { .. })));
        // A line that was cut off vouches for nothing.
        let line = sums(&[("one", b"1".to_vec())]);
        fs::write(path(SUMS), &line[..line.len() - 1]).unwrap();
        assert!(CheckedFiles::open(folder.path()).unwrap().read("one").is_err());
    }
}
