//! The constants of Q-learning, unchecked ([`QLearningParams`]) and checked ([`ValidQLearningParams`]).

use serde::{Deserialize, Serialize};

use super::error::QLearningError;

/// The `q_learning` section of a configuration. The defaults are those of the paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QLearningParams {
    /// Alpha, the share of an error that an update corrects, in (0, 1].
    pub learning_rate: f64,
    /// Gamma, what a reward is worth one layer earlier, in [0, 1]; 1: as much.
    pub discount_factor: f64,
    /// The Q-value of an action never updated, in [0, 1].
    ///
    /// 0.5 is near the accuracy of an average network (the paper's appendix and code; its
    /// Algorithm 1 says 0).
    pub initial_q_value: f64,
    /// K, how many rows of the replay memory are learned from for each new one.
    ///
    /// 100 in the paper, 128 in its code.
    pub replay_size: u32,
    /// Whether past rows are replayed at all; if not, each row is learned from once, when it comes.
    pub experience_replay: bool,
}

impl Default for QLearningParams {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            discount_factor: 1.0,
            initial_q_value: 0.5,
            replay_size: 100,
            experience_replay: true,
        }
    }
}

/// Checked constants of Q-learning.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidQLearningParams(QLearningParams);

impl QLearningParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the key and the value out of range.
    pub fn check(self) -> Result<ValidQLearningParams, QLearningError> {
        let check = |key, value, range, holds| {
            if holds { Ok(()) } else { Err(QLearningError::OutOfRange { key, value, range }) }
        };
        let Self { learning_rate, discount_factor, initial_q_value, replay_size, .. } = self;
        check(
            "q_learning.learning_rate",
            learning_rate,
            "above 0 and at most 1",
            learning_rate > 0.0 && learning_rate <= 1.0,
        )?;
        check(
            "q_learning.discount_factor",
            discount_factor,
            "0 to 1",
            (0.0..=1.0).contains(&discount_factor),
        )?;
        check(
            "q_learning.initial_q_value",
            initial_q_value,
            "0 to 1",
            (0.0..=1.0).contains(&initial_q_value),
        )?;
        // Beyond any use: a reduce that learns from each new row so often would not end in a day.
        check(
            "q_learning.replay_size",
            f64::from(replay_size),
            "1 to 1000000",
            (1..=1_000_000).contains(&replay_size),
        )?;
        Ok(ValidQLearningParams(self))
    }
}

impl ValidQLearningParams {
    /// Returns the checked values.
    pub const fn params(&self) -> &QLearningParams {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: fn(&mut QLearningParams)) -> &'static str {
        let mut params = QLearningParams::default();
        change(&mut params);
        match params.check() {
            Err(QLearningError::OutOfRange { key, .. }) => key,
            other => panic!("not refused: {other:?}"),
        }
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
