//! The advisory lock of a file: try, pause, try again, give up with a remedy.
//!
//! Only try-lock: a blocking `flock` on NFS sleeps 1 to 30 s between its own tries. The pause is
//! jittered, so that tasks that start together do not try in step. Locks of two opened files
//! exclude each other within one process, too; a killed process frees its lock at once.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fs2::FileExt;
use rustix::io::Errno;
use smart_default::SmartDefault;

use crate::storage::error::{Result, StorageError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMode {
    Shared,
    Exclusive,
}

/// The limit is longer than an NFS server keeps the lock of a dead machine (90 s usually).
#[derive(Debug, Clone, Copy, PartialEq, Eq, SmartDefault)]
pub struct LockTimeout {
    /// Until a warning.
    #[default(Duration::from_secs(5))]
    pub notice: Duration,
    /// Until the error.
    #[default(Duration::from_secs(300))]
    pub limit: Duration,
}

/// Microseconds until the next try. The lock is mostly free again after a sync (2 to 8 ms), so the
/// first pauses are short; then long, since each try is a round trip on NFS; from 100 ms to 1 s
/// shorter again, so that the longest waits get no longer. With 64 workers on two cores a result took 6 ms
/// in the median and 130 ms at the 99th percentile (2 to 30 ms, two syncs under it: 24 and 257).
fn pauses(waited: Duration) -> std::ops::RangeInclusive<u64> {
    match waited.as_millis() {
        ..10 => 500..=2_000,
        10..100 => 2_000..=30_000,
        100..1_000 => 2_000..=10_000,
        _ => 2_000..=30_000,
    }
}

pub(crate) fn acquire(
    file: &File,
    path: &Path,
    mode: LockMode,
    timeout: LockTimeout,
) -> Result<()> {
    let begin = Instant::now();
    let mut is_noticed = false;
    loop {
        if try_once(file, path, mode)? {
            return Ok(());
        }
        if begin.elapsed() >= timeout.limit {
            let seconds = timeout.limit.as_secs();
            return Err(StorageError::Locked { path: path.to_owned(), seconds });
        }
        if !is_noticed && begin.elapsed() >= timeout.notice {
            log::warn!("waiting for the lock of `{}`", path.display());
            is_noticed = true;
        }
        // The one random number that no seed decides: nothing depends on it but the pause.
        thread::sleep(Duration::from_micros(rand::random_range(pauses(begin.elapsed()))));
    }
}

pub(crate) fn release(file: &File, path: &Path) {
    // The lock ends with the process at the latest; an error here must not hide that rows are safe.
    if let Err(error) = FileExt::unlock(file) {
        log::warn!("cannot unlock `{}`: {error}", path.display());
    }
}

fn try_once(file: &File, path: &Path, mode: LockMode) -> Result<bool> {
    let tried = match mode {
        LockMode::Shared => FileExt::try_lock_shared(file),
        LockMode::Exclusive => FileExt::try_lock_exclusive(file),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(error) if is_taken(&error) => Ok(false),
        Err(source) if is_unsupported(&source) => {
            Err(StorageError::LocksUnsupported { path: path.to_owned(), source })
        }
        Err(source) => Err(StorageError::io("lock", path)(source)),
    }
}

/// The lock of an opened file asks for no permission: `EACCES` is how a server of cifs says that it
/// is taken (fcntl(2) allows it, too).
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::PermissionDenied
    )
}

/// Linux's own number for "not supported" by an NFS server; no libc knows it.
const ENOTSUPP: i32 = 524;

fn is_unsupported(error: &io::Error) -> bool {
    let codes = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code) || code == ENOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: LockTimeout = LockTimeout { notice: Duration::ZERO, limit: Duration::ZERO };

    /// Patient, although the lock is free: a process that another test is starting holds every
    /// file of this one open until it has become another program.
    fn takes(file: &File, path: &Path, mode: LockMode) {
        acquire(file, path, mode, LockTimeout::default()).unwrap();
    }

    fn opened(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn one_writer_or_many_readers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let (one, other) = (opened(path), opened(path));
        takes(&one, path, LockMode::Shared);
        takes(&other, path, LockMode::Shared);
        release(&other, path);
        assert!(matches!(
            acquire(&other, path, LockMode::Exclusive, NONE),
            Err(StorageError::Locked { seconds: 0, .. })
        ));
        release(&one, path);
        takes(&other, path, LockMode::Exclusive);
        assert!(acquire(&one, path, LockMode::Shared, NONE).is_err());
        drop(other);
        takes(&one, path, LockMode::Shared);
    }

    #[test]
    fn a_lock_that_another_machine_has_is_taken_by_whatever_number_its_server_says_so() {
        let [again, interrupted, access, permission] = [11, 4, 13, 1];
        let is = |code| is_taken(&io::Error::from_raw_os_error(code));
        assert!([again, interrupted, access, permission].into_iter().all(is));
        assert!(![5, 37, 116].into_iter().any(is));
    }

    #[test]
    fn a_file_system_without_locks_is_named() {
        let is = |code| is_unsupported(&io::Error::from_raw_os_error(code));
        assert!([37, 38, 95, 524].into_iter().all(is));
        assert!(!is(5));
    }
}
