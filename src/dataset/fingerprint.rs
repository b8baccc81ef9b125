//! Which bytes an experiment was created with.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::source_file::{Part, locate};
use super::{DatasetError, ValidDataParams};
use crate::regular_file;

/// Sizes and digests of the training files, by their name within the folder of the data set.
///
/// Kept in the frozen configuration: a search goes on only with the images it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, FileDigest>);

/// What one file was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Fingerprint {
    /// Digests the training files. Opens no test file.
    ///
    /// # Errors
    /// Names the file that is missing or cannot be read.
    pub fn of_training_files(params: &ValidDataParams) -> Result<Self, DatasetError> {
        let (kind, folder) = params.files()?;
        let names = locate(folder, kind, Part::Training)?;
        let digest = |name: &str| Ok((name.to_owned(), digest(&folder.join(name))?));
        names.into_iter().map(digest).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the digest of each file.
    pub fn files(&self) -> &BTreeMap<String, FileDigest> {
        &self.0
    }

    /// Checks that the training files are those of the fingerprint: first names, then sizes, so
    /// that most changes are found without reading, then the bytes.
    ///
    /// # Errors
    /// Names the first file that is missing, cannot be read or has changed.
    pub fn check_files(&self, params: &ValidDataParams) -> Result<(), DatasetError> {
        let (kind, folder) = params.files()?;
        let mut found = locate(folder, kind, Part::Training)?;
        found.sort_unstable();
        if !found.iter().eq(self.0.keys()) {
            return Err(DatasetError::OtherFiles {
                folder: folder.to_owned(),
                found: found.into_iter().map(str::to_owned).collect(),
                expected: self.0.keys().cloned().collect(),
            });
        }
        for (name, expected) in &self.0 {
            check_size(folder.join(name), expected.bytes)?;
        }
        for (name, expected) in &self.0 {
            check_bytes(folder.join(name), expected)?;
        }
        Ok(())
    }
}

fn check_size(path: PathBuf, expected: u64) -> Result<(), DatasetError> {
    match path.metadata() {
        Ok(metadata) if metadata.len() == expected => Ok(()),
        Ok(metadata) => Err(DatasetError::OtherSize { path, found: metadata.len(), expected }),
        Err(source) => Err(DatasetError::Read { path, source }),
    }
}

fn check_bytes(path: PathBuf, expected: &FileDigest) -> Result<(), DatasetError> {
    let found = digest(&path)?;
    if found == *expected {
        return Ok(());
    }
    let expected = expected.sha256.clone();
    Err(DatasetError::OtherBytes { path, found: found.sha256, expected })
}

fn digest(path: &Path) -> Result<FileDigest, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let mut file =
        regular_file::open(path, File::options().read(true), OFlags::empty()).map_err(read)?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut hasher).map_err(read)?;
    Ok(FileDigest { bytes, sha256: format!("{:x}", hasher.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::load::tests::{params, write_idx};
    use std::fs;

    const SMALL_IDX: &str = "{kind: idx, path: x, classes: 2, input_size: 2, channels: 1}";

    fn small() -> (tempfile::TempDir, ValidDataParams, Fingerprint) {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1]);
        let params = params(folder.path(), SMALL_IDX);
        let fingerprint = Fingerprint::of_training_files(&params).unwrap();
        (folder, params, fingerprint)
    }

    #[test]
    fn a_fingerprint_is_the_digest_of_each_file() {
        let (_folder, params, fingerprint) = small();
        // printf '\0\0\x08\x01\0\0\0\x02\0\x01' | sha256sum
        let labels = &fingerprint.files()["train-labels-idx1-ubyte"];
        assert_eq!(labels.bytes, 10);
        assert_eq!(
            labels.sha256,
            "8c50639ad7f90a8211edb1bbdfb25436fd8e2a10794b6d5e3d479d1b22c7e318"
        );
        fingerprint.check_files(&params).unwrap();
    }

    #[test]
    fn a_fingerprint_survives_the_frozen_configuration() {
        let (_folder, _params, fingerprint) = small();
        let text = serde_yaml::to_string(&fingerprint).unwrap();
        assert_eq!(serde_yaml::from_str::<Fingerprint>(&text).unwrap(), fingerprint);
    }

    #[test]
    fn any_change_is_named() {
        let (folder, params, fingerprint) = small();
        let path = folder.path().join("train-labels-idx1-ubyte");
        let mut bytes = fs::read(&path).unwrap();

        bytes[8] = 1;
        fs::write(&path, &bytes).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(matches!(error, DatasetError::OtherBytes { .. }), "{error}");

        bytes.push(0);
        fs::write(&path, &bytes).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(
            matches!(error, DatasetError::OtherSize { found: 11, expected: 10, .. }),
            "{error}"
        );

        fs::rename(&path, path.with_file_name("train-labels-idx1-ubyte.gz")).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(matches!(error, DatasetError::OtherFiles { .. }), "{error}");

        fs::remove_file(path.with_file_name("train-labels-idx1-ubyte.gz")).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(matches!(error, DatasetError::Missing { .. }), "{error}");
    }
}
