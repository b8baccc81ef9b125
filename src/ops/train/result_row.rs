//! The row that the end of a training comes to.

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::train::attempt::Claim;
use crate::ops::train::curve::CurveInProgress;
use crate::ops::train::stopping::{audited_at, stopped_at};
use crate::outcome::{Accuracy, Outcome};
use crate::storage::{CurveRow, Event, Row, Training, plain};
use crate::training::TrainingEnd;

/// Returns the row of a training that has ended after `spent` seconds in this attempt; none when it
/// has no result.
pub(crate) fn result_row(
    experiment: &Experiment,
    claim: &Claim,
    ending: &TrainingEnd,
    curve: &CurveInProgress,
    spent: f64,
) -> Option<Row> {
    let config = experiment.config();
    let start = curve.last_start();
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
        train_seconds: spent + curve.kept_seconds(),
        lost_seconds: curve.lost_seconds(),
        time: Timestamp::now().into(),
    };
    let classes = config.space.image().classes;
    let threshold = config.early_stopping.threshold;
    let reward = |outcome| config.reward.reward(&outcome, classes).map(Accuracy::value);
    match ending {
        TrainingEnd::Done => {
            let summary = curve.summary()?;
            let reward = reward(Outcome::Trained { best: summary.best, last: summary.last })?;
            let row = claim.row.result(Event::Trained, &training).with_curve(Some(summary));
            let row = Row { reward: Some(reward), ..row };
            Some(match audited_at(experiment, claim.attempt.iteration, start) {
                Some(at) => Row { audit: Some(true), ..with_verdict(row, at, threshold) },
                None => row,
            })
        }
        TrainingEnd::Stopped => {
            let at = stopped_at(experiment, start)?;
            let saved = curve.seconds_left(config.recipe.epochs, training.train_seconds);
            let reward = reward(Outcome::Stopped { predicted: at.predicted_accuracy? })?;
            let row =
                claim.row.result(Event::Stopped, &training).with_curve(Some(curve.summary()?));
            let row = Row { reward: Some(reward), saved_seconds: Some(saved), ..row };
            Some(with_verdict(row, at, threshold))
        }
        TrainingEnd::Failed { reason } => {
            let curve = curve.summary().filter(|_| passed);
            let reward = reward(Outcome::Failed { best: curve.map(|curve| curve.best) })?;
            let row = claim.row.result(Event::Failed, &training).with_curve(curve);
            Some(Row { reward: Some(reward), reason: plain(reason), ..row })
        }
        TrainingEnd::OutOfMemory { peak_bytes } => {
            let reason = peak_bytes
                .map_or_else(String::new, |bytes| format!("{bytes} bytes in use at most"));
            let reward = reward(Outcome::OutOfMemory);
            let row = claim.row.result(Event::OutOfMemory, &training);
            Some(Row { reward, reason: plain(&reason), ..row })
        }
        TrainingEnd::Interrupted => None,
    }
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
