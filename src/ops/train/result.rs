//! The row of the log for the end of a training.

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::train::claim::Claim;
use crate::ops::train::curve::CurveInProgress;
use crate::ops::train::stopping::{audited_at, stopped_at};
use crate::outcome::{Accuracy, Outcome};
use crate::storage::{CurveRow, CurveSummary, Event, Row, Training, plain};
use crate::training::TrainingEnd;

/// Returns the row of a training that has ended after `spent` seconds in this attempt; none when it
/// has no result.
pub(crate) fn result_row(
    experiment: &Experiment,
    claim: &Claim,
    end: &TrainingEnd,
    curve: &CurveInProgress,
    spent: f64,
) -> Option<Row> {
    let config = experiment.config();
    let start = curve.curve.last_start();
    // A start counts once its first epoch has beaten the threshold.
    let first = start.first();
    let passes = |row: &CurveRow| config.recipe.passes_first_epoch(row.validation_accuracy.value());
    let passed = first.is_some_and(passes);
    let cost = config.space.cost(&claim.architecture);
    let training = Training {
        parameters: cost.parameters,
        macs: cost.macs,
        layers: claim.architecture.depth() as u32,
        learning_rate: first.filter(|_| passed).and_then(|row| row.learning_rate),
        restarts: first.map_or(0, |row| row.start - 1),
        train_seconds: spent + curve.kept_seconds,
        lost_seconds: curve.lost_seconds(),
        time: Timestamp::now().into(),
    };
    let classes = config.space.image.classes;
    let row = |event, outcome, summary| Row {
        reward: config.reward.reward(&outcome, classes).map(Accuracy::value),
        ..claim.row.result(event, &training).with_curve(summary)
    };
    let threshold = config.early_stopping.threshold;
    let summary = curve.curve.summary();
    Some(match end {
        TrainingEnd::Done => {
            let CurveSummary { best, last, .. } = summary?;
            let row = row(Event::Trained, Outcome::Trained { best, last }, summary);
            match audited_at(experiment, claim.attempt.iteration, start) {
                Some(at) => Row { audit: Some(true), ..with_verdict(row, at, threshold) },
                None => row,
            }
        }
        TrainingEnd::Stopped => {
            let at = stopped_at(experiment, start)?;
            let outcome = Outcome::Stopped { predicted: at.predicted_accuracy? };
            let saved = curve.seconds_left(config.recipe.epochs, training.train_seconds);
            let row = row(Event::Stopped, outcome, summary);
            with_verdict(Row { saved_seconds: Some(saved), ..row }, at, threshold)
        }
        TrainingEnd::Failed { reason } => {
            let summary = summary.filter(|_| passed);
            let best = summary.map(|summary| summary.best);
            let row = row(Event::Failed, Outcome::Failed { best }, summary);
            Row { reason: plain(reason), ..row }
        }
        TrainingEnd::OutOfMemory { peak_bytes } => {
            let reason = peak_bytes.map(|bytes| format!("{bytes} bytes in use at most"));
            let row = claim.row.result(Event::OutOfMemory, &training);
            let reward = config.reward.reward(&Outcome::OutOfMemory, classes);
            let reward = reward.map(Accuracy::value);
            Row { reward, reason: reason.as_deref().and_then(plain), ..row }
        }
        TrainingEnd::Interrupted => return None,
    })
}

/// Adds the numbers of the verdict to stop that stands in the row of an epoch.
fn with_verdict(row: Row, at: &CurveRow, threshold: f64) -> Row {
    Row {
        predicted_accuracy: at.predicted_accuracy,
        sigma: at.sigma,
        y_best: at.y_best,
        stop_probability: at.stop_probability,
        threshold: Some(threshold),
        ..row
    }
}
