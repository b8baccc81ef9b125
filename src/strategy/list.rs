//! Given networks, each a given number of times, in the order of the list.

use std::sync::Arc;

use indexmap::IndexSet;
use rand_chacha::ChaCha8Rng;

use super::{Draw, SearchHistory, Strategy};
use crate::space::Candidate;

pub struct List(pub Arc<IndexSet<Candidate>>);

impl Strategy for List {
    fn next(&mut self, history: &SearchHistory<'_>, _: &mut ChaCha8Rng) -> Option<Draw> {
        let mut numbered = (1..).zip(&*self.0);
        let (number, candidate) = numbered.find(|(_, candidate)| history.is_free(candidate))?;
        Some((candidate.clone(), Some(format!("{number} of a list of {}", self.0.len()))))
    }
}
