//! `accuracy_histogram.csv`: how often each accuracy was reached, by epsilon.

use std::collections::BTreeMap;

use super::table::*;
use crate::report::iterations::{epsilon_bits, grouped};
use crate::report::search::SearchData;

/// Of a bin that is not empty.
pub struct HistogramRow {
    pub epsilon: f64,
    /// From this hundredth on.
    pub bin: u64,
    iterations: u64,
    pub share: f64,
}

/// To 1.
pub const BINS: u64 = 100;

/// From the greatest epsilon downwards.
pub fn histogram(search: &SearchData) -> Vec<HistogramRow> {
    let mut rows = Vec::new();
    for (bits, of) in grouped(&search.iterations, epsilon_bits).into_iter().rev() {
        let mut bins = BTreeMap::<u64, u64>::new();
        // 0.29 x 100 is below 29.
        let bin = |reward: f64| ((reward * BINS as f64 + 1e-9) as u64).min(BINS - 1);
        of.iter()
            .filter_map(|row| row.reward)
            .for_each(|it| *bins.entry(bin(it)).or_default() += 1);
        let all: u64 = bins.values().sum();
        rows.extend(bins.into_iter().map(|(bin, iterations)| HistogramRow {
            epsilon: f64::from_bits(bits),
            bin,
            iterations,
            share: iterations as f64 / all as f64,
        }));
    }
    rows
}

pub fn add_histogram(set: &mut TableSet, search: &SearchData) {
    let columns = columns! { HistogramRow:
        epsilon: SHARE, "Share of random actions";
        accuracy_from: SHARE, "Lower end of the bin: from this reward on; of a network trained to \
            the end it is the best validation accuracy, of a stopped one the prediction",
            |row| row.bin as f64 / BINS as f64;
        accuracy_to: SHARE, "Upper end of the bin, itself in the next one (1 in the last)",
            |row| (row.bin + 1) as f64 / BINS as f64;
        iterations: COUNT, "Iterations with a reward in the bin, repeats included";
        share: SHARE, "Their share of all iterations of the epsilon with a reward";
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
    };
    set.add("accuracy_histogram", &columns, &histogram(search));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::iteration;
    use crate::storage::{Event, Row};

    #[test]
    fn a_reward_on_the_edge_of_two_bins_is_in_the_upper_one_and_1_in_the_last() {
        let rewards = [0.29, 0.3, 1.0, 0.995, 0.0];
        let row = |(number, reward)| {
            let row = iteration(number, Event::Trained);
            Row { reward: Some(reward), epsilon: Some(1.0), ..row }
        };
        let iterations = (1..).zip(rewards).map(row).collect();
        let search = SearchData { iterations, ..SearchData::default() };
        let found = histogram(&search).into_iter().map(|row| (row.bin, row.iterations, row.share));
        let expected = [(0, 1, 0.2), (29, 1, 0.2), (30, 1, 0.2), (99, 2, 0.4)];
        assert_eq!(Vec::from_iter(found), expected);
    }
}
