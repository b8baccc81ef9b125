//! The n-th best network trained to the end: what the stopping rule compares with.

use smart_default::SmartDefault;

use super::params::MOST_TOP_N;

/// The best final values so far, the greatest first, at most `most`: measured ones, not predicted.
#[derive(Debug, Clone, PartialEq, SmartDefault)]
pub struct BestFinals {
    /// As many as any stopping rule asks for.
    #[default(MOST_TOP_N)]
    most: usize,
    best: Vec<f64>,
}

impl BestFinals {
    pub fn of(most: usize, finals: impl IntoIterator<Item = f64>) -> Self {
        let mut best = Self { most, best: Vec::new() };
        finals.into_iter().for_each(|value| best.add(value));
        best
    }

    pub fn add(&mut self, value: f64) {
        let place = self.best.partition_point(|better| *better >= value);
        self.best.insert(place, value);
        self.best.truncate(self.most);
    }

    /// The n-th best value, from 1. With fewer there is none: each may still be among the best n.
    pub fn nth(&self, n: usize) -> Option<f64> {
        self.best.get(n.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_fewer_than_n_there_is_none() {
        assert_eq!(BestFinals::of(1, []).nth(1), None);
        assert_eq!(BestFinals::of(3, [0.5, 0.7]).nth(3), None);
        assert_eq!(BestFinals::of(3, [0.5, 0.7, 0.6, 0.9]).nth(3), Some(0.6));
    }

    proptest! {
        #[test]
        fn the_order_of_adding_does_not_matter(
            mut finals in proptest::collection::vec(0.0..1.0, 1..20), n in 1_usize..5,
        ) {
            let found = BestFinals::of(n, finals.clone()).nth(n);
            finals.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found, finals.get(n - 1).copied());
        }
    }
}
