//! Values given on the command line.

use std::fmt;
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::document::document;
use super::error::ConfigError;

/// A value given on the command line as `PATH=VALUE`, in place of the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    path: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (path, value) =
            text.split_once('=').ok_or_else(|| ConfigError::NoSetting(text.to_owned()))?;
        let path = path.trim();
        if path.split('.').any(str::is_empty) {
            return Err(ConfigError::NoSetting(text.to_owned()));
        }
        Ok(Self { path: path.to_owned(), value: document(value)? })
    }
}

/// Writes it on one line, the value as JSON, which is YAML too.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = serde_json::to_string(&self.value).map_err(|_| fmt::Error)?;
        write!(f, "{}={value}", self.path)
    }
}

impl Setting {
    /// Returns the path of its key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Puts the value in its place, whatever was there; sections are made as needed.
    pub(super) fn apply(&self, document: &mut Value) {
        let mut here = document;
        for key in self.path.split('.') {
            if !here.is_mapping() {
                *here = Value::Mapping(Mapping::new());
            }
            let mapping = here.as_mapping_mut().expect("made a mapping above");
            here = mapping.entry(Value::from(key)).or_insert(Value::Null);
        }
        here.clone_from(&self.value);
    }
}
