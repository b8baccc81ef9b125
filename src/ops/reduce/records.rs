//! From rows of the log to what a report shows: one record an iteration.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::ops::Experiment;
use crate::ops::snapshot::Snapshot;
use crate::ops::train::stopping::audit_findings;
use crate::ops::train::task::LOCAL;
use crate::outcome::Accuracy;
use crate::q_learning::QTable;
use crate::report::{
    CurveRecord, EarlyStopping, EpochRecord, EpsilonStage, IterationRecord, PredictorRecord,
    QValueRecord, SearchSettings, Status, TrainedBy,
};
use crate::storage::{
    Attempt, Curve, CurveRow, Event, Iteration, Knowledge, Row, StorageError, Time,
};
use crate::training::TrainerKind;

/// Returns what the configuration says of a search, who trained, and which epsilons were closed.
pub(crate) fn settings(
    experiment: &Experiment,
    knowledge: &Knowledge,
    iterations: &[IterationRecord],
) -> SearchSettings {
    let config = experiment.config();
    let counts = knowledge.stage_counts(&config.schedule);
    let recipe = config.recipe.recipe();
    let configured = match recipe.trainer {
        TrainerKind::Torch => TrainedBy::Torch,
        TrainerKind::Command => TrainedBy::Command,
        TrainerKind::Synthetic => TrainedBy::Synthetic,
    };
    SearchSettings {
        experiment: config.experiment().name.clone(),
        trainer: TrainedBy::of(configured, iterations),
        epochs: recipe.epochs,
        schedule: config
            .schedule
            .stages()
            .iter()
            .zip(&counts)
            .map(|(stage, counts)| EpsilonStage {
                epsilon: stage.epsilon.value(),
                wanted: stage.architectures,
                exhausted: counts.exhausted,
            })
            .collect(),
    }
}

/// Returns one record an iteration, in their order; seconds are summed over all rows of an iteration.
pub(crate) fn iterations(rows: &[Row]) -> Vec<IterationRecord> {
    let mut records: BTreeMap<Iteration, IterationRecord> = BTreeMap::new();
    for row in rows {
        let (Some(iteration), Some(status)) = (row.iteration, status(row.event)) else { continue };
        let before =
            records.remove(&iteration).unwrap_or_else(|| IterationRecord::new(iteration.0, status));
        records.insert(iteration, after(before, row, status));
    }
    records.into_values().collect()
}

/// Returns the record of an iteration after one more of its rows: what that row does not tell of
/// the draw and of the attempt stays as it was; what it does not tell of a result is not known.
fn after(before: IterationRecord, row: &Row, status: Status) -> IterationRecord {
    let sum = |total: Option<f64>, more: Option<f64>| match (total, more) {
        (None, None) => None,
        (total, more) => Some(total.unwrap_or(0.0) + more.unwrap_or(0.0)),
    };
    // The result that came late of a claim that was lost holds the seconds that were counted as lost.
    let came_late =
        status.is_result() && before.status == Status::Lost && before.attempt == row.attempt;
    let lost_before = before.lost_seconds.filter(|_| !came_late);
    IterationRecord {
        iteration: before.iteration,
        status,
        epsilon: row.epsilon.or(before.epsilon),
        round: row.round.or(before.round),
        attempt: row.attempt.or(before.attempt),
        architecture: row.architecture.clone().or(before.architecture),
        of_iteration: row.of_iteration.map(|of| of.0),
        reward: row.reward,
        best_validation_accuracy: row.best_validation_accuracy,
        best_epoch: row.best_epoch,
        last_validation_accuracy: row.last_validation_accuracy,
        epochs: row.epochs,
        predicted_accuracy: row.predicted_accuracy,
        sigma: row.sigma,
        y_best: row.y_best,
        stop_probability: row.stop_probability,
        threshold: row.threshold,
        audit: row.audit,
        parameters: row.parameters,
        macs: row.macs,
        layers: row.layers,
        learning_rate: row.learning_rate,
        restarts: row.restarts,
        train_seconds: sum(before.train_seconds, row.train_seconds),
        saved_seconds: sum(before.saved_seconds, row.saved_seconds),
        lost_seconds: sum(lost_before, row.lost_seconds),
        view: row.view.or(before.view),
        reason: row.reason.clone(),
        device: row.device.clone().or(before.device),
        host: row.host.clone().or(before.host),
        job: number_of(row.job.as_deref(), row.job.as_deref()).or(before.job),
        task: number_of(row.job.as_deref(), row.task.as_deref()).or(before.task),
        started_at: row.started_at.map(Time::timestamp).or(before.started_at),
        // A claim's own time is when its attempt began.
        first_started_at: before.first_started_at.or_else(|| {
            let claimed_at = row.time.filter(|_| status == Status::Claimed);
            row.started_at.or(claimed_at).map(Time::timestamp)
        }),
        time: row.time.map(Time::timestamp).or(before.time),
        repeat: row.repeat.or(before.repeat),
        predictor: row.predictor.or(before.predictor),
        strategy: row.strategy.clone().or(before.strategy),
    }
}

/// A local process is no number of a scheduler.
fn number_of(job: Option<&str>, text: Option<&str>) -> Option<u64> {
    if job == Some(LOCAL) { None } else { text?.parse().ok() }
}

fn status(event: Event) -> Option<Status> {
    Some(match event {
        Event::Claimed => Status::Claimed,
        Event::Pending => Status::Pending,
        Event::Trained => Status::Trained,
        Event::Stopped => Status::Stopped,
        Event::Failed => Status::Failed,
        Event::OutOfMemory => Status::OutOfMemory,
        Event::Imported => Status::Imported,
        Event::Reused => Status::Reused,
        Event::Lost => Status::Lost,
        Event::Void => Status::Void,
        Event::Exhausted | Event::Halted | Event::Resumed | Event::Set | Event::Repaired => {
            return None;
        }
    })
}

/// Reads the curves that count: those of the attempts whose results stand in the log. One that is
/// damaged is left out, with a notice: the tables must not end the search.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn curves(
    experiment: &Experiment,
    iterations: &[IterationRecord],
) -> anyhow::Result<(Vec<CurveRecord>, Vec<String>)> {
    let results = iterations.par_iter().filter(|record| record.status.is_result());
    let attempts = results.filter_map(|record| {
        Some(Attempt { iteration: Iteration(record.iteration), number: record.attempt? })
    });
    // Many small files, which a server gives faster when several are asked for.
    let read = attempts.filter_map(|attempt| curve(experiment, attempt).transpose());
    let (mut curves, mut notices) = (Vec::new(), Vec::new());
    for curve in read.collect::<Vec<_>>() {
        match curve {
            Ok(curve) => curves.push(curve),
            Err(error) => {
                let error = anyhow::Error::from(error);
                notices.push(format!("a learning curve is left out of the tables: {error:#}"));
            }
        }
    }
    Ok((curves, notices))
}

/// Reads the curve of an attempt; none of a network that does not fit, which has no epoch.
fn curve(experiment: &Experiment, attempt: Attempt) -> Result<Option<CurveRecord>, StorageError> {
    let path = experiment.dir().curve(attempt);
    if !path.exists() {
        return Ok(None);
    }
    let curve = Curve::read(&path)?;
    Ok(Some(CurveRecord {
        iteration: attempt.iteration.0,
        attempt: attempt.number,
        epochs: curve.rows().iter().map(epoch).collect(),
    }))
}

fn epoch(row: &CurveRow) -> EpochRecord {
    EpochRecord {
        epoch: row.epoch,
        start: row.start,
        learning_rate: row.learning_rate,
        training_loss: row.training_loss,
        training_accuracy: row.training_accuracy.map(Accuracy::value),
        validation_loss: row.validation_loss,
        validation_accuracy: row.validation_accuracy.value(),
        seconds: row.seconds,
        time: Some(row.time.timestamp()),
        predicted_accuracy: row.predicted_accuracy,
        sigma: row.sigma,
        stop_probability: row.stop_probability,
        y_best: row.y_best,
    }
}

/// Returns the predictor of the newest view, and what the audits have shown.
///
/// # Errors
/// A view whose predictor cannot be read.
pub(crate) fn early_stopping(
    experiment: &Experiment,
    snapshot: &Snapshot,
) -> anyhow::Result<EarlyStopping> {
    let params = experiment.config().early_stopping.params();
    let knowledge = snapshot.knowledge();
    Ok(EarlyStopping {
        enabled: params.enabled,
        burn_in: params.burn_in as u64,
        full_curves: knowledge.full_curves() as u64,
        findings: audit_findings(experiment, knowledge),
        predictor: snapshot.predictor()?.map(|(full_curves, fitted)| PredictorRecord {
            full_curves: full_curves as u64,
            networks: fitted.examples().len() as u64,
            epochs: fitted.scores().collect(),
        }),
    })
}

/// Returns the entries of the Q-table in the order of their states and actions.
pub(crate) fn q_values(q_table: &QTable) -> Vec<QValueRecord> {
    q_table
        .rows()
        .flat_map(|(state, values)| {
            values.iter().map(move |&(action, q_value)| QValueRecord { state, action, q_value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn row(iteration: u64, event: Event) -> Row {
        Row { iteration: Some(Iteration(iteration)), ..Row::new(event) }
    }

    #[test]
    fn seconds_of_a_late_result_are_lost_no_more() {
        let lost = |attempt| Row {
            attempt: Some(attempt),
            lost_seconds: Some(50.0),
            ..row(1, Event::Lost)
        };
        let late = Row {
            attempt: Some(1),
            train_seconds: Some(60.0),
            lost_seconds: Some(1.0),
            ..row(1, Event::Trained)
        };
        let seconds = |rows: [Row; 2]| {
            let record = &iterations(&rows)[0];
            (record.train_seconds, record.lost_seconds)
        };
        assert_eq!(seconds([lost(1), late.clone()]), (Some(60.0), Some(1.0)));
        // Another attempt has spent its own.
        assert_eq!(seconds([lost(2), late]), (Some(60.0), Some(51.0)));
    }

    #[test]
    fn a_training_that_was_taken_up_again_began_with_its_first_attempt() {
        let [first, second] = [5, 9].map(|second| Timestamp::from_second(second).unwrap());
        let claim = |at: Timestamp| Row { time: Some(at.into()), ..row(1, Event::Claimed) };
        let result = Row { started_at: Some(second.into()), ..row(1, Event::Trained) };
        let record = &iterations(&[claim(first), claim(second), result])[0];
        assert_eq!((record.first_started_at, record.started_at), (Some(first), Some(second)));
    }

    #[test]
    fn the_last_event_decides_and_seconds_add_up() {
        let rows = [
            Row {
                attempt: Some(1),
                job: Some("7".into()),
                task: Some("3".into()),
                ..row(1, Event::Claimed)
            },
            Row {
                lost_seconds: Some(5.0),
                attempt: Some(1),
                reason: Some("gone".into()),
                ..row(1, Event::Lost)
            },
            Row { train_seconds: Some(60.0), reward: Some(0.5), ..row(1, Event::Trained) },
            Row {
                job: Some(LOCAL.into()),
                task: Some("n1:ab:1:2".into()),
                ..row(2, Event::Claimed)
            },
            Row::new(Event::Halted),
        ];
        let records = iterations(&rows);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].status, Status::Trained);
        assert_eq!((records[0].train_seconds, records[0].lost_seconds), (Some(60.0), Some(5.0)));
        assert_eq!(
            (records[0].job, records[0].task, records[0].reason.as_deref()),
            (Some(7), Some(3), None)
        );
        assert_eq!((records[1].job, records[1].task), (None, None));
    }
}
