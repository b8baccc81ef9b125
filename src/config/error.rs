//! What can be wrong with a configuration.

use std::io;

use crate::invalid::Invalid;
use crate::yaml_bounds::TooMuch;

/// An error of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration")]
    Read(#[source] io::Error),
    /// A folder in place of a file.
    #[error(
        "a folder is no configuration (name a YAML file; an experiment directory comes after it)"
    )]
    Folder,
    /// The file is no text.
    #[error("not a text file: byte {byte} is no UTF-8 (is it the right file?)")]
    NotText {
        /// Position of the first bad byte, from 0.
        byte: usize,
    },
    /// The text is not YAML.
    #[error("not readable as YAML: {0}")]
    NotYaml(String),
    /// Far more than any configuration asks of a parser.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// YAML, but a list or a single value.
    #[error(
        "a configuration is a mapping of sections such as `experiment` and `data` (see `metaqnn config --defaults`)"
    )]
    NoSections,
    /// A value has the wrong type, or a key without a default is missing.
    #[error("{problem} ({}see `metaqnn config --defaults`)", line.map_or(String::new(), |line| format!("line {line}; ")))]
    Value {
        /// Its path and what was expected.
        problem: String,
        /// Its line in the file; none when it came from the command line, or is missing.
        line: Option<usize>,
    },
    /// A configuration that YAML cannot express.
    #[error("failed to write the configuration as YAML")]
    Unwritable(#[source] serde_yaml::Error),
    /// A key that nothing reads.
    #[error("unknown key `{key}`{}", nearest.as_ref().map_or(" (see `metaqnn config --defaults`)".to_owned(), |known| format!(" (did you mean `{known}`?)")))]
    UnknownKey {
        /// Its path.
        key: String,
        /// The path of the known key most like it.
        nearest: Option<String>,
    },
    /// A setting without a key or a value.
    #[error("`{0}` is not of the form PATH=VALUE (such as `training.epochs=3`)")]
    NoSetting(String),
    /// A key that may not be changed once the experiment is made.
    #[error(
        "`{0}` is frozen: what was learned with one value says nothing of another (make a new experiment with it: `metaqnn init CONFIG NEW_DIR --set {0}=VALUE`; to be changed are only `slurm.*`, `epsilon_schedule` and `training.` device, threads, silence_limit, claim_lifetime, checkpoint_dir)"
    )]
    Frozen(String),
    /// A section in place of a key.
    #[error("`{0}` is a section (name one of its keys)")]
    WholeSection(String),
    /// A value that has no form on one line, as a number that is none.
    #[error("the value of `{0}` cannot be written into the log")]
    NoLine(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
