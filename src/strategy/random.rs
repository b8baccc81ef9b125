//! Random search: the policy of epsilon 1, new networks only. The control of every comparison.

use rand_chacha::ChaCha8Rng;

use super::{Draw, SearchHistory, Strategy};

pub struct Random;

impl Strategy for Random {
    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        history.new_at_random(rng)
    }
}
