//! The log as a file: the record of truth of an experiment, and its lock.
//!
//! One file, appended to and never renamed or replaced, locked itself: on NFS only the locked file
//! is coherent between machines. [`ReplayLog`] reads, and needs no permission to write;
//! [`WritableReplayLog`] can also be locked exclusively, and only the [`ExclusiveGuard`], which
//! lives as long as that lock is held, appends. A shared lock is never turned into an exclusive
//! one: the borrow checker sees to it.
//!
//! Under the lock only the tail is read, so that its cost does not grow with the log: what lies
//! before is read beforehand, without it ([`ReplayLog::read_unlocked`]). Rows are appended with one write and synced before the lock is
//! released. A write that finds no room is cut back by its own writer; what a crash leaves at the
//! end is saved and cut by the next one.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::regular_file::{LARGE, NotAFile, read_up_to};
use crate::storage::dir::ExperimentDir;
use crate::storage::error::StorageError;
use crate::storage::fs::direct_io::{self, Answers};
use crate::storage::fs::lock::{self, LockMode, LockTimeout};
use crate::storage::log::damage::{self, Kept, RawLine, RawLog, end_of_whole_lines};
use crate::storage::log::event::{Event, Row};
use crate::storage::log::position::{LogCursor, LogPosition, line_after};
use crate::storage::log::text::{self, RowError, header, parse_rows};
use crate::storage::search_state::Knowledge;

#[derive(Debug)]
pub struct ReplayLog {
    file: File,
    path: PathBuf,
    timeout: LockTimeout,
    /// Whether the log is read without the lock when that stays taken.
    at_worst_unlocked: bool,
}

const LOOK: LockTimeout =
    LockTimeout { notice: Duration::from_secs(2), limit: Duration::from_secs(2) };

/// The rows after a cursor.
#[derive(Debug, Clone)]
pub struct Tail {
    pub rows: Vec<Row>,
    pub cursor: LogCursor,
    pub(crate) path: PathBuf,
}

impl ReplayLog {
    pub fn open(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        Self::open_with(experiment, File::options().read(true))
    }

    /// Opens the log for commands that only read: while its lock stays taken they read the whole
    /// rows that are there after 2 s, and say so.
    pub fn open_to_look(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self { timeout: LOOK, at_worst_unlocked: true, ..Self::open(experiment)? })
    }

    fn open_with(
        experiment: &ExperimentDir,
        options: &fs::OpenOptions,
    ) -> Result<Self, StorageError> {
        let log = Self::open_unchecked(experiment, options)?;
        let mut begin = vec![0; header().len()];
        let read = read_up_to(&log.file, &mut begin, 0).map_err(log.io("read"))?;
        damage::refuse_version_1(&begin[..read], &log.path)?;
        match damage::header_problem(&begin[..read]) {
            None => Ok(log),
            Some(how) => Err(log.changed(how)),
        }
    }

    fn open_unchecked(
        experiment: &ExperimentDir,
        options: &fs::OpenOptions,
    ) -> Result<Self, StorageError> {
        let path = experiment.replay_log();
        let file = direct_io::open(&path, options).map_err(StorageError::io("open", &path))?;
        Ok(Self { file, path, timeout: LockTimeout::default(), at_worst_unlocked: false })
    }

    /// Returns the rows after a cursor. An unfinished line at the end is left to the next writer.
    pub fn read_from(&self, cursor: &LogCursor) -> Result<Tail, StorageError> {
        let _guard = self.lock_shared()?;
        self.read_unlocked(cursor)
    }

    /// Returns the rows after a cursor up to the last whole one, without a lock: the newest may be
    /// missing.
    pub fn read_unlocked(&self, cursor: &LogCursor) -> Result<Tail, StorageError> {
        let bytes = self.read_bytes(cursor, self.length()?)?;
        self.parse(&bytes[..end_of_whole_lines(&bytes).unwrap_or(0)], cursor)
    }

    /// Compares the checksum of the prefix that a view was made from. Takes no lock: these bytes
    /// change no more.
    pub fn check_prefix(&self, position: &LogPosition) -> Result<(), StorageError> {
        let read = || LogCursor::origin().read_on(&self.file, position).map_err(self.io("read"));
        if read()?.is_some() {
            return Ok(());
        }
        // What another machine has appended since we opened the file is certain to be seen only
        // under the lock.
        let guard = self.lock_shared()?;
        let cursor = read()?;
        drop(guard);
        cursor.map(drop).ok_or_else(|| self.changed("a view was made from other rows"))
    }

    /// What tells this file from another one under the same name: device and inode.
    pub(crate) fn identity(&self) -> Result<(u64, u64), StorageError> {
        let metadata = self.file.metadata().map_err(self.io("read"))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Returns the changes of the configuration up to the last whole line, read without a lock.
    /// Damaged rows are left to those who read all of them, and so is a log that is missing or
    /// begins in another way.
    pub fn settings(experiment: &ExperimentDir) -> Result<Vec<String>, StorageError> {
        let log = match Self::open(experiment) {
            Err(error) if error.is_gone() || error.is_damage() => return Ok(Vec::new()),
            log => log?,
        };
        let bytes = log.read_bytes(&LogCursor::origin(), log.length()?)?;
        let whole = end_of_whole_lines(&bytes).unwrap_or(0);
        let lines = bytes[..whole].split(|&byte| byte == b'\n');
        // A row without an iteration, as it is written.
        let set = lines.filter(|line| line.starts_with(b",set,"));
        Ok(set.filter_map(|line| Row::parse(line).ok()?.reason).collect())
    }

    fn length(&self) -> Result<u64, StorageError> {
        Ok(self.file.metadata().map_err(self.io("read"))?.len())
    }

    fn lock_shared(&self) -> Result<Option<SharedGuard<'_>>, StorageError> {
        match lock::acquire(&self.file, &self.path, LockMode::Shared, self.timeout) {
            Err(StorageError::Locked { path, seconds }) if self.at_worst_unlocked => {
                log::warn!(
                    "`{}` has been locked for {seconds} s by a process that may hang: its whole rows are \
                     read without the lock, and the newest may be missing",
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

    /// Checks that so many bytes may be of a log, before memory is taken for them.
    fn check_length(&self, length: u64) -> Result<(), StorageError> {
        if length > LARGE {
            return Err(self.io("read")(NotAFile::TooLarge(LARGE).into()));
        }
        Ok(())
    }

    fn read_bytes(&self, cursor: &LogCursor, end: u64) -> Result<Vec<u8>, StorageError> {
        let before = cursor.byte();
        let Some(length) = end.checked_sub(before) else {
            let how = format!("it ends at byte {end}, and was read up to byte {before} before");
            return Err(self.changed(how));
        };
        self.check_length(length)?;
        let mut bytes = vec![0; usize::try_from(length).expect("a file fits into memory")];
        let read = read_up_to(&self.file, &mut bytes, before).map_err(self.io("read"))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8], from: &LogCursor) -> Result<Tail, StorageError> {
        let rows = parse_rows(bytes).map_err(|(rows, byte, error)| {
            let line = line_after(from.rows() + rows as u64);
            if error == RowError::NotCanonical {
                return self.changed(format!("line {line}: {error}"));
            }
            let place = format!("line {line}, byte {}", from.byte() + byte as u64);
            StorageError::DamagedRow { path: self.path.clone(), place, source: error }
        })?;
        let mut cursor = from.clone();
        cursor.advance(bytes, rows.len() as u64);
        Ok(Tail { rows, cursor, path: self.path.clone() })
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        StorageError::io(action, &self.path)
    }

    fn changed(&self, how: impl Into<String>) -> StorageError {
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
    pub fn read(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        let log = ReplayLog::open_unchecked(experiment, File::options().read(true))?;
        let log = ReplayLog { timeout: LOOK, at_worst_unlocked: true, ..log };
        let guard = log.lock_shared()?;
        let mut bytes = log.read_bytes(&LogCursor::origin(), log.length()?)?;
        if guard.is_none() {
            // The row that is being written is no unfinished one.
            bytes.truncate(end_of_whole_lines(&bytes).unwrap_or(bytes.len()));
        }
        damage::refuse_version_1(&bytes, &log.path)?;
        Ok(Self::of(bytes))
    }
}

impl Tail {
    /// Whether a repair has begun in these rows: what was read of the rows before it, and views
    /// made of them, are stale.
    pub fn has_repair(&self) -> bool {
        self.rows.iter().any(|row| row.event == Event::Repaired)
    }

    /// Takes in the rows; an error names the line of the first that the rules refuse.
    pub fn apply_to(&self, knowledge: &mut Knowledge) -> Result<(), StorageError> {
        let first = self.cursor.rows() - self.rows.len() as u64;
        for (before, row) in (first..).zip(&self.rows) {
            knowledge.apply(row).map_err(|violation| StorageError::DamagedRow {
                path: self.path.clone(),
                place: format!("line {}", line_after(before)),
                source: violation.into(),
            })?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct WritableReplayLog {
    log: ReplayLog,
    torn: PathBuf,
}

impl WritableReplayLog {
    pub fn open(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        let log = ReplayLog::open_with(experiment, File::options().read(true).write(true))?;
        Ok(Self { log, torn: experiment.torn() })
    }

    pub const fn reader(&self) -> &ReplayLog {
        &self.log
    }

    pub const fn set_lock_timeout(&mut self, timeout: LockTimeout) {
        self.log.timeout = timeout;
    }

    /// Locks the log for appending. What a crash or another program left unfinished at its end is
    /// saved in `torn/` and cut off first.
    pub fn lock_exclusive(&mut self) -> Result<ExclusiveGuard<'_>, StorageError> {
        lock::acquire(&self.log.file, &self.log.path, LockMode::Exclusive, self.log.timeout)?;
        let mut guard = ExclusiveGuard { log: &self.log, torn: &self.torn, end: 0 };
        let log = guard.log;
        // What is read, cut and written from here on must be what the server has.
        direct_io::set_answers(&log.file, Answers::Server)
            .map_err(log.io("open for direct I/O"))?;
        direct_io::refresh(&log.file).map_err(log.io("sync"))?;
        guard.end = guard.cut_torn_end()?;
        Ok(guard)
    }
}

/// The exclusive lock: while it lives no other process reads or appends. Dropping it unlocks.
#[derive(Debug)]
pub struct ExclusiveGuard<'a> {
    log: &'a ReplayLog,
    torn: &'a Path,
    end: u64,
}

impl ExclusiveGuard<'_> {
    /// What tells the locked file from another one under the same name: device and inode.
    pub(crate) fn identity(&self) -> Result<(u64, u64), StorageError> {
        self.log.identity()
    }

    /// How many bytes of whole rows follow a cursor.
    pub(crate) const fn bytes_after(&self, cursor: &LogCursor) -> u64 {
        self.end.saturating_sub(cursor.byte())
    }

    pub fn read_from(&self, cursor: &LogCursor) -> Result<Tail, StorageError> {
        self.log.parse(&self.log.read_bytes(cursor, self.end)?, cursor)
    }

    /// Appends rows with one write and syncs them. When a row cannot be written as text, or there
    /// is no room, nothing has been appended; after another error that is not known.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), StorageError> {
        let (log, end) = (self.log, self.end);
        let unwritable = |source| StorageError::Unwritable { path: log.path.clone(), source };
        let bytes = text::lines(rows).map_err(unwritable)?;
        match direct_io::open_to_append(&log.file, &log.path).map_err(log.io("open"))? {
            None => append_at(log, end, &bytes, FileExt::write_at, File::sync_data)?,
            Some(file) => {
                let write = |_: &File, bytes: &[u8], _| (&file).write(bytes);
                append_at(log, end, &bytes, write, |_| file.sync_data())?;
            }
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Syncs what was appended before, perhaps by a writer whose own sync failed.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.log.file.sync_data().map_err(self.log.io("sync"))
    }

    /// Reads the whole log, damage included; an unfinished end was cut when the lock was taken. Not
    /// as far as an NFS client says that it goes: half a row would be taken for a damaged one.
    pub fn read_raw(&self) -> Result<RawLog, StorageError> {
        Ok(RawLog::of(self.log.read_bytes(&LogCursor::origin(), self.end)?))
    }

    /// Blanks a line of [`ExclusiveGuard::read_raw`], and returns where its bytes are kept. A line
    /// without a byte cannot be blanked and is left as it is: `None`. So is one whose bytes cannot
    /// be saved: an error.
    pub fn blank(&mut self, line: &RawLine, keep: Kept) -> Result<Option<PathBuf>, StorageError> {
        if line.bytes.is_empty() {
            return Ok(None);
        }
        let saved = damage::save(self.torn, line.byte, &line.bytes)?;
        let (log, blank) = (self.log, damage::blanked(line.bytes.len(), keep));
        log.file.write_all_at(&blank, line.byte).map_err(log.io("overwrite a row of"))?;
        log.file.sync_data().map_err(log.io("sync"))?;
        Ok(Some(saved))
    }

    fn cut_torn_end(&self) -> Result<u64, StorageError> {
        let log = self.log;
        let reported = log.length()?;
        log.check_length(reported)?;
        let (end, length) = ends(&log.file, reported).map_err(log.io("read"))?;
        if length < header().len() as u64 {
            return Err(log.changed("it ends within its first line"));
        }
        if end < length {
            let size = usize::try_from(length - end).expect("a file fits into memory");
            let mut bytes = vec![0; size];
            log.file.read_exact_at(&mut bytes, end).map_err(log.io("read"))?;
            let saved = damage::save(self.torn, end, &bytes)?;
            cut(log, end)?;
            log::warn!(
                "`{}` ended in {size} bytes that are no row; they are kept as `{}`",
                log.path.display(),
                saved.display()
            );
        }
        Ok(end)
    }
}

impl Drop for ExclusiveGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = direct_io::set_answers(&self.log.file, Answers::Cache) {
            // Reading is slower from here on, no more.
            log::warn!("cannot reset the flags of `{}`: {error}", self.log.path.display());
        }
        lock::release(&self.log.file, &self.log.path);
    }
}

/// Where the whole rows of a log end, and where its bytes do, which an NFS client may have reported
/// wrong.
fn ends(file: &File, reported: u64) -> io::Result<(u64, u64)> {
    let from = |reported| -> io::Result<(u64, u64)> {
        let length = direct_io::length_by_reading(file, reported)?;
        Ok((damage::find_end(file, header().len() as u64, length)?, length))
    };
    match from(reported) {
        // The file was truncated after its length was read.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => from(0),
        found => found,
    }
}

/// Writes `bytes` at the end of the log and syncs; when there is no room cuts the log back to where
/// it ended.
///
/// After any other failure the lock may be gone: a machine that its NFS server has not heard for a
/// lease gets `EIO`, and others have appended since. Cutting would cut their rows.
fn append_at(
    log: &ReplayLog,
    end: u64,
    bytes: &[u8],
    write: impl Fn(&File, &[u8], u64) -> io::Result<usize>,
    sync: impl Fn(&File) -> io::Result<()>,
) -> Result<(), StorageError> {
    let written = loop {
        match write(&log.file, bytes, end) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => break written,
        }
    };
    let appended = match written {
        Ok(written) if written == bytes.len() => sync(&log.file).map_err(log.io("sync")),
        Ok(written) => {
            Err(StorageError::ShortWrite { path: log.path.clone(), written, expected: bytes.len() })
        }
        Err(error) => Err(log.io("append to")(error)),
    };
    if appended.as_ref().is_err_and(StorageError::is_full)
        && let Err(error) = cut_own(log, end, bytes)
    {
        // The next writer cuts what is left; the first error says more.
        log::error!("{error}");
    }
    appended
}

/// Cuts what was written of `bytes` at `end`. Anything else that stands there is left to the next
/// writer, who saves it.
fn cut_own(log: &ReplayLog, end: u64, bytes: &[u8]) -> Result<(), StorageError> {
    let mut there = vec![0; bytes.len() + 1];
    let read = read_up_to(&log.file, &mut there, end).map_err(log.io("read"))?;
    if bytes.starts_with(&there[..read]) { cut(log, end) } else { Ok(()) }
}

fn cut(log: &ReplayLog, end: u64) -> Result<(), StorageError> {
    log.file.set_len(end).and_then(|()| log.file.sync_data()).map_err(log.io("cut the end of"))
}

#[cfg(test)]
mod tests;
