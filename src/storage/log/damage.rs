//! The replay log as it lies on disk, damage included: for `verify`, which looks past what stops every other reader.

use std::fs;

use crate::storage::dir::ExperimentDir;
use crate::storage::error::StorageError;
use crate::storage::fs::checksum::Crc32;
use crate::storage::log::append::ExclusiveGuard;
use crate::storage::log::blank::{Kept, blanked};
use crate::storage::log::file::ReplayLog;
use crate::storage::log::position::{LogCursor, LogPosition, line_after};
use crate::storage::log::row::{Event, Iteration, Row};
use crate::storage::log::row_error::RowError;
use crate::storage::log::text::header;
use crate::storage::log::torn;

/// One line of the log after the header.
#[derive(Debug, Clone, PartialEq)]
pub struct RawLine {
    /// Its number, the header being 1.
    pub line: u64,
    /// Where it begins, from 0.
    pub byte: u64,
    /// Its bytes, without the newline.
    pub bytes: Vec<u8>,
    /// The row it is, or why it is none.
    pub row: Result<Row, RowError>,
}

impl RawLine {
    /// Returns the numbers of the row; of one that is none, what can still be read of its beginning.
    pub fn readable(&self) -> Kept {
        if let Ok(row) = &self.row {
            return Kept::of(row);
        }
        let mut fields = self.bytes.split(|&byte| byte == b',');
        let iteration = fields.next().and_then(number).map(Iteration);
        let attempt = fields.nth(1).and_then(number);
        Kept { iteration, attempt: attempt.and_then(|number| u32::try_from(number).ok()) }
    }
}

/// Reads a whole number written as this program writes it.
fn number(field: &[u8]) -> Option<u64> {
    let text = str::from_utf8(field).ok()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The whole log.
#[derive(Debug, Clone, PartialEq)]
pub struct RawLog {
    bytes: Vec<u8>,
    foreign: Option<String>,
    lines: Vec<RawLine>,
    /// Where the whole lines end.
    end: usize,
}

impl RawLog {
    /// Reads the log of an experiment, under the shared lock.
    ///
    /// # Errors
    /// It cannot be read, or its lock stayed taken.
    pub fn read(experiment: &ExperimentDir) -> Result<Self, StorageError> {
        let log = ReplayLog::open_unchecked(experiment, fs::File::options().read(true))?;
        let bytes = log.all_bytes()?;
        torn::refuse_version_1(&bytes, &experiment.replay_log())?;
        Ok(Self::of(bytes))
    }

    /// Takes the bytes of a log apart.
    pub fn of(bytes: Vec<u8>) -> Self {
        let begin = header().len().min(bytes.len());
        if let Some(how) = torn::foreign_header(&bytes[..begin]) {
            let end = bytes.len();
            return Self { bytes, foreign: Some(how), lines: Vec::new(), end };
        }
        let end = begin + torn::end_of_whole_lines(&bytes[begin..]).unwrap_or(0);
        let lines = lines(&bytes[..end], begin);
        Self { bytes, foreign: None, lines, end }
    }

    /// Returns how the beginning differs from the header of this program, if it does; then nothing else is told.
    pub fn foreign_header(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// Returns every whole line after the header.
    pub fn lines(&self) -> &[RawLine] {
        &self.lines
    }

    /// Returns what follows the last whole line, which the next writer saves and cuts: where it begins, and how many
    /// bytes there are.
    pub fn torn_end(&self) -> Option<(u64, usize)> {
        let length = self.bytes.len() - self.end;
        (length > 0).then_some((self.end as u64, length))
    }

    /// Returns whether the log up to a position is what it was when a view was made of it.
    pub fn holds(&self, position: &LogPosition) -> bool {
        let Ok(byte) = usize::try_from(position.byte) else { return false };
        let Some(before) = self.bytes[..self.end].get(..byte) else { return false };
        let rows = self.lines.partition_point(|line| line.byte < position.byte) as u64;
        rows == position.rows && Crc32::of(before) == position.crc32
    }

    /// Returns the position after so many lines.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn position_after(&self, rows: u64) -> LogPosition {
        let end = match self.lines.get(rows as usize) {
            Some(next) => next.byte as usize,
            None => self.end,
        };
        let mut cursor = LogCursor::origin();
        cursor.advance(&self.bytes[..end], rows);
        assert!(rows as usize <= self.lines.len(), "a position lies within the log");
        cursor.position()
    }
}

impl ExclusiveGuard<'_> {
    /// Reads the whole log, damage included; an unfinished end was cut when the lock was taken. Not as far as an NFS
    /// client says that it goes: half a row would be taken for a damaged one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_raw(&self) -> Result<RawLog, StorageError> {
        Ok(RawLog::of(self.log.reader().read_bytes(&LogCursor::origin(), self.end)?))
    }
}

fn lines(bytes: &[u8], begin: usize) -> Vec<RawLine> {
    let mut lines = Vec::new();
    let mut byte = begin;
    // Each by itself, so that a quote left open swallows no other.
    for text in bytes[begin..].split_inclusive(|&byte| byte == b'\n') {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let row = Row::parse(text).and_then(|row| whole_void(row, text));
        let line = line_after(lines.len() as u64);
        lines.push(RawLine { line, byte: byte as u64, bytes: text.to_vec(), row });
        byte += text.len() + 1;
    }
    lines
}

/// A row that a repair was killed in is blanked in part.
fn whole_void(row: Row, text: &[u8]) -> Result<Row, RowError> {
    let is_whole = row.event != Event::Void || blanked(text.len(), Kept::of(&row)) == text;
    if is_whole { Ok(row) } else { Err(RowError::HalfBlanked) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::WritableReplayLog;
    use proptest::prelude::*;

    fn row(iteration: u64) -> Row {
        let reason = Some("said \"no\", twice".to_owned());
        Row {
            iteration: Some(Iteration(iteration)),
            attempt: Some(2),
            reason,
            ..Row::new(Event::Lost)
        }
    }

    fn log(rows: u64) -> Vec<u8> {
        let lines = (1..=rows).flat_map(|number| row(number).to_line().unwrap());
        header().into_bytes().into_iter().chain(lines).collect()
    }

    #[test]
    fn lines_after_a_damaged_one_are_read() {
        let mut bytes = log(4);
        let second = header().len() + row(1).to_line().unwrap().len();
        bytes[second + 3] = 0;
        let raw = RawLog::of(bytes);
        let good: Vec<bool> = raw.lines().iter().map(|line| line.row.is_ok()).collect();
        assert_eq!(good, [true, false, true, true]);
        let damaged = &raw.lines()[1];
        assert_eq!((damaged.line, damaged.byte), (3, second as u64));
        assert_eq!(damaged.readable(), Kept { iteration: Some(Iteration(2)), attempt: Some(2) });
    }

    #[test]
    fn an_open_quote_swallows_no_other_line() {
        let text = String::from_utf8(log(3)).unwrap().replacen("twice\"", "twice", 1);
        let raw = RawLog::of(text.into_bytes());
        let good: Vec<bool> = raw.lines().iter().map(|line| line.row.is_ok()).collect();
        assert_eq!(good, [false, true, true]);
    }

    #[test]
    fn a_position_holds_until_a_byte_before_it_changes() {
        let bytes = log(3);
        let raw = RawLog::of(bytes.clone());
        let position = raw.position_after(2);
        assert!(raw.holds(&position));
        assert!(RawLog::of(log(2)).holds(&position));
        assert!(!RawLog::of(log(1)).holds(&position));
        let mut changed = bytes;
        changed[header().len()] = b'7';
        assert!(!RawLog::of(changed).holds(&position));
    }

    #[test]
    fn the_unfinished_end_is_told() {
        let mut bytes = log(2);
        let end = bytes.len() as u64;
        bytes.extend_from_slice(b"3,lo");
        assert_eq!(RawLog::of(bytes).torn_end(), Some((end, 4)));
        assert_eq!(RawLog::of(log(2)).torn_end(), None);
    }

    #[test]
    fn under_the_lock_the_log_ends_where_it_did_when_the_lock_was_taken() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let mut writer = WritableReplayLog::open(&experiment).unwrap();
        let mut guard = writer.lock_exclusive().unwrap();
        guard.append(&[row(1), row(2)]).unwrap();
        fs::write(experiment.replay_log(), [log(2), b"3,lo".to_vec()].concat()).unwrap();
        assert_eq!(guard.read_raw().unwrap(), RawLog::of(log(2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart(
            bytes in prop::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>(),
        ) {
            let begin = if with_header { header().into_bytes() } else { Vec::new() };
            let whole = [begin, bytes].concat();
            let raw = RawLog::of(whole.clone());
            for line in raw.lines() {
                let at = line.byte as usize;
                prop_assert_eq!(&whole[at..at + line.bytes.len()], &line.bytes[..]);
            }
        }
    }
}
