//! Checksums: a CRC-32 (as gzip has it) of a prefix of the log, SHA-256 of the files of a folder.
//!
//! They find accidents (another program, a bad disk, a torn copy), not forgers. A CRC-32 costs
//! little more than reading the bytes, SHA-256 ten times that; it notices changes within 32 bits of
//! each other for certain, all others but for one in 4 billion.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::regular_file::{self, LARGE, SMALL};
use crate::storage::error::StorageError;

/// The CRC-32 of the bytes that had this one, followed by `bytes`. That of no bytes is 0.
pub(crate) fn crc32_on(crc32: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32);
    hasher.update(bytes);
    hasher.finalize()
}

/// Name of the list of the sums of a folder, as `sha256sum` writes and checks it.
pub(crate) const SUMS: &str = "SHA256SUMS";

pub(crate) fn sums(files: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    files.iter().flat_map(|(name, bytes)| sum(name, bytes)).collect()
}

fn sum(name: &str, bytes: &[u8]) -> Vec<u8> {
    format!("{:x}  {name}\n", Sha256::digest(bytes)).into_bytes()
}

/// Reads a file and checks it by its line in the list beside it.
pub(crate) fn read_checked(folder: &Path, name: &str) -> Result<Vec<u8>, StorageError> {
    let read = |name, most| {
        let path = folder.join(name);
        regular_file::read(&path, most).map_err(StorageError::io("read", &path))
    };
    let (sums, bytes) = (read(SUMS, SMALL)?, read(name, LARGE)?);
    let sum = sum(name, &bytes);
    if sums.split_inclusive(|&byte| byte == b'\n').any(|line| line == sum) {
        return Ok(bytes);
    }
    Err(StorageError::damaged(&folder.join(name), "is damaged: it is not what was written"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_is_checked_by_its_own_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = [("one", b"1".to_vec()), ("other", b"2".to_vec())];
        files.iter().for_each(|(name, bytes)| fs::write(path(name), bytes).unwrap());
        fs::write(path(SUMS), sums(&files)).unwrap();
        let read = |name| read_checked(folder.path(), name);
        assert_eq!(read("one").unwrap(), b"1");
        fs::write(path("other"), "1").unwrap();
        assert!(matches!(read("other"), Err(StorageError::Damaged { .. })));
        // A line that was cut off counts for nothing.
        let line = sums(&[("one", b"1".to_vec())]);
        fs::write(path(SUMS), &line[..line.len() - 1]).unwrap();
        assert!(read("one").is_err());
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
