//! Appending to the replay log, under its exclusive lock.
//!
//! Rows are appended with one write and synced before the lock is let go. A write that finds no room is
//! cut back by its own writer; what a crash leaves at the end is saved and cut by the next one.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::storage::dir::ExperimentDir;
use crate::storage::error::StorageError;
use crate::storage::fs::direct_io::{self, Answers};
use crate::storage::fs::lock::{self, Mode, Patience};
use crate::storage::log::file::{ReplayLog, Tail, read_up_to};
use crate::storage::log::position::LogCursor;
use crate::storage::log::row::Row;
use crate::storage::log::text::{LineWriter, header};
use crate::storage::log::torn;

/// The log, opened for reading and appending.
#[derive(Debug)]
pub struct WritableReplayLog {
    log: ReplayLog,
    /// Where what is cut or blanked is saved before.
    pub(crate) torn: PathBuf,
}

impl WritableReplayLog {
    /// Opens the log of an experiment for reading and appending.
    ///
    /// # Errors
    /// The log cannot be opened, or does not begin as this program begins it.
    pub fn open(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        let log = ReplayLog::open_with(experiment, File::options().read(true).write(true))?;
        Ok(Self { log, torn: experiment.torn() })
    }

    /// Returns the log for reading.
    pub const fn reader(&self) -> &ReplayLog {
        &self.log
    }

    /// Sets how long to wait for the lock.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.log.set_patience(patience);
    }

    /// Locks the log for appending. What a crash or a foreign program left unfinished at its end
    /// is saved in `torn/` and cut off first.
    ///
    /// # Errors
    /// The lock stayed taken, or the torn end cannot be saved and cut.
    pub fn lock_exclusive(&mut self) -> Result<ExclusiveGuard<'_>, StorageError> {
        lock::acquire(&self.log.file, &self.log.path, Mode::Exclusive, self.log.patience)?;
        let mut guard = ExclusiveGuard { log: self, end: 0 };
        let log = &guard.log.log;
        // What is read, cut and written from here on must be what the server has.
        direct_io::set_answers(&log.file, Answers::Server)
            .map_err(log.io("open for direct I/O"))?;
        direct_io::refresh(&log.file).map_err(log.io("sync"))?;
        guard.end = guard.cut_torn_end()?;
        Ok(guard)
    }
}

/// The exclusive lock: while it lives nobody else reads or appends. Dropping it unlocks.
#[derive(Debug)]
pub struct ExclusiveGuard<'a> {
    pub(crate) log: &'a WritableReplayLog,
    /// Where the log ends, after a whole row.
    pub(crate) end: u64,
}

impl ExclusiveGuard<'_> {
    /// Returns the rows after a cursor.
    ///
    /// # Errors
    /// A row is damaged, or the log ends before the cursor.
    pub fn read_from(&self, cursor: &LogCursor) -> Result<Tail, StorageError> {
        let log = &self.log.log;
        log.parse(&log.read_bytes(cursor, self.end)?, cursor)
    }

    /// Appends rows with one write and syncs them.
    ///
    /// # Errors
    /// A row cannot be written as text, or there is no room: then nothing has been appended. The write or
    /// the sync failed otherwise: then it is not known.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), StorageError> {
        let mut lines = LineWriter::new();
        for row in rows {
            let path = || self.log.log.path.clone();
            lines.push(row).map_err(|source| StorageError::Unwritable { path: path(), source })?;
        }
        let bytes = lines.into_bytes();
        let (log, end) = (&self.log.log, self.end);
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
    ///
    /// # Errors
    /// It cannot be synced.
    pub fn sync(&self) -> Result<(), StorageError> {
        let log = &self.log.log;
        log.file.sync_data().map_err(log.io("sync"))
    }

    fn cut_torn_end(&self) -> Result<u64, StorageError> {
        let log = &self.log.log;
        let told = log.file.metadata().map_err(log.io("read"))?.len();
        log.check_length(told)?;
        let (end, length) = ends(&log.file, told).map_err(log.io("read"))?;
        if length < header().len() as u64 {
            return Err(log.changed("it ends within its first line".to_owned()));
        }
        if end < length {
            let mut bytes =
                vec![0; usize::try_from(length - end).expect("a file fits into memory")];
            log.file.read_exact_at(&mut bytes, end).map_err(log.io("read"))?;
            let saved = torn::save(&self.log.torn, end, &bytes)?;
            cut(log, end)?;
            log::warn!(
                "`{}` ended in {} bytes that are no row; they are kept as `{}`",
                log.path.display(),
                bytes.len(),
                saved.display()
            );
        }
        Ok(end)
    }
}

impl Drop for ExclusiveGuard<'_> {
    fn drop(&mut self) {
        let log = &self.log.log;
        if let Err(error) = direct_io::set_answers(&log.file, Answers::Cache) {
            // Reading is slower from here on, no more.
            log::warn!("cannot reset the flags of `{}`: {error}", log.path.display());
        }
        lock::release(&log.file, &log.path);
    }
}

/// Returns where the whole rows of a log end, and where its bytes do, which an NFS client may have `told` wrong.
fn ends(file: &File, told: u64) -> io::Result<(u64, u64)> {
    let from = |told| -> io::Result<(u64, u64)> {
        let length = direct_io::length_by_reading(file, told)?;
        Ok((torn::find_end(file, header().len() as u64, length)?, length))
    };
    match from(told) {
        // Its end has been cut since that was told.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => from(0),
        found => found,
    }
}

/// Writes `bytes` at the end of the log and syncs; when there is no room cuts the log back to where it ended.
///
/// After any other failure the lock may be gone: a machine that its NFS server has not heard for a lease
/// gets `EIO`, and others have appended since. Cutting would cut their rows.
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

/// Cuts what was written of `bytes` at `end`. Anything else that stands there is left to the next writer, who saves it.
fn cut_own(log: &ReplayLog, end: u64, bytes: &[u8]) -> Result<(), StorageError> {
    let mut there = vec![0; bytes.len() + 1];
    let read = read_up_to(&log.file, &mut there, end).map_err(log.io("read"))?;
    if bytes.starts_with(&there[..read]) { cut(log, end) } else { Ok(()) }
}

fn cut(log: &ReplayLog, end: u64) -> Result<(), StorageError> {
    log.file.set_len(end).and_then(|()| log.file.sync_data()).map_err(log.io("cut the end of"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::row::{Event, Iteration};
    use std::fs;
    use std::thread;

    fn row(iteration: u64) -> Row {
        let architecture = Some(format!("[C({iteration},3,1), SM(10)]"));
        Row { iteration: Some(Iteration(iteration)), architecture, ..Row::new(Event::Pending) }
    }

    fn append(log: &mut WritableReplayLog, rows: &[Row]) {
        log.lock_exclusive().unwrap().append(rows).unwrap();
    }

    fn rows(log: &WritableReplayLog) -> Vec<Row> {
        log.reader().read_from(&LogCursor::start()).unwrap().rows
    }

    #[test]
    fn a_guard_sees_what_it_appends_and_excludes_all_others() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let (mut one, mut other) =
            [(); 2].map(|()| WritableReplayLog::open(&experiment).unwrap()).into();
        other.set_patience(Patience {
            notice: std::time::Duration::ZERO,
            limit: std::time::Duration::ZERO,
        });
        let mut guard = one.lock_exclusive().unwrap();
        assert!(matches!(other.lock_exclusive(), Err(StorageError::Locked { .. })));
        let start = LogCursor::start();
        assert!(matches!(other.reader().read_from(&start), Err(StorageError::Locked { .. })));
        guard.append(&[row(1)]).unwrap();
        guard.append(&[]).unwrap();
        guard.append(&[row(2)]).unwrap();
        let tail = guard.read_from(&start).unwrap();
        assert_eq!(tail.rows, [row(1), row(2)]);
        drop(guard);
        assert_eq!(other.lock_exclusive().unwrap().read_from(&tail.cursor).unwrap().rows, []);
    }

    #[test]
    fn a_log_cut_at_any_byte_of_its_last_rows_is_mended_and_goes_on() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &(1..=4).map(row).collect::<Vec<_>>());
        let whole = fs::read(experiment.replay_log()).unwrap();
        let line_ends: Vec<usize> =
            (0..whole.len()).filter(|&at| whole[at] == b'\n').map(|at| at + 1).collect();
        for cut in line_ends[1]..whole.len() {
            fs::write(experiment.replay_log(), &whole[..cut]).unwrap();
            // The header's line, too, ends at or before the cut.
            let kept = line_ends.iter().filter(|&&end| end <= cut).count() - 1;
            append(&mut log, &[row(9)]);
            let expected: Vec<Row> = (1..=kept as u64).chain([9]).map(row).collect();
            assert_eq!(rows(&log), expected, "cut at byte {cut}");
            let end = line_ends[kept];
            let torn = (cut > end).then(|| {
                let pieces = fs::read_dir(experiment.torn()).unwrap();
                let mut pieces = pieces.map(|piece| fs::read(piece.unwrap().path()).unwrap());
                pieces.any(|piece| piece == whole[end..cut])
            });
            assert_ne!(torn, Some(false), "the piece cut at byte {cut} is saved");
        }
    }

    #[test]
    fn nuls_at_the_end_are_saved_and_cut() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &[row(1)]);
        let whole = fs::read(experiment.replay_log()).unwrap();
        fs::write(experiment.replay_log(), [&whole[..], &[0; 10_000], b"\n"].concat()).unwrap();
        append(&mut log, &[row(2)]);
        assert_eq!(rows(&log), [row(1), row(2)]);
        let piece = fs::read_dir(experiment.torn()).unwrap().next().unwrap().unwrap();
        assert_eq!(piece.metadata().unwrap().len(), 10_001);
    }

    #[test]
    fn the_ends_are_found_whatever_length_is_told() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &(1..=200).map(row).collect::<Vec<_>>());
        let end = fs::metadata(experiment.replay_log()).unwrap().len();
        let torn = fs::read_to_string(experiment.replay_log()).unwrap() + "201,cl";
        fs::write(experiment.replay_log(), torn).unwrap();
        let length = end + 6;
        for told in [0, 1, end - 1, end, length, length + 1, length + 3, length + 10_000] {
            assert_eq!(ends(&log.log.file, told).unwrap(), (end, length), "{told} were told");
        }
    }

    #[test]
    fn a_log_cut_within_its_header_is_refused() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        for length in [0, 1, header().len() - 1] {
            fs::write(experiment.replay_log(), &header()[..length]).unwrap();
            let refused = log.lock_exclusive().map(drop).unwrap_err();
            assert!(matches!(refused, StorageError::Changed { .. }), "{refused}");
            assert_eq!(fs::read(experiment.replay_log()).unwrap().len(), length);
        }
    }

    #[test]
    fn what_cannot_be_saved_is_not_cut() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        let torn = fs::read_to_string(experiment.replay_log()).unwrap() + "1,cl";
        fs::write(experiment.replay_log(), &torn).unwrap();
        fs::remove_dir(experiment.torn()).unwrap();
        fs::write(experiment.torn(), "in the way").unwrap();
        assert!(matches!(log.lock_exclusive(), Err(StorageError::Io { .. })));
        assert_eq!(fs::read_to_string(experiment.replay_log()).unwrap(), torn);
        fs::remove_file(experiment.torn()).unwrap();
        // The lock was let go of with the error.
        append(&mut log, &[row(1)]);
    }

    #[test]
    fn a_write_that_fails_is_cut_back() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &[row(1)]);
        let before = fs::read(experiment.replay_log()).unwrap();
        let bytes = row(2).to_line().unwrap();
        let half =
            |file: &File, bytes: &[u8], at: u64| file.write_at(&bytes[..bytes.len() / 2], at);
        let full = |_: &File| Err(io::Error::from(ErrorKind::StorageFull));
        let end = before.len() as u64;
        let short = append_at(&log.log, end, &bytes, half, File::sync_data).unwrap_err();
        assert!(
            short.to_string().contains("(disk full, over quota, or at the limit of `ulimit -f`?)"),
            "{short}"
        );
        assert_eq!(fs::read(experiment.replay_log()).unwrap(), before);
        let unsynced = append_at(&log.log, end, &bytes, File::write_at, full).unwrap_err();
        assert!(matches!(unsynced, StorageError::Io { action: "sync", .. }));
        assert_eq!(fs::read(experiment.replay_log()).unwrap(), before);
        append(&mut log, &[row(2)]);
        assert_eq!(rows(&log), [row(1), row(2)]);
    }

    #[test]
    fn a_writer_without_room_cuts_no_row_of_another() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &[row(1)]);
        let end = fs::metadata(experiment.replay_log()).unwrap().len();
        // Where this writer takes the end to be another has appended.
        append(&mut log, &[row(2)]);
        let full = |_: &File, _: &[u8], _| Err(io::Error::from(ErrorKind::StorageFull));
        append_at(&log.log, end, b"3,lost", full, File::sync_data).unwrap_err();
        assert_eq!(rows(&log), [row(1), row(2)]);
    }

    #[test]
    fn a_writer_that_may_have_lost_its_lock_cuts_nothing() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        append(&mut log, &[row(1)]);
        let end = fs::metadata(experiment.replay_log()).unwrap().len();
        // What another machine has appended since is there when the sync fails.
        append(&mut log, &[row(2)]);
        let lost = |_: &File, _: &[u8], _| Err(io::Error::from_raw_os_error(5));
        let unwritten = append_at(&log.log, end, b"3", lost, File::sync_data).unwrap_err();
        assert!(matches!(unwritten, StorageError::Io { action: "append to", .. }));
        let written = |_: &File, bytes: &[u8], _| Ok(bytes.len());
        let unsynced = |_: &File| Err(io::Error::from_raw_os_error(5));
        let unsynced = append_at(&log.log, end, b"3", written, unsynced).unwrap_err();
        assert!(matches!(unsynced, StorageError::Io { action: "sync", .. }));
        assert_eq!(rows(&log), [row(1), row(2)]);
    }

    #[test]
    fn a_row_that_cannot_be_text_is_refused_with_all_beside_it() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        let bad = Row { host: Some("a\nb".into()), ..row(2) };
        let mut guard = log.lock_exclusive().unwrap();
        assert!(matches!(guard.append(&[row(1), bad]), Err(StorageError::Unwritable { .. })));
        drop(guard);
        assert_eq!(rows(&log), []);
    }

    #[test]
    fn many_writers_lose_nothing() {
        const WRITERS: u64 = 4;
        const ROWS: u64 = 25;
        let (_folder, experiment) = ExperimentDir::made_up();
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let mut log = WritableReplayLog::open(&experiment).unwrap();
                scope.spawn(move || {
                    let mut cursor = LogCursor::start();
                    for number in 0..ROWS {
                        let mut guard = log.lock_exclusive().unwrap();
                        cursor = guard.read_from(&cursor).unwrap().cursor;
                        // The number of the row tells how many there were before it.
                        let task = Some(format!("{writer}.{number}"));
                        guard.append(&[Row { task, ..row(cursor.rows()) }]).unwrap();
                    }
                });
            }
        });
        let log = WritableReplayLog::open(&experiment).unwrap();
        let rows = rows(&log);
        assert!(rows.iter().map(|row| row.iteration.unwrap().0).eq(0..WRITERS * ROWS));
        let mut tasks: Vec<_> = rows.iter().map(|row| row.task.clone()).collect();
        tasks.sort();
        tasks.dedup();
        assert_eq!(tasks.len() as u64, WRITERS * ROWS);
    }
}
