//! `predictor_scores.csv`: how well the last epoch is predicted, by the number of observed epochs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::column::Domain::*;
use super::column::{columns, trainer};
use super::table::Table;
use crate::predictor::Scores;
use crate::report::search::SearchData;
use crate::storage::Event;

pub(super) struct ScoresRow {
    observed_epochs: u32,
    full_curves: Option<u64>,
    networks: Option<u64>,
    sigma: Option<f64>,
    scores: Option<Scores>,
    later: LaterErrors,
}

/// The errors of predictions made during the search, of networks that were then trained to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct LaterErrors {
    networks: u64,
    absolute_error: f64,
    absolute_z: f64,
}

impl LaterErrors {
    fn mean(&self, sum: f64) -> Option<f64> {
        (self.networks > 0).then(|| sum / self.networks as f64)
    }
}

/// Returns one row for each number of epochs after which something was or would be predicted.
pub(super) fn table(search: &SearchData) -> Table<'_, ScoresRow> {
    let later = later_errors(search);
    let predictor = search.predictor.as_ref();
    let fitted = predictor.map_or(&[][..], |predictor| &predictor.epochs);
    let observed: BTreeSet<u32> = later.keys().copied().chain(1..=fitted.len() as u32).collect();
    let rows = observed.into_iter().map(|observed_epochs| {
        let (sigma, scores) = fitted.get(observed_epochs as usize - 1).copied().unzip();
        ScoresRow {
            observed_epochs,
            full_curves: sigma.and(search.early_stopping.predictor_curves),
            networks: sigma.and(predictor.map(|predictor| predictor.networks)),
            sigma,
            scores,
            later: later.get(&observed_epochs).copied().unwrap_or_default(),
        }
    });
    let mut columns = columns! { ScoresRow:
        observed_epochs: AtLeast(1), "Epochs from which the last one is predicted";
        full_curves: AtLeast(0), "Networks trained to the end when the newest predictor was fitted";
        networks: AtLeast(0), "Networks among them that it was fitted to";
        sigma: NotNegative, "Standard deviation of the error, by networks left out of the fit";
        r_squared: Number, "R squared of those predictions; missing where all networks ended alike",
            |row| row.scores?.r_squared;
        mean_absolute_error: NotNegative, "Mean absolute error of those predictions",
            |row| Some(row.scores?.mean_absolute_error);
        later_networks: AtLeast(0),
            "Networks that were predicted in the search and then trained to the end",
            |row| row.later.networks;
        later_mean_absolute_error: NotNegative,
            "Mean absolute error of the predictions made of them",
            |row| row.later.mean(row.later.absolute_error);
        later_mean_absolute_z: NotNegative,
            "Mean of the absolute error divided by sigma; near 0.8 when sigma is right, well above \
             it when sigma is too small",
            |row| row.later.mean(row.later.absolute_z);
    };
    columns.push(trainer(|_| search.trainer));
    Table { name: "predictor_scores", columns, rows: rows.collect() }
}

/// The paper trusts sigma; the networks that finish, though chosen by looking good, can tell.
fn later_errors(search: &SearchData) -> BTreeMap<u32, LaterErrors> {
    let trained = search.iterations.iter().filter(|row| row.event == Event::Trained);
    let finals: HashMap<_, f64> =
        trained.filter_map(|row| Some((row.iteration, row.last_validation_accuracy?))).collect();
    let mut later: BTreeMap<u32, LaterErrors> = BTreeMap::new();
    for (attempt, curve) in &search.curves {
        let Some(last) = finals.get(&Some(attempt.iteration)) else { continue };
        for row in curve.last_start().iter().filter(|row| row.epoch > 0) {
            if let (Some(predicted), Some(sigma)) = (row.predicted_accuracy, row.sigma) {
                let errors = later.entry(row.epoch).or_default();
                errors.networks += 1;
                errors.absolute_error += (predicted - last).abs();
                errors.absolute_z += ((predicted - last) / sigma).abs();
            }
        }
    }
    later
}
