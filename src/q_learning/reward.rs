//! What each outcome of a training is worth.

use serde::{Deserialize, Serialize};

use crate::outcome::{Accuracy, Outcome};

/// Of a network that does not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfMemoryReward {
    /// Nothing is learned from it, as in the published code.
    #[default]
    None,
    /// The accuracy of guessing, so that the agent learns to avoid it.
    Chance,
}

/// The `reward` section of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardParams {
    pub out_of_memory: OutOfMemoryReward,
}

impl RewardParams {
    /// `None` when nothing is to be learned from an outcome.
    ///
    /// | outcome | reward |
    /// | --- | --- |
    /// | trained, imported | the best validation accuracy over the epochs |
    /// | stopped | the predicted accuracy, brought into [0, 1] |
    /// | failed | the best validation accuracy before it failed; without one, 1 / classes |
    /// | out of memory | none, or 1 / classes |
    ///
    /// The paper says "validation accuracy"; its code takes the best over the epochs.
    pub fn reward(&self, outcome: &Outcome, classes: u32) -> Option<Accuracy> {
        match (outcome, self.out_of_memory) {
            (Outcome::Trained { best, .. } | Outcome::Imported { best }, _) => Some(*best),
            (Outcome::Stopped { predicted }, _) => Some(Accuracy::clamped(*predicted)),
            (Outcome::Failed { best: Some(best) }, _) => Some(*best),
            (Outcome::Failed { best: None }, _) => Some(Accuracy::chance(classes)),
            (Outcome::OutOfMemory, OutOfMemoryReward::Chance) => Some(Accuracy::chance(classes)),
            (Outcome::OutOfMemory, OutOfMemoryReward::None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(value: f64) -> Accuracy {
        Accuracy::new(value).unwrap()
    }

    fn reward(outcome: Outcome) -> Option<f64> {
        RewardParams::default().reward(&outcome, 10).map(Accuracy::value)
    }

    #[test]
    fn a_trained_network_is_worth_its_best_epoch() {
        let outcome = Outcome::Trained { best: accuracy(0.9), last: accuracy(0.8) };
        assert_eq!(reward(outcome), Some(0.9));
        assert_eq!(reward(Outcome::Imported { best: accuracy(0.7) }), Some(0.7));
    }

    #[test]
    fn a_stopped_network_is_worth_its_prediction_within_the_range() {
        let stopped = |predicted| reward(Outcome::Stopped { predicted });
        assert_eq!([0.6, 1.2, -0.1].map(stopped), [Some(0.6), Some(1.0), Some(0.0)]);
    }

    #[test]
    fn a_failed_network_is_worth_what_it_reached_or_chance() {
        assert_eq!(reward(Outcome::Failed { best: Some(accuracy(0.3)) }), Some(0.3));
        assert_eq!(reward(Outcome::Failed { best: None }), Some(0.1));
    }

    #[test]
    fn a_network_too_large_for_memory_teaches_only_when_configured() {
        assert_eq!(reward(Outcome::OutOfMemory), None);
        let params: RewardParams = serde_yaml::from_str("out_of_memory: chance").unwrap();
        assert_eq!(params.reward(&Outcome::OutOfMemory, 4), Some(accuracy(0.25)));
        let params: RewardParams = serde_yaml::from_str("out_of_memory: none").unwrap();
        assert_eq!(params, RewardParams::default());
    }
}
