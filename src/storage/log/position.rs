//! A place between two rows of the replay log, and the checksum of everything before it.

use serde::{Deserialize, Serialize};

use crate::storage::fs::checksum::Crc32;
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
    pub crc32: Crc32,
}

/// A [`LogPosition`] in an opened log: what lies before it was read, or found to be what it was.
/// Reading goes on from here, and the checksum is computed from the new bytes alone.
#[derive(Debug, Clone)]
pub struct LogCursor(LogPosition);

impl LogCursor {
    /// Returns the cursor before the first byte of a file.
    pub(crate) const fn origin() -> Self {
        Self(LogPosition { rows: 0, byte: 0, crc32: Crc32::EMPTY })
    }

    /// Returns the cursor before the first row of a log, after its header.
    pub fn start() -> Self {
        let mut cursor = Self::origin();
        cursor.advance(header().as_bytes(), 0);
        cursor
    }

    /// Moves over `bytes` that hold `rows` rows.
    pub(crate) fn advance(&mut self, bytes: &[u8], rows: u64) {
        self.0.rows += rows;
        self.0.byte += bytes.len() as u64;
        self.0.crc32 = self.0.crc32.followed_by(bytes);
    }

    /// Returns the number of rows before the cursor.
    pub const fn rows(&self) -> u64 {
        self.0.rows
    }

    /// Returns the number of bytes before the cursor.
    pub const fn byte(&self) -> u64 {
        self.0.byte
    }

    /// Returns the position.
    pub fn position(&self) -> LogPosition {
        self.0.clone()
    }
}

/// Returns the number of the line of the log that follows so many rows: the first line is the header, and lines
/// are counted from 1.
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
        assert_eq!(whole.position().crc32, Crc32::of(b"123456789"));
    }
}
