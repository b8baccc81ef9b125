//! Values given on the command line, and which of them `metaqnn set` may change.

use std::fmt;
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::error::ConfigError;
use super::keys::{KNOWN, refuse_unknown};
use super::yaml::document;

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

/// What changing a key means for a search that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is compared depends on it.
    Free,
    /// The last digits of accuracies: sums are added up in another order.
    LastDigits,
    /// More architectures: what has begun must go on as it was.
    Schedule,
}

impl Change {
    /// The one place that decides whether a key may be changed once an experiment is made.
    pub fn of(key: &str) -> Result<Self, ConfigError> {
        refuse_unknown(key)?;
        let is_section = || KNOWN.iter().any(|known| known.starts_with(&format!("{key}.")));
        match key {
            "epsilon_schedule" => Ok(Self::Schedule),
            "training.device" | "training.threads" => Ok(Self::LastDigits),
            "training.silence_limit" | "training.claim_lifetime" | "training.checkpoint_dir" => {
                Ok(Self::Free)
            }
            _ if is_section() => Err(ConfigError::WholeSection(key.to_owned())),
            _ if key.starts_with("slurm.") => Ok(Self::Free),
            _ => Err(ConfigError::Frozen(key.to_owned())),
        }
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
    fn only_what_leaves_the_search_as_it_is_may_change() {
        let changeable: Vec<&String> = KNOWN.iter().filter(|key| Change::of(key).is_ok()).collect();
        assert!(changeable.iter().any(|key| *key == "slurm.reduce.time"));
        let others = changeable.into_iter().filter(|key| !key.starts_with("slurm."));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let allowed = [
            "epsilon_schedule",
            "training.checkpoint_dir",
            "training.claim_lifetime",
            "training.device",
            "training.silence_limit",
            "training.threads",
        ];
        assert!(others.iter().all(|key| allowed.contains(key)), "{others:?}");
        for frozen in ["experiment.seed", "training.epochs", "training.command", "data.path"] {
            let problem = Change::of(frozen).unwrap_err().to_string();
            assert!(problem.contains("is frozen") && problem.contains("metaqnn init"), "{problem}");
        }
        for section in ["slurm", "slurm.reduce", "training"] {
            let problem = Change::of(section).unwrap_err().to_string();
            assert!(problem.contains("is a section"), "{problem}");
        }
        let problem = Change::of("slurm.tme").unwrap_err().to_string();
        assert!(problem.contains("did you mean `slurm.time`?"), "{problem}");
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
