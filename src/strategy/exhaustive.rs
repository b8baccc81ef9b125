//! Every network of the space once, in the order of [`crate::space::Space::architectures`]: a
//! benchmark that other strategies can be measured on.

use rand_chacha::ChaCha8Rng;

use super::{Draw, SearchHistory, Strategy};
use crate::space::Candidate;

/// More are refused.
pub const MOST_NETWORKS: u32 = 100_000;

#[derive(Default)]
pub struct Exhaustive {
    /// Empty until the first draw.
    all: Vec<Candidate>,
}

impl Strategy for Exhaustive {
    fn prepare(&mut self, history: &SearchHistory<'_>, _: &mut ChaCha8Rng) {
        if self.all.is_empty() {
            let all = history.space().architectures();
            self.all = all.iter().map(|it| Candidate::once(it.to_string())).collect();
        }
    }

    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        self.prepare(history, rng);
        let mut numbered = (1..).zip(&self.all);
        let (number, candidate) = numbered.find(|(_, candidate)| history.is_free(candidate))?;
        Some((candidate.clone(), Some(format!("{number} of {}", self.all.len()))))
    }
}
