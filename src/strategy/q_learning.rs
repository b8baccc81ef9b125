//! Q-learning (Baker et al., 2017, MetaQNN): see [`crate::q_learning`]. The one strategy whose draw
//! may be known or open: the paper counts it as an iteration, and learns from it again.

use rand_chacha::ChaCha8Rng;

use super::{Draw, SearchHistory, Strategy};
use crate::q_learning::sample_trajectory;
use crate::space::Candidate;

pub struct QLearning;

impl Strategy for QLearning {
    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        let epsilon = history.epsilon.expect("the stages of Q-learning have one");
        let architecture = sample_trajectory(history.q_table, epsilon, rng);
        Some((Candidate::once(architecture.to_string()), None))
    }
}
