//! One generator per (experiment seed, purpose, iteration, epoch).
//!
//! Every random number of a search comes from here (no clock, no process id), so that any part of a
//! search can be repeated by itself.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// Two purposes never share a stream. Their names enter the key: changing one changes every search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    Sample,
    Replay,
    /// Initial weights of the controller of `policy_gradient`.
    Controller,
    Split,
    /// Initial weights of a network; the second number is the start (which learning rate).
    Weights,
    Epoch,
    Synthetic,
    /// Which of several recorded trainings of a network answers.
    Recorded,
    /// Fitting the predictor: hyperparameters and folds.
    Predictor,
    /// Which stop verdicts are audited.
    Audit,
    /// Orders and fits of a simulation over recorded curves.
    Simulation,
    /// Seeds drawn again for the interval of a median.
    Resample,
}

/// `part` is what happens more than once in an iteration: the draw, the epoch, the start.
pub fn generator(experiment_seed: u64, purpose: Purpose, iteration: u64, part: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(experiment_seed, purpose, iteration, part))
}

/// For a program that seeds its own generators: below 2^63, since some take it as signed.
pub fn number(experiment_seed: u64, purpose: Purpose, iteration: u64, part: u64) -> u64 {
    let digest = digest(experiment_seed, purpose, iteration, part);
    u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes")) >> 1
}

/// Takes the place of the iteration where random numbers follow from what is trained: whenever it
/// is trained again, it is the same training.
pub fn of_candidate(architecture: &str, repeat: u32) -> u64 {
    let digest = Sha256::new().chain_update(repeat.to_le_bytes()).chain_update(architecture);
    u64::from_le_bytes(*digest.finalize().first_chunk().expect("a digest has 32 bytes"))
}

fn digest(experiment_seed: u64, purpose: Purpose, iteration: u64, part: u64) -> [u8; 32] {
    let numbers = [experiment_seed, iteration, part].map(u64::to_le_bytes).concat();
    Sha256::new().chain_update(numbers).chain_update(<&str>::from(purpose)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn the_same_key_gives_the_same_stream() {
        let draw = || generator(7, Purpose::Sample, 3, 0).random::<u64>();
        assert_eq!(draw(), draw());
    }

    #[test]
    fn every_part_of_the_key_changes_the_stream() {
        let base = number(7, Purpose::Sample, 3, 0);
        assert_ne!(base, number(8, Purpose::Sample, 3, 0));
        assert_ne!(base, number(7, Purpose::Replay, 3, 0));
        assert_ne!(base, number(7, Purpose::Sample, 4, 0));
        assert_ne!(base, number(7, Purpose::Sample, 3, 1));
    }

    #[test]
    fn every_repeat_of_every_architecture_has_its_own_stream() {
        let streams = ["[SM(10)]", "[GAP(10), SM(10)]"]
            .map(|text| [1, 2].map(|repeat| of_candidate(text, repeat)));
        let distinct = std::collections::BTreeSet::from_iter(streams.concat());
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn numbers_fit_a_signed_integer() {
        assert!((0..1000).all(|i| number(1, Purpose::Weights, i, 0) < 1 << 63));
    }
}
