//! What chance does: intervals of what was found, and whether two groups differ.

use itertools::Itertools;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::maths::mean;
use crate::seed::{Purpose, generator};

const RESAMPLES: usize = 1_000;
const DIVISIONS: u32 = 9_999;

/// The 95 % interval of a statistic of sorted values: percentiles of 1,000 resamples with
/// replacement (Efron, 1979, *Bootstrap methods: another look at the jackknife*).
pub fn bootstrap_interval(sorted: &[f64], statistic: impl Fn(&[f64]) -> f64) -> [f64; 2] {
    let mut rng = generator(0, Purpose::Resample, 0, 0);
    let mut resample = || {
        let drawn = (0..sorted.len()).map(|_| rng.random_range(0..sorted.len()));
        statistic(&drawn.sorted_unstable().map(|index| sorted[index]).collect_vec())
    };
    let found = (0..RESAMPLES).map(|_| resample()).sorted_by(f64::total_cmp).collect_vec();
    [RESAMPLES / 40, RESAMPLES - RESAMPLES / 40].map(|rank| found[rank - 1])
}

/// Of sorted values.
pub fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

pub fn mean_of(values: &[f64]) -> f64 {
    mean(values.iter().copied())
}

/// How likely a difference of the statistic at least so great is when chance alone decides which
/// value is of which group: by 9,999 random divisions and the one that was found (Pitman, 1937,
/// *Significance tests which may be applied to samples from any populations*). The statistic must
/// not depend on the order of its values.
pub fn permutation_probability(a: &[f64], b: &[f64], statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let mut rng = generator(0, Purpose::Resample, 1, 0);
    let mut all = [a, b].concat();
    let difference = |all: &[f64]| {
        let (a, b) = all.split_at(a.len());
        (statistic(a) - statistic(b)).abs()
    };
    // Sums in another order differ in their last digits.
    let found = difference(&all) - 1e-12;
    let as_great = (0..DIVISIONS).filter(|_| {
        all.shuffle(&mut rng);
        difference(&all) >= found
    });
    f64::from(1 + as_great.count() as u32) / f64::from(1 + DIVISIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_wholly_apart_are_as_likely_as_their_divisions() {
        // Of the 70 divisions of 8 values into 4 and 4, 2 set the greatest four apart: 0.0286. Of
        // the 6 into 2 and 2, also 2: no difference of two and two is significant.
        let p = permutation_probability(&[0.5, 0.6, 0.7, 0.8], &[0.1, 0.2, 0.3, 0.4], mean_of);
        assert!((p - 2.0 / 70.0).abs() < 0.006, "{p}");
        let p = permutation_probability(&[0.7, 0.8], &[0.1, 0.2], mean_of);
        assert!((p - 2.0 / 6.0).abs() < 0.02, "{p}");
        assert_eq!(permutation_probability(&[0.5, 0.6], &[0.6, 0.5], mean_of), 1.0);
    }

    #[test]
    fn the_best_of_one_group_is_told_by_how_many_are_above_the_other() {
        // The three greatest of 6 in one group of three: 2 x 1/20. The greatest alone: always.
        let best = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let p = permutation_probability(&[0.9, 0.8, 0.7], &[0.1, 0.2, 0.3], best);
        assert!((p - 0.1).abs() < 0.012, "{p}");
        assert_eq!(permutation_probability(&[0.9, 0.1, 0.1], &[0.2, 0.2, 0.2], best), 1.0);
    }
}
