//! Folders that hold a cache: published whole, once, under a number; checked when they are read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::regular_file;
use crate::storage::error::StorageError;
use crate::storage::fs::checksum::{SUMS, sums};
use crate::storage::fs::publish::{self, Published};

/// How many folders are kept: a reader that listed them still finds the one it has chosen.
const KEPT: usize = 3;

/// Files by their names, in the order of `SHA256SUMS`.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// Publishes a folder with its checksums, unless there is one of that name already.
pub(crate) fn publish(path: &Path, mut files: Files) -> Result<Published, StorageError> {
    files.push((SUMS, sums(&files)));
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
        let removed = publish::set_aside(&folder).and_then(|aside| {
            let around = aside.parent().expect("what is set aside lies in a folder of its own");
            regular_file::remove_folder(around).map_err(StorageError::io("remove", around))
        });
        if let Err(error) = removed {
            log::debug!("an old cache is left: {error}");
        }
    }
}

pub(crate) type OnDamage = fn(&Path, &StorageError);

/// Returns what `read` makes of the newest folder that it accepts.
pub(crate) fn newest<T>(
    listed: Vec<(u64, PathBuf)>,
    read: impl Fn(u64, &Path) -> Result<T, StorageError>,
    on_damage: OnDamage,
) -> Result<Option<T>, StorageError> {
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
        StorageError::OtherConfiguration { .. } => false,
        StorageError::Io { source, .. } => {
            let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
            is_denied || error.is_gone() || error.is_damage()
        }
        _ => true,
    }
}

/// Leaves a damaged folder to the next `reduce`.
pub(crate) fn skip(folder: &Path, damage: &StorageError) {
    log::warn!("`{}` is skipped: {damage}", folder.display());
}

/// Renames a damaged folder, so that it is made again under its name.
pub(crate) fn set_aside(folder: &Path, damage: &StorageError) {
    match publish::set_aside(folder) {
        Ok(aside) => log::warn!(
            "a damaged cache was set aside as `{}` and is made again ({damage})",
            aside.display()
        ),
        Err(error) => log::debug!("`{}` is skipped: {damage}; {error}", folder.display()),
    }
}
