//! `curves_long.csv` and `curves_wide.csv`: the learning curves, an epoch a row and a curve a row.

use std::collections::{BTreeMap, BTreeSet};

use super::super::records::{CurveRecord, EpochRecord};
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, fields, of_part};
use super::iterations::trainer;
use super::table::Table;

/// An epoch with its curve.
pub(super) type LongRow<'a> = (&'a CurveRecord, &'a EpochRecord);

/// Returns every epoch of every curve, starts that failed the first-epoch test included.
pub(super) fn long<'a>(search: &Search<'a>) -> Table<'a, LongRow<'a>> {
    let curves = sorted(search.curves);
    let rows =
        curves.iter().flat_map(|&curve| curve.epochs.iter().map(move |epoch| (curve, epoch)));
    let mut columns = of_part(attempt_columns(), |row: &LongRow<'a>| row.0);
    columns.extend(of_part(epoch_columns(), |row: &LongRow<'a>| row.1));
    columns.push(trainer(search.settings.trainer));
    columns.extend(of_part(newest_epoch_columns(), |row: &LongRow<'a>| row.1));
    Table { name: "curves_long", columns, rows: rows.collect() }
}

fn attempt_columns<'a>() -> Vec<Column<'a, CurveRecord>> {
    fields! { CurveRecord:
        iteration: AtLeast(1), "Number of the iteration that was trained";
        attempt: AtLeast(1), "The attempt at the iteration";
    }
}

fn epoch_columns<'a>() -> Vec<Column<'a, EpochRecord>> {
    fields! { EpochRecord:
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
    }
}

/// The column that came last: new ones go to the end.
fn newest_epoch_columns<'a>() -> Vec<Column<'a, EpochRecord>> {
    fields! { EpochRecord:
        y_best: Share, "Last-epoch accuracy of the best network when the stopping rule was asked";
    }
}

/// A curve laid out by epoch.
pub(super) struct WideRow<'a> {
    curve: &'a CurveRecord,
    architecture: Option<&'a str>,
    accuracies: Vec<Option<f64>>,
}

/// Returns one row per curve, its last start alone; as many epochs as a full training has, or
/// the longest curve if that is longer.
pub(super) fn wide<'a>(search: &Search<'a>) -> Table<'a, WideRow<'a>> {
    let architectures: BTreeMap<u64, &str> = search
        .iterations
        .iter()
        .filter_map(|record| Some((record.iteration, record.architecture.as_deref()?)))
        .collect();
    let curves = sorted(search.curves);
    let longest = curves.iter().map(|curve| length(curve)).max().unwrap_or(0);
    let width = longest.max(search.settings.epochs as usize);
    let rows = curves.into_iter().map(|curve| WideRow {
        curve,
        architecture: architectures.get(&curve.iteration).copied(),
        accuracies: by_epoch(curve, width),
    });
    let mut columns = of_part(attempt_columns(), |row: &WideRow<'a>| row.curve);
    columns.extend([
        column("architecture", Architecture, "The network's layers", |row: &WideRow| {
            row.architecture.map(str::to_owned)
        }),
        trainer(search.settings.trainer),
    ]);
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

/// Returns the curves in the order of their attempts.
pub(super) fn sorted(curves: &[CurveRecord]) -> Vec<&CurveRecord> {
    let mut curves: Vec<&CurveRecord> = curves.iter().collect();
    curves.sort_by_key(|curve| (curve.iteration, curve.attempt));
    curves
}

fn last_start(curve: &CurveRecord) -> impl Iterator<Item = &EpochRecord> {
    let last = curve.epochs.iter().map(|epoch| epoch.start).max();
    curve.epochs.iter().filter(move |epoch| Some(epoch.start) == last)
}

/// Returns how many epochs the last start has: no more than rows, whatever their numbers.
fn length(curve: &CurveRecord) -> usize {
    last_start(curve).map(|epoch| epoch.epoch).collect::<BTreeSet<_>>().len()
}

/// Places the validation accuracies of the last start; an epoch that stands twice counts as it
/// was trained last.
fn by_epoch(curve: &CurveRecord, width: usize) -> Vec<Option<f64>> {
    let mut accuracies = vec![None; width];
    for epoch in last_start(curve) {
        let place = (epoch.epoch as usize).checked_sub(1);
        if let Some(accuracy) = place.and_then(|place| accuracies.get_mut(place)) {
            *accuracy = Some(epoch.validation_accuracy);
        }
    }
    accuracies
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::super::super::settings::{SearchSettings, TrainedBy};
    use super::*;

    fn wide_text(epochs: u32, curve: CurveRecord) -> String {
        let settings = SearchSettings { epochs, ..sample::settings(TrainedBy::Torch) };
        let search = Search {
            settings: &settings,
            iterations: &[],
            curves: &[curve],
            q_values: &[],
            early_stopping: &Default::default(),
        };
        wide(&search).files(10)[0].text.clone()
    }

    #[test]
    fn an_epoch_trained_twice_counts_as_it_was_trained_last() {
        let mut curve = sample::curves().remove(1);
        let again = EpochRecord { validation_accuracy: 0.8, ..curve.epochs[1] };
        curve.epochs.insert(2, again);
        let text = wide_text(2, curve);
        assert_eq!(text.lines().last(), Some("1,1,,torch,0.6,0.8,0.74"));
    }

    #[test]
    fn names_of_epochs_sort_as_the_epochs() {
        let text = wide_text(100, sample::curves().remove(1));
        let header = text.lines().next().unwrap();
        assert!(header.starts_with("iteration,attempt,architecture,trainer,epoch_001,epoch_002"));
        assert!(header.ends_with(",epoch_100"));
    }

    #[test]
    fn an_epoch_far_outside_takes_no_columns() {
        let mut curve = sample::curves().remove(1);
        curve.epochs[2].epoch = u32::MAX;
        assert_eq!(wide_text(3, curve).lines().last(), Some("1,1,,torch,0.6,0.75,"));
    }
}
