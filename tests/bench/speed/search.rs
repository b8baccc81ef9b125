//! A search of many iterations, written through the library: valid rows, curves, and no training.

use std::fs;
use std::path::Path;

use metaqnn::internals::Record;
use metaqnn::internals::{
    Attempt, Claimant, Curve, CurveRow, Event, Knowledge, Row, Time, Trust, WritableReplayLog,
};
use metaqnn::internals::{Experiment, init};
use metaqnn::outcome::Accuracy;
use metaqnn::q_learning::{Epsilon, QTable, sample_trajectory};
use metaqnn::seed::{Purpose, generator};
use metaqnn::space::{Candidate, Space};
use rand::Rng;

/// The space of the paper's SVHN search; a schedule that goes on far beyond what is written here.
const CONFIGURATION: &str = "
experiment: {name: bench, seed: 1}
data: {classes: 10, input_size: 32, channels: 3}
epsilon_schedule:
  - {epsilon: 1.0, architectures: FIRST}
  - {epsilon: 0.5, architectures: 1000000}
training: {trainer: synthetic, epochs: 1, synthetic_epoch_seconds: 0.2}
slurm: {architectures_per_task: PER_TASK}
";

/// Of 16,466 networks.
const SMALL_SPACE: &str =
    "max_layers: 6, filters: [64, 128], kernels: [1, 3], fc_widths: [128], pools: [[2, 2]]";

/// Epochs of a written curve, as many as the paper's.
const EPOCHS: u32 = 20;

/// What an experiment is to be.
#[derive(Clone, Copy)]
pub struct SearchPlan {
    /// Architectures that have a result.
    pub results: u64,
    /// The epsilon at which more are drawn.
    pub epsilon: f64,
    /// How many a task trains.
    pub per_task: u32,
}

/// Makes an experiment in `folder`.
pub fn write(folder: &Path, plan: SearchPlan) -> Experiment {
    // All of them were drawn at epsilon 1, which wants no more, or endlessly more.
    let first = if plan.epsilon < 1.0 { plan.results } else { 1_000_000 };
    let text = CONFIGURATION
        .replace("FIRST", &first.to_string())
        .replace("PER_TASK", &plan.per_task.to_string());
    let experiment = init_in(folder, &text);
    let rows = rows(&experiment.config().space, plan.results);
    append(&experiment, &rows);
    for row in rows.iter().filter(|row| row.event == Event::Trained) {
        write_curve(&experiment, row);
    }
    experiment
}

/// Makes an experiment of a strategy, which draws the next network at epsilon 0.5 or at none.
pub fn of_strategy(folder: &Path, kind: &str, results: u64) -> Experiment {
    let networks = [64, 128, 256, 512]
        .into_iter()
        .flat_map(|filters| [1, 3, 5].map(|kernel| format!("[C({filters},{kernel},1), SM(10)]")));
    let networks: Vec<String> = networks.collect();
    let has_epsilon = ["q_learning", "exploit_best"].contains(&kind);
    let keys = match kind {
        "list" => format!(", list: {{repeats: 1000, architectures: {networks:?}}}"),
        "exhaustive" => format!("}}\nsearch_space: {{{SMALL_SPACE}"),
        _ if has_epsilon => String::new(),
        _ => ", architectures: 1000000".to_owned(),
    };
    let text = CONFIGURATION.replace("FIRST", &results.to_string()).replace("PER_TASK", "1");
    let experiment = init_in(folder, &format!("{text}strategy: {{kind: {kind}{keys}}}\n"));
    let space = &experiment.config().space;
    let repeats = |architecture: String| {
        (1..=1000).map(move |repeat| Candidate { repeat, ..Candidate::once(architecture.clone()) })
    };
    let all = || space.architectures().into_iter().map(|it| Candidate::once(it.to_string()));
    let rows = match kind {
        "list" => rows_of(networks.into_iter().flat_map(repeats), None, results),
        "exhaustive" => rows_of(all(), None, results),
        _ => rows_of(at_random(space), has_epsilon.then_some(Epsilon::RANDOM), results),
    };
    append(&experiment, &rows);
    experiment
}

fn init_in(folder: &Path, text: &str) -> Experiment {
    let file = folder.join("config.yaml");
    fs::write(&file, text).unwrap();
    let config = init::load(&file, &[]).unwrap();
    init::init(config, &folder.join("search"), Trust::Owner).unwrap()
}

fn append(experiment: &Experiment, rows: &[Row]) {
    let mut log = WritableReplayLog::open(experiment.dir()).unwrap();
    log.lock_exclusive().unwrap().append(rows).unwrap();
}

fn at_random(space: &Space) -> impl Iterator<Item = Candidate> {
    let table = QTable::new(space.clone(), 0.5);
    (1..).map(move |iteration| {
        let mut rng = generator(1, Purpose::Sample, iteration, 0);
        Candidate::once(sample_trajectory(&table, Epsilon::RANDOM, &mut rng).to_string())
    })
}

/// The rows of random draws, each trained at once, until so many architectures have a result.
pub fn rows(space: &Space, results: u64) -> Vec<Row> {
    rows_of(at_random(space), Some(Epsilon::RANDOM), results)
}

/// Those of given draws; at no epsilon known networks are passed over.
fn rows_of(
    candidates: impl Iterator<Item = Candidate>,
    epsilon: Option<Epsilon>,
    results: u64,
) -> Vec<Row> {
    let mut knowledge = Knowledge::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut rng = generator(1, Purpose::Weights, 0, 0);
    for candidate in candidates {
        if knowledge.known.len() as u64 == results {
            break;
        }
        if epsilon.is_none() && knowledge.known.contains_key(&candidate) {
            continue;
        }
        let draw = knowledge.draw(&candidate, epsilon, &claimant());
        knowledge.apply(&draw).unwrap();
        rows.push(draw.clone());
        if draw.event == Event::Claimed {
            let result = trained(&draw, rng.random());
            let Record::Append(written) = knowledge.record(&result).unwrap() else {
                unreachable!("the architecture is new")
            };
            written.iter().for_each(|row| knowledge.apply(row).unwrap());
            rows.extend(written);
        }
    }
    rows
}

fn trained(claim: &Row, accuracy: f64) -> Row {
    Row {
        event: Event::Trained,
        reward: Some(accuracy),
        best_validation_accuracy: Some(accuracy),
        best_epoch: Some(17),
        last_validation_accuracy: Some(accuracy),
        epochs: Some(EPOCHS),
        parameters: Some(1_234_567),
        macs: Some(123_456_789),
        layers: Some(8),
        learning_rate: Some(0.001),
        restarts: Some(0),
        train_seconds: Some(321.5),
        lost_seconds: Some(0.0),
        started_at: claim.time,
        time: Some(time()),
        expires_at: None,
        ..claim.clone()
    }
}

fn write_curve(experiment: &Experiment, row: &Row) {
    let attempt = Attempt { iteration: row.iteration.unwrap(), number: 1 };
    let last = row.last_validation_accuracy.unwrap();
    let share = |value: f64| Accuracy::new(value).unwrap();
    let rows = (1..=EPOCHS)
        .map(|epoch| CurveRow {
            epoch,
            start: 1,
            learning_rate: Some(0.001),
            training_loss: Some(1.234_567),
            training_accuracy: Some(share(last / 2.0)),
            validation_loss: Some(1.345_678),
            validation_accuracy: Some(share(last * f64::from(epoch) / f64::from(EPOCHS))),
            seconds: Some(16.1),
            time: time(),
            predicted_accuracy: None,
            sigma: None,
            stop_probability: None,
            y_best: None,
        })
        .collect();
    Curve { rows }.replace(&experiment.dir().curve(attempt)).unwrap();
}

fn claimant() -> Claimant {
    Claimant {
        round: Some(3),
        predictor: None,
        view: Some(1_000),
        device: Some("0".into()),
        host: "node-17.cluster.example".into(),
        job: "1234567".into(),
        task: "42".into(),
        time: time(),
        expires_at: "2126-01-02T00:00:00Z".parse().unwrap(),
    }
}

fn time() -> Time {
    "2026-01-01T00:00:00Z".parse().unwrap()
}
