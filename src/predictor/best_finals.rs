//! The n-th best network trained to the end: what the stopping rule compares with.

/// The n best final values seen so far; only measured ones belong here, never predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct BestFinals {
    n: usize,
    /// At most n values, best first.
    best: Vec<f64>,
}

impl BestFinals {
    /// Begins with no value; `n` is at least 1.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn new(n: usize) -> Self {
        assert!(n > 0, "there is no zeroth best");
        Self { n, best: Vec::new() }
    }

    /// Begins with the final values of networks trained to the end.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn of(n: usize, finals: impl IntoIterator<Item = f64>) -> Self {
        let mut best = Self::new(n);
        finals.into_iter().for_each(|value| best.add(value));
        best
    }

    /// Adds the final value of one more network trained to the end.
    pub fn add(&mut self, value: f64) {
        let place = self.best.partition_point(|better| *better >= value);
        self.best.insert(place, value);
        self.best.truncate(self.n);
    }

    /// Returns the n-th best value, when there are as many.
    ///
    /// With fewer there is none: each of the first n networks may still be among the best n.
    pub fn nth(&self) -> Option<f64> {
        self.best.get(self.n - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_fewer_than_n_there_is_none() {
        assert_eq!(BestFinals::new(1).nth(), None);
        assert_eq!(BestFinals::of(3, [0.5, 0.7]).nth(), None);
        assert_eq!(BestFinals::of(3, [0.5, 0.7, 0.6, 0.9]).nth(), Some(0.6));
    }

    proptest! {
        #[test]
        fn the_order_of_adding_does_not_matter(
            mut finals in proptest::collection::vec(0.0..1.0, 1..20), n in 1_usize..5,
        ) {
            let found = BestFinals::of(n, finals.clone()).nth();
            finals.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found, finals.get(n - 1).copied());
        }
    }
}
