//! A place between two rows of the log, with the checksum of the prefix before it.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use crate::regular_file::read_up_to;
use crate::storage::fs::checksum::crc32_on;
use crate::storage::log::text::header;

/// A place between two rows of the log, as a view keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// Number of rows before it, the header not counted.
    pub rows: u64,
    /// Number of bytes before it, the header included.
    pub byte: u64,
    /// Checksum of these bytes.
    pub crc32: u32,
}

/// A [`LogPosition`] whose prefix was read, or compared with its checksum. Reading goes on from
/// here, and the checksum is computed from the new bytes alone.
#[derive(Debug, Clone)]
pub struct LogCursor(LogPosition);

impl LogCursor {
    /// Before the first byte of the file.
    pub(crate) const fn origin() -> Self {
        Self(LogPosition { rows: 0, byte: 0, crc32: 0 })
    }

    /// Before the first row, after the header.
    pub fn start() -> Self {
        let mut cursor = Self::origin();
        cursor.advance(header().as_bytes(), 0);
        cursor
    }

    /// Moves over `bytes` that hold `rows` rows.
    pub(crate) fn advance(&mut self, bytes: &[u8], rows: u64) {
        self.0.rows += rows;
        self.0.byte += bytes.len() as u64;
        self.0.crc32 = crc32_on(self.0.crc32, bytes);
    }

    /// Reads on to a position; `None` when what lies between is not what it was.
    pub(crate) fn read_on(
        mut self,
        file: &File,
        position: &LogPosition,
    ) -> io::Result<Option<Self>> {
        let mut chunk = vec![0; 1 << 16];
        while self.byte() < position.byte {
            let left = usize::try_from(position.byte - self.byte()).unwrap_or(usize::MAX);
            let wanted = left.min(chunk.len());
            let read = read_up_to(file, &mut chunk[..wanted], self.byte())?;
            if read == 0 {
                return Ok(None);
            }
            self.advance(&chunk[..read], 0);
        }
        self.advance(&[], position.rows - self.rows());
        Ok((self.0 == *position).then_some(self))
    }

    pub const fn rows(&self) -> u64 {
        self.0.rows
    }

    pub const fn byte(&self) -> u64 {
        self.0.byte
    }

    pub fn position(&self) -> LogPosition {
        self.0.clone()
    }
}

/// The number of the line that follows so many rows: lines are counted from 1, and the first is the
/// header.
pub(crate) const fn line_after(rows: u64) -> u64 {
    rows + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_in_steps_gives_the_checksum_of_the_whole() {
        let (mut whole, mut steps) = (LogCursor::origin(), LogCursor::origin());
        whole.advance(b"123456789", 2);
        steps.advance(b"1234", 1);
        let middle = steps.position();
        steps.advance(b"56789", 1);
        assert_eq!(steps.position(), whole.position());
        assert_ne!(steps.position(), middle);
        assert_eq!((whole.rows(), whole.byte()), (2, 9));
        assert_eq!(whole.position().crc32, crc32_on(0, b"123456789"));
    }
}
