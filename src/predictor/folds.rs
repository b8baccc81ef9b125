//! Which networks are left out together.

use rand::Rng;
use rand::seq::SliceRandom;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    pub training: Vec<usize>,
    pub held_out: Vec<usize>,
}

/// Leaves out every `count`-th network: each fold has old and new ones alike.
pub(super) fn interleaved(networks: usize, count: usize) -> Vec<Fold> {
    folds(&(0..networks).map(|network| network % count).collect::<Vec<_>>(), count)
}

/// Leaves out networks at random, in folds that differ by at most one in size.
pub(super) fn shuffled(networks: usize, count: usize, rng: &mut impl Rng) -> Vec<Fold> {
    let mut fold_of: Vec<_> = (0..networks).map(|network| network % count).collect();
    fold_of.shuffle(rng);
    folds(&fold_of, count)
}

fn folds(fold_of: &[usize], count: usize) -> Vec<Fold> {
    let fold = |number: usize| {
        let (held_out, training) =
            (0..fold_of.len()).partition(|&network| fold_of[network] == number);
        Fold { training, held_out }
    };
    (0..count).map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_network_is_held_out_once() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for folds in [interleaved(7, 7), interleaved(7, 3), shuffled(7, 3, rng)] {
            let mut held_out = Vec::new();
            for fold in folds {
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
            shuffled(7, 3, rng).iter().map(|fold| fold.held_out.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 2, 3]);
    }
}
