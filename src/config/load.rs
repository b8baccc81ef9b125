//! From YAML text to an [`ExperimentConfig`]. The only place in this room that knows serde_yaml.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::error::ConfigError;
use super::{ExperimentConfig, ValidConfig};

/// Every key with its default and a comment; what `metaqnn config --defaults` prints.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// Far more than any configuration needs.
const MOST_BYTES: u64 = 1 << 20;

/// A value given on the command line as `PATH=VALUE`, in place of the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    path: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => {
                Ok(Self { path: path.trim().to_owned(), value: serde_yaml::from_str(value)? })
            }
            _ => Err(ConfigError::NoSetting(text.to_owned())),
        }
    }
}

/// Reads a configuration file.
///
/// # Errors
/// When the file cannot be read, is no YAML, or holds an unknown key or a value of a wrong type.
pub fn load(path: &Path, settings: &[Setting]) -> Result<ExperimentConfig, ConfigError> {
    let in_file = |source| ConfigError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(in_file)?.len();
    if bytes > MOST_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    parse(&fs::read_to_string(path).map_err(in_file)?, settings)
}

/// Reads a configuration from text; `settings` replace what it says.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, settings: &[Setting]) -> Result<ExperimentConfig, ConfigError> {
    let mut document: Value = serde_yaml::from_str(text)?;
    if document.is_null() {
        document = Value::Mapping(Mapping::new());
    }
    for setting in settings {
        set(&mut document, &setting.path, &setting.value);
    }
    refuse_unknown_keys(&document)?;
    // Through text once more, so that an error tells the path of the value.
    Ok(serde_yaml::from_str(&serde_yaml::to_string(&document)?)?)
}

fn set(document: &mut Value, path: &str, value: &Value) {
    let mut here = document;
    for key in path.split('.') {
        if !here.is_mapping() {
            *here = Value::Mapping(Mapping::new());
        }
        let mapping = here.as_mapping_mut().expect("made a mapping above");
        here = mapping.entry(Value::from(key)).or_insert(Value::Null);
    }
    *here = value.clone();
}

/// Compares the keys with those of the defaults, which hold every one there is.
fn refuse_unknown_keys(document: &Value) -> Result<(), ConfigError> {
    let known_document: Value =
        serde_yaml::from_str(DEFAULTS).expect("the defaults are YAML, as a test shows");
    let known = paths(&known_document);
    for key in paths(document) {
        if !known.contains(&key) {
            let nearest = nearest(&key, &known);
            return Err(ConfigError::UnknownKey { key, nearest });
        }
    }
    Ok(())
}

/// Returns every value that is no section, by its path, as text for people.
///
/// # Errors
/// When the configuration cannot be written as YAML.
pub fn leaves(config: &ExperimentConfig) -> Result<BTreeMap<String, String>, ConfigError> {
    fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    let key = key.as_str().unwrap_or_default();
                    let below =
                        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                    walk(value, &below, found);
                }
            }
            value => {
                let text = serde_json::to_string(value).unwrap_or_default();
                found.insert(path.to_owned(), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&serde_yaml::to_value(config)?, "", &mut found);
    Ok(found)
}

impl ValidConfig {
    /// Writes the configuration as YAML, every default spelled out.
    ///
    /// # Errors
    /// When a value has no YAML form.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        Ok(serde_yaml::to_string(&self.config)?)
    }
}

/// Returns the path of every key, in the order of the document; entries of a list share their paths.
fn paths(document: &Value) -> Vec<String> {
    fn walk(value: &Value, prefix: &str, found: &mut Vec<String>) {
        match value {
            Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
                    let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                    found.push(path.clone());
                    walk(value, &path, found);
                }
            }
            Value::Sequence(entries) => entries.iter().for_each(|entry| walk(entry, prefix, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found
}

/// Returns the known path most like `key`, if any is like it: the same name in another section, or a misspelling.
fn nearest(key: &str, known: &[String]) -> Option<String> {
    let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |path: &String| {
        let whole = strsim::jaro_winkler(path, key);
        let last = strsim::jaro_winkler(&name(path), &name(key));
        whole.max(if last == 1.0 { last } else { (whole + last) / 2.0 })
    };
    known
        .iter()
        .map(|path| (likeness(path), path))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, path)| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "
experiment: {name: small}
data: {kind: idx, path: /data, classes: 10, input_size: 28, channels: 1}
";

    fn problem(extra: &str) -> String {
        parse(&format!("{SMALL}{extra}"), &[]).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        assert_eq!(
            problem("training: {epoch: 3}"),
            "unknown key `training.epoch` (did you mean `training.epochs`?)"
        );
        assert_eq!(problem("epochs: 3"), "unknown key `epochs` (did you mean `training.epochs`?)");
        assert_eq!(problem("zzz: 3"), "unknown key `zzz`");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        assert!(problem("training: {epochs: many}").contains("training.epochs"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(problem("training: {epochs: 1, epochs: 2}").contains("duplicate"));
    }

    #[test]
    fn settings_replace_what_the_file_says() {
        let settings = ["training.epochs=7", "experiment.seed=3", "search_space.filters=[8, 16]"]
            .map(|text| text.parse().unwrap());
        let config = parse(SMALL, &settings).unwrap();
        assert_eq!((config.training.epochs, config.experiment.seed), (7, 3));
        assert_eq!(config.search_space.filters, [8, 16]);
        let misspelt = ["training.epoch=7".parse().unwrap()];
        assert!(matches!(parse(SMALL, &misspelt), Err(ConfigError::UnknownKey { .. })));
    }

    #[test]
    fn the_commented_defaults_are_the_defaults() {
        let written = parse(DEFAULTS, &[]).unwrap();
        let mut least = parse(SMALL, &[]).unwrap();
        least.experiment = written.experiment.clone();
        least.data = written.data.clone();
        assert_eq!(written, least);
        // Every key there is stands in the file: nothing is added by writing all of it out.
        let all = serde_yaml::to_value(&written).unwrap();
        let shown: Value = serde_yaml::from_str(DEFAULTS).unwrap();
        let sorted = |value| {
            let mut paths = paths(value);
            paths.sort();
            paths.dedup();
            paths
        };
        assert_eq!(sorted(&all), sorted(&shown));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:{}\\[\\] ,\n&*!|>#'\"0-9-]{0,120}") {
            let _ = parse(&text, &[]);
        }
    }
}
