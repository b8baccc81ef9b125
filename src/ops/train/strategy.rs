//! Which network comes next.

use rand_chacha::ChaCha8Rng;

use crate::config::Strategy;
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::space::Candidate;
use crate::storage::Knowledge;
use crate::storage::search_state::Standing;

/// From what is known and open, and the generator of the iteration, the candidate that comes next
/// and, but for Q-learning, why in a few words; `None` when none is left. What Q-learning draws may
/// be known or open; other strategies draw nothing but what is free.
pub(crate) fn next_candidate(
    strategy: &Strategy,
    state: &Knowledge,
    (q_values, epsilon): (&QTable, Option<Epsilon>),
    rng: &mut ChaCha8Rng,
) -> Option<(Candidate, Option<String>)> {
    match strategy {
        Strategy::QLearning => {
            let epsilon = epsilon.expect("the stages of Q-learning have one");
            let architecture = sample_trajectory(q_values, epsilon, rng);
            Some((Candidate::once(architecture.to_string()), None))
        }
        Strategy::List(list) => {
            let is_free = |&(_, candidate): &(_, &_)| state.standing(candidate) == Standing::Free;
            let (number, candidate) = (1..).zip(list).find(is_free)?;
            Some((candidate.clone(), Some(format!("{number} of a list of {}", list.len()))))
        }
    }
}
