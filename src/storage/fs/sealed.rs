//! Files that end in a line with the checksum of all before it, by which a cut or an edited one is
//! found.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::regular_file::{self, MEDIUM};
use crate::storage::error::{Result, StorageError};
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::yaml;

const CHECKSUM: &str = "# SHA-256 of all before this line: ";

pub fn checksum(text: &[u8]) -> String {
    format!("{:x}", Sha256::digest(text))
}

pub fn seal(text: &str) -> String {
    format!("{text}{CHECKSUM}{}\n", checksum(text.as_bytes()))
}

/// Returns the text before the last line, and its checksum; or how the file is damaged.
pub fn unseal(bytes: &[u8]) -> Result<(&[u8], String), &'static str> {
    let lines = bytes.strip_suffix(b"\n").unwrap_or_default();
    let end = lines.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let sha256 = checksum(&bytes[..end]);
    if lines[end..] == *format!("{CHECKSUM}{sha256}").as_bytes() {
        return Ok((&bytes[..end], sha256));
    }
    Err(match lines[end..].starts_with(CHECKSUM.as_bytes()) {
        true => "its checksum is that of another text, so that it was edited or damaged",
        false => "it does not end in its checksum, so that a part may be missing",
    })
}

/// What is there already stays.
pub fn publish_once(path: &Path, value: &impl Serialize) -> Result<Published> {
    publish::file_once(path, seal(&yaml::print(value, path)?).as_bytes())
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = regular_file::read(path, MEDIUM).map_err(StorageError::io("read", path))?;
    let (text, _) = unseal(&bytes).map_err(|how| {
        let problem = format!("is not what metaqnn wrote: {how} (put it back from a copy)");
        StorageError::damaged(path, problem)
    })?;
    yaml::parse(text, path)
}
