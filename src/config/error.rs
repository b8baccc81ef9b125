//! What can be wrong with a configuration.

use std::io;

use crate::invalid::Invalid;
use crate::yaml_bounds::TooMuch;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read the configuration")]
    Read(#[source] io::Error),
    #[error(
        "a folder is no configuration (name a YAML file; an experiment directory comes after it)"
    )]
    Folder,
    /// `byte` counts from 0.
    #[error("not a text file: byte {byte} is no UTF-8 (is it the right file?)")]
    NotText { byte: usize },
    #[error("not readable as YAML: {0}")]
    NotYaml(String),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(
        "a configuration is a mapping of sections such as `experiment` and `data` \
         (see `metaqnn config --defaults`)"
    )]
    NoSections,
    /// A value of a wrong type, or a missing key without a default. `place` is the line in the
    /// file; empty when the value came from the command line, or is missing.
    #[error("{problem} ({place}see `metaqnn config --defaults`)")]
    Value { problem: String, place: String },
    #[error("failed to write the configuration as YAML")]
    Unwritable(#[source] serde_yaml::Error),
    #[error("unknown key `{key}` ({hint})")]
    UnknownKey { key: String, hint: String },
    #[error("`{0}` is not of the form PATH=VALUE (such as `training.epochs=3`)")]
    NoSetting(String),
    #[error(
        "`{0}` is frozen: what was learned with one value says nothing of another (make a new \
         experiment with it: `metaqnn init CONFIG NEW_DIR --set {0}=VALUE`; to be changed are only \
         `slurm.*`, `epsilon_schedule` and `training.` device, threads, silence_limit, \
         claim_lifetime, checkpoint_dir)"
    )]
    Frozen(String),
    #[error("`{0}` is a section (name one of its keys)")]
    WholeSection(String),
    /// A value without a form on one line, such as NaN.
    #[error("the value of `{0}` cannot be written into the log")]
    NoLine(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
