//! `predictor_scores.csv`: how well the last epoch is predicted, by the number of observed epochs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::early_stopping::PredictorRecord;
use super::super::records::Status;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column};
use super::curves::sorted;
use super::iterations::trainer;
use super::table::Table;
use crate::predictor::Scores;

/// One number of observed epochs.
pub(super) struct Row<'a> {
    observed_epochs: u32,
    predictor: Option<(&'a PredictorRecord, f64, Scores)>,
    later: Later,
}

/// The errors of predictions made during the search, of networks that were then trained to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Later {
    networks: u64,
    absolute_error: f64,
    absolute_z: f64,
}

impl Later {
    fn add(&mut self, error: f64, sigma: f64) {
        self.networks += 1;
        self.absolute_error += error.abs();
        self.absolute_z += (error / sigma).abs();
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.networks > 0).then(|| sum / self.networks as f64)
    }
}

/// Returns one row for each number of epochs after which something was or would be predicted.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, Row<'a>> {
    let later = later(search);
    let predictor = search.early_stopping.predictor.as_ref();
    let fitted = predictor.map_or(0, |predictor| predictor.epochs.len() as u32);
    let observed: BTreeSet<u32> = later.keys().copied().chain(1..=fitted).collect();
    let rows = observed.into_iter().map(|observed_epochs| Row {
        observed_epochs,
        predictor: predictor.and_then(|predictor| {
            let (sigma, scores) = *predictor.epochs.get(observed_epochs as usize - 1)?;
            Some((predictor, sigma, scores))
        }),
        later: later.get(&observed_epochs).copied().unwrap_or_default(),
    });
    let mut columns = columns();
    columns.push(trainer(search.settings.trainer));
    Table { name: "predictor_scores", columns, rows: rows.collect() }
}

/// The paper trusts sigma; the networks that finish, though chosen by looking good, can tell.
fn later(search: &Search<'_>) -> BTreeMap<u32, Later> {
    let finals: BTreeMap<u64, f64> = search
        .iterations
        .iter()
        .filter(|record| record.status == Status::Trained)
        .filter_map(|record| Some((record.iteration, record.last_validation_accuracy?)))
        .collect();
    let mut later: BTreeMap<u32, Later> = BTreeMap::new();
    // In a fixed order, since sums of floats depend on it.
    for curve in sorted(search.curves) {
        let Some(last) = finals.get(&curve.iteration) else { continue };
        let start = curve.epochs.last().map(|epoch| epoch.start);
        for epoch in curve.epochs.iter().filter(|epoch| Some(epoch.start) == start) {
            if let (Some(predicted), Some(sigma)) = (epoch.predicted_accuracy, epoch.sigma)
                && epoch.epoch > 0
            {
                later.entry(epoch.epoch).or_default().add(predicted - last, sigma);
            }
        }
    }
    later
}

fn columns<'a>() -> Vec<Column<'a, Row<'a>>> {
    let scores = |row: &Row<'a>| row.predictor.map(|(.., scores)| scores);
    vec![
        column(
            "observed_epochs",
            AtLeast(1),
            "Epochs from which the last one is predicted",
            |row: &Row<'a>| row.observed_epochs,
        ),
        column(
            "full_curves",
            AtLeast(0),
            "Networks trained to the end when the newest predictor was fitted",
            |row: &Row<'a>| row.predictor.map(|(predictor, ..)| predictor.full_curves),
        ),
        column(
            "networks",
            AtLeast(0),
            "Networks among them that it was fitted to",
            |row: &Row<'a>| row.predictor.map(|(predictor, ..)| predictor.networks),
        ),
        column(
            "sigma",
            NotNegative,
            "Standard deviation of the error, by networks left out of the fit",
            |row: &Row<'a>| row.predictor.map(|(_, sigma, _)| sigma),
        ),
        column(
            "r_squared",
            Number,
            "R squared of those predictions; missing where all networks ended alike",
            move |row: &Row<'a>| scores(row)?.r_squared,
        ),
        column(
            "mean_absolute_error",
            NotNegative,
            "Mean absolute error of those predictions",
            move |row: &Row<'a>| Some(scores(row)?.mean_absolute_error),
        ),
        column(
            "later_networks",
            AtLeast(0),
            "Networks that were predicted in the search and then trained to the end",
            |row: &Row<'a>| row.later.networks,
        ),
        column(
            "later_mean_absolute_error",
            NotNegative,
            "Mean absolute error of the predictions made of them",
            |row: &Row<'a>| row.later.mean(row.later.absolute_error),
        ),
        column(
            "later_mean_absolute_z",
            NotNegative,
            "Mean of the absolute error divided by sigma; near 0.8 when sigma is right, well above \
             it when sigma is too small",
            |row: &Row<'a>| row.later.mean(row.later.absolute_z),
        ),
    ]
}
