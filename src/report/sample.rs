//! A small search made by hand: every status, a restart, texts that a spreadsheet would change.

use jiff::{SignedDuration, Timestamp};

use super::early_stopping::{EarlyStopping, PredictorRecord};
use super::hosts::*;
use super::records::*;
use super::settings::*;
use crate::predictor::{AuditFindings, Scores};
use crate::space::{Bin, LastLayer, Layer, StateKey};

pub(super) const SMALL: &str = "[C(64,3,1), C(64,3,1), D(1,1), SM(10)]";
pub(super) const BARE: &str = "[SM(10)]";
pub(super) const POOLED: &str = "[C(128,5,1), P(2,2), D(1,2), GAP(10), SM(10)]";
pub(super) const DENSE: &str =
    "[C(64,3,1), P(2,2), D(1,4), C(64,3,1), P(5,3), D(2,4), FC(128), D(3,4), SM(10)]";
pub(super) const WIDE: &str = "[C(512,5,1), C(512,5,1), D(1,1), SM(10)]";

/// Returns the time so many minutes into the search.
pub(super) fn minute(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00.250Z".parse().unwrap();
    start + SignedDuration::from_mins(minutes)
}

pub(super) fn settings(trainer: TrainedBy) -> SearchSettings {
    let stage = |epsilon, wanted| EpsilonStage { epsilon, wanted, exhausted: false };
    SearchSettings {
        experiment: "svhn".into(),
        trainer,
        epochs: 3,
        schedule: vec![stage(1.0, 5), stage(0.5, 2), stage(0.1, 4)],
    }
}

pub(super) fn state() -> SearchState {
    SearchState {
        condition: Condition::Active,
        round: Some(2),
        epsilon: Some(0.5),
        hosts: {
            let lost = |architecture| WorkEnd::Lost { architecture, reason: "its array has ended" };
            let ends = [("node7", lost("A")), ("node7", lost("B")), ("node7", lost("C"))];
            let ends = ends.into_iter().chain([("node8", WorkEnd::Result)]).enumerate();
            let task = |(place, (host, end))| HostTask { host, end, began: place, ended: place };
            Hosts::judge(ends.map(task)).tallies
        },
        early_stopping: early_stopping(),
        notices: Vec::new(),
    }
}

pub(super) fn early_stopping() -> EarlyStopping {
    let epoch = |sigma, r_squared, mean_absolute_error| {
        (sigma, Scores { r_squared: Some(r_squared), mean_absolute_error })
    };
    EarlyStopping {
        enabled: true,
        burn_in: 2,
        full_curves: 3,
        findings: AuditFindings { audited: 4, false_stops: 1, switched_off_after: None },
        predictor: Some(PredictorRecord {
            full_curves: 2,
            networks: 2,
            epochs: vec![epoch(0.05, 0.75, 0.04), epoch(0.02, 0.95, 0.0125)],
        }),
    }
}

fn sampled(iteration: u64, status: Status, epsilon: f64, architecture: &str) -> IterationRecord {
    IterationRecord {
        epsilon: Some(epsilon),
        round: Some(if epsilon == 1.0 { 1 } else { 2 }),
        architecture: Some(architecture.into()),
        view: Some(if epsilon == 1.0 { 0 } else { 12 }),
        time: Some(minute(iteration as i64)),
        repeat: Some(1),
        ..IterationRecord::new(iteration, status)
    }
}

fn begun(record: IterationRecord, parameters: u64, macs: u64, layers: u32) -> IterationRecord {
    IterationRecord {
        attempt: Some(1),
        parameters: Some(parameters),
        macs: Some(macs),
        layers: Some(layers),
        device: Some("NVIDIA H100".into()),
        host: Some("gpu-07".into()),
        job: Some(4_183_220),
        task: Some(record.iteration),
        started_at: Some(minute(record.iteration as i64 - 1)),
        first_started_at: Some(minute(record.iteration as i64 - 1)),
        predictor: (record.view == Some(12)).then_some(100),
        ..record
    }
}

/// Iterations 1 to 11, out of order as a reader might get them.
pub(super) fn iterations() -> Vec<IterationRecord> {
    use Status::*;
    let trained = |record: IterationRecord, best: f64, last: f64| IterationRecord {
        reward: Some(best),
        best_validation_accuracy: Some(best),
        best_epoch: Some(2),
        last_validation_accuracy: Some(last),
        epochs: Some(3),
        learning_rate: Some(0.001),
        restarts: Some(0),
        train_seconds: Some(360.5),
        ..record
    };
    let mut iterations = vec![
        trained(begun(sampled(1, Trained, 1.0, SMALL), 694_090, 40_500_000, 2), 0.75, 0.74),
        trained(begun(sampled(2, Trained, 1.0, BARE), 30_730, 30_720, 0), 2.0 / 3.0, 0.5),
        IterationRecord {
            reward: Some(0.1),
            epochs: Some(1),
            restarts: Some(5),
            train_seconds: Some(90.0),
            reason: Some("no learning rate passed the first-epoch test".into()),
            ..begun(sampled(3, Failed, 1.0, DENSE), 50_634, 2_000_000, 5)
        },
        IterationRecord {
            of_iteration: Some(1),
            reward: Some(0.75),
            ..sampled(4, Reused, 1.0, SMALL)
        },
        IterationRecord {
            reason: Some("=1+1, says the trainer: see\n/home/ada/experiment/curves/5.log".into()),
            host: Some("may12".into()),
            lost_seconds: Some(12.0),
            ..begun(sampled(5, Lost, 1.0, POOLED), 11_118, 9_931_364, 3)
        },
        IterationRecord {
            reason: Some("peak of 3.5 GiB".into()),
            device: Some("cpu".into()),
            ..begun(sampled(6, OutOfMemory, 1.0, WIDE), 11_840_010, 6_750_000_000, 2)
        },
        IterationRecord {
            best_validation_accuracy: Some(0.95),
            reward: Some(0.95),
            ..sampled(7, Imported, 0.5, "[C(256,1,1), GAP(10), SM(10)]")
        },
        IterationRecord {
            reward: Some(0.41),
            best_validation_accuracy: Some(0.35),
            best_epoch: Some(1),
            last_validation_accuracy: Some(0.35),
            epochs: Some(1),
            predicted_accuracy: Some(0.41),
            sigma: Some(0.05),
            y_best: Some(0.95),
            stop_probability: Some(1.0),
            threshold: Some(0.99),
            audit: Some(false),
            learning_rate: Some(0.0004),
            restarts: Some(1),
            train_seconds: Some(120.0),
            saved_seconds: Some(240.0),
            ..begun(sampled(8, Stopped, 0.5, "[C(64,1,1), SM(10)]"), 655_626, 851_968, 1)
        },
        begun(sampled(9, Claimed, 0.5, "[C(64,5,1), SM(10)]"), 660_234, 5_570_560, 1),
        IterationRecord {
            of_iteration: Some(9),
            ..sampled(10, Pending, 0.5, "[C(64,5,1), SM(10)]")
        },
        IterationRecord { attempt: Some(1), ..IterationRecord::new(11, Void) },
    ];
    iterations.rotate_left(4);
    iterations
}

fn epoch(epoch: u32, start: u32, accuracy: f64) -> EpochRecord {
    EpochRecord {
        epoch,
        start,
        learning_rate: Some(if start == 1 { 0.001 } else { 0.0004 }),
        training_loss: Some(2.25 / f64::from(epoch)),
        training_accuracy: Some(accuracy + 0.01),
        validation_loss: None,
        validation_accuracy: accuracy,
        seconds: Some(120.25),
        time: Some(minute(2 * i64::from(epoch))),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

pub(super) fn curves() -> Vec<CurveRecord> {
    vec![
        // The first start fails its test; its loss is not a number.
        CurveRecord {
            iteration: 8,
            attempt: 1,
            epochs: vec![
                EpochRecord { training_loss: Some(f64::NAN), ..epoch(1, 1, 0.1) },
                EpochRecord {
                    predicted_accuracy: Some(0.41),
                    sigma: Some(0.05),
                    stop_probability: Some(1.0),
                    y_best: Some(0.95),
                    ..epoch(1, 2, 0.35)
                },
            ],
        },
        CurveRecord {
            iteration: 1,
            attempt: 1,
            epochs: vec![epoch(1, 1, 0.6), epoch(2, 1, 0.75), epoch(3, 1, 0.74)],
        },
    ]
}

pub(super) fn q_values() -> Vec<QValueRecord> {
    let classes = 10;
    let softmax = Layer::Softmax { classes };
    let key = |depth, last, bin| StateKey { depth, last, bin };
    let conv = key(1, LastLayer::Conv { filters: 64, kernel: 3, stride: 1 }, Bin::Eight);
    let pool = key(2, LastLayer::Pool { kernel: 5, stride: 3 }, Bin::Four);
    let dense = key(3, LastLayer::FullyConnected { index: 0, width: 128 }, Bin::One);
    let gap = key(3, LastLayer::GlobalAveragePool, Bin::One);
    let start = key(0, LastLayer::Start, Bin::Eight);
    [
        (dense, softmax, 0.5),
        (gap, softmax, 0.504),
        (conv, softmax, 0.49996),
        (conv, Layer::Pool { kernel: 5, stride: 3 }, 0.5),
        (pool, Layer::FullyConnected { width: 128 }, 0.5000000000000001),
        (pool, Layer::GlobalAveragePool { classes }, 0.5),
        (start, softmax, 0.5),
        (start, Layer::Conv { filters: 64, kernel: 3, stride: 1 }, 0.5000396),
    ]
    .map(|(state, action, q_value)| QValueRecord { state, action, q_value })
    .to_vec()
}
