//! What room a file system has left, as the kernel tells; quotas are another matter.

use std::path::Path;

use crate::storage::error::StorageError;

/// What is free for people without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes.
    pub bytes: u64,
    /// Files; `None` where the file system makes room for them as it goes.
    pub inodes: Option<u64>,
}

impl DiskSpace {
    /// Asks the file system of a path.
    pub fn of(path: &Path) -> Result<Self, StorageError> {
        let told = rustix::fs::statvfs(path)
            .map_err(|error| StorageError::io("look at the file system of", path)(error.into()))?;
        let inodes = (told.f_files > 0).then_some(told.f_favail);
        Ok(Self { bytes: told.f_bavail.saturating_mul(told.f_frsize), inodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DiskSpace::of(folder.path()).unwrap().bytes > 0);
        let error = DiskSpace::of(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none"), "{error}");
    }
}
