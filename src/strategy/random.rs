//! Random search: the policy of epsilon 1, new networks only. The control of every comparison.

use rand_chacha::ChaCha8Rng;

use super::{SearchHistory, Strategy};
use crate::space::Candidate;
use crate::storage::AT_RANDOM;

pub struct Random;

impl Strategy for Random {
    fn next(
        &mut self,
        history: &SearchHistory<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Option<(Candidate, Option<String>)> {
        history.new_at_random(rng).map(|candidate| (candidate, Some(AT_RANDOM.to_owned())))
    }
}
