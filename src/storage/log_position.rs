//! A place between two rows of the replay log, and the checksum of everything before it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::replay_csv::header;

/// A place between two rows of the log, as a view keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// Number of rows before it, the header not counted.
    pub rows: u64,
    /// Number of bytes before it, the header included.
    pub byte: u64,
    /// SHA-256 of these bytes, in hexadecimal: `head -c BYTE replay.csv | sha256sum`.
    pub sha256: String,
}

/// A [`LogPosition`] that can be moved on: the checksum of what follows is computed from the new
/// bytes alone.
#[derive(Debug, Clone)]
pub struct LogCursor {
    rows: u64,
    byte: u64,
    hasher: Sha256,
}

impl LogCursor {
    /// Returns the cursor before the first byte of a file.
    pub(super) fn origin() -> Self {
        Self { rows: 0, byte: 0, hasher: Sha256::new() }
    }

    /// Returns the cursor before the first row of a log, after its header.
    pub fn start() -> Self {
        let mut cursor = Self::origin();
        cursor.advance(header().as_bytes(), 0);
        cursor
    }

    /// Moves over `bytes` that hold `rows` rows.
    pub(super) fn advance(&mut self, bytes: &[u8], rows: u64) {
        self.rows += rows;
        self.byte += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    /// Returns the number of rows before the cursor.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the number of bytes before the cursor.
    pub const fn byte(&self) -> u64 {
        self.byte
    }

    /// Returns the position, its checksum computed.
    pub fn position(&self) -> LogPosition {
        let sha256 = format!("{:x}", self.hasher.clone().finalize());
        LogPosition { rows: self.rows, byte: self.byte, sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_in_steps_gives_the_checksum_of_the_whole() {
        let (mut whole, mut steps) = (LogCursor::origin(), LogCursor::origin());
        whole.advance(b"abc", 2);
        steps.advance(b"a", 1);
        let middle = steps.position();
        steps.advance(b"bc", 1);
        assert_eq!(steps.position(), whole.position());
        assert_ne!(steps.position(), middle);
        // SHA-256 of `abc`, from FIPS 180-2, appendix B.1.
        assert_eq!(
            whole.position().sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
