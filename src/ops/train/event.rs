//! Progress events of `train`: for a progress bar, a log line, or `train --json`.

use serde::{Deserialize, Serialize};

/// As JSON: one object a line, its kind in the field `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    /// The trainer is ready.
    Started {
        /// Of this program, with its commit.
        version: String,
        host: String,
        /// As the trainer names it, else as the scheduler does; null where neither does.
        device: Option<String>,
        libtorch: Option<String>,
    },
    Claimed {
        iteration: u64,
        /// Iterations in sight: those so far, and one for each network that is still to be begun. It
        /// grows with each known architecture that is drawn again.
        of: u64,
        attempt: u32,
        /// `None` for a list.
        epsilon: Option<f64>,
        architecture: String,
        repeat: u32,
        epochs: u32,
    },
    /// An architecture that has a result already was sampled again; it costs no training.
    Reused {
        iteration: u64,
    },
    Epoch {
        iteration: u64,
        epoch: u32,
        /// Which of the first-epoch restarts, from 1.
        start: u32,
        /// Null where no images are for validation.
        validation_accuracy: Option<f64>,
        training_loss: Option<f64>,
        seconds: Option<f64>,
    },
    /// A sign of life within an epoch, as the trainer gives it.
    Batch {
        iteration: u64,
        batch: u64,
        of: u64,
    },
    Recorded {
        iteration: u64,
        /// The event in the log: trained, stopped, failed, out_of_memory.
        outcome: String,
        reward: Option<f64>,
        /// Seconds of training, those of an earlier attempt whose epochs count included.
        seconds: f64,
    },
    /// The result of another copy of this task was there first; nothing was recorded.
    Superseded {
        iteration: u64,
    },
    Lost {
        iteration: u64,
        reason: String,
    },
    /// Too many audited networks have won that were to be stopped: no training is stopped any more.
    StoppingSwitchedOff {
        /// Networks trained to the end against a verdict to stop.
        audited: u64,
        /// Those that have beaten the best network of that verdict.
        false_stops: u64,
    },
    Halted,
    Nothing {
        /// Whether the schedule is finished, or others still train what is left of it.
        finished: bool,
    },
}

impl TrainEvent {
    /// Returns why nothing is claimed though all is well, in words; `None` for another event.
    pub const fn reason_to_claim_nothing(&self) -> Option<&'static str> {
        match self {
            Self::Halted => {
                Some("the search is halted (`metaqnn submit` or `metaqnn run` goes on)")
            }
            Self::Nothing { finished: true } => Some("the search is finished"),
            Self::Nothing { finished: false } => {
                Some("nothing to claim: others train what is left")
            }
            _ => None,
        }
    }

    /// Whether a line of a task's log says why it has claimed nothing.
    pub fn is_reason_to_claim_nothing(line: &str) -> bool {
        [Self::Halted, Self::Nothing { finished: true }, Self::Nothing { finished: false }]
            .iter()
            .any(|event| event.reason_to_claim_nothing().is_some_and(|why| line.contains(why)))
    }
}
