//! What the configuration says of a search, and where the search stands.

use serde::Serialize;

use super::early_stopping::EarlyStopping;
use super::hosts::HostTally;
use super::records::{IterationRecord, Status};

/// Who trained the networks. Everything a synthetic trainer's accuracies enter is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedBy {
    /// `metaqnn-torch`.
    Torch,
    /// A program that the configuration names.
    Command,
    /// Nobody: the learning curves are made up.
    Synthetic,
    /// None here: all results were taken over from another search.
    Imported,
}

impl TrainedBy {
    pub(super) const WORDS: &[&str] = &["torch", "command", "synthetic", "imported"];

    /// Returns who trained in a search: the configured trainer, unless all that the search has was imported.
    pub fn of(configured: Self, iterations: &[IterationRecord]) -> Self {
        let is_by_the_trainer = |record: &IterationRecord| {
            !matches!(record.status, Status::Imported | Status::Reused | Status::Void)
        };
        let has = |status| iterations.iter().any(|record| record.status == status);
        if has(Status::Imported) && !iterations.iter().any(is_by_the_trainer) {
            Self::Imported
        } else {
            configured
        }
    }

    /// Returns what a person should read beside the accuracies, if they were not measured here.
    pub const fn mark(self) -> Option<&'static str> {
        match self {
            Self::Torch | Self::Command => None,
            Self::Synthetic => {
                Some("The accuracies of networks trained here are made up (trainer `synthetic`).")
            }
            Self::Imported => Some("The accuracies are imported: none was trained here."),
        }
    }

    /// Returns the trainer's word in the configuration.
    pub const fn name(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// One step of the epsilon schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpsilonStage {
    /// Share of random actions, in [0, 1].
    pub epsilon: f64,
    /// Number of distinct architectures that are to get a result at this epsilon.
    pub wanted: u64,
    /// Whether the epsilon was closed because nothing new could be drawn.
    pub exhausted: bool,
}

/// What the configuration says of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchSettings {
    /// Name of the experiment.
    pub experiment: String,
    /// Who trains.
    pub trainer: TrainedBy,
    /// Epochs of a full training.
    pub epochs: u32,
    /// The epsilon schedule, in order.
    pub schedule: Vec<EpsilonStage>,
}

/// Where a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not finished, and nothing is known to stand in its way.
    Active,
    /// Halted by a person.
    Halted,
    /// Every epsilon has its architectures or is exhausted, and nothing is open.
    Finished,
    /// Not finished; the rounds that were asked for are done.
    Paused,
    /// Not finished, and no round is queued or running.
    ChainBroken,
    /// A round is queued or runs, and nothing comes of it until a person acts.
    Stuck,
}

impl Condition {
    /// Returns whether nothing changes any more until a person acts: finished, halted by one, or as far as one has asked.
    /// A broken chain is not: it may be on its way to the next round.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Halted | Self::Finished | Self::Paused)
    }

    /// Returns the condition in words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Halted => "halted",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::ChainBroken => "chain broken",
            Self::Stuck => "stuck",
        }
    }
}

/// What the caller alone can know of a search's progress.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchState {
    /// Where the search stands.
    pub condition: Condition,
    /// The newest round, from 1; `None` before the first and for a search without rounds.
    pub round: Option<u32>,
    /// The epsilon in force; `None` when the schedule is finished.
    pub epsilon: Option<f64>,
    /// The machines and what came of their claims, in order of name.
    pub hosts: Vec<HostTally>,
    /// The predictor and what its audits have shown.
    pub early_stopping: EarlyStopping,
    /// Sentences a person should read: what is wrong and what to do.
    pub notices: Vec<String>,
}
