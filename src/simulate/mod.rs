//! Recorded curves walked through the stopping rule. Reads everything, appends nothing.
//!
//! What is replayed are the rows of a file ([`read_recorded`]),
//! or the networks of an experiment that were trained to the end. All that is computed is the
//! predictor's ([`crate::predictor`]).

mod columns;
mod curves_file;
mod error;
mod f_hyperband;
#[cfg(test)]
mod golden;
mod hyperband;
mod hyperband_summary;
mod ordered_fits;
mod recorded;
mod regressor_scores;
mod setting_summary;
mod simulation;
pub(crate) mod table;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::ops::reduce::refit::example;
use crate::ops::snapshot::Snapshot;
use crate::ops::{Experiment, Refusal};
use crate::predictor::{Better, Example, LearningCurve, MetricScale, PredictorParams, Regressor};
use crate::seed::{Purpose, generator};
use crate::storage::fs::publish;
use crate::storage::{Event, Row};
use crate::training::TrainerKind;

pub use columns::RecordedColumns;
pub use curves_file::{Recording, read_recorded};
pub use error::CurvesFileError;
pub use f_hyperband::{HyperbandParams, simulate_hyperband};
pub use hyperband_summary::HyperbandSummary;
pub use ordered_fits::SearchScope;
pub use recorded::{Orders, RecordedCurves};
pub use regressor_scores::{EpochScore, score_regressor};
pub use setting_summary::SettingSummary;
pub use simulation::{Simulation, SimulationParams, TraceRow, simulate};

/// How a file of recorded curves is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Which columns are the curve and the features.
    pub columns: RecordedColumns,
    /// Which way its metric is good.
    pub better: Better,
    /// Whether its logarithm is taken first.
    pub scale: MetricScale,
}

/// Curves to replay, and what a person should know of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The file or experiment.
    pub path: PathBuf,
    /// Its networks.
    pub curves: RecordedCurves,
    /// What was read, in one line.
    pub summary: String,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// Reads a file, or the fully trained networks of an experiment.
///
/// # Errors
/// When it is neither, something in it cannot be used, or a way of reading is asked for that
/// an experiment does not have.
pub fn read(path: &Path, reading: &Reading) -> anyhow::Result<Replayed> {
    let found = if path.is_dir() { of_experiment(path, reading)? } else { of_file(path, reading)? };
    let name = format!("`{}`", path.display());
    let curves = RecordedCurves::new(found.networks).with_context(|| name.clone())?;
    let (networks, epochs) = (curves.networks(), curves.epochs());
    let summary = format!("{name}: {networks} networks of {epochs} epochs; {}", found.read_as);
    Ok(Replayed { path: path.to_owned(), curves, summary, warnings: found.warnings })
}

/// Networks, how they were read, and what is odd about them.
struct Found {
    networks: Vec<(String, Example)>,
    read_as: String,
    warnings: Vec<String>,
}

fn of_file(path: &Path, reading: &Reading) -> anyhow::Result<Found> {
    let Reading { columns, better, scale } = reading;
    let Recording { networks, curve, features, left_out, other_curves } =
        read_recorded(path, columns, *better, *scale)?;
    let mut read_as = format!("curve `{curve}`, features: {}", listed(&features));
    if !left_out.is_empty() {
        read_as.push_str(&format!("; left out, since not all numbers: {}", listed(&left_out)));
    }
    let mut warnings = Vec::new();
    if !other_curves.is_empty() {
        warnings.push(format!(
            "the features hold another curve whole, which a network in training has only the start of: {} (name the features with `--features`)",
            listed(&other_curves)
        ));
    }
    Ok(Found { networks, read_as, warnings })
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn of_experiment(path: &Path, reading: &Reading) -> anyhow::Result<Found> {
    let experiment = Experiment::open(path)?;
    let means_nothing = [
        ("--curve", reading.columns.curve.is_some()),
        ("--features", reading.columns.features.is_some()),
        ("--loss", reading.better == Better::Lower),
    ];
    if let Some((option, _)) = means_nothing.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Refusal::OnlyForFiles { dir: path.to_owned(), option }.into());
    }
    let rows = Snapshot::read(&experiment)?.all_rows(&experiment)?;
    let trained: Vec<&Row> = rows.iter().filter(|row| row.event == Event::Trained).collect();
    let stopped = rows.iter().filter(|row| row.event == Event::Stopped).count();
    let mut warnings = Vec::new();
    if experiment.config().recipe.trainer == TrainerKind::Synthetic {
        warnings.push("the accuracies are made up (trainer `synthetic`)".to_owned());
    }
    if stopped > 0 {
        warnings.push(format!(
            "{stopped} networks were stopped and have no whole curve to replay, so that poor ones are rarer here than in a search"
        ));
    }
    let named = |row: &&Row| {
        let Example { features, curve } = example(&experiment, row)?;
        let id = row.iteration.unwrap_or_default().to_string();
        let curve = LearningCurve::recorded(curve.into(), Better::Higher, reading.scale)
            .with_context(|| format!("iteration {id}"))?;
        Ok((id, Example { features, curve }))
    };
    let networks = trained.iter().map(named).collect::<anyhow::Result<_>>()?;
    let read_as =
        "curve `validation_accuracy`, features: log10(parameters), layers, log10(learning_rate)";
    Ok(Found { networks, read_as: read_as.to_owned(), warnings })
}

/// Walks the networks through the stopping rule; `on_order` is told of each order that is done.
///
/// # Errors
/// When the parameters do not allow it.
pub fn stopping(
    curves: &RecordedCurves,
    params: &SimulationParams,
    seed: u64,
    on_order: &(dyn Fn() + Sync),
) -> anyhow::Result<Simulation> {
    Ok(simulate(curves, params, &mut generator(seed, Purpose::Simulation, 0, 0), on_order)?)
}

/// Runs Hyperband over the networks, with and without stopping inside its rungs.
///
/// # Errors
/// When there are too few networks for one run, or the parameters do not allow it.
pub fn hyperband(
    curves: &RecordedCurves,
    params: &SimulationParams,
    scheduler: &HyperbandParams,
    seed: u64,
    on_order: &(dyn Fn() + Sync),
) -> anyhow::Result<Vec<HyperbandSummary>> {
    let rng = &mut generator(seed, Purpose::Simulation, 0, 0);
    Ok(simulate_hyperband(curves, params, scheduler, rng, on_order)?)
}

/// Scores the regressor on the networks after the burn-in, epoch by epoch, and beside it the last
/// value seen; over the same orders as [`stopping`].
///
/// # Errors
/// When the parameters do not allow it.
pub fn scores(
    curves: &RecordedCurves,
    params: &SimulationParams,
    seed: u64,
) -> anyhow::Result<Vec<EpochScore>> {
    let score = |params: &SimulationParams| {
        score_regressor(curves, params, &mut generator(seed, Purpose::Simulation, 0, 0))
    };
    let mut scores = score(params)?;
    let predictor = &params.predictor;
    if predictor.regressor != Regressor::LastSeen {
        let baseline =
            PredictorParams { regressor: Regressor::LastSeen, ..PredictorParams::clone(predictor) };
        scores.extend(score(&SimulationParams { predictor: baseline.check()?, ..params.clone() })?);
    }
    Ok(scores)
}

/// Checks, before the computation, that a file can be written after it and replaces nothing that is read; returns
/// which file it is, however it is spelled.
///
/// # Errors
/// When it has no folder, a folder, link or device has its name, it is one of the inputs, or lies in an experiment that is.
pub fn check_target(path: &Path, inputs: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A rename would put a plain file in the place of `/dev/stdout`, too.
    let is_other = fs::symlink_metadata(path).is_ok_and(|there| !there.is_file());
    if folder.is_some_and(|folder| !folder.is_dir()) || is_other {
        return Err(Refusal::NoTarget { path: path.to_owned() }.into());
    }
    // The folder's real name and the file's own.
    let real = folder.unwrap_or(Path::new(".")).canonicalize().ok();
    let real = real.zip(path.file_name()).map(|(folder, name)| folder.join(name));
    let real = real.ok_or_else(|| Refusal::NoTarget { path: path.to_owned() })?;
    for input in inputs {
        let is_read = input.canonicalize().is_ok_and(|input| real.starts_with(&input));
        if is_read || path == input {
            return Err(Refusal::OverInput { path: path.to_owned(), input: input.clone() }.into());
        }
    }
    Ok(real)
}

/// Writes one row per walked network and setting.
///
/// # Errors
/// When the file cannot be written.
pub fn write_trace(path: &Path, rows: &[TraceRow]) -> anyhow::Result<()> {
    write_csv(path, &TRACE, rows)
}

/// Writes one row per regressor and epoch.
///
/// # Errors
/// When the file cannot be written.
pub fn write_scores(path: &Path, rows: &[EpochScore]) -> anyhow::Result<()> {
    write_csv(path, &SCORES, rows)
}

/// The columns of a trace, in the order of the fields of [`TraceRow`].
const TRACE: [&str; 10] = [
    "delta",
    "top_n",
    "offset",
    "id",
    "stopped",
    "epoch",
    "predicted",
    "sigma",
    "best",
    "stop_probability",
];

/// The columns of scores, in the order of the fields of [`EpochScore`].
const SCORES: [&str; 5] =
    ["regressor", "epoch", "r_squared", "r_squared_standard_error", "mean_absolute_error"];

fn write_csv(path: &Path, columns: &[&str], rows: &[impl Serialize]) -> anyhow::Result<()> {
    let named = || format!("`{}`", path.display());
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(columns).with_context(named)?;
    for row in rows {
        writer.serialize(row).with_context(named)?;
    }
    let bytes = writer.into_inner().expect("nothing fails in memory");
    Ok(publish::replace_file(path, &bytes)?)
}
