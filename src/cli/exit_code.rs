//! The table of exit codes, by the type of the error.

use std::io;

use crate::config::ConfigError;
use crate::dataset::DatasetError;
use crate::invalid::Invalid;
use crate::model::ModelError;
use crate::ops::Refusal;
use crate::predictor::PredictorError;
use crate::q_learning::QLearningError;
use crate::slurm::SlurmError;
use crate::space::SpaceError;
use crate::storage::StorageError;
use crate::training::TrainingError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Also when a network fails: that is a recorded outcome.
    Done = 0,
    Bug = 1,
    Usage = 2,
    Damaged = 3,
    /// Lock, disk, GPU, scheduler.
    Environment = 4,
    /// Requeue me.
    TryAgain = 75,
}

impl ExitStatus {
    /// The code of the first cause whose type is in the table.
    pub fn of(error: &anyhow::Error) -> Self {
        // What was added as context is found by the error alone, not in the chain.
        match error.downcast_ref() {
            Some(Refusal::Usage(_)) => Self::Usage,
            Some(Refusal::Damage(_)) => Self::Damaged,
            Some(Refusal::Environment(_)) => Self::Environment,
            Some(Refusal::TryAgain(_)) => Self::TryAgain,
            None => error.chain().find_map(Self::of_cause).unwrap_or(Self::Bug),
        }
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        use StorageError::{AlreadyExists, NotAnExperiment, OtherFormat, Unusable};
        Some(if let Some(error) = cause.downcast_ref::<StorageError>() {
            match error {
                NotAnExperiment { .. } | OtherFormat { .. } => Self::Usage,
                Unusable { .. } | AlreadyExists { .. } => Self::Usage,
                _ if error.is_damage() => Self::Damaged,
                _ => Self::Environment,
            }
        } else if let Some(ModelError::Damaged { .. }) = cause.downcast_ref() {
            Self::Damaged
        } else if let Some(DatasetError::Damaged { .. }) = cause.downcast_ref() {
            Self::Damaged
        } else if let Some(PredictorError::Saved(_)) = cause.downcast_ref() {
            Self::Damaged
        } else if cause.is::<ConfigError>()
            || cause.is::<DatasetError>()
            || cause.is::<Invalid>()
            || cause.is::<PredictorError>()
            || cause.is::<QLearningError>()
            || cause.is::<SpaceError>()
            || matches!(cause.downcast_ref(), Some(SlurmError::Unusable(_)))
        {
            Self::Usage
        } else if cause.is::<SlurmError>() || cause.is::<TrainingError>() || cause.is::<io::Error>()
        {
            Self::Environment
        } else {
            return None;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_code_follows_from_the_first_known_cause() {
        let of = |error: anyhow::Error| ExitStatus::of(&error);
        assert_eq!(of(anyhow::anyhow!("what?")), ExitStatus::Bug);
        assert_eq!(of(Refusal::TryAgain(String::new()).into()), ExitStatus::TryAgain);
        assert_eq!(
            of(Invalid::new("data.classes", 1, "must be 2 to 256").into()),
            ExitStatus::Usage
        );
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(of(anyhow::Error::from(io).context("failed to write")), ExitStatus::Environment);
        let limit: anyhow::Result<()> = Err(SlurmError::Missing { command: "sbatch" }.into());
        assert_eq!(
            of(limit.context(Refusal::TryAgain(String::new())).unwrap_err()),
            ExitStatus::TryAgain
        );
    }
}
