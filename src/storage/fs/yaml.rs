//! The one place of storage that sees `serde_yaml`, which is archived: a successor goes in here.

use std::path::Path;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error};

use crate::regular_file::{self, MEDIUM};
use crate::storage::error::{Result, StorageError};
use crate::yaml_bounds;

pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(&regular_file::read(path, MEDIUM).map_err(StorageError::io("read", path))?, path)
}

/// `path` says which file the bytes are from.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T> {
    let refused = |source| StorageError::Yaml { path: path.to_owned(), source };
    // What is no text the parser refuses.
    yaml_bounds::check(&String::from_utf8_lossy(bytes))
        .map_err(|too_much| refused(serde_yaml::Error::custom(too_much)))?;
    serde_yaml::from_slice(bytes).map_err(refused)
}

pub fn print<T: Serialize>(value: &T, path: &Path) -> Result<String> {
    serde_yaml::to_string(value)
        .map_err(|source| StorageError::Yaml { path: path.to_owned(), source })
}
