//! The text of `experiment.yaml`: format version in the first line, checksum in the last.

use sha2::{Digest, Sha256};

/// What stands before the checksum in the last line of `experiment.yaml`.
const CHECKSUM: &str = "# SHA-256 of all before this line: ";

/// The text of `experiment.yaml`, after a check of its checksum.
#[derive(Debug, Clone)]
pub struct FrozenText {
    pub text: Vec<u8>,
    pub sha256: String,
}

impl FrozenText {
    pub(super) fn of(mut bytes: Vec<u8>) -> Result<Self, &'static str> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or_default();
        let start = lines.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let Some(sha256) = lines[start..].strip_prefix(CHECKSUM.as_bytes()) else {
            return Err("it does not end in its checksum, so that a part of it may be missing");
        };
        let sha256 = String::from_utf8_lossy(sha256).into_owned();
        bytes.truncate(start);
        if sha256 != checksum(&bytes) {
            return Err("its checksum is that of another text, so that it was edited or damaged");
        }
        Ok(Self { text: bytes, sha256 })
    }
}

/// Appends its checksum to the text of a frozen configuration.
pub(super) fn sealed(configuration: &str) -> String {
    format!("{configuration}{CHECKSUM}{}\n", checksum(configuration.as_bytes()))
}

pub(super) fn checksum(text: &[u8]) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// The format version, from the first line, which every version of the program can read.
pub(super) fn version_in(bytes: &[u8]) -> Option<u32> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    str::from_utf8(line.strip_prefix(b"format_version: ")?).ok()?.trim().parse().ok()
}
