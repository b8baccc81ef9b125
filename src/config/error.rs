//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::q_learning::QLearningError;
use crate::slurm::SlurmError;
use crate::space::SpaceError;
use crate::training::TrainingError;

/// An error of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is far larger than any configuration.
    #[error("`{}` has {bytes} bytes, too many for a configuration", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The text is not YAML, or a value has the wrong type.
    #[error("the configuration is not readable: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// A key that nothing reads.
    #[error("unknown key `{key}`{}", nearest.as_ref().map_or(String::new(), |known| format!(" (did you mean `{known}`?)")))]
    UnknownKey {
        /// Its path.
        key: String,
        /// The path of the known key most like it.
        nearest: Option<String>,
    },
    /// A `--set` argument without a value.
    #[error("`--set {0}` is not of the form PATH=VALUE (such as `training.epochs=3`)")]
    NoSetting(String),
    /// A name that cannot be a folder's and a job's.
    #[error(
        "`experiment.name` is `{0}` (use 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first)"
    )]
    Name(String),
    /// The trainer needs images and there are none.
    #[error(
        "`training.trainer` is `torch` and there is no `data.kind` (name format and folder of the images: `data.kind` and `data.path`)"
    )]
    NoImages,
    /// The `data` section.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The `search_space` section.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The `q_learning`, `epsilon_schedule` or `reward` section.
    #[error(transparent)]
    QLearning(#[from] QLearningError),
    /// The `training` section.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The `slurm` section.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
}
