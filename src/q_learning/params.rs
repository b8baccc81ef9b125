//! The constants of Q-learning.

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use crate::invalid::Invalid;

/// The `q_learning` section of a configuration. The defaults are those of the paper.
#[derive(Debug, Clone, PartialEq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QLearningParams {
    /// Alpha, the share of an error that an update corrects, in (0, 1].
    #[default = 0.01]
    pub learning_rate: f64,
    /// Gamma, what a reward is worth one layer earlier, in [0, 1]; 1: as much.
    #[default = 1.0]
    pub discount_factor: f64,
    /// Of an action never updated, in [0, 1]. 0.5 is near the accuracy of an average network (the
    /// paper's appendix and code; its Algorithm 1 says 0).
    #[default = 0.5]
    pub initial_q_value: f64,
    /// K, rows of the replay memory learned from for each new one; 128 in the paper's code.
    #[default = 100]
    pub replay_size: u32,
    /// If not, each row is learned from once, when it comes.
    #[default = true]
    pub experience_replay: bool,
}

#[derive(Debug, Clone, PartialEq, derive_more::Deref)]
pub struct ValidQLearningParams(QLearningParams);

impl QLearningParams {
    pub fn check(self) -> Result<ValidQLearningParams, Invalid> {
        let (key, rate) = ("q_learning.learning_rate", self.learning_rate);
        Invalid::unless(rate > 0.0 && rate <= 1.0, key, rate, "must be above 0 and at most 1")?;
        Invalid::unless_in(0.0..=1.0, "q_learning.discount_factor", self.discount_factor)?;
        Invalid::unless_in(0.0..=1.0, "q_learning.initial_q_value", self.initial_q_value)?;
        // Beyond any use: a reduce that learns from each new row so often would not end in a day.
        Invalid::unless_in(1..=1_000_000, "q_learning.replay_size", self.replay_size)?;
        Ok(ValidQLearningParams(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: fn(&mut QLearningParams)) -> String {
        let mut params = QLearningParams::default();
        change(&mut params);
        params.check().unwrap_err().key
    }

    #[test]
    fn the_defaults_are_those_of_the_paper() {
        let params: QLearningParams = serde_yaml::from_str("{}").unwrap();
        assert_eq!(
            serde_yaml::to_string(&params).unwrap(),
            "learning_rate: 0.01\ndiscount_factor: 1.0\ninitial_q_value: 0.5\nreplay_size: 100\n\
             experience_replay: true\n"
        );
        assert!(params.check().is_ok());
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_yaml::from_str::<QLearningParams>("alpha: 0.1").is_err());
    }

    #[test]
    fn each_range_has_its_error() {
        assert_eq!(refused(|p| p.learning_rate = 0.0), "q_learning.learning_rate");
        assert_eq!(refused(|p| p.learning_rate = f64::NAN), "q_learning.learning_rate");
        assert_eq!(refused(|p| p.discount_factor = 1.01), "q_learning.discount_factor");
        assert_eq!(refused(|p| p.initial_q_value = -0.1), "q_learning.initial_q_value");
        assert_eq!(refused(|p| p.replay_size = 0), "q_learning.replay_size");
    }
}
