//! Reading what a header declares without believing it: memory grows with the bytes that really
//! come, and how much more than its file unpacked data may be is bounded, too.

use std::io::{self, Read};

use super::error::problem;

pub(super) fn read_exactly(reader: &mut impl Read, count: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match reader.take(count).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 == count => Ok(bytes),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(problem::CORRUPT.into()),
        _ => Err(problem::truncated(bytes.len() as u64, count)),
    }
}

pub(super) fn read_array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], String> {
    let bytes = read_exactly(reader, N as u64)?;
    Ok(bytes.try_into().expect("as many bytes were read as were asked for"))
}

/// Checks that nothing follows. Reading to the end also checks the checksum of compressed data.
pub(super) fn expect_end(reader: &mut impl Read) -> Result<(), String> {
    match reader.take(1).read_to_end(&mut Vec::new()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(problem::TRAILING_BYTES.into()),
        Err(_) => Err(problem::CORRUPT.into()),
    }
}

/// Bytes that any packed file may unpack to: simple shapes pack to a two-hundredth (dSprites, 3 GB,
/// among them), a bomb to a thousandth.
const MOST: u64 = 1 << 32;
/// How many times larger than its packed bytes data may be beyond that.
const MOST_TIMES: u64 = 100;

pub(super) fn check_promise(promised: u64, packed: usize) -> Result<(), String> {
    let most = (packed as u64).saturating_mul(MOST_TIMES).max(MOST);
    if promised > most {
        return Err(format!(
            "its `{packed}` packed bytes promise `{promised}`, more than so few may unpack to, \
             `{most}` (unpack it, if these are images)"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_of_exabytes_costs_nothing() {
        let problem = read_exactly(&mut &b"abc"[..], u64::MAX).unwrap_err();
        assert_eq!(problem, problem::truncated(3, u64::MAX));
    }

    #[test]
    fn a_packed_file_may_promise_four_gib_or_a_hundred_times_its_size() {
        // Images of one white shape on black, 64x64, pack to 1/204.
        assert_eq!(check_promise(106_168_320, 520_676), Ok(()));
        assert_eq!(check_promise(100 << 27, 1 << 27), Ok(()));
        assert!(check_promise((1 << 32) + 1, 1 << 20).is_err());
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let mut reader = &b"abcd"[..];
        assert_eq!(read_array::<3>(&mut reader), Ok(*b"abc"));
        assert_eq!(expect_end(&mut reader), Err(problem::TRAILING_BYTES.into()));
        assert_eq!(expect_end(&mut reader), Ok(()));
    }
}
