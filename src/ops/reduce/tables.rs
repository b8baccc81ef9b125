//! The tables of an experiment, written for people: never read by the program.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use rayon::iter::Either;
use rayon::prelude::*;

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::{newest_predictor, predictor_curves};
use crate::ops::train::attempt::audit_findings;
use crate::q_learning::QTable;
use crate::regular_file::{self, SMALL};
use crate::report::tables::{TableSet, add_all};
use crate::report::{EarlyStopping, SearchData, by_iteration, who_trained};
use crate::storage::fs::publish;
use crate::storage::view::files::skip;
use crate::storage::{Attempt, Curve, Folder, Row};

/// The program, the rows of the log and the predictor that the tables beside it show.
const SHOWN: &str = ".shown";

fn shown(experiment: &Experiment, journal: &Journal) -> Result<String> {
    let (end, program) = (journal.position(), env!("CARGO_PKG_VERSION"));
    let predictor = predictor_curves(experiment, journal)?.unwrap_or(0);
    Ok(format!("{program} {} {} {} {predictor}\n", end.rows, end.byte, end.crc32))
}

pub(crate) fn are_of(experiment: &Experiment, journal: &Journal) -> Result<bool> {
    let path = experiment.dir().folder(Folder::Tables).join(SHOWN);
    let shown = shown(experiment, journal)?;
    Ok(regular_file::read(&path, SMALL).is_ok_and(|bytes| bytes == shown.into_bytes()))
}

/// Writes every table anew; returns notices.
pub(crate) fn write(
    experiment: &Experiment,
    journal: &Journal,
    q_table: &QTable,
) -> Result<Vec<String>> {
    // First: what comes meanwhile is shown by the next one.
    let shown = shown(experiment, journal)?;
    let mut search = search_data(experiment, journal)?;
    let notices;
    (search.curves, notices) = curves(experiment, &search.iterations);
    let q_values = q_table.rows().flat_map(|(state, values)| {
        values.iter().map(move |&(action, q_value)| (state, action, q_value))
    });
    search.q_values = q_values.collect();
    if let Some(stored) = newest_predictor(experiment, journal, skip)? {
        let fitted = stored.predictor()?;
        search.predictor_networks = fitted.examples().len() as u64;
        search.predictor_scores = fitted.scores().collect();
    }
    let mut tables = TableSet::default();
    add_all(&mut tables, &search);
    let folder = experiment.dir().folder(Folder::Tables);
    let context = || format!("failed to create `{}`", folder.display());
    fs::create_dir_all(&folder).with_context(context)?;
    for file in &tables.files {
        publish::replace_file(&folder.join(&file.name), file.text.as_bytes())?;
    }
    publish::replace_file(&folder.join(SHOWN), shown.as_bytes())?;
    Ok([tables.notices, notices].concat())
}

pub(crate) fn search_data(experiment: &Experiment, journal: &Journal) -> Result<SearchData> {
    let (config, knowledge) = (experiment.config(), journal.state());
    let stopping = &config.early_stopping;
    let counts = knowledge.stage_counts(&config.schedule);
    let iterations = by_iteration(journal.rows());
    Ok(SearchData {
        experiment: config.experiment.name.clone(),
        trainer: who_trained(config.recipe.trainer.into(), &iterations),
        epochs: config.recipe.epochs,
        stages: config.schedule.stages().iter().copied().zip(counts).collect(),
        iterations,
        early_stopping: EarlyStopping {
            enabled: stopping.enabled,
            burn_in: stopping.burn_in as u64,
            full_curves: knowledge.full_curves() as u64,
            predictor_curves: predictor_curves(experiment, journal)?,
            findings: audit_findings(experiment, knowledge),
            ..EarlyStopping::default()
        },
        ..SearchData::default()
    })
}

/// The curves of results. A damaged one is left out with a notice: tables must not end the search.
fn curves(experiment: &Experiment, iterations: &[Row]) -> (BTreeMap<Attempt, Curve>, Vec<String>) {
    let results = iterations.par_iter().filter(|row| row.event.is_result());
    let files = results.filter_map(|row| {
        let attempt = row.attempt()?;
        Some((attempt, experiment.dir().curve(attempt)))
    });
    // A network that does not fit into memory has no epoch. Read at once: a server gives many small
    // files faster when several are asked for.
    files.filter(|(_, path)| path.exists()).partition_map(|(attempt, path)| {
        match Curve::read(&path).map_err(anyhow::Error::from) {
            Ok(curve) => Either::Left((attempt, curve)),
            Err(error) => {
                Either::Right(format!("a learning curve is left out of the tables: {error:#}"))
            }
        }
    })
}
