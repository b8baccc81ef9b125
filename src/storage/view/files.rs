//! Folders that hold a cache: published whole, once, under a number; checked when they are read, by
//! the SHA-256 of each file (which finds accidents, not forgers).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::regular_file::{self, LARGE, SMALL};
use crate::storage::error::{Result, StorageError};
use crate::storage::fs::publish::{self, Published};

/// A reader that listed the folders still finds the one it has chosen.
const KEPT: usize = 3;

/// As `sha256sum` writes and checks it.
pub(crate) const SUMS: &str = "SHA256SUMS";

fn sum(name: &str, bytes: &[u8]) -> Vec<u8> {
    format!("{:x}  {name}\n", Sha256::digest(bytes)).into_bytes()
}

pub(crate) fn read_checked(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let read = |name, most| {
        let path = folder.join(name);
        regular_file::read(&path, most).map_err(StorageError::io("read", &path))
    };
    let (sums, bytes) = (read(SUMS, SMALL)?, read(name, LARGE)?);
    let sum = sum(name, &bytes);
    if sums.split_inclusive(|&byte| byte == b'\n').any(|line| line == sum) {
        return Ok(bytes);
    }
    Err(StorageError::damaged(&folder.join(name), "is damaged: it is not what was written"))
}

pub(crate) fn publish(path: &Path, mut files: Vec<(&str, Vec<u8>)>) -> Result<Published> {
    files.push((SUMS, files.iter().flat_map(|(name, bytes)| sum(name, bytes)).collect()));
    publish::folder_once(path, |aside| {
        files.iter().try_for_each(|(name, bytes)| {
            let path = aside.join(name);
            fs::write(&path, bytes).map_err(StorageError::io("write", &path))
        })
    })
}

pub(crate) fn remove_old(listed: Vec<(u64, PathBuf)>) {
    for (_, folder) in listed.into_iter().rev().skip(KEPT) {
        // Another reducer may remove it at the same time; one left behind does no harm.
        if let Err(error) = publish::remove_folder(&folder) {
            log::debug!("an old cache is left: {error}");
        }
    }
}

pub(crate) type OnDamage = fn(&Path, &StorageError);

pub(crate) fn newest<T>(
    listed: Vec<(u64, PathBuf)>,
    read: impl Fn(u64, &Path) -> Result<T>,
    on_damage: OnDamage,
) -> Result<Option<T>> {
    for (number, folder) in listed.into_iter().rev() {
        match read(number, &folder) {
            Ok(found) => return Ok(Some(found)),
            Err(error) if is_of_folder(&error) => on_damage(&folder, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether the folder cannot be used, rather than the experiment or the file system. One that this
/// user may not read counts as damaged: it is only a cache.
fn is_of_folder(error: &StorageError) -> bool {
    match error {
        StorageError::OtherConfiguration { .. }
        | StorageError::Locked { .. }
        | StorageError::LocksUnsupported { .. } => false,
        StorageError::Io { source, .. } => {
            let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
            is_denied || error.is_gone() || error.is_damage()
        }
        _ => true,
    }
}

/// Leaves a damaged folder to the next `reduce`. One that was removed, or is of rows that are not
/// read yet, is no damage.
pub(crate) fn skip(folder: &Path, error: &StorageError) {
    let is_damage = error.is_damage() && !matches!(error, StorageError::Changed { .. });
    let level = if is_damage { log::Level::Warn } else { log::Level::Debug };
    log::log!(level, "`{}` is skipped: {error} (`reduce` makes it again)", folder.display());
}

/// So that it is made again under its name.
pub(crate) fn set_aside(folder: &Path, damage: &StorageError) {
    match publish::set_aside(folder) {
        Ok(aside) => log::warn!(
            "a damaged cache was set aside as `{}` and is made again ({damage})",
            aside.display()
        ),
        Err(error) => log::debug!("`{}` is skipped: {damage}; {error}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_by_its_own_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = [("one", b"1".to_vec()), ("other", b"2".to_vec())];
        files.iter().for_each(|(name, bytes)| fs::write(path(name), bytes).unwrap());
        let sums = [sum("one", b"1"), sum("other", b"2")];
        fs::write(path(SUMS), sums.concat()).unwrap();
        let read = |name| read_checked(folder.path(), name);
        assert_eq!(read("one").unwrap(), b"1");
        fs::write(path("other"), "1").unwrap();
        assert!(matches!(read("other"), Err(StorageError::Damaged { .. })));
        // A line that was cut off counts for nothing.
        fs::write(path(SUMS), &sums[0][..sums[0].len() - 1]).unwrap();
        assert!(read("one").is_err());
    }
}
