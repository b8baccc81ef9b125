//! Which bytes an experiment was created with.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ValidDataParams;
use super::error::{DatasetError, Result, quoted};
use super::images::Part;
use super::locate::files_of;
use crate::regular_file;

/// Of the training files by name, of pictures of their cache. Kept in the frozen configuration: a
/// search goes on only with the images it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, FileDigest>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    pub bytes: u64,
    pub sha256: String,
}

impl Fingerprint {
    pub fn of_training_files(params: &ValidDataParams) -> Result<Self> {
        Self::of(params, Part::Training)
    }

    /// Of those that hold the test images, of an archive as a whole; for the test after a search
    /// alone, as `tests/suite/layers.rs` checks.
    pub fn of_test_files(params: &ValidDataParams) -> Result<Self> {
        Self::of(params, Part::Test)
    }

    fn of(params: &ValidDataParams, part: Part) -> Result<Self> {
        let (folder, names) = files_of(params, part)?;
        let digest = |name: String| Ok((name.clone(), digest(&folder.join(name))?));
        names.into_iter().map(digest).collect::<Result<_>>().map(Self)
    }

    /// The first file that the other one has not, or not with these bytes.
    pub fn differs_in(&self, other: &Self) -> Option<&str> {
        let mut files = self.0.iter();
        files.find(|(name, digest)| other.0.get(*name) != Some(digest)).map(|(name, _)| &**name)
    }

    pub fn has(&self, sha256: &str) -> bool {
        self.0.values().any(|file| file.sha256 == sha256)
    }

    /// Compares names, then sizes, then bytes, so that most changes are found without reading.
    pub fn check_files(&self, params: &ValidDataParams) -> Result<()> {
        let (folder, mut found) = files_of(params, Part::Training)?;
        found.sort_unstable();
        if !found.iter().eq(self.0.keys()) {
            let expected: Vec<_> = self.0.keys().collect();
            return Err(DatasetError::Unsuitable(format!(
                "the training files in `{}` are now {}, but were {} when the experiment was \
                 created (restore them)",
                folder.display(),
                quoted(&found, ", "),
                quoted(&expected, ", ")
            )));
        }
        let changed = |name: &str, what: &str, found: &dyn Display, expected: &dyn Display| {
            let problem = format!(
                "it has changed since the experiment was created: its {what} is `{found}`, and \
                 was `{expected}` (restore it)"
            );
            DatasetError::damaged(&folder.join(name), problem)
        };
        for (name, expected) in &self.0 {
            let path = folder.join(name);
            let found = path.metadata().map_err(DatasetError::unreadable(&path))?.len();
            if found != expected.bytes {
                return Err(changed(name, "size in bytes", &found, &expected.bytes));
            }
        }
        for (name, expected) in &self.0 {
            let found = digest(&folder.join(name))?;
            if found != *expected {
                return Err(changed(name, "sha256", &found.sha256, &expected.sha256));
            }
        }
        Ok(())
    }
}

fn digest(path: &Path) -> Result<FileDigest> {
    let mut hasher = Sha256::new();
    let bytes = regular_file::open(path, File::options().read(true), OFlags::empty())
        .and_then(|mut file| io::copy(&mut file, &mut hasher))
        .map_err(DatasetError::unreadable(path))?;
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
        let labels = &fingerprint.0["train-labels-idx1-ubyte"];
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
        assert!(error.to_string().contains("its sha256 is"), "{error}");

        bytes.push(0);
        fs::write(&path, &bytes).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(error.to_string().contains("its size in bytes is `11`, and was `10`"), "{error}");

        fs::rename(&path, path.with_file_name("train-labels-idx1-ubyte.gz")).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(matches!(error, DatasetError::Unsuitable(_)), "{error}");

        fs::remove_file(path.with_file_name("train-labels-idx1-ubyte.gz")).unwrap();
        let error = fingerprint.check_files(&params).unwrap_err();
        assert!(error.to_string().starts_with("found no"), "{error}");
    }
}
