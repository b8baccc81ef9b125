//! The tables of an experiment, written for people: never read by the program.

use std::fs;

use anyhow::Context;

use crate::ops::Experiment;
use crate::ops::reduce::records;
use crate::ops::snapshot::Snapshot;
use crate::report::tables::{Search, Tables};
use crate::storage::fs::publish;

/// Writes every table anew, each by one rename; returns what a person should know of them.
///
/// # Errors
/// When the log or a curve cannot be read, or a table not be written.
pub fn write(experiment: &Experiment) -> anyhow::Result<Vec<String>> {
    let snapshot = Snapshot::read(experiment)?;
    let rows = snapshot.all_rows(experiment)?;
    let iterations = records::iterations(&rows);
    let settings = records::settings(experiment, snapshot.knowledge(), &iterations);
    let (curves, notices) = records::curves(experiment, &iterations)?;
    let q_values = records::q_values(&snapshot.q_table()?);
    let early_stopping = records::early_stopping(experiment, &snapshot)?;
    let tables = Tables::new(&Search {
        settings: &settings,
        iterations: &iterations,
        curves: &curves,
        q_values: &q_values,
        early_stopping: &early_stopping,
    });
    let folder = experiment.dir().tables();
    fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create `{}`", folder.display()))?;
    for file in &tables.files {
        publish::replace_file(&folder.join(&file.name), file.text.as_bytes())?;
    }
    Ok([tables.notices, notices].concat())
}
