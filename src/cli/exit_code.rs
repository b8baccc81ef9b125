//! The table of exit codes, from the type of the error.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::dataset::DatasetError;
use crate::ops::Refusal;
use crate::predictor::PredictorError;
use crate::q_learning::QLearningError;
use crate::simulate::CurvesFileError;
use crate::slurm::SlurmError;
use crate::space::SpaceError;
use crate::storage::StorageError;
use crate::training::TrainingError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: done; a network that fails is a recorded outcome and done, too.
    Done,
    /// 1: a bug.
    Bug,
    /// 2: usage or configuration.
    Usage,
    /// 3: damaged data.
    Damaged,
    /// 4: the environment: lock, disk, GPU, scheduler.
    Environment,
    /// 75: try again (requeue me).
    TryAgain,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Bug => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Damaged => 3,
            ExitStatus::Environment => 4,
            ExitStatus::TryAgain => 75,
        })
    }
}

impl ExitStatus {
    /// Returns the code of an error: that of the first cause whose type is known here.
    pub fn of(error: &anyhow::Error) -> Self {
        // What was added as context is found by the error alone, not in the chain.
        let context = error.downcast_ref::<Refusal>().map(Self::of_refusal);
        context.or_else(|| error.chain().find_map(Self::of_cause)).unwrap_or(Self::Bug)
    }

    const fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::TryAgain { .. }
            | Refusal::Interrupted
            | Refusal::Unrecorded { .. }
            | Refusal::SubmitLimit
            | Refusal::StillRunning { .. }
            | Refusal::JobRuns { .. } => Self::TryAgain,
            Refusal::OtherConfiguration { .. }
            | Refusal::SetTwice { .. }
            | Refusal::TakesBack { .. }
            | Refusal::NotFresh { .. }
            | Refusal::CheckpointsInside { .. }
            | Refusal::OnlyForFiles { .. }
            | Refusal::Together { .. }
            | Refusal::NothingToWrite { .. }
            | Refusal::NoTarget { .. }
            | Refusal::IsThere { .. }
            | Refusal::OverInput { .. }
            | Refusal::TwoExcludes { .. }
            | Refusal::NotThere { .. }
            | Refusal::NoFolder { .. }
            | Refusal::NoRound { .. }
            | Refusal::LongLine { .. }
            | Refusal::WorkerRefuses { code: 2, .. } => Self::Usage,
            Refusal::ViewDiffers { .. }
            | Refusal::CurveLength { .. }
            | Refusal::RowsMissing { .. }
            | Refusal::CurveTaken { .. }
            | Refusal::WorkerRefuses { code: 3, .. } => Self::Damaged,
            Refusal::WorkersDie { .. }
            | Refusal::UnrecordedHere { .. }
            | Refusal::NoNodeLeft { .. }
            | Refusal::WorkerRefuses { .. }
            | Refusal::OnlyLosses { .. }
            | Refusal::TimeTooShort
            | Refusal::LostForTime { .. }
            | Refusal::WarnedTooEarly
            | Refusal::NotSubmitted { .. } => Self::Environment,
        }
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(storage) = cause.downcast_ref::<StorageError>() {
            return Some(if storage.is_damage() {
                Self::Damaged
            } else if storage.is_usage() {
                Self::Usage
            } else {
                Self::Environment
            });
        }
        if let Some(CurvesFileError { source, .. }) = cause.downcast_ref() {
            return Some(if source.is_usage() { Self::Usage } else { Self::Damaged });
        }
        if let Some(slurm) = cause.downcast_ref::<SlurmError>() {
            return Some(match slurm {
                SlurmError::Notation { .. }
                | SlurmError::Parameter { .. }
                | SlurmError::ReservedOption { .. }
                | SlurmError::Path { .. } => Self::Usage,
                _ => Self::Environment,
            });
        }
        if let Some(training) = cause.downcast_ref::<TrainingError>() {
            return Some(match training {
                TrainingError::OutOfRange { .. }
                | TrainingError::NoCommand
                | TrainingError::UnusedCommand => Self::Usage,
                _ => Self::Environment,
            });
        }
        if let Some(dataset) = cause.downcast_ref::<DatasetError>() {
            return Some(if dataset.is_damage() { Self::Damaged } else { Self::Usage });
        }
        if let Some(predictor) = cause.downcast_ref::<PredictorError>() {
            let is_damage = matches!(predictor, PredictorError::Saved { .. });
            return Some(if is_damage { Self::Damaged } else { Self::Usage });
        }
        let is_usage =
            cause.is::<ConfigError>() || cause.is::<SpaceError>() || cause.is::<QLearningError>();
        if is_usage {
            return Some(Self::Usage);
        }
        cause.is::<std::io::Error>().then_some(Self::Environment)
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
        assert_eq!(of(Refusal::Interrupted.into()), ExitStatus::TryAgain);
        assert_eq!(of(SpaceError::EvenKernel(2).into()), ExitStatus::Usage);
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(of(anyhow::Error::from(io).context("failed to write")), ExitStatus::Environment);
        let limit: anyhow::Result<()> = Err(SlurmError::Missing { command: "sbatch" }.into());
        assert_eq!(of(limit.context(Refusal::SubmitLimit).unwrap_err()), ExitStatus::TryAgain);
    }
}
