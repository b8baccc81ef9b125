//! Opening files whose names others can take. A named pipe in the place of a file would stop a
//! reader for good, a link to an endless device would fill its memory: every file is opened
//! without blocking, looked at, and read up to a bound. Files of an experiment are opened by
//! [`read`], which follows no link; `tests/suite/layers.rs` finds who opens one otherwise.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use itertools::Itertools;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Dir, FileType, FsWord, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstatfs};
use rustix::io::Errno;

/// Most bytes of a file of a few lines: plans, jobs, results, checksums.
pub const SMALL: u64 = 1 << 20;
/// Most bytes of a file that grows with the epochs of a training or the keys of a configuration.
pub const MEDIUM: u64 = 1 << 26;
/// Most bytes of a file that grows with a search, and of a table that a person names.
pub const LARGE: u64 = 1 << 30;

/// Why a file is not read: the source of an [`io::Error`] of the kind `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAFile {
    #[error("it is {0}, not a regular file")]
    Kind(&'static str),
    #[error(
        "it is a symbolic link, and a file of an experiment is none (put the file itself there)"
    )]
    Link,
    #[error("it has more than {0} bytes, the most that a file of its kind can have")]
    TooLarge(u64),
    #[error("it is a named pipe that no program writes to")]
    NoWriter,
}

impl NotAFile {
    pub fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|source| source.is::<Self>())
    }
}

impl From<NotAFile> for io::Error {
    fn from(source: NotAFile) -> Self {
        Self::new(ErrorKind::InvalidData, source)
    }
}

/// Reads a file of an experiment, following no link.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(open(path, File::options().read(true), OFlags::NOFOLLOW)?, most)
}

/// Reads a file outside of an experiment, also behind links.
pub fn read_linked(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(open(path, File::options().read(true), OFlags::empty())?, most)
}

/// Reads what a person names: a file, also behind links, or `/dev/stdin`, `<(command)` and the
/// like.
pub fn read_input(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_at_once(path, File::options().read(true), OFlags::empty())?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    // `/dev/null`, for nothing: 1, 3 on Linux.
    let is_null = kind.is_char_device() && metadata.rdev() == rustix::fs::makedev(1, 3);
    if kind.is_fifo() {
        wait_for_writer(&file)?;
    } else if !(metadata.is_file() || file.is_terminal() || is_null) {
        return Err(NotAFile::Kind(kind_of(&metadata)).into());
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    whole(file, most)
}

/// Opens a regular file with the options and `flags`, such as `O_NOFOLLOW`.
pub fn open(path: &Path, options: &OpenOptions, flags: OFlags) -> io::Result<File> {
    let file = open_at_once(path, options, flags)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(file) } else { Err(NotAFile::Kind(kind_of(&metadata)).into()) }
}

/// The names in a folder, in no order. [`std::fs::read_dir`] and [`std::fs::remove_dir_all`] panic
/// where a folder cannot be closed, as on a network file system that reports an earlier error then;
/// this and [`remove_folder`] do not.
pub fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let names = Dir::new(open_folder(folder)?)?
        .map_ok(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
    Ok(names.filter_ok(|name| name != "." && name != "..").try_collect()?)
}

/// Links in it are removed, not followed. Another process may remove it at the same time.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let remove = |name| {
        let path = folder.join(name);
        let is_folder = path.is_dir() && !path.is_symlink();
        if is_folder { remove_folder(&path) } else { unless_gone(fs::remove_file(&path)) }
    };
    let emptied = names(folder).and_then(|names| names.into_iter().try_for_each(remove));
    unless_gone(emptied.and_then(|()| fs::remove_dir(folder)))
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::from(open_folder(path)?).sync_all()
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// How often, and after which pause, a file is opened again on which another machine holds a lease,
/// to be given back within `/proc/sys/fs/lease-break-time` (45 s).
const LEASE: (u32, Duration) = (600, Duration::from_millis(100));

fn open_at_once(path: &Path, options: &OpenOptions, flags: OFlags) -> io::Result<File> {
    let mut options = options.clone();
    options.custom_flags((flags | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    let mut tries = 0;
    let opened = loop {
        match options.open(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < LEASE.0 => {
                tries += 1;
                thread::sleep(LEASE.1);
            }
            opened => break opened,
        }
    };
    opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) if path.is_symlink() => NotAFile::Link.into(),
        // A folder that is opened for writing; a socket, or a pipe without a reader.
        Some(Errno::ISDIR | Errno::NXIO) => {
            NotAFile::Kind(path.metadata().as_ref().map_or("none", kind_of)).into()
        }
        _ => error,
    })
}

/// Fills the buffer from `at`, less of it where the file ends.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= most {
        bytes.try_reserve_exact(size as usize)?;
        // Pipes, and files of the kernel, do not say how long they are.
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    let is_bounded = size.max(bytes.len() as u64) <= most;
    if is_bounded { Ok(bytes) } else { Err(NotAFile::TooLarge(most).into()) }
}

fn kind_of(metadata: &Metadata) -> &'static str {
    match FileType::from_raw_mode(metadata.mode()) {
        FileType::Directory => "a folder",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

/// Linux's number of the file system in which pipes without a name lie.
const PIPEFS: FsWord = 0x5049_5045;
/// Longest wait for the other end of a pipe that has a name.
const WRITER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

fn wait_for_writer(file: &File) -> io::Result<()> {
    let is_named = fstatfs(file)?.f_type != PIPEFS;
    if is_named && poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&WRITER))? == 0 {
        return Err(NotAFile::NoWriter.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mknodat};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn fifo(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    fn refusal<T: std::fmt::Debug>(read: io::Result<T>) -> NotAFile {
        *read.unwrap_err().get_ref().unwrap().downcast_ref().unwrap()
    }

    #[test]
    fn a_folder_is_removed_with_its_links_and_not_with_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("tree/below")).unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/kept"), "").unwrap();
        fs::write(at("tree/below/file"), "").unwrap();
        symlink(at("elsewhere"), at("tree/link")).unwrap();
        let mut found = names(&at("tree")).unwrap();
        found.sort();
        assert_eq!(found, ["below", "link"]);
        remove_folder(&at("tree")).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["elsewhere"]);
        assert_eq!(names(&at("elsewhere")).unwrap(), ["kept"]);
        assert_eq!(names(&at("elsewhere/kept")).unwrap_err().kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn two_may_remove_a_folder_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for _ in 0..100 {
            fs::create_dir_all(tree.join("below")).unwrap();
            (0..20).for_each(|file| fs::write(tree.join(format!("below/{file}")), "").unwrap());
            thread::scope(|scope| {
                let both = [0, 1].map(|_| scope.spawn(|| remove_folder(&tree)));
                both.into_iter().for_each(|one| one.join().unwrap().unwrap());
            });
            assert!(!tree.exists());
        }
    }

    #[test]
    fn only_a_regular_file_is_read_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "1234").unwrap();
        assert_eq!(read(&at("file"), 4).unwrap(), b"1234");
        assert_eq!(refusal(read(&at("file"), 3)), NotAFile::TooLarge(3));
        fifo(&at("fifo"));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        for (name, is) in [("fifo", "a named pipe"), ("socket", "a socket"), ("", "a folder")] {
            assert_eq!(refusal(read(&at(name), 4)), NotAFile::Kind(is));
            assert_eq!(refusal(read_linked(&at(name), 4)), NotAFile::Kind(is));
            let append = open(&at(name), File::options().append(true), OFlags::NOFOLLOW);
            assert_eq!(refusal(append), NotAFile::Kind(is));
        }
        assert_eq!(refusal(read(&at("link"), 4)), NotAFile::Link);
        assert_eq!(refusal(read(&at("endless"), 4)), NotAFile::Link);
        assert_eq!(read_linked(&at("link"), 4).unwrap(), b"1234");
        assert_eq!(refusal(read_linked(&at("endless"), 4)), NotAFile::Kind("a device"));
        assert_eq!(read(&at("none"), 4).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_sparse_file_of_a_terabyte_costs_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(refusal(read(file.path(), LARGE)), NotAFile::TooLarge(LARGE));
    }

    #[test]
    fn input_may_come_through_a_pipe_that_a_program_writes_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        fifo(&path);
        let read = thread::scope(|scope| {
            scope.spawn(|| fs::write(&path, "12").unwrap());
            read_input(&path, 4)
        });
        assert_eq!(read.unwrap(), b"12");
        assert_eq!(read_input(Path::new("/dev/null"), 4).unwrap(), b"");
        assert_eq!(refusal(read_input(Path::new("/dev/zero"), 4)), NotAFile::Kind("a device"));
        assert_eq!(refusal(read_input(folder.path(), 4)), NotAFile::Kind("a folder"));
    }
}
