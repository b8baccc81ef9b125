//! Files that appear whole, once, under a name never used before.
//!
//! What is published is written aside under a private name, synced, and put in place by one atomic
//! step; then the folder is synced. A file appears by `link`, which fails when the name is taken; a
//! folder by `rename`, which fails when a folder with content is there. So the first to publish
//! wins, and a reader on another machine sees all or nothing. (`O_EXCL` on the final name would
//! leave an empty file after a crash, which would block for good.)
//!
//! Readers list the folder and take the newest name: on NFS a lookup that failed is remembered for
//! half a minute. A private name that a crash left behind is harmless: [`listing`] never shows it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::OFlags;

use crate::regular_file::{self, SMALL};
use crate::storage::error::{Result, StorageError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    First,
    /// The name holds what was published before, and what was given is gone.
    AlreadyThere,
}

const PRIVATE_END: &str = ".partial";

pub fn is_private(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(PRIVATE_END)
}

pub fn file_once(path: &Path, bytes: &[u8]) -> Result<Published> {
    let aside = write_aside(path, bytes)?;
    let published = match fs::hard_link(&aside, path) {
        Ok(()) => Ok(Published::First),
        // An NFS server that did the link and lost its answer is asked again, and then refuses.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match fs::metadata(&aside).map(|aside| aside.nlink()) {
                Ok(2) => Ok(Published::First),
                _ => Ok(Published::AlreadyThere),
            }
        }
        Err(error) => Err(StorageError::io("link", path)(error)),
    };
    remove_aside(fs::remove_file(&aside), &aside);
    sync_folder(parent(path))?;
    published
}

/// For files with one owner or for people alone. A reader sees the old or the new one, whole.
/// Returns what the new one is.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<Metadata> {
    let aside = write_aside(path, bytes)?;
    let replaced = aside.symlink_metadata().and_then(|it| fs::rename(&aside, path).map(|()| it));
    let replaced = replaced.inspect_err(|_| remove_aside(fs::remove_file(&aside), &aside));
    sync_folder(parent(path))?;
    replaced.map_err(StorageError::io("replace", path))
}

/// Writes in place of what comes after the first `kept` bytes of a file that no other process writes
/// to. Returns what it is then; `None` where it cannot be opened, is another than `is_it` knows, or
/// has a second name, by which a person may have kept it as it is.
pub fn write_after(
    path: &Path,
    kept: u64,
    bytes: &[u8],
    is_it: impl FnOnce(&Metadata) -> bool,
) -> Result<Option<Metadata>> {
    let opened = regular_file::open(path, File::options().write(true), OFlags::NOFOLLOW);
    let Ok(file) = opened else { return Ok(None) };
    let write = || {
        let found = file.metadata()?;
        if found.nlink() > 1 || !is_it(&found) {
            return Ok(None);
        }
        let written = file.write_all_at(bytes, kept);
        let written = written.and_then(|()| file.set_len(kept + bytes.len() as u64));
        // Whole rows, on a full disk, too.
        written.and_then(|()| file.sync_all()).inspect_err(|_| drop(file.set_len(kept)))?;
        file.metadata().map(Some)
    };
    write().map_err(StorageError::io("write", path))
}

/// Takes a small file away, which of several processes one alone can do, and returns its bytes.
pub fn take_file(path: &Path) -> Option<Vec<u8>> {
    let (aside, _) = private_name(path, |aside| File::create_new(aside)).ok()?;
    let taken = fs::rename(path, &aside).and_then(|()| regular_file::read(&aside, SMALL));
    remove_aside(fs::remove_file(&aside), &aside);
    taken.ok()
}

/// Unless a folder with content has the name. `fill` writes into a private folder, which is synced.
pub fn folder_once(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Published> {
    let aside = private_name(path, |aside| fs::create_dir(aside))?.0;
    let published = fill(&aside).and_then(|()| sync_tree(&aside)).and_then(|()| {
        match fs::rename(&aside, path) {
            Ok(()) => Ok(Published::First),
            Err(error) if is_taken(&error) => Ok(Published::AlreadyThere),
            Err(error) => Err(StorageError::io("publish", path)(error)),
        }
    });
    if !matches!(published, Ok(Published::First)) {
        remove_aside(regular_file::remove_folder(&aside), &aside);
    }
    sync_folder(parent(path))?;
    published
}

/// Gives a folder of one owner, once it is synced, the name by which others read it: one that
/// nothing has.
pub fn rename_folder(from: &Path, to: &Path) -> Result<()> {
    sync_tree(from)?;
    fs::rename(from, to).map_err(StorageError::io("publish", to))?;
    sync_folder(parent(to))
}

/// Moves a folder into a private one beside it, and returns where it is now. Not onto a private
/// name: `rename` puts a folder in the place of an empty one, which may be what another process has
/// just begun to fill.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().expect("a path of an experiment has a name");
    let around = private_name(path, |aside| fs::create_dir(aside))?.0;
    let aside = around.join(name);
    if let Err(error) = fs::rename(path, &aside) {
        remove_aside(fs::remove_dir(&around), &around);
        return Err(StorageError::io("set aside", path)(error));
    }
    Ok(aside)
}

/// Removes a folder for all readers at once.
pub fn remove_folder(path: &Path) -> Result<()> {
    let aside = set_aside(path)?;
    let around = parent(&aside);
    regular_file::remove_folder(around).map_err(StorageError::io("remove", around))
}

/// What a folder holds, in the order of the keys that `key` reads from the names; what `key`
/// refuses and private names are left out. A folder that is not there is empty.
pub fn listing<K: Ord>(
    folder: &Path,
    key: impl Fn(&str) -> Option<K>,
) -> Result<Vec<(K, PathBuf)>> {
    list(folder, |name| if is_private(name) { None } else { key(name) })
}

/// What a folder holds under private names, of which `key` reads all but the first full stop: what
/// is being written, or was when its writer died, and what was set aside.
pub fn private_listing<K: Ord>(
    folder: &Path,
    key: impl Fn(&str) -> Option<K>,
) -> Result<Vec<(K, PathBuf)>> {
    list(folder, |name| if is_private(name) { key(&name[1..]) } else { None })
}

fn list<K: Ord>(folder: &Path, key: impl Fn(&str) -> Option<K>) -> Result<Vec<(K, PathBuf)>> {
    let names = match regular_file::names(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(StorageError::no_folder(folder));
        }
        names => names.map_err(StorageError::io("list", folder))?,
    };
    let found = names.iter().filter_map(|name| Some((key(name.to_str()?)?, folder.join(name))));
    let mut found: Vec<_> = found.collect();
    found.sort();
    Ok(found)
}

/// So that a name made or removed in a folder survives a power cut.
pub fn sync_folder(folder: &Path) -> Result<()> {
    match regular_file::sync_folder(folder) {
        // Some network file systems refuse to sync a folder, and do so at once by themselves.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced.map_err(StorageError::io("sync", folder)),
    }
}

fn write_aside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let (aside, mut file) = private_name(path, |aside| File::create_new(aside))?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        remove_aside(fs::remove_file(&aside), &aside);
        return Err(StorageError::io("write", path)(error));
    }
    Ok(aside)
}

/// Makes something beside `path` under the first private name that is free. A process id comes
/// again, in containers at once, so a left-over can have the name of this very process.
fn private_name<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> Result<(PathBuf, T)> {
    let name = path.file_name().expect("a path of an experiment has a name").to_string_lossy();
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let mut number = 0u32;
    loop {
        let aside =
            path.with_file_name(format!(".{name}.{host}.{}.{number}{PRIVATE_END}", process::id()));
        match make(&aside) {
            Ok(made) => return Ok((aside, made)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(StorageError::io("create", &aside)(error)),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory
    )
}

/// A private name left behind does no harm, so that it could not be removed is only mentioned.
fn remove_aside(removed: io::Result<()>, aside: &Path) {
    if let Err(error) = removed {
        log::debug!("`{}` is left behind: {error}", aside.display());
    }
}

pub fn sync_tree(folder: &Path) -> Result<()> {
    for name in regular_file::names(folder).map_err(StorageError::io("list", folder))? {
        let path = folder.join(name);
        let kind = path.symlink_metadata().map_err(StorageError::io("read", &path))?.file_type();
        if kind.is_dir() {
            sync_tree(&path)?;
        // A link is synced with its folder; what it leads to is not of this tree.
        } else if !kind.is_symlink() {
            regular_file::open(&path, File::options().read(true), OFlags::NOFOLLOW)
                .and_then(|file| file.sync_all())
                .map_err(StorageError::io("sync", &path))?;
        }
    }
    sync_folder(folder)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_first_file_wins_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        assert_eq!(file_once(&path, b"first").unwrap(), Published::First);
        assert_eq!(file_once(&path, b"second").unwrap(), Published::AlreadyThere);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace_file(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(names(folder.path()), ["plan.yaml"]);
    }

    #[test]
    fn a_file_is_written_on_in_its_place_unless_it_is_another_or_linked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iterations.csv");
        let before = replace_file(&path, b"head,tail").unwrap();
        let inode = before.ino();
        let write = |bytes: &[u8], is_it| write_after(&path, 5, bytes, |_| is_it).unwrap();
        assert_eq!(write(b"rows", true).map(|now| (now.len(), now.ino())), Some((9, inode)));
        assert_eq!(write(b"row", true).map(|now| now.len()), Some(8));
        assert!(write(b"others", false).is_none());
        let linked = folder.path().join("linked.csv");
        fs::hard_link(&path, &linked).unwrap();
        assert!(write(b"others", true).is_none());
        fs::remove_file(&path).unwrap();
        assert!(write(b"others", true).is_none());
        std::os::unix::fs::symlink(&linked, &path).unwrap();
        assert!(write(b"others", true).is_none());
        assert_eq!(fs::read(&linked).unwrap(), b"head,row");
        assert_eq!(take_file(&path), None);
        assert_eq!(take_file(&linked).unwrap(), b"head,row");
        assert_eq!(take_file(&linked), None);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_first_folder_wins_and_an_empty_one_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000000001");
        fs::create_dir(&path).unwrap();
        let publish = |text: &'static str| {
            folder_once(&path, |aside| {
                fs::create_dir(aside.join("deep")).unwrap();
                fs::write(aside.join("deep/file"), text).map_err(StorageError::io("write", aside))
            })
        };
        assert_eq!(publish("first").unwrap(), Published::First);
        assert_eq!(publish("second").unwrap(), Published::AlreadyThere);
        assert_eq!(fs::read(path.join("deep/file")).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["000000001"]);
    }

    #[test]
    fn of_many_at_once_exactly_one_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("array.yaml");
        let first = thread::scope(|scope| {
            let tries: Vec<_> = (0..8u8)
                .map(|writer| {
                    let path = &path;
                    scope.spawn(move || file_once(path, &[writer; 1000]).unwrap())
                })
                .collect();
            tries
                .into_iter()
                .map(|one| one.join().unwrap())
                .filter(|&p| p == Published::First)
                .count()
        });
        assert_eq!(first, 1);
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len(), bytes.iter().all(|&byte| byte == bytes[0])), (1000, true));
        assert_eq!(names(folder.path()), ["array.yaml"]);
    }

    #[test]
    fn a_folder_that_cannot_be_filled_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view");
        let failed =
            folder_once(&path, |_| Err(StorageError::AlreadyExists { path: path.clone() }));
        assert!(failed.is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_listing_is_in_the_order_of_its_keys_without_what_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10", "9", ".11.host.1.0.partial", "notes"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = listing(folder.path(), |name| name.parse::<u64>().ok()).unwrap();
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [9, 10]);
        let private = private_listing(folder.path(), |name| Some(name.to_owned())).unwrap();
        assert_eq!(private[0].0, "11.host.1.0.partial");
        assert_eq!(private.len(), 1);
        assert!(listing(&folder.path().join("none"), |_| Some(())).unwrap().is_empty());
    }

    #[test]
    fn what_is_set_aside_is_seen_no_more_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000000012");
        for text in ["first", "second"] {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), text).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(fs::read_to_string(aside.join("file")).unwrap(), text);
        }
        assert_eq!(names(folder.path()).len(), 2);
        assert!(listing(folder.path(), |_| Some(())).unwrap().is_empty());
        assert!(set_aside(&path).is_err());
    }

    #[test]
    fn the_name_of_a_left_over_is_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve");
        let (left_over, _) = private_name(&path, |aside| fs::write(aside, "old")).unwrap();
        file_once(&path, b"new").unwrap();
        assert_eq!(fs::read(&left_over).unwrap(), b"old");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
