//! The checksum of the log and of what a claim reads of a view: CRC-32 as gzip and zlib have it.
//!
//! It tells accidents (another program, a bad disk, a torn copy), not forgers, who could change a
//! view as well. It costs little more than reading the bytes (SHA-256 costs ten times that, and
//! more where the processor does not know it), so that every claim can afford to look at every byte
//! of a long log. Changes within 32 bits of each other are noticed for certain, all others but for
//! one in 4 billion.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A CRC-32, printed as eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc32(u32);

impl Crc32 {
    /// The checksum of no bytes.
    pub const EMPTY: Self = Self(0);

    /// Returns the checksum of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32fast::hash(bytes))
    }

    /// Returns the checksum of the bytes that had this one, followed by `bytes`.
    #[must_use]
    pub fn followed_by(self, bytes: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        Self(hasher.finalize())
    }
}

impl fmt::Display for Crc32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Text that is no CRC-32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a CRC-32 is eight hexadecimal digits")]
pub struct NotCrc32;

impl FromStr for Crc32 {
    type Err = NotCrc32;

    fn from_str(text: &str) -> Result<Self, NotCrc32> {
        let crc = u32::from_str_radix(text, 16).map(Self).map_err(|_| NotCrc32)?;
        if crc.to_string() == text { Ok(crc) } else { Err(NotCrc32) }
    }
}

impl Serialize for Crc32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Crc32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fs::yaml;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn it_is_that_of_gzip() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(Crc32::of(b"123456789").to_string(), "cbf43926");
        assert_eq!(Crc32::of(b""), Crc32::EMPTY);
    }

    #[test]
    fn digits_alone_stay_text_in_yaml() {
        for crc in [Crc32(0x0012_3456), Crc32(0x1234_5678), Crc32(0x12e4_5678), Crc32::EMPTY] {
            let text = yaml::print(&crc, Path::new("any")).unwrap();
            assert_eq!(yaml::parse::<Crc32>(text.as_bytes(), Path::new("any")).unwrap(), crc);
        }
        for text in ["", "cbf4392", "CBF43926", "0cbf43926", "+bf43926"] {
            assert_eq!(text.parse::<Crc32>(), Err(NotCrc32), "{text}");
        }
    }

    proptest! {
        #[test]
        fn going_on_gives_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..500), cut in 0usize..500,
        ) {
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(Crc32::of(before).followed_by(after), Crc32::of(&bytes));
        }

        #[test]
        fn one_changed_byte_is_noticed(
            mut bytes in prop::collection::vec(any::<u8>(), 1..500), at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let before = Crc32::of(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_ne!(Crc32::of(&bytes), before);
        }
    }
}
