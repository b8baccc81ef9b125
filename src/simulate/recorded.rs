//! Curves that were recorded elsewhere, and the orders in which they are replayed.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::predictor::{Example, PredictorError};

/// Networks trained to the end, all equally long, in the order of their file.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCurves {
    pub(super) ids: Vec<String>,
    pub(super) examples: Vec<Example>,
}

impl RecordedCurves {
    /// Refuses an empty set, and networks that differ in epochs or in number of features.
    pub fn new(networks: Vec<(String, Example)>) -> Result<Self, PredictorError> {
        let (ids, examples): (_, Vec<Example>) = networks.into_iter().unzip();
        let first = examples.first();
        let first = first.ok_or_else(|| PredictorError::Unusable("no learning curves".into()))?;
        first.check_alike(&examples)?;
        Ok(Self { ids, examples })
    }

    pub fn networks(&self) -> usize {
        self.examples.len()
    }

    pub fn epochs(&self) -> usize {
        self.examples[0].curve.epochs()
    }

    pub(super) fn last(&self, network: usize) -> f64 {
        self.examples[network].curve.last()
    }

    pub(super) fn shortened(&self, networks: &[usize], epochs: usize) -> Vec<Example> {
        let shorten = |&network: &usize| {
            let Example { features, curve } = &self.examples[network];
            Example { features: features.clone(), curve: curve.up_to(epochs) }
        };
        networks.iter().map(shorten).collect()
    }

    /// Returns the networks from the best y_T to the worst, equal ones in the order of the file.
    pub(super) fn ranking(&self) -> Vec<usize> {
        let mut ranking: Vec<usize> = (0..self.networks()).collect();
        ranking.sort_by(|&a, &b| self.last(b).total_cmp(&self.last(a)));
        ranking
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// Once, in the order of the file.
    File,
    /// In so many random orders; all are drawn before the first is walked.
    Random(usize),
}

impl Orders {
    pub(super) fn draw(self, networks: usize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
        let file: Vec<usize> = (0..networks).collect();
        let Self::Random(count) = self else { return vec![file] };
        let mut orders = vec![file; count];
        orders.iter_mut().for_each(|order| order.shuffle(rng));
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::synthetic_curves;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn networks_of_different_length_are_refused() {
        let mut networks = synthetic_curves::named(4, 5);
        networks[2].1.curve = networks[2].1.curve.up_to(3);
        let refused = RecordedCurves::new(networks);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with("learning curve 3 has 3 epochs where the first has 5"));
        assert!(RecordedCurves::new(vec![]).is_err());
    }

    #[test]
    fn every_order_has_every_network() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let mut orders = Orders::Random(3).draw(20, rng);
        assert_ne!(orders[0], orders[1]);
        for order in &mut orders {
            order.sort_unstable();
            assert_eq!(*order, Orders::File.draw(20, rng)[0]);
        }
    }

    #[test]
    fn the_best_comes_first() {
        let recorded = RecordedCurves::new(synthetic_curves::named(20, 5)).unwrap();
        let ranking = recorded.ranking();
        assert!(ranking.windows(2).all(|pair| recorded.last(pair[0]) >= recorded.last(pair[1])));
    }
}
