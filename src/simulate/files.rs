//! What a simulation reads, a file of curves or an experiment, and the files it writes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::curves_file::{CurveOptions, Recording, read_recorded};
use super::simulation::EpochScore;
use super::walk::{Predictions, RecordedCurves, RuleSetting, WalkedNetwork};
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::example;
use crate::ops::{Experiment, Refusal};
use crate::predictor::{Example, Prediction};
use crate::storage::Row;
use crate::storage::fs::publish;
use crate::training::TrainerKind;

#[derive(Debug, Clone, PartialEq)]
pub struct SimulationInput {
    pub path: PathBuf,
    pub curves: RecordedCurves,
    pub summary: String,
    pub warnings: Vec<String>,
}

impl SimulationInput {
    pub fn read(path: &Path, options: &CurveOptions) -> anyhow::Result<Self> {
        let read = if path.is_dir() { of_experiment } else { read_recorded };
        let Recording { networks, read_as, warnings } = read(path, options)?;
        let name = format!("`{}`", path.display());
        let curves = RecordedCurves::new(networks).with_context(|| name.clone())?;
        let (networks, epochs) = (curves.networks(), curves.epochs());
        let summary = format!("{name}: {networks} networks of {epochs} epochs; {read_as}");
        Ok(Self { path: path.to_owned(), curves, summary, warnings })
    }
}

fn of_experiment(path: &Path, options: &CurveOptions) -> anyhow::Result<Recording> {
    let experiment = Experiment::open(path)?;
    let only_for_files = [
        ("--curve", options.curve.is_some()),
        ("--features", options.features.is_some()),
        ("--loss", options.loss),
    ];
    if let Some((option, _)) = only_for_files.into_iter().find(|(_, is_given)| *is_given) {
        bail!(Refusal::Usage(format!(
            "`{}` is an experiment, which knows its curves and features (leave out `{option}`)",
            path.display()
        )));
    }
    let journal = Journal::open_to_look(&experiment)?;
    let rows = journal.rows();
    let mut warnings = Vec::new();
    if experiment.config().recipe.trainer == TrainerKind::Synthetic {
        warnings.push("the accuracies are made up (trainer `synthetic`)".to_owned());
    }
    let stopped = rows.iter().filter(|row| row.has_cut_curve()).count();
    if stopped > 0 {
        warnings.push(format!(
            "{stopped} networks were stopped and have no whole curve to replay, so that poor ones \
             are rarer here than in a search"
        ));
    }
    let named = |row: &Row| {
        let Example { features, curve } = example(&experiment, row)?;
        let id = row.iteration.unwrap_or_default().to_string();
        let curve = options.learning_curve(curve.values().to_vec());
        let curve = curve.with_context(|| format!("iteration {id}"))?;
        Ok((id, Example { features, curve }))
    };
    let trained = rows.iter().filter(|row| row.has_full_curve());
    let networks = trained.map(named).collect::<anyhow::Result<_>>()?;
    let read_as =
        "curve `validation_accuracy`, features: log10(parameters), layers, log10(learning_rate)";
    Ok(Recording { networks, read_as: read_as.to_owned(), warnings })
}

/// Checks that a file can be written later and replaces nothing that is read or is no plain file;
/// returns which file it is, however it is spelled.
pub fn check_target(path: &Path, inputs: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
    // A rename would put a plain file in the place of `/dev/stdout`, too.
    let is_other = fs::symlink_metadata(path).is_ok_and(|there| !there.is_file());
    let folder = folder.filter(|folder| folder.is_dir() && !is_other);
    let real = folder.zip(path.file_name()).map(|(folder, name)| folder.join(name));
    let real = real.ok_or_else(|| Refusal::no_target(path))?;
    let is_read = |input: &&PathBuf| {
        path == *input || input.canonicalize().is_ok_and(|input| real.starts_with(&input))
    };
    if let Some(input) = inputs.iter().find(is_read) {
        let (path, input) = (path.display(), input.display());
        let problem = format!("cannot write `{path}`: `{input}` is replayed (name another file)");
        bail!(Refusal::Usage(problem));
    }
    Ok(real)
}

/// Values are in the units the predictor sees: losses negated, after their logarithm.
const TRACE: &str = "delta,top_n,offset,id,stopped,epoch,predicted,sigma,best,stop_probability\n";

pub fn write_trace(
    path: &Path,
    curves: &RecordedCurves,
    trace: &[(RuleSetting, WalkedNetwork)],
) -> anyhow::Result<()> {
    let row = |(setting, walked): &(RuleSetting, WalkedNetwork)| {
        let WalkedNetwork { network, stopped, epoch, prediction, best, stop_probability } = *walked;
        let (predicted, sigma) = prediction.map(|of| (of.mean, of.sigma)).unzip();
        let judged = (stopped, epoch, predicted, sigma, best, stop_probability);
        (*setting, &curves.ids[network], judged)
    };
    write_csv(path, TRACE, trace.iter().map(row))
}

pub fn write_predictions(
    path: &Path,
    curves: &RecordedCurves,
    predictions: &[(usize, Predictions)],
) -> anyhow::Result<()> {
    let rows = predictions.iter().flat_map(|(network, of)| {
        (1..).zip(of).filter_map(|(epoch, prediction): (u32, _)| {
            let Prediction { mean, sigma } = (*prediction)?;
            Some((&curves.ids[*network], epoch, mean, sigma, curves.last(*network)))
        })
    });
    write_csv(path, "id,epoch,predicted,sigma,true\n", rows)
}

pub fn write_scores(path: &Path, scores: &[EpochScore]) -> anyhow::Result<()> {
    write_csv(path, "", scores)
}

/// Without a header it is made of the names of the fields.
fn write_csv(
    path: &Path,
    header: &str,
    rows: impl IntoIterator<Item = impl Serialize>,
) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new();
    let mut writer = writer.has_headers(header.is_empty()).from_writer(header.into());
    for row in rows {
        writer.serialize(row).with_context(|| format!("`{}`", path.display()))?;
    }
    let bytes: Vec<u8> = writer.into_inner().expect("nothing fails in memory");
    Ok(publish::replace_file(path, &bytes).map(drop)?)
}
