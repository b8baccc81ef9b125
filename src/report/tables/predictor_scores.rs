//! `predictor_scores.csv`: how well the last epoch is predicted, by the number of observed epochs.

use std::collections::{BTreeMap, HashMap};

use super::table::*;
use crate::predictor::Scores;
use crate::report::search::SearchData;
use crate::storage::Event;

/// The newest predictor, by networks left out of its fit, and the errors of the predictions made
/// during the search of networks that were then trained to the end.
#[derive(Default)]
pub(super) struct ScoresRow {
    observed_epochs: u32,
    fitted: Option<(f64, Scores)>,
    later_networks: u64,
    absolute_error: f64,
    absolute_z: f64,
}

impl ScoresRow {
    fn mean(&self, sum: f64) -> Option<f64> {
        (self.later_networks > 0).then(|| sum / self.later_networks as f64)
    }
}

/// One row for each number of epochs after which something was or would be predicted.
pub(super) fn table(search: &SearchData) -> Table<'_, ScoresRow> {
    let fitted = |(observed_epochs, &fitted): (u32, &(f64, Scores))| {
        (observed_epochs, ScoresRow { observed_epochs, fitted: Some(fitted), ..Default::default() })
    };
    let mut rows = (1..).zip(&search.predictor_scores).map(fitted).collect();
    add_later(&mut rows, search);
    let mut columns = columns! { ScoresRow:
        observed_epochs: POSITIVE, "Epochs from which the last one is predicted";
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
            "Networks that were predicted in the search and then trained to the end";
        later_mean_absolute_error: NOT_NEGATIVE,
            "Mean absolute error of the predictions made of them",
            |row| row.mean(row.absolute_error);
        later_mean_absolute_z: NOT_NEGATIVE,
            "Mean of the absolute error divided by sigma; near 0.8 when sigma is right, well above \
             it when sigma is too small",
            |row| row.mean(row.absolute_z);
    };
    columns.push(trainer(|_| search.trainer));
    Table { name: "predictor_scores", columns, rows: rows.into_values().collect() }
}

/// The paper trusts sigma; the networks that finish, though chosen by looking good, test it.
fn add_later(rows: &mut BTreeMap<u32, ScoresRow>, search: &SearchData) {
    let trained = search.iterations.iter().filter(|row| row.event == Event::Trained);
    let finals: HashMap<_, f64> =
        trained.filter_map(|row| Some((row.iteration, row.last_validation_accuracy?))).collect();
    for (attempt, curve) in &search.curves {
        let Some(last) = finals.get(&Some(attempt.iteration)) else { continue };
        for epoch in curve.last_start().iter().filter(|epoch| epoch.epoch > 0) {
            if let (Some(predicted), Some(sigma)) = (epoch.predicted_accuracy, epoch.sigma) {
                let row = rows.entry(epoch.epoch).or_default();
                row.observed_epochs = epoch.epoch;
                row.later_networks += 1;
                row.absolute_error += (predicted - last).abs();
                row.absolute_z += ((predicted - last) / sigma).abs();
            }
        }
    }
}
