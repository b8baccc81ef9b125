//! The replay log: the record of truth of an experiment, and its lock.
//!
//! One file, appended to and never renamed or replaced, locked itself: on NFS only the locked file
//! is coherent between machines. [`ReplayLog`] reads, and needs no permission to write;
//! [`WritableReplayLog`](crate::storage::WritableReplayLog) can also be locked exclusively, and only the
//! [`ExclusiveGuard`](crate::storage::ExclusiveGuard), which lives as long as that lock is held, appends. A
//! shared lock is never turned into an exclusive one: the borrow checker sees to it.
//!
//! Under the lock only the tail is read, so its cost does not grow with the log: what lies before
//! is checked beforehand, by [`ReplayLog::cursor_at`], and read without the lock, by
//! [`ReplayLog::rows_before`].

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::regular_file::{LARGE, NotAFile};
use crate::storage::dir::ExperimentDir;
use crate::storage::error::{RefusedRow, StorageError};
use crate::storage::fs::direct_io;
use crate::storage::fs::lock::{self, Mode, Patience};
use crate::storage::log::position::{LogCursor, line_after};
use crate::storage::log::row::{Event, Row};
use crate::storage::log::row_error::RowError;
use crate::storage::log::row_reader::RowReader;
use crate::storage::log::text::header;
use crate::storage::log::torn;
use crate::storage::search_state::Knowledge;

/// The log, opened for reading.
#[derive(Debug)]
pub struct ReplayLog {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) patience: Patience,
    /// Whether the log is read without the lock when that stays taken.
    at_worst_unlocked: bool,
}

/// How long commands that only read wait for the lock.
const LOOK: Patience = Patience { notice: Duration::from_secs(2), limit: Duration::from_secs(2) };

/// The rows after a cursor.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where they end.
    pub cursor: LogCursor,
    pub(crate) path: PathBuf,
}

impl ReplayLog {
    /// Opens the log of an experiment for reading.
    ///
    /// # Errors
    /// The log cannot be opened, or does not begin as this program begins it.
    pub fn open(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        Self::open_with(experiment, File::options().read(true))
    }

    /// Opens the log of an experiment for commands that only read: while its lock stays taken they read the whole rows that
    /// are there after 2 s, and say so.
    ///
    /// # Errors
    /// Those of [`ReplayLog::open`].
    pub fn open_to_look(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self { patience: LOOK, at_worst_unlocked: true, ..Self::open(experiment)? })
    }

    pub(crate) fn open_with(
        experiment: &ExperimentDir,
        options: &fs::OpenOptions,
    ) -> Result<Self, StorageError> {
        let log = Self::open_unchecked(experiment, options)?;
        let mut begin = vec![0; header().len()];
        let read = read_up_to(&log.file, &mut begin, 0).map_err(log.io("read"))?;
        torn::refuse_version_1(&begin[..read], &log.path)?;
        match torn::foreign_header(&begin[..read]) {
            None => Ok(log),
            Some(how) => Err(log.changed(how)),
        }
    }

    /// Opens a log whatever it begins with.
    pub(crate) fn open_unchecked(
        experiment: &ExperimentDir,
        options: &fs::OpenOptions,
    ) -> Result<Self, StorageError> {
        let path = experiment.replay_log();
        let file = direct_io::open(&path, options).map_err(StorageError::io("open", &path))?;
        Ok(Self { file, path, patience: Patience::default(), at_worst_unlocked: false })
    }

    /// Sets how long to wait for the lock.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Returns the rows after a cursor. An unfinished line at the end is left to the next writer.
    ///
    /// # Errors
    /// The lock stayed taken, a row is damaged, or the log ends before the cursor.
    pub fn read_from(&self, cursor: &LogCursor) -> Result<Tail, StorageError> {
        let guard = self.lock_shared()?;
        let end = self.file.metadata().map_err(self.io("read"))?.len();
        let bytes = self.read_bytes(cursor, end)?;
        drop(guard);
        let whole = torn::end_of_whole_lines(&bytes).unwrap_or(0);
        self.parse(&bytes[..whole], cursor)
    }

    /// Returns the changes of the configuration up to the last whole line, read without a lock. Damaged rows are left to
    /// those who read all of them, and so is a log that is missing or begins in another way.
    ///
    /// # Errors
    /// The log cannot be read, or is of another format version.
    pub fn settings(experiment: &ExperimentDir) -> Result<Vec<String>, StorageError> {
        let log = match Self::open(experiment) {
            Err(error) if error.is_gone() || error.is_damage() => return Ok(Vec::new()),
            log => log?,
        };
        let length = log.file.metadata().map_err(log.io("read"))?.len();
        let bytes = log.read_bytes(&LogCursor::origin(), length)?;
        let whole = torn::end_of_whole_lines(&bytes).unwrap_or(0);
        let lines = bytes[..whole].split(|&byte| byte == b'\n');
        // A row without an iteration, as it is written.
        let set = lines.filter(|line| line.starts_with(b",set,"));
        Ok(set.filter_map(|line| Row::parse(line).ok()?.reason).collect())
    }

    /// Returns every byte of the file, read under the shared lock.
    pub(crate) fn all_bytes(&self) -> Result<Vec<u8>, StorageError> {
        let _guard = self.lock_shared()?;
        let end = self.file.metadata().map_err(self.io("read"))?.len();
        self.read_bytes(&LogCursor::origin(), end)
    }

    /// Returns how many bytes seem to follow a cursor. Takes no lock, so there may be others.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn bytes_after(&self, cursor: &LogCursor) -> Result<u64, StorageError> {
        let length = self.file.metadata().map_err(self.io("read"))?.len();
        Ok(length.saturating_sub(cursor.byte()))
    }

    pub(crate) fn lock_shared(&self) -> Result<Option<SharedGuard<'_>>, StorageError> {
        match lock::acquire(&self.file, &self.path, Mode::Shared, self.patience) {
            Err(StorageError::Locked { path, seconds }) if self.at_worst_unlocked => {
                log::warn!(
                    "`{}` has been locked for {seconds} s by a process that may hang: its whole rows are read without the lock, and the newest may be missing",
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
    pub(crate) fn check_length(&self, length: u64) -> Result<(), StorageError> {
        if length > LARGE {
            return Err(self.io("read")(NotAFile::TooLarge(LARGE).into()));
        }
        Ok(())
    }

    pub(crate) fn read_bytes(&self, cursor: &LogCursor, end: u64) -> Result<Vec<u8>, StorageError> {
        let Some(length) = end.checked_sub(cursor.byte()) else {
            return Err(self.changed(format!(
                "it ends at byte {end}, and was read up to byte {} before",
                cursor.byte()
            )));
        };
        self.check_length(length)?;
        let mut bytes = vec![0; usize::try_from(length).expect("a file fits into memory")];
        let read = read_up_to(&self.file, &mut bytes, cursor.byte()).map_err(self.io("read"))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    pub(crate) fn parse(&self, bytes: &[u8], from: &LogCursor) -> Result<Tail, StorageError> {
        let mut reader = RowReader::new(bytes);
        let mut rows = Vec::new();
        while let Some(row) = reader.next() {
            rows.push(row.map_err(|error| {
                let line = line_after(from.rows() + rows.len() as u64);
                match error {
                    RowError::Foreign => self.changed(format!("line {line}: {error}")),
                    source => StorageError::DamagedRow {
                        path: self.path.clone(),
                        line,
                        byte: from.byte() + reader.byte() as u64,
                        source,
                    },
                }
            })?);
        }
        let mut cursor = from.clone();
        cursor.advance(bytes, rows.len() as u64);
        Ok(Tail { rows, cursor, path: self.path.clone() })
    }

    pub(crate) fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        StorageError::io(action, &self.path)
    }

    pub(crate) fn changed(&self, how: String) -> StorageError {
        StorageError::Changed { path: self.path.clone(), how }
    }
}

/// The shared lock.
pub(crate) struct SharedGuard<'a>(&'a ReplayLog);

impl Drop for SharedGuard<'_> {
    fn drop(&mut self) {
        lock::release(&self.0.file, &self.0.path);
    }
}

impl Tail {
    /// Returns whether a repair has begun in these rows: what was read of the rows before it, and views made of
    /// them, may hold what it has blanked or replaced since.
    pub fn tells_of_repair(&self) -> bool {
        self.rows.iter().any(|row| row.event == Event::Repaired)
    }

    /// Takes the rows into what is known, and learns nothing from them.
    ///
    /// # Errors
    /// A row breaks the rules of the log: names its line.
    pub fn apply_to(&self, knowledge: &mut Knowledge) -> Result<(), StorageError> {
        self.each(|row| Ok(knowledge.apply(row)?))
    }

    /// Gives away the rows one by one, and names the line of the first that is refused.
    pub(crate) fn each(
        &self,
        mut take_in: impl FnMut(&Row) -> Result<(), RefusedRow>,
    ) -> Result<(), StorageError> {
        let first = self.cursor.rows() - self.rows.len() as u64;
        for (before, row) in (first..).zip(&self.rows) {
            take_in(row).map_err(|source| StorageError::RefusedRow {
                path: self.path.clone(),
                line: line_after(before),
                source,
            })?;
        }
        Ok(())
    }
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::storage::WritableReplayLog;
    use crate::storage::log::row::Iteration;

    /// An experiment whose log has three rows, each a draw of nothing.
    pub(in super::super) fn experiment() -> (tempfile::TempDir, ExperimentDir) {
        let (folder, experiment) = ExperimentDir::made_up();
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        log.lock_exclusive().unwrap().append(&[row(1), row(2), row(3)]).unwrap();
        (folder, experiment)
    }

    fn row(iteration: u64) -> Row {
        Row { iteration: Some(Iteration(iteration)), ..Row::new(Event::Lost) }
    }

    pub(in super::super) fn message(error: StorageError) -> String {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        [Some(error.to_string()), source].into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    #[test]
    fn a_view_s_position_gives_the_rows_after_it() {
        let (_folder, experiment) = experiment();
        let log = ReplayLog::open(&experiment).unwrap();
        let all = log.read_from(&LogCursor::start()).unwrap();
        assert_eq!(all.rows, [row(1), row(2), row(3)]);
        let position = all.cursor.position();
        assert_eq!(position.byte, fs::metadata(experiment.replay_log()).unwrap().len());
        let mut writer = WritableReplayLog::open(&experiment).unwrap();
        writer.lock_exclusive().unwrap().append(&[row(4)]).unwrap();
        let tail = log.read_from(&log.cursor_at(&position).unwrap()).unwrap();
        assert_eq!((tail.rows, tail.cursor.rows()), (vec![row(4)], 4));
        let whole = log.read_from(&LogCursor::start()).unwrap();
        assert_eq!(whole.cursor.position(), tail.cursor.position());
        assert_eq!(log.cursor_at(&tail.cursor.position()).unwrap().rows(), 4);
    }

    #[test]
    fn an_unfinished_last_line_is_not_read() {
        let (_folder, experiment) = experiment();
        let log = ReplayLog::open(&experiment).unwrap();
        let text = fs::read_to_string(experiment.replay_log()).unwrap();
        for rest in ["4,lost", "\0\0\0\0", "4,lo\0\n"] {
            fs::write(experiment.replay_log(), text.clone() + rest).unwrap();
            assert_eq!(log.read_from(&LogCursor::start()).unwrap().rows.len(), 3);
        }
    }

    #[test]
    fn a_damaged_row_is_named_by_line_and_byte() {
        let (_folder, experiment) = experiment();
        let log = ReplayLog::open(&experiment).unwrap();
        let text = fs::read_to_string(experiment.replay_log()).unwrap();
        fs::write(experiment.replay_log(), text.replace("2,lost", "2,l\0st")).unwrap();
        let at = text.find("2,lost").unwrap();
        assert_eq!(
            message(log.read_from(&LogCursor::start()).unwrap_err()),
            format!(
                "`{}` is damaged at line 3, byte {at} (`metaqnn verify` tells what can be mended, and mends it with `--repair`): \
                 column `event` is unreadable: `l\0st`",
                experiment.replay_log().display()
            )
        );
        // A blanked row of the same length is read.
        let line = text.lines().nth(2).unwrap();
        let blanked = format!("{:width$}", "2,void,,", width = line.len());
        fs::write(experiment.replay_log(), text.replace(line, &blanked)).unwrap();
        let rows = log.read_from(&LogCursor::start()).unwrap().rows;
        assert_eq!((rows[1].event, rows[1].iteration), (Event::Void, Some(Iteration(2))));
        assert_eq!(rows[2], row(3));
    }

    #[test]
    fn a_log_saved_by_a_spreadsheet_is_refused() {
        let (_folder, experiment) = experiment();
        let text = fs::read_to_string(experiment.replay_log()).unwrap();
        let quoted = text.replace("2,lost", "\"2\",lost");
        let foreign = [
            text.replace('\n', "\r\n"),
            text.replace(',', ";"),
            format!("\u{feff}{text}"),
            text.replace("iteration,event", "\"iteration\",\"event\""),
            quoted,
            text.replace("2,lost", "2.0,lost").replace("event", "Event"),
        ];
        for text in foreign {
            fs::write(experiment.replay_log(), &text).unwrap();
            let read =
                ReplayLog::open(&experiment).and_then(|log| log.read_from(&LogCursor::start()));
            let message = message(read.unwrap_err());
            assert!(message.contains("was changed by another program"), "{message}");
        }
    }
}
