//! From YAML text and `PATH=VALUE` settings to an [`ExperimentConfig`], and back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::keys::{entries, paths, refuse_unknown};
use super::{ConfigError, ExperimentConfig};
use crate::regular_file::{self, SMALL};
use crate::yaml_bounds;

/// Every key with its default and a comment; what `metaqnn config --defaults` prints.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// The error does not name the file.
pub fn load(path: &Path, settings: &[Setting]) -> Result<ExperimentConfig, ConfigError> {
    if path.is_dir() {
        let problem = "a folder is no configuration (name a YAML file; an experiment directory \
                       comes after it)";
        return Err(ConfigError::Unusable(problem.into()));
    }
    let bytes = regular_file::read_input(path, SMALL).map_err(ConfigError::Read)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        ConfigError::Unusable(format!(
            "not a text file: byte {byte} is no UTF-8 (is it the right file?)"
        ))
    })?;
    parse(&text, settings)
}

pub fn parse(text: &str, settings: &[Setting]) -> Result<ExperimentConfig, ConfigError> {
    // Editors of some systems put it first; YAML would begin a second document after it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut document = match document(text)? {
        Value::Null => Value::Mapping(Mapping::new()),
        document => document,
    };
    // A tag before the sections is refused, too.
    if !matches!(document, Value::Mapping(_)) {
        let problem = "a configuration is a mapping of sections such as `experiment` and `data` \
                       (see `metaqnn config --defaults`)";
        return Err(ConfigError::Unusable(problem.into()));
    }
    for setting in settings {
        refuse_unknown(&setting.path)?;
        setting.apply(&mut document);
    }
    paths(&document).iter().try_for_each(|key| refuse_unknown(key))?;
    drop_empty(&mut document);
    stop_no_list(&mut document);
    // Through text once more, so that an error has the path of the value.
    let written = serde_yaml::to_string(&document).map_err(|error| unreadable(&error))?;
    serde_yaml::from_str(&written).map_err(|error| wrong_value(&error, text))
}

/// A value of the command line, and a missing section, have no line in the file.
fn wrong_value(error: &serde_yaml::Error, text: &str) -> ConfigError {
    let (message, _) = without_place(error);
    let in_file = serde_yaml::from_str::<ExperimentConfig>(text).err();
    let place = match in_file.as_ref().map(without_place) {
        Some((same, Some(line))) if same == message && !message.starts_with("missing") => {
            format!("line {line}; ")
        }
        _ => String::new(),
    };
    let problem = in_plain_words(&message);
    ConfigError::Unusable(format!("{problem} ({place}see `metaqnn config --defaults`)"))
}

/// Drops sections whose lines are all commented out, and an empty name, which would read `null`.
fn drop_empty(document: &mut Value) {
    let Value::Mapping(sections) = document else { return };
    sections.retain(|_, section| !section.is_null());
    if let Some(Value::Mapping(experiment)) = sections.get_mut("experiment") {
        experiment.retain(|_, value| !value.is_null());
    }
}

/// A list is trained to the end unless it says otherwise: it is what a person wants to know of.
fn stop_no_list(document: &mut Value) {
    let kind = document.get("strategy").and_then(|strategy| strategy.get("kind"));
    let is_open = |section: &Value| section.is_mapping() && section.get("enabled").is_none();
    let is_unset = document.get("early_stopping").is_none_or(is_open);
    if kind.and_then(Value::as_str) == Some("list") && is_unset {
        Setting { path: "early_stopping.enabled".to_owned(), value: false.into() }.apply(document);
    }
}

/// Every value that is no section, by its path, as text for people.
pub fn leaves(config: &ExperimentConfig) -> BTreeMap<String, String> {
    let value = serde_yaml::to_value(config).expect("paths are UTF-8: `ops::init::load` checks it");
    let keys = value.as_mapping().into_iter().flat_map(|all| entries(all, ""));
    let leaves = keys.filter(|(_, value)| !value.is_mapping());
    leaves.map(|(path, value)| (path, serde_json::to_string(value).unwrap_or_default())).collect()
}

fn document(text: &str) -> Result<Value, ConfigError> {
    yaml_bounds::check(text).map_err(|problem| ConfigError::Unusable(problem.to_string()))?;
    serde_yaml::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_yaml::Error) -> ConfigError {
    let problem = in_plain_words(&error.to_string());
    ConfigError::Unusable(format!("not readable as YAML: {problem}"))
}

fn without_place(error: &serde_yaml::Error) -> (String, Option<usize>) {
    let message = error.to_string();
    let Some(place) = error.location() else { return (message, None) };
    let suffix = format!(" at line {} column {}", place.line(), place.column());
    (message.trim_end_matches(&suffix).to_owned(), Some(place.line()))
}

/// Replaces the parser's words for types of this program by words for YAML.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 16] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("unknown variant", "unknown value"),
        ("unit value", "no value"),
        ("invalid type: ", ""),
        ("invalid value: ", ""),
        ("a nonzero u32", "a whole number from 1 on"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0 to 18446744073709551615"),
        ("expected usize", "expected a whole number from 0 on"),
        ("expected f64", "expected a number"),
        ("sequence", "list"),
        (" as u128", ""),
        (" as i128", ""),
        ("any YAML value", "at most 64 bits"),
    ];
    let words =
        WORDS.iter().fold(message.to_owned(), |text, (word, plain)| text.replace(word, plain));
    // `struct Recipe`, `tuple struct Pool`
    let types = [("tuple struct ", "a list of numbers"), ("struct ", "a section of keys")];
    types.iter().fold(words, |text, (kind, plain)| match text.split_once(kind) {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            format!("{before}{plain}{rest}")
        }
        None => text,
    })
}

/// A value in place of the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub path: String,
    pub(super) value: Value,
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
    use super::super::keys::KNOWN;
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
    fn a_value_of_the_wrong_type_is_named_with_its_line() {
        assert_eq!(
            problem("training:\n  trainer: synthetic\n  epochs: many"),
            "training.epochs: string \"many\", expected a whole number from 0 to 4294967295 \
             (line 6; see `metaqnn config --defaults`)"
        );
        // One of the command line has no line.
        let setting = "training.epochs=many".parse().unwrap();
        let problem = parse(SMALL, &[setting]).unwrap_err().to_string();
        assert!(problem.ends_with("4294967295 (see `metaqnn config --defaults`)"), "{problem}");
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let problem = problem("training: {epochs: 1, epochs: 2}");
        assert!(problem.contains("duplicate") && problem.contains("line 4"), "{problem}");
    }

    #[test]
    fn a_section_without_a_key_is_an_absent_one() {
        // What is left when a person comments out every line below it.
        let empty = parse(&format!("{SMALL}q_learning:\n  # replay_size: 128\n"), &[]);
        assert_eq!(empty.unwrap(), parse(SMALL, &[]).unwrap());
        let nameless = parse("experiment: {name: }\ndata: {classes: 10}", &[]).unwrap_err();
        assert!(nameless.to_string().contains("missing key `name`"), "{nameless}");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(parse(&format!("\u{feff}{SMALL}"), &[]).unwrap(), parse(SMALL, &[]).unwrap());
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for text in ["- a\n- b", "hello", "42"] {
            let problem = parse(text, &[]).unwrap_err().to_string();
            assert!(problem.contains("is a mapping of sections"), "{text}: {problem}");
        }
        assert!(parse("a: [", &[]).unwrap_err().to_string().starts_with("not readable as YAML"));
        let empty = parse("", &[]).unwrap_err().to_string();
        assert_eq!(empty, "missing key `experiment` (see `metaqnn config --defaults`)");
    }

    #[test]
    fn a_setting_is_a_path_and_a_value() {
        for text in ["training", "=3", ".=3", "training..epochs=3", ".epochs=3", "epochs.=3"] {
            let problem = text.parse::<Setting>().unwrap_err().to_string();
            assert!(problem.contains("not of the form PATH=VALUE"), "{problem}");
        }
        let problem = "a=[".parse::<Setting>().unwrap_err().to_string();
        assert!(problem.starts_with("not readable as YAML"), "{problem}");
        // Deeper than the stack, were it walked.
        let deep = format!("{}a=1", "a.".repeat(60_000)).parse().unwrap();
        let problem = parse(SMALL, &[deep]).unwrap_err().to_string();
        assert!(problem.starts_with("unknown key `a.a.a.") && problem.len() < 200, "{problem}");
    }

    #[test]
    fn a_list_is_not_stopped_early_unless_it_says_so() {
        let enabled =
            |extra: &str| parse(&format!("{SMALL}{extra}"), &[]).unwrap().early_stopping.enabled;
        let list = "strategy: {kind: list}\n";
        assert!(enabled("") && enabled("strategy: {kind: q_learning}"));
        assert!(!enabled(list) && !enabled(&format!("{list}early_stopping: {{burn_in: 5}}")));
        assert!(enabled(&format!("{list}early_stopping: {{enabled: true}}")));
        assert!(problem(&format!("{list}early_stopping: 5")).starts_with("early_stopping"));
        let setting = "strategy.kind=list".parse().unwrap();
        assert!(!parse(SMALL, &[setting]).unwrap().early_stopping.enabled);
    }

    fn change(setting: &str) -> Result<ExperimentConfig, ConfigError> {
        parse(DEFAULTS, &[]).unwrap().in_force(&[setting.parse().unwrap()])
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
        // Every key there is stands in the file: nothing is added by writing all of it out, where one
        // that is younger than some experiments is left out while it is null.
        let mut all = serde_yaml::to_value(&written).unwrap();
        all["data"]["first_label"] = Value::Null;
        let shown: Value = serde_yaml::from_str(DEFAULTS).unwrap();
        let sorted = |value| {
            let mut paths = paths(value);
            paths.sort();
            paths.dedup();
            paths
        };
        assert_eq!(sorted(&all), sorted(&shown));
    }

    #[test]
    fn every_key_takes_any_value_or_refuses_it_in_one_line() {
        for key in KNOWN.iter() {
            for value in [
                "", "null", "true", "-1", "0", "1", "1e308", "-1e308", ".nan", ".inf", "-.inf",
                "18446744073709551615", "x", "'a\n%'", "[]", "[0]", "[x, 1]", "{}", "{a: 1}",
                "!x y",
            ] {
                let setting = format!("{key}={value}").parse().unwrap();
                if let Err(problem) = parse(SMALL, &[setting]).and_then(ExperimentConfig::check) {
                    let problem = problem.to_string();
                    assert!(problem.lines().count() == 1, "{key}={value}: {problem}");
                    assert!(problem.len() < 600, "{key}={value}: {problem}");
                }
            }
        }
    }

    #[test]
    fn types_are_named_as_in_yaml() {
        for (message, plain) in [
            (
                "training.epochs: invalid type: string \"many\", expected u32",
                "training.epochs: string \"many\", expected a whole number from 0 to 4294967295",
            ),
            (
                "q_learning: invalid type: integer `5`, expected struct QLearningParams",
                "q_learning: integer `5`, expected a section of keys",
            ),
            (
                "search_space.pools[0]: invalid type: integer `2`, expected tuple struct Pool",
                "search_space.pools[0]: integer `2`, expected a list of numbers",
            ),
            (
                "early_stopping.burn_in: invalid type: string \"1_00\", expected usize",
                "early_stopping.burn_in: string \"1_00\", expected a whole number from 0 on",
            ),
            ("data: missing field `classes`", "data: missing key `classes`"),
            (
                "epsilon_schedule: string \"x\", expected a sequence",
                "epsilon_schedule: string \"x\", expected a list",
            ),
        ] {
            assert_eq!(in_plain_words(message), plain);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:{}\\[\\] ,\n&*!|>#'\"0-9-]{0,120}") {
            let _ = parse(&text, &[]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_defaults_with_any_text_put_in_are_read_or_refused(
            at in any::<prop::sample::Index>(), text in "\\PC{0,4}",
        ) {
            let mut changed: Vec<char> = DEFAULTS.chars().collect();
            let at = at.index(changed.len());
            changed.splice(at..at, text.chars());
            let _ = parse(&String::from_iter(changed), &[]).and_then(ExperimentConfig::check);
        }
    }
}
