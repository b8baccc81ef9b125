//! `curves_long.csv` and `curves_wide.csv`: the learning curves, an epoch a row and a curve a row.

use std::collections::HashMap;

use super::column::Domain::*;
use super::column::{Column, column, columns, of_part, trainer};
use super::table::Table;
use crate::report::search::SearchData;
use crate::storage::{Attempt, Curve, CurveRow};

/// An epoch with its attempt.
pub(super) type LongRow<'a> = (&'a Attempt, &'a CurveRow);

/// Returns every epoch of every curve, starts that failed the first-epoch test included.
pub(super) fn long(search: &SearchData) -> Table<'_, LongRow<'_>> {
    let rows = search.curves.iter();
    let rows = rows.flat_map(|(attempt, curve)| curve.rows().iter().map(move |row| (attempt, row)));
    let mut columns = of_part(attempt_columns(), |row: &LongRow| row.0);
    let epoch = columns! { CurveRow:
        epoch: AtLeast(1), "The epoch";
        start: AtLeast(1),
            "Which start of the training: each failed first-epoch test begins a new one, and \
             the last start is the curve";
        learning_rate: NotNegative, "Learning rate in the epoch";
        training_loss: Number, "Mean training loss over the epoch";
        training_accuracy: Share, "Share of training images classified correctly during the epoch";
        validation_loss: Number, "Mean loss over the validation images";
        validation_accuracy: Share,
            "Share of validation images classified correctly after the epoch";
        seconds: Seconds, "Time of the epoch";
        time: Time, "When the epoch ended";
        predicted_accuracy: Number, "Predicted validation accuracy after the last epoch";
        sigma: NotNegative, "Standard deviation of the prediction";
        stop_probability: Share,
            "Probability, under the prediction, that the network stays below the best one";
    };
    columns.extend(of_part(epoch, |row: &LongRow| row.1));
    columns.push(trainer(|_| search.trainer));
    // At the end, since it came later.
    let newest = columns! { CurveRow:
        y_best: Share, "Last-epoch accuracy of the best network when the stopping rule was asked";
    };
    columns.extend(of_part(newest, |row: &LongRow| row.1));
    Table { name: "curves_long", columns, rows: rows.collect() }
}

fn attempt_columns<'a>() -> Vec<Column<'a, Attempt>> {
    columns! { Attempt:
        iteration: AtLeast(1), "Number of the iteration that was trained";
        attempt: AtLeast(1), "The attempt at the iteration", |attempt| attempt.number;
    }
}

/// A curve laid out by epoch.
pub(super) struct WideRow<'a> {
    attempt: &'a Attempt,
    architecture: Option<&'a String>,
    /// Of the last start.
    accuracies: Vec<Option<f64>>,
}

/// Returns one row per curve, its last start alone; as many epochs as a full training has, or
/// the longest curve if that is longer.
pub(super) fn wide(search: &SearchData) -> Table<'_, WideRow<'_>> {
    let architectures: HashMap<_, _> =
        search.iterations.iter().map(|row| (row.iteration, row.architecture.as_ref())).collect();
    let longest = search.curves.values().map(|curve| curve.last_start().len()).max();
    let width = longest.unwrap_or(0).max(search.epochs as usize);
    let rows = search.curves.iter().map(|(attempt, curve)| WideRow {
        attempt,
        architecture: architectures.get(&Some(attempt.iteration)).copied().flatten(),
        accuracies: by_epoch(curve, width),
    });
    let mut columns = of_part(attempt_columns(), |row: &WideRow| row.attempt);
    columns.extend(columns! { WideRow:
        architecture: Architecture, "The network's layers", |row| row.architecture.cloned();
    });
    columns.push(trainer(|_| search.trainer));
    // Two digits or more, so that the names sort as the epochs.
    let digits = width.to_string().len().max(2);
    columns.extend((1..=width).map(|epoch| {
        column(
            format!("epoch_{epoch:0digits$}"),
            Share,
            format!("Validation accuracy after epoch {epoch} of the last start"),
            move |row: &WideRow| row.accuracies[epoch - 1],
        )
    }));
    Table { name: "curves_wide", columns, rows: rows.collect() }
}

/// Places the validation accuracies of the last start by their epochs.
fn by_epoch(curve: &Curve, width: usize) -> Vec<Option<f64>> {
    let mut accuracies = vec![None; width];
    for row in curve.last_start() {
        let place = (row.epoch as usize).checked_sub(1);
        if let Some(accuracy) = place.and_then(|place| accuracies.get_mut(place)) {
            *accuracy = Some(row.validation_accuracy.value());
        }
    }
    accuracies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn wide_text(epochs: u32, rows: [CurveRow; 3]) -> String {
        let curves = [sample::curve(1, rows)].into();
        let search = SearchData { trainer: "torch", epochs, curves, ..SearchData::default() };
        wide(&search).files(10)[0].text.clone()
    }

    #[test]
    fn names_of_epochs_sort_as_the_epochs() {
        let text = wide_text(100, sample::three_epochs());
        let header = text.lines().next().unwrap();
        assert!(header.starts_with("iteration,attempt,architecture,trainer,epoch_001,epoch_002"));
        assert!(header.ends_with(",epoch_100"));
    }

    #[test]
    fn an_epoch_far_outside_takes_no_columns() {
        let mut rows = sample::three_epochs();
        rows[2].epoch = u32::MAX;
        assert_eq!(wide_text(3, rows).lines().last(), Some("1,1,,torch,0.6,0.75,"));
    }
}
