//! Appending to the log: [`ExclusiveGuard`], while the exclusive lock is held.
//!
//! Under the lock only the tail is read, so that its cost does not grow with the log. Rows are
//! appended with one write and synced before the lock is released. A write that finds no room is
//! cut back by its own writer; what a crash leaves at the end is saved and cut by the next one. A
//! shared lock is never turned into an exclusive one.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::regular_file::read_up_to;
use crate::storage::fs::direct_io::{self, Answers};
use crate::storage::fs::lock::{self, LockMode};
use crate::storage::log::damage::{self, RawLine, RawLog};
use crate::storage::log::file::{ReplayLog, Tail};
use crate::storage::log::text::{self, header};
use crate::storage::{
    dir::ExperimentDir, dir::Folder, error::Result, error::StorageError, log::event::Row,
    log::position::LogPosition,
};

#[derive(Debug)]
pub struct WritableReplayLog {
    pub reader: ReplayLog,
    torn: PathBuf,
}

impl WritableReplayLog {
    pub fn open(experiment: &ExperimentDir) -> Result<Self> {
        let reader = ReplayLog::open_with(experiment, File::options().read(true).write(true))?;
        Ok(Self { reader, torn: experiment.folder(Folder::Torn) })
    }

    /// What is unfinished at the end of the log is saved in `torn/` and cut off first.
    pub fn lock_exclusive(&mut self) -> Result<ExclusiveGuard<'_>> {
        let log = &self.reader;
        lock::acquire(&log.file, &log.path, LockMode::Exclusive, log.timeout)?;
        let mut guard = ExclusiveGuard { log, torn: &self.torn, end: 0 };
        // What is read, cut and written from here on must be what the server has.
        direct_io::set_answers(&log.file, Answers::Server)
            .map_err(log.io("open for direct I/O"))?;
        direct_io::refresh(&log.file).map_err(log.io("sync"))?;
        guard.end = guard.cut_torn_end()?;
        Ok(guard)
    }
}

#[derive(Debug)]
pub struct ExclusiveGuard<'a> {
    log: &'a ReplayLog,
    torn: &'a Path,
    pub(crate) end: u64,
}

impl ExclusiveGuard<'_> {
    pub fn read_from(&self, cursor: &LogPosition) -> Result<Tail> {
        self.log.parse(&self.log.read_bytes(cursor, self.end)?, cursor)
    }

    /// When a row cannot be written as text, or there is no room, nothing has been appended; after
    /// another error that is not known.
    pub fn append(&mut self, rows: &[Row]) -> Result<()> {
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

    pub fn sync(&self) -> Result<()> {
        self.log.file.sync_data().map_err(self.log.io("sync"))
    }

    /// Reads the whole log, damage included, up to the whole rows and not as far as an NFS client
    /// says that it goes: half a row would be taken for a damaged one.
    pub fn read_raw(&self) -> Result<RawLog> {
        Ok(RawLog::of(self.log.read_bytes(&LogPosition::ORIGIN, self.end)?))
    }

    /// Returns where the bytes of the line are kept; `None` of a line without any. One whose bytes
    /// cannot be saved is left as it is.
    pub fn blank(&mut self, line: &RawLine, void: &Row) -> Result<Option<PathBuf>> {
        if line.bytes.is_empty() {
            return Ok(None);
        }
        let saved = damage::save(self.torn, line.byte, &line.bytes)?;
        let (log, blank) = (self.log, damage::blanked(line.bytes.len(), void));
        log.file.write_all_at(&blank, line.byte).map_err(log.io("overwrite a row of"))?;
        log.file.sync_data().map_err(log.io("sync"))?;
        Ok(Some(saved))
    }

    fn cut_torn_end(&self) -> Result<u64> {
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

/// Where the whole rows of a log end, and its bytes, which an NFS client may have reported wrong.
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

/// Writes at the end of the log and syncs; when there is no room cuts the log back.
///
/// After any other failure the lock may be gone: a machine whose NFS server has had no renewal for
/// a lease gets `EIO`, and others have appended since. Cutting would cut their rows.
fn append_at(
    log: &ReplayLog,
    end: u64,
    bytes: &[u8],
    write: impl Fn(&File, &[u8], u64) -> io::Result<usize>,
    sync: impl Fn(&File) -> io::Result<()>,
) -> Result<()> {
    let written = loop {
        match write(&log.file, bytes, end) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => break written,
        }
    };
    let appended = match written {
        Ok(written) if written == bytes.len() => sync(&log.file).map_err(log.io("sync")),
        Ok(written) => {
            let how = format!(
                "only {written} of {} bytes fit (disk full, over quota, or at the limit of \
                 `ulimit -f`?)",
                bytes.len()
            );
            Err(log.io("append to")(io::Error::new(ErrorKind::StorageFull, how)))
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

/// Cuts what was written of `bytes`. Anything else is left to the next writer, who saves it.
fn cut_own(log: &ReplayLog, end: u64, bytes: &[u8]) -> Result<()> {
    let mut there = vec![0; bytes.len() + 1];
    let read = read_up_to(&log.file, &mut there, end).map_err(log.io("read"))?;
    if bytes.starts_with(&there[..read]) { cut(log, end) } else { Ok(()) }
}

fn cut(log: &ReplayLog, end: u64) -> Result<()> {
    log.file.set_len(end).and_then(|()| log.file.sync_data()).map_err(log.io("cut the end of"))
}

#[cfg(test)]
mod tests;
