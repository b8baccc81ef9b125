//! `curves_long.csv` and `curves_wide.csv`: the learning curves, an epoch a row and a curve a row.

use derive_more::Deref;

use super::table::*;
use crate::report::search::SearchData;
use crate::storage::{Attempt, Curve, CurveRow};

/// What a spreadsheet opens.
const MOST_COLUMNS: usize = 16_384;

#[derive(Deref)]
pub(super) struct OfAttempt<'a, T> {
    attempt: Attempt,
    #[deref(forward)]
    part: &'a T,
}

pub(super) fn add_long(set: &mut TableSet, search: &SearchData) {
    let rows = search.curves.iter().flat_map(|(&attempt, curve)| {
        curve.rows.iter().map(move |part| OfAttempt { attempt, part })
    });
    let mut columns = attempt_columns();
    columns.extend(columns! { OfAttempt<CurveRow>:
        epoch: POSITIVE, "The epoch";
        start: POSITIVE, "Which start of the training: each failed first-epoch test begins a new \
            one, and the last start is the curve";
        learning_rate: NOT_NEGATIVE, "Learning rate in the epoch";
        training_loss: NUMBER, "Mean training loss over the epoch";
        training_accuracy: SHARE, "Share of training images classified correctly during the epoch";
        validation_loss: NUMBER, "Mean loss over the validation images";
        validation_accuracy: SHARE,
            "Share of validation images classified correctly after the epoch";
        seconds: SECONDS, "Time of the epoch";
        time: TIME, "When the epoch ended";
        predicted_accuracy: NUMBER, "Predicted validation accuracy after the last epoch";
        sigma: NOT_NEGATIVE, "Standard deviation of the prediction";
        stop_probability: SHARE,
            "Probability, under the prediction, that the network stays below the best one";
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
        y_best: SHARE, "Last-epoch accuracy of the best network when the stopping rule was asked";
    });
    set.add_growing("curves_long", &columns, &Vec::from_iter(rows), |row| {
        Some(row.attempt.iteration)
    });
}

fn attempt_columns<'a, T>() -> Vec<Column<'a, OfAttempt<'a, T>>> {
    columns! { OfAttempt<T>:
        iteration: POSITIVE, "Number of the iteration that was trained",
            |row| row.attempt.iteration;
        attempt: POSITIVE, "The attempt at the iteration", |row| row.attempt.number;
    }
}

/// The last start of each curve alone, up to the epochs of a whole training: a trainer that goes on
/// beyond them is refused.
pub(super) fn add_wide(set: &mut TableSet, search: &SearchData) {
    let width = search.epochs as usize;
    if width + 4 > MOST_COLUMNS {
        set.notices.push(format!(
            "`curves_wide.csv` is left out: {width} epochs are more columns than a spreadsheet \
             opens (`curves_long.csv` has them all)"
        ));
        return;
    }
    let mut columns = attempt_columns();
    columns.extend(columns! { OfAttempt<Curve>:
        architecture: ARCHITECTURE, "The network's layers",
            |row| search.row_of(row.attempt.iteration)?.architecture.clone();
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
    });
    // Two digits or more, so that the names sort as the epochs.
    let digits = width.to_string().len().max(2);
    columns.extend((1..=width).map(|epoch| {
        let name = format!("epoch_{epoch:0digits$}");
        let meaning = format!("Validation accuracy after epoch {epoch} of the last start");
        column(name, SHARE, meaning, move |row: &OfAttempt<Curve>| {
            let rows = row.last_start();
            let place = rows.binary_search_by_key(&epoch, |row| row.epoch as usize).ok()?;
            rows[place].validation_accuracy
        })
    }));
    let rows = search.curves.iter().map(|(&attempt, part)| OfAttempt { attempt, part });
    set.add_growing("curves_wide", &columns, &Vec::from_iter(rows), |row| {
        Some(row.attempt.iteration)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn wide_text(epochs: u32, rows: [CurveRow; 3]) -> String {
        let curves = [sample::curve(1, rows)].into();
        let search = SearchData { trainer: "torch", epochs, curves, ..SearchData::default() };
        let mut set = TableSet::default();
        add_wide(&mut set, &search);
        set.files[0].text.clone()
    }

    #[test]
    fn more_columns_than_a_spreadsheet_opens_are_left_out_with_a_word() {
        let set = |epochs| {
            let mut set = TableSet::default();
            add_wide(&mut set, &SearchData { epochs, ..SearchData::default() });
            (set.files.len(), set.notices)
        };
        assert_eq!(set(16_380), (1, vec![]));
        let (files, notices) = set(16_381);
        assert!(files == 0 && notices[0].contains("`curves_long.csv` has them all"), "{notices:?}");
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
