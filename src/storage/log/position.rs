//! A place between two rows of the log, with a CRC-32 (as gzip has it) of the prefix before it.
//!
//! It finds accidents, not forgers: changes within 32 bits for certain, others but for 1 in 4
//! billion.

use serde::{Deserialize, Serialize};

use crate::storage::log::text::header;

/// The CRC-32 of the bytes that had this one, followed by `bytes`. That of no bytes is 0.
pub(crate) fn crc32_on(crc32: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32);
    hasher.update(bytes);
    hasher.finalize()
}

/// Reading goes on from here, and the checksum is computed from the new bytes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// Before it, the header not counted.
    pub rows: u64,
    /// From the beginning of the file.
    pub byte: u64,
    pub crc32: u32,
}

impl LogPosition {
    pub(crate) const ORIGIN: Self = Self { rows: 0, byte: 0, crc32: 0 };

    /// Before the first row, after the header.
    pub fn start() -> Self {
        let mut position = Self::ORIGIN;
        position.advance(header().as_bytes(), 0);
        position
    }

    pub(crate) fn advance(&mut self, bytes: &[u8], rows: u64) {
        self.rows += rows;
        self.byte += bytes.len() as u64;
        self.crc32 = crc32_on(self.crc32, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn the_crc_is_that_of_gzip() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32_on(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32_on(0, b""), 0);
    }

    proptest! {
        #[test]
        fn reading_on_gives_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..500), cut in 0usize..500,
        ) {
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(crc32_on(crc32_on(0, before), after), crc32_on(0, &bytes));
        }

        #[test]
        fn one_changed_byte_is_noticed(
            mut bytes in prop::collection::vec(any::<u8>(), 1..500),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let before = crc32_on(0, &bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_ne!(crc32_on(0, &bytes), before);
        }
    }
}
