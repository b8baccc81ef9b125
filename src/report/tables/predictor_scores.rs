//! `predictor_scores.csv`: how well the last epoch is predicted, by the number of observed epochs.

use std::collections::BTreeMap;

use super::table::*;
use crate::predictor::Scores;
use crate::report::search::SearchData;
use crate::storage::{Attempt, Curve, Iteration};

/// The newest predictor, by networks left out of its fit, and the predictions made during the
/// search of networks that were then trained to the end: their absolute errors, also over sigma.
#[derive(Default)]
pub(super) struct ScoresRow {
    observed_epochs: u32,
    fitted: Option<(f64, Scores)>,
    errors: Errors,
}

pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    let columns = columns! { ScoresRow:
        observed_epochs: POSITIVE, "Epochs from which the last one is predicted",
            |row| row.observed_epochs;
        full_curves: COUNT, "Networks trained to the end when the newest predictor was fitted",
            |row| row.fitted.and(search.early_stopping.predictor_curves);
        networks: COUNT, "Networks among them that it was fitted to",
            |row| row.fitted.map(|_| search.predictor_networks);
        sigma: NOT_NEGATIVE, "Standard deviation of the error, by networks left out of the fit",
            |row| Some(row.fitted?.0);
        r_squared: NUMBER, "R squared of those predictions; missing where all networks ended alike",
            |row| row.fitted?.1.r_squared;
        mean_absolute_error: NOT_NEGATIVE, "Mean absolute error of those predictions",
            |row| Some(row.fitted?.1.mean_absolute_error);
        later_networks: COUNT,
            "Networks that were predicted in the search and then trained to the end",
            |row| row.errors.predictions;
        later_mean_absolute_error: NOT_NEGATIVE,
            "Mean absolute error of the predictions made of them",
            |row| row.errors.mean(row.errors.absolute);
        later_mean_absolute_z: NOT_NEGATIVE, "Mean of the absolute error divided by sigma; near \
            0.8 when sigma is right, well above it when sigma is too small",
            |row| row.errors.mean(row.errors.over_sigma);
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
    };
    let mut errors = set.kept.errors.clone();
    let settled = Attempt { iteration: Iteration(set.settled.before), number: 0 };
    add_errors(&mut errors, search, search.curves.range(..settled));
    set.settled.errors = errors.clone();
    add_errors(&mut errors, search, search.curves.range(settled..));
    set.add("predictor_scores", &columns, &rows(search, errors));
}

/// The paper trusts sigma; the networks that finish, though chosen by looking good, test it.
fn add_errors<'a>(
    errors: &mut BTreeMap<u32, Errors>,
    search: &SearchData,
    curves: impl Iterator<Item = (&'a Attempt, &'a Curve)>,
) {
    for (attempt, curve) in curves {
        let trained = search.row_of(attempt.iteration).filter(|row| row.has_full_curve());
        let Some(last) = trained.and_then(|row| row.last_validation_accuracy) else { continue };
        for epoch in curve.last_start().iter().filter(|epoch| epoch.epoch > 0) {
            if let (Some(predicted), Some(sigma)) = (epoch.predicted_accuracy, epoch.sigma) {
                let errors = errors.entry(epoch.epoch).or_default();
                errors.predictions += 1;
                errors.absolute += (predicted - last).abs();
                errors.over_sigma += ((predicted - last) / sigma).abs();
            }
        }
    }
}

fn rows(search: &SearchData, errors: BTreeMap<u32, Errors>) -> Vec<ScoresRow> {
    let fitted = |&fitted| ScoresRow { fitted: Some(fitted), ..ScoresRow::default() };
    let mut rows: BTreeMap<_, _> = (1..).zip(search.predictor_scores.iter().map(fitted)).collect();
    errors.into_iter().for_each(|(epoch, errors)| rows.entry(epoch).or_default().errors = errors);
    let numbered = |(observed_epochs, row)| ScoresRow { observed_epochs, ..row };
    rows.into_iter().map(numbered).collect()
}
