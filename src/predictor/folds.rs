//! Which networks are left out together.

use rand::Rng;
use rand::seq::SliceRandom;

/// A partition of the networks 0 .. n of a training set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folds {
    fold_of: Vec<usize>,
    count: usize,
}

/// One fold: who is learned from and who is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    pub training: Vec<usize>,
    pub held_out: Vec<usize>,
}

impl Folds {
    /// Leaves out each network by itself.
    pub fn leave_one_out(networks: usize) -> Self {
        Self::interleaved(networks, networks)
    }

    /// Leaves out every `count`-th network, so that each fold has old and new ones alike.
    pub fn interleaved(networks: usize, count: usize) -> Self {
        Self { fold_of: (0..networks).map(|network| network % count).collect(), count }
    }

    /// Leaves out networks at random, in folds that differ by at most one in size.
    pub fn shuffled(networks: usize, count: usize, rng: &mut impl Rng) -> Self {
        let mut folds = Self::interleaved(networks, count);
        folds.fold_of.shuffle(rng);
        folds
    }

    /// Returns the folds, each network held out in exactly one.
    pub fn folds(&self) -> Vec<Fold> {
        let fold = |number: usize| {
            let (held_out, training) =
                (0..self.fold_of.len()).partition(|&network| self.fold_of[network] == number);
            Fold { training, held_out }
        };
        (0..self.count).map(fold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_network_is_held_out_once() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for folds in [Folds::leave_one_out(7), Folds::interleaved(7, 3), Folds::shuffled(7, 3, rng)]
        {
            let mut held_out = Vec::new();
            for fold in folds.folds() {
                assert_eq!(fold.training.len() + fold.held_out.len(), 7);
                assert!(fold.training.iter().all(|network| !fold.held_out.contains(network)));
                held_out.extend(fold.held_out);
            }
            held_out.sort_unstable();
            assert_eq!(held_out, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn folds_of_seven_in_three_have_two_or_three() {
        let rng = &mut ChaCha8Rng::seed_from_u64(2);
        let mut sizes: Vec<usize> =
            Folds::shuffled(7, 3, rng).folds().iter().map(|fold| fold.held_out.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 2, 3]);
    }
}
