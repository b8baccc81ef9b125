//! The log as a file, read: appended to, never renamed or replaced, and locked itself, since on NFS
//! only the locked file is coherent between machines. Reading needs no permission to write.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::regular_file::{LARGE, NotAFile, read_up_to};
use crate::storage::fs::lock::{self, LockMode, LockTimeout};
use crate::storage::log::damage::{self, RawLog, end_of_whole_lines};
use crate::storage::log::text::{RowError, header, line_after, parse_rows};
use crate::storage::{
    dir::ExperimentDir, error::Result, error::StorageError, fs::direct_io, log::event::Row,
    log::position::LogPosition,
};

#[derive(Debug)]
pub struct ReplayLog {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub timeout: LockTimeout,
}

/// Of [`ReplayLog::open_to_look`] alone: when it is over, the log is read without the lock.
const LOOK: LockTimeout =
    LockTimeout { notice: Duration::from_secs(2), limit: Duration::from_secs(2) };

#[derive(Debug, Clone)]
pub struct Tail {
    pub rows: Vec<Row>,
    pub cursor: LogPosition,
    pub(crate) path: PathBuf,
}

impl ReplayLog {
    pub fn open(experiment: &ExperimentDir) -> Result<Self> {
        Self::open_with(experiment, File::options().read(true))
    }

    /// While the lock stays taken, the whole rows that are there after 2 s are read, with a
    /// warning.
    pub fn open_to_look(experiment: &ExperimentDir) -> Result<Self> {
        Ok(Self { timeout: LOOK, ..Self::open(experiment)? })
    }

    pub(super) fn open_with(experiment: &ExperimentDir, options: &fs::OpenOptions) -> Result<Self> {
        let log = Self::open_unchecked(experiment, options)?;
        let mut begin = vec![0; header().len()];
        let read = read_up_to(&log.file, &mut begin, 0).map_err(log.io("read"))?;
        match damage::header_problem(&begin[..read]) {
            None => Ok(log),
            Some(how) => Err(log.changed(how)),
        }
    }

    fn open_unchecked(experiment: &ExperimentDir, options: &fs::OpenOptions) -> Result<Self> {
        let path = experiment.replay_log();
        let file = direct_io::open(&path, options).map_err(StorageError::io("open", &path))?;
        Ok(Self { file, path, timeout: LockTimeout::default() })
    }

    /// Leaves an unfinished line at the end to the next writer.
    pub fn read_from(&self, cursor: &LogPosition) -> Result<Tail> {
        let _guard = self.lock_shared()?;
        self.read_unlocked(cursor)
    }

    /// Up to the last whole row, without a lock: the newest may be missing.
    pub fn read_unlocked(&self, cursor: &LogPosition) -> Result<Tail> {
        let bytes = self.read_bytes(cursor, self.length()?)?;
        self.parse(&bytes[..end_of_whole_lines(&bytes).unwrap_or(0)], cursor)
    }

    /// Of the prefix that a view was made from; without a lock: its bytes change no more.
    pub fn check_prefix(&self, position: &LogPosition) -> Result<()> {
        self.check_from(&LogPosition::ORIGIN, position)
    }

    /// The same where the prefix before `checked` was checked.
    pub fn check_from(&self, checked: &LogPosition, position: &LogPosition) -> Result<()> {
        let fits = || {
            let mut read = LogPosition { rows: position.rows, ..*checked };
            // In pieces: memory that is new to the process takes longer than reading.
            loop {
                let piece = self.read_bytes(&read, position.byte.min(read.byte + (1 << 16)))?;
                if piece.is_empty() {
                    return Ok::<_, StorageError>(read == *position);
                }
                read.advance(&piece, 0);
            }
        };
        if fits()? {
            return Ok(());
        }
        // What another machine has appended since we opened the file is certain to be seen only
        // under the lock.
        let _guard = self.lock_shared()?;
        if fits()? { Ok(()) } else { Err(self.changed("a view was made from other rows")) }
    }

    /// Device and inode, which another file under the same name has not.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(self.io("read"))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The changes of the configuration up to the last whole line, without a lock. Damaged rows,
    /// and a log that is missing or begins otherwise, are left to those who read all.
    pub fn settings(experiment: &ExperimentDir) -> Result<Vec<String>> {
        let log = match Self::open(experiment) {
            Err(error) if error.is_gone() || error.is_damage() => return Ok(Vec::new()),
            log => log?,
        };
        let bytes = log.read_bytes(&LogPosition::ORIGIN, log.length()?)?;
        let lines = &bytes[..end_of_whole_lines(&bytes).unwrap_or(0)];
        // A row without an iteration, as it is written.
        let set = memchr::memmem::find_iter(lines, b"\n,set,").map(|before| &lines[before + 1..]);
        let row = |line: &[u8]| Row::parse(&line[..memchr::memchr(b'\n', line)?]).ok();
        Ok(set.filter_map(|set| Some(row(set)?.reason?.to_string())).collect())
    }

    pub(super) fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(self.io("read"))?.len())
    }

    fn lock_shared(&self) -> Result<Option<SharedGuard<'_>>> {
        match lock::acquire(&self.file, &self.path, LockMode::Shared, self.timeout) {
            Err(StorageError::Locked { path, seconds }) if self.timeout == LOOK => {
                log::warn!(
                    "`{}` has been locked for {seconds} s by a process that may hang: its whole \
                     rows are read without the lock, and the newest may be missing",
                    path.display()
                );
                Ok(None)
            }
            locked => {
                locked?;
                // A file opened for reading may not be synced everywhere.
                if let Err(error) = direct_io::refresh(&self.file) {
                    log::debug!("cannot sync `{}`: {error}", self.path.display());
                }
                Ok(Some(SharedGuard(self)))
            }
        }
    }

    pub(super) fn check_length(&self, length: u64) -> Result<()> {
        let too_large = || self.io("read")(NotAFile::TooLarge(LARGE).into());
        (length <= LARGE).then_some(()).ok_or_else(too_large)
    }

    pub(super) fn read_bytes(&self, cursor: &LogPosition, end: u64) -> Result<Vec<u8>> {
        let before = cursor.byte;
        let length = end.checked_sub(before).ok_or_else(|| {
            self.changed(format!("it ends at byte {end}, and was read up to byte {before} before"))
        })?;
        self.check_length(length)?;
        let mut bytes = vec![0; usize::try_from(length).expect("a file fits into memory")];
        let read = read_up_to(&self.file, &mut bytes, before).map_err(self.io("read"))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    pub(super) fn parse(&self, bytes: &[u8], from: &LogPosition) -> Result<Tail> {
        let rows = parse_rows(bytes).map_err(|(rows, byte, error)| {
            let line = line_after(from.rows + rows as u64);
            if error == RowError::NotCanonical {
                return self.changed(format!("line {line}: {error}"));
            }
            let place = format!("line {line}, byte {}", from.byte + byte as u64);
            StorageError::DamagedRow { path: self.path.clone(), place, source: error }
        })?;
        let mut cursor = *from;
        cursor.advance(bytes, rows.len() as u64);
        Ok(Tail { rows, cursor, path: self.path.clone() })
    }

    pub(super) fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        StorageError::io(action, &self.path)
    }

    pub(super) fn changed(&self, how: impl Into<String>) -> StorageError {
        StorageError::Changed { path: self.path.clone(), how: how.into() }
    }
}

struct SharedGuard<'a>(&'a ReplayLog);

impl Drop for SharedGuard<'_> {
    fn drop(&mut self) {
        lock::release(&self.0.file, &self.0.path);
    }
}

impl RawLog {
    /// Reads the log of an experiment as [`ReplayLog::open_to_look`] does.
    pub fn read(experiment: &ExperimentDir) -> Result<Self> {
        let log = ReplayLog::open_unchecked(experiment, File::options().read(true))?;
        let log = ReplayLog { timeout: LOOK, ..log };
        let guard = log.lock_shared()?;
        let mut bytes = log.read_bytes(&LogPosition::ORIGIN, log.length()?)?;
        if guard.is_none() {
            // The row that is being written is no unfinished one.
            bytes.truncate(end_of_whole_lines(&bytes).unwrap_or(bytes.len()));
        }
        Ok(Self::of(bytes))
    }
}

#[cfg(test)]
mod tests;
