//! A small search made by hand: every status, a restart, texts that a spreadsheet would change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::finals::{FinalNetwork, FinalRepeat, Finals, NetworkRole, Outputs, Read, SearchFacts};
use super::search::{EarlyStopping, QValue, SearchData};
use super::summary::{HostTally, JobQueue, Summary, WaitingJobs};
use crate::outcome::Accuracy;
use crate::predictor::{AuditFindings, Scores};
use crate::q_learning::{Epsilon, EpsilonStage, StageCounts};
use crate::space::{Action, Bin, LastLayer, Layer, StateKey};
use crate::storage::{Attempt, Curve, CurveRow, Event, Iteration, Row, Time};

pub(super) const SMALL: &str = "[C(64,3,1), C(64,3,1), D(1,1), SM(10)]";
pub(super) const BARE: &str = "[SM(10)]";
pub(super) const POOLED: &str = "[C(128,5,1), P(2,2), D(1,2), GAP(10), SM(10)]";
pub(super) const DENSE: &str =
    "[C(64,3,1), P(2,2), D(1,4), C(64,3,1), P(5,3), D(2,4), FC(128), D(3,4), SM(10)]";
pub(super) const WIDE: &str = "[C(512,5,1), C(512,5,1), D(1,1), SM(10)]";

/// Returns the time so many minutes into the search.
fn minute(minutes: i64) -> Time {
    let start: Timestamp = "2026-03-01T12:00:00.250Z".parse().unwrap();
    (start + SignedDuration::from_mins(minutes)).into()
}

pub(super) fn search(trainer: &'static str) -> SearchData {
    let stages = [(1.0, 5), (0.5, 2), (0.1, 4)].map(|(epsilon, architectures)| {
        let epsilon = Some(Epsilon::new(epsilon).unwrap());
        (EpsilonStage { epsilon, architectures }, StageCounts::default())
    });
    let scores = |sigma, r_squared, mean_absolute_error| {
        (sigma, Scores { r_squared: Some(r_squared), mean_absolute_error })
    };
    SearchData {
        experiment: "svhn".into(),
        trainer,
        epochs: 3,
        validation_images: Some(1_000),
        stages: stages.into(),
        iterations: iterations(),
        early_stopping: EarlyStopping {
            enabled: true,
            burn_in: 2,
            full_curves: 3,
            predictor_curves: Some(2),
            findings: AuditFindings { audited: 4, false_stops: 1, switched_off_after: None },
            ..EarlyStopping::default()
        },
        curves: curves(),
        q_values: q_values(),
        initial_q_value: 0.5,
        predictor_networks: 2,
        predictor_scores: vec![scores(0.05, 0.75, 0.04), scores(0.02, 0.95, 0.0125)],
        ..SearchData::default()
    }
}

pub(super) fn summary(search: &SearchData) -> Summary {
    let host = |host: &str, results, lost, last_reason: Option<&str>| HostTally {
        host: host.to_owned(),
        results,
        lost,
        refused: 0,
        failures_in_a_row: lost,
        last_reason: last_reason.map(str::to_owned),
        bad: lost > 0,
    };
    let waiting = WaitingJobs {
        jobs: 3,
        reason: "Priority".to_owned(),
        meaning: Some("waits for others with higher priority".to_owned()),
    };
    Summary {
        round: Some(2),
        queue: Some(JobQueue { running: 1, waiting: vec![waiting], ..JobQueue::default() }),
        epsilon: Some(0.5),
        started_at: Some(minute(0)),
        hosts: vec![host("node7", 0, 3, Some("its array has ended")), host("node8", 1, 0, None)],
        ..Summary::of(search)
    }
}

/// An iteration of which only number and event are known.
pub(super) fn iteration(number: u64, event: Event) -> Row {
    Row { iteration: Some(Iteration(number)), ..Row::new(event) }
}

fn sampled(number: u64, event: Event, epsilon: f64, architecture: &str) -> Row {
    Row {
        epsilon: Some(epsilon),
        round: Some(if epsilon == 1.0 { 1 } else { 2 }),
        architecture: Some(architecture.into()),
        view: Some(if epsilon == 1.0 { 0 } else { 12 }),
        time: Some(minute(number as i64)),
        repeat: Some(1),
        ..iteration(number, event)
    }
}

fn begun(row: Row, parameters: u64, macs: u64, layers: u32) -> Row {
    let number = row.iteration.unwrap().0;
    Row {
        attempt: Some(1),
        parameters: Some(parameters),
        macs: Some(macs),
        layers: Some(layers),
        device: Some("NVIDIA H100".into()),
        host: Some("gpu-07".into()),
        job: Some("4183220".into()),
        task: Some(number.to_string().into()),
        started_at: Some(minute(number as i64 - 1)),
        predictor: (row.view == Some(12)).then_some(100),
        ..row
    }
}

/// Iterations 1 to 11.
pub(super) fn iterations() -> Vec<Row> {
    use Event::*;
    let trained = |row: Row, best: f64, last: f64| Row {
        reward: Some(best),
        best_validation_accuracy: Some(best),
        best_epoch: Some(2),
        last_validation_accuracy: Some(last),
        epochs: Some(3),
        learning_rate: Some(0.001),
        restarts: Some(0),
        train_seconds: Some(360.5),
        ..row
    };
    vec![
        trained(begun(sampled(1, Trained, 1.0, SMALL), 694_090, 40_500_000, 2), 0.75, 0.74),
        trained(begun(sampled(2, Trained, 1.0, BARE), 30_730, 30_720, 0), 2.0 / 3.0, 0.5),
        Row {
            reward: Some(0.1),
            epochs: Some(1),
            restarts: Some(5),
            train_seconds: Some(90.0),
            reason: Some("no learning rate passed the first-epoch test".into()),
            ..begun(sampled(3, Failed, 1.0, DENSE), 50_634, 2_000_000, 5)
        },
        Row {
            of_iteration: Some(Iteration(1)),
            reward: Some(0.75),
            ..sampled(4, Reused, 1.0, SMALL)
        },
        Row {
            reason: Some("=1+1, says the trainer: see\n/home/ada/experiment/curves/5.log".into()),
            host: Some("may12".into()),
            lost_seconds: Some(12.0),
            ..begun(sampled(5, Lost, 1.0, POOLED), 11_118, 9_931_364, 3)
        },
        Row {
            reason: Some("peak of 3.5 GiB".into()),
            device: Some("cpu".into()),
            ..begun(sampled(6, OutOfMemory, 1.0, WIDE), 11_840_010, 6_750_000_000, 2)
        },
        Row {
            best_validation_accuracy: Some(0.95),
            reward: Some(0.95),
            ..sampled(7, Imported, 0.5, "[C(256,1,1), GAP(10), SM(10)]")
        },
        Row {
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
        Row {
            of_iteration: Some(Iteration(9)),
            ..sampled(10, Pending, 0.5, "[C(64,5,1), SM(10)]")
        },
        Row { attempt: Some(1), ..iteration(11, Void) },
    ]
}

fn epoch(epoch: u32, start: u32, accuracy: f64) -> CurveRow {
    CurveRow {
        epoch,
        start,
        learning_rate: Some(if start == 1 { 0.001 } else { 0.0004 }),
        training_loss: Some(2.25 / f64::from(epoch)),
        training_accuracy: Some(Accuracy::new(accuracy + 0.01).unwrap()),
        validation_loss: None,
        validation_accuracy: Accuracy::new(accuracy).ok(),
        seconds: Some(120.25),
        time: minute(2 * i64::from(epoch)),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

/// Returns the curve of a first attempt.
pub(super) fn curve(number: u64, rows: impl IntoIterator<Item = CurveRow>) -> (Attempt, Curve) {
    let mut curve = Curve::default();
    rows.into_iter().for_each(|row| curve.rows.push(row));
    (Attempt { iteration: Iteration(number), number: 1 }, curve)
}

pub(super) fn three_epochs() -> [CurveRow; 3] {
    [epoch(1, 1, 0.6), epoch(2, 1, 0.75), epoch(3, 1, 0.74)]
}

fn curves() -> BTreeMap<Attempt, Curve> {
    // The first start fails its test; its loss is not a number.
    let failed = CurveRow { training_loss: Some(f64::NAN), ..epoch(1, 1, 0.1) };
    let stopped = CurveRow {
        predicted_accuracy: Some(0.41),
        sigma: Some(0.05),
        stop_probability: Some(1.0),
        y_best: Some(0.95),
        ..epoch(1, 2, 0.35)
    };
    BTreeMap::from([curve(8, [failed, stopped]), curve(1, three_epochs())])
}

fn q_values() -> Vec<QValue> {
    let classes = 10;
    let softmax = Layer::Softmax { classes };
    let key = |depth, last, bin| StateKey { depth, last, bin };
    let conv = key(1, LastLayer::Conv { filters: 64, kernel: 3, stride: 1 }, Bin::Eight);
    let pool = key(2, LastLayer::Pool { kernel: 5, stride: 3 }, Bin::Four);
    let dense = key(3, LastLayer::FullyConnected { index: 0, width: 128 }, Bin::One);
    let gap = key(3, LastLayer::GlobalAveragePool, Bin::One);
    let start = key(0, LastLayer::Start, Bin::Eight);
    let all: [(StateKey, Action, f64); 8] = [
        (start, softmax, 0.5),
        (start, Layer::Conv { filters: 64, kernel: 3, stride: 1 }, 0.5000396),
        (conv, softmax, 0.49996),
        (conv, Layer::Pool { kernel: 5, stride: 3 }, 0.5),
        (pool, Layer::FullyConnected { width: 128 }, 0.5000000000000001),
        (pool, Layer::GlobalAveragePool { classes }, 0.5),
        (dense, softmax, 0.5),
        (gap, softmax, 0.504),
    ];
    let q_value = |(state, action, value)| QValue {
        state,
        action,
        value,
        updates: Some(u64::from(value != 0.5)),
    };
    all.map(q_value).into()
}

fn outputs(model: &str, images: [[f32; 3]; 4], labels: [i64; 4]) -> Option<Outputs> {
    let (file, labels) = (format!("{model}.npz"), labels.to_vec());
    Some(Outputs { file, probabilities: images.concat(), labels, classes: 3 })
}

/// Four networks, of which a baseline fails; two seeds, four images, three classes.
///
/// Wrong images by seed: the top model 1 and 2; the other member 2 and 1; of both together, whose
/// sums stand beside the numbers of the latter, 1 and 0; the control 2 and 3.
pub(super) fn finals() -> Finals {
    let network = |role, architecture: &str, layers, search, validation| FinalNetwork {
        role,
        architecture: architecture.to_owned(),
        layers: Some(layers),
        parameters: Some(1000 * u64::from(layers)),
        search_accuracy: search,
        validation_accuracy: validation,
        seconds: 100.0,
        ..FinalNetwork::default()
    };
    let chosen = |network, number: u32, validation, tests: [_; 2]| {
        let repeats = (1..).zip(tests).map(|(repeat, images)| {
            let model = format!("2-whole-{:06}.1", 2 * (number - 1) + repeat);
            let test = outputs(&model, images, [0, 1, 2, 0]);
            let (model, seconds) = (Some(model), 150.25);
            FinalRepeat { repeat, seconds, model, test, ..FinalRepeat::default() }
        });
        let model = format!("1-validate-{number:06}.1");
        FinalNetwork {
            validation: outputs(&model, validation, [0, 1, 1, 2]),
            model: Some(model),
            repeats: repeats.collect(),
            ..network
        }
    };
    let sure = |class: usize| {
        let mut image = [0.0; 3];
        image[class] = 1.0;
        image
    };
    let top = chosen(
        network(NetworkRole::Top, SMALL, 2, Some(0.5), Some(0.75)),
        1,
        [sure(0), sure(1), sure(1), sure(0)],
        [
            [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.7, 0.2, 0.1]],
            [[0.4, 0.5, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]],
        ],
    );
    let deep = chosen(
        network(NetworkRole::PerDepth, DENSE, 4, Some(0.25), Some(0.5)),
        2,
        [sure(0), sure(1), sure(0), sure(0)],
        [
            // 0.8 1.0 0.2; 0.6 1.2 0.2; 0.3 0.8 0.9; 1.2 0.5 0.3.
            [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]],
            // 1.2 0.6 0.2; 0.6 1.2 0.2; 0.3 0.3 1.4; 0.9 0.9 0.2, of which the first is taken.
            [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.6, 0.1]],
        ],
    );
    let control = chosen(
        network(NetworkRole::Control, POOLED, 2, Some(0.375), Some(0.25)),
        3,
        [sure(0), sure(0), sure(0), sure(0)],
        [[sure(0); 4], [sure(1); 4]],
    );
    let baseline = FinalNetwork {
        problem: Some("diverged at epoch 3".to_owned()),
        ..network(NetworkRole::Baseline, WIDE, 2, None, None)
    };
    let read = |process| Read {
        host: "node7".to_owned(),
        process,
        time: minute(900 + i64::from(process)),
        plan: 1,
        models: vec!["2-whole-000001.1".to_owned()],
    };
    let texts =
        |texts: [[&str; 2]; 2]| texts.map(|[name, text]| (name.to_owned(), text.to_owned())).into();
    Finals {
        search: SearchFacts::of(&summary(&search("torch")), 7),
        seed: 7,
        trainer: "torch".to_owned(),
        images: "3 classes, 1 x 28 x 28".to_owned(),
        search_epochs: 3,
        final_epochs: 40,
        validation_images: Some(4),
        ensemble: 5,
        has_test_images: true,
        networks: vec![top, deep, baseline, control],
        reads: vec![read(11), read(12)],
        versions: texts([["metaqnn", "0.1.0"], ["libtorch", "2.11.0"]]),
        sha256: texts([["experiment.yaml", "5ca1ab1e"], ["final/networks.yaml", "0ddba11"]]),
        ..Finals::default()
    }
    .summed_up()
}

/// The authors' search, where their file is, which is not part of the project.
pub(super) fn authors() -> Option<SearchData> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/metaqnn-svhn/replay_database.csv");
    let Ok(mut reader) = csv::Reader::from_path(path) else { return None };
    let mut seen = BTreeSet::new();
    let mut iterations = Vec::new();
    for (number, row) in (1..).zip(reader.records()) {
        let row = row.unwrap();
        let accuracy: f64 = row[1].parse().unwrap();
        let is_new = seen.insert(row[0].to_owned());
        if accuracy <= 1.0 {
            let status = if is_new { Event::Imported } else { Event::Reused };
            iterations.push(Row {
                architecture: Some(row[0].into()),
                epsilon: Some(row[8].parse().unwrap()),
                reward: Some(accuracy),
                best_validation_accuracy: Some(accuracy),
                ..iteration(number, status)
            });
        }
    }
    Some(SearchData { iterations, ..SearchData::default() })
}
