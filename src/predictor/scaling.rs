//! Standardisation: every column with mean 0 and deviation 1 over the training set.

use super::features::EpochTable;
use crate::maths::square;

/// A deviation below this is that of a constant column.
const CONSTANT: f64 = 1e-12;

/// Mean and population standard deviation (ddof 0) of one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        // Sums begin at the first value: the mean of equal values then is that value to the last
        // bit, where the rounding of large ones would pass for a deviation.
        let first = values.clone().next().unwrap_or_default();
        let mean = first + values.clone().map(|value| value - first).sum::<f64>() / count;
        let variance = values.map(|value| square(value - mean)).sum::<f64>() / count;
        let deviation = variance.sqrt();
        Self { mean, deviation: if deviation < CONSTANT { 1.0 } else { deviation } }
    }

    pub fn apply(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    pub fn undo(self, standardised: f64) -> f64 {
        standardised * self.deviation + self.mean
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaling {
    features: Vec<Scale>,
    pub target: Scale,
}

impl Scaling {
    pub fn of(table: &EpochTable) -> Self {
        let column = |at: usize| Scale::of(table.rows.iter().map(move |row| row[at]));
        Self {
            features: (0..table.rows[0].len()).map(column).collect(),
            target: Scale::of(table.targets.iter().copied()),
        }
    }

    pub fn row(&self, row: &[f64]) -> Vec<f64> {
        self.features.iter().zip(row).map(|(scale, value)| scale.apply(*value)).collect()
    }

    pub fn rows(&self, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        rows.iter().map(|row| self.row(row)).collect()
    }

    pub fn targets(&self, targets: &[f64]) -> Vec<f64> {
        targets.iter().map(|target| self.target.apply(*target)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_deviation_is_that_of_the_population() {
        // Mean 4, squared distances 9, 1, 1, 9: variance 20 / 4 = 5.
        let scale = Scale::of([1.0, 3.0, 5.0, 7.0].into_iter());
        assert_eq!(scale, Scale { mean: 4.0, deviation: 5.0_f64.sqrt() });
    }

    #[test]
    fn a_constant_column_becomes_zero() {
        let rows = vec![vec![0.3, 1.0], vec![0.3, 2.0]];
        let table = EpochTable { rows, last_seen: vec![0.0; 2], targets: vec![0.0; 2] };
        assert_eq!(Scaling::of(&table).row(&[0.3, 3.0]), [0.0, 3.0]);
    }

    #[test]
    fn a_column_is_constant_below_a_deviation_of_a_millionth_of_a_millionth() {
        // Deviations 2e-12 and 5e-13.
        let standardised = |value: f64| Scale::of([-value, value].into_iter()).apply(value);
        assert_eq!((standardised(2e-12), standardised(5e-13)), (1.0, 5e-13));
    }

    #[test]
    fn equal_large_values_have_no_deviation() {
        let scale = Scale::of([15_066_078.1; 100].into_iter());
        assert_eq!(scale, Scale { mean: 15_066_078.1, deviation: 1.0 });
    }

    proptest! {
        #[test]
        fn undoing_gives_the_value_back(
            values in proptest::collection::vec(-1e3..1e3, 1..20), value in -1e3..1e3,
        ) {
            let scale = Scale::of(values.into_iter());
            prop_assert!((scale.undo(scale.apply(value)) - value).abs() < 1e-6);
        }
    }
}
