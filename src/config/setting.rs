//! Values given on the command line as `PATH=VALUE`.

use std::fmt;
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::ConfigError;
use super::load::document;

/// A value in place of the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub path: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let parts = text.split_once('=').map(|(path, value)| (path.trim(), value));
        match parts.filter(|(path, _)| !path.split('.').any(str::is_empty)) {
            Some((path, value)) => Ok(Self { path: path.to_owned(), value: document(value)? }),
            None => Err(ConfigError::Unusable(format!(
                "`{text}` is not of the form PATH=VALUE (such as `training.epochs=3`)"
            ))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ExperimentConfig;
    use crate::config::load::{DEFAULTS, in_force, parse};

    fn change(setting: &str) -> Result<ExperimentConfig, ConfigError> {
        in_force(&parse(DEFAULTS, &[]).unwrap(), &[setting.parse().unwrap()])
    }

    #[test]
    fn values_are_those_of_yaml_and_keep_what_follows_the_first_equals_sign() {
        assert_eq!(change("slurm.gres=null").unwrap().slurm.gres, None);
        let lines = change("slurm.setup_lines=[module load x, 'export A=b']").unwrap();
        assert_eq!(lines.slurm.setup_lines[1], "export A=b");
        assert!(change("slurm.time=[1]").unwrap_err().to_string().starts_with("slurm.time"));
        assert!(change("epsilon_schedule=3").is_err());
    }

    #[test]
    fn a_setting_is_written_on_one_line_and_read_back() {
        for text in ["slurm.time=01:00:00", "slurm.setup_lines=[\"a\\nb\", '=']", "slurm.gres=null"]
        {
            let setting: Setting = text.parse().unwrap();
            let written = setting.to_string();
            assert_eq!(written.lines().count(), 1);
            assert_eq!(written.parse::<Setting>().unwrap(), setting, "{written}");
        }
    }
}
