//! Text that a person wrote, as a YAML document.

use serde_yaml::Value;

use super::error::ConfigError;
use super::wording::in_plain_words;
use crate::yaml_bounds;

/// Reads a document.
///
/// # Errors
/// The text is no YAML, is nested too deeply, or repeats too much.
pub(super) fn document(text: &str) -> Result<Value, ConfigError> {
    yaml_bounds::check(text)?;
    serde_yaml::from_str(text)
        .map_err(|error| ConfigError::NotYaml(in_plain_words(&error.to_string())))
}
