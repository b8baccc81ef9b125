//! The rows of a long log, read piece by piece.

use crate::storage::error::StorageError;
use crate::storage::log::file::ReplayLog;
use crate::storage::log::position::{LogCursor, LogPosition};
use crate::storage::log::row::Row;

impl ReplayLog {
    /// Returns the rows before a position that a view has kept, piece by piece: a long log is not
    /// held in memory. Takes no lock, as [`ReplayLog::cursor_at`].
    ///
    /// # Errors
    /// They are not what they were: at once, or, when they change meanwhile, at the end.
    pub fn rows_before(&self, position: &LogPosition) -> Result<RowsBefore<'_>, StorageError> {
        self.cursor_at(position)?;
        Ok(RowsBefore {
            log: self,
            end: position.clone(),
            cursor: Some(LogCursor::start()),
            rows: Vec::new().into_iter(),
        })
    }
}

/// The rows before a position, read piece by piece; ends after the first error.
#[derive(Debug)]
pub struct RowsBefore<'a> {
    log: &'a ReplayLog,
    end: LogPosition,
    /// Where the next piece begins; none after the last one.
    cursor: Option<LogCursor>,
    rows: std::vec::IntoIter<Row>,
}

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;

impl RowsBefore<'_> {
    /// Reads the next piece that ends with a row.
    fn read_on(&mut self, from: &LogCursor) -> Result<(), StorageError> {
        let mut length = PIECE;
        loop {
            let end = self.end.byte.min(from.byte() + length);
            let bytes = self.log.read_bytes(from, end)?;
            let is_all = end == self.end.byte;
            match bytes.iter().rposition(|&byte| byte == b'\n') {
                // A row longer than a piece.
                None if !is_all => length *= 2,
                last => {
                    let whole = last.map_or(0, |at| at + 1);
                    let tail = self.log.parse(&bytes[..whole], from)?;
                    self.rows = tail.rows.into_iter();
                    if is_all && tail.cursor.position() != self.end {
                        return Err(self.log.changed("it changed while it was read".to_owned()));
                    }
                    self.cursor = (!is_all).then_some(tail.cursor);
                    return Ok(());
                }
            }
        }
    }
}

impl Iterator for RowsBefore<'_> {
    type Item = Result<Row, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            let from = self.cursor.take()?;
            if let Err(error) = self.read_on(&from) {
                return Some(Err(error));
            }
        }
    }
}
