//! A place between two rows of the log, with the checksum of the prefix before it.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use crate::regular_file::read_up_to;
use crate::storage::{fs::checksum::crc32_on, log::text::header};

/// A place between two rows of the log. Reading goes on from here, and the checksum is computed
/// from the new bytes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// Number of rows before it, the header not counted.
    pub rows: u64,
    /// Number of bytes before it, the header included.
    pub byte: u64,
    /// Checksum of these bytes.
    pub crc32: u32,
}

impl LogPosition {
    /// Before the first byte of the file.
    pub(crate) const ORIGIN: Self = Self { rows: 0, byte: 0, crc32: 0 };

    /// Before the first row, after the header.
    pub fn start() -> Self {
        let mut position = Self::ORIGIN;
        position.advance(header().as_bytes(), 0);
        position
    }

    /// Moves over `bytes` that hold `rows` rows.
    pub(crate) fn advance(&mut self, bytes: &[u8], rows: u64) {
        self.rows += rows;
        self.byte += bytes.len() as u64;
        self.crc32 = crc32_on(self.crc32, bytes);
    }

    /// Whether the bytes before it are what they were.
    pub(crate) fn fits(&self, file: &File) -> io::Result<bool> {
        let (mut read, mut chunk) = (Self::ORIGIN, vec![0; 1 << 16]);
        while read.byte < self.byte {
            let left = usize::try_from(self.byte - read.byte).unwrap_or(usize::MAX);
            let wanted = left.min(chunk.len());
            let length = read_up_to(file, &mut chunk[..wanted], read.byte)?;
            if length == 0 {
                return Ok(false);
            }
            read.advance(&chunk[..length], 0);
        }
        Ok(read.crc32 == self.crc32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_in_steps_gives_the_checksum_of_the_whole() {
        let (mut whole, mut steps) = (LogPosition::ORIGIN, LogPosition::ORIGIN);
        whole.advance(b"123456789", 2);
        steps.advance(b"1234", 1);
        let middle = steps;
        steps.advance(b"56789", 1);
        assert_eq!(steps, whole);
        assert_ne!(steps, middle);
        assert_eq!((whole.rows, whole.byte), (2, 9));
        assert_eq!(whole.crc32, crc32_on(0, b"123456789"));
    }
}
