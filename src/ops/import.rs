//! `import`: results of the published program taken over into a fresh experiment.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::exchange::{Q_VALUES, REPLAY_DATABASE, ReplayRow, read_q_values, read_replay_database};
use crate::ops::journal::Journal;
use crate::ops::train::Task;
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, LARGE};
use crate::report::QValue;
use crate::space::{Candidate, Cost};
use crate::storage::fs::publish;
use crate::storage::search_state::Standing;
use crate::storage::{Event, Knowledge, Row, StorageError};

#[derive(Debug, Clone, PartialEq, Serialize, derive_more::Display)]
#[display(
    "imported {imported_rows} of {rows} rows, {distinct_architectures} different networks; {} rows \
     set aside{}",
    set_aside_rows.len(),
    q_values.map_or(String::new(), |number| format!("; {number} Q-values kept for reports"))
)]
pub struct Imported {
    pub rows: usize,
    pub imported_rows: usize,
    pub distinct_architectures: usize,
    /// Each with its line and the reason.
    pub set_aside_rows: Vec<String>,
    /// Q-values kept for reports; none without a `q_values.csv`.
    pub q_values: Option<usize>,
}

/// Appends the rows of a file, or of the one in a folder, to the log of a fresh experiment.
/// Iterations are numbered by row, since the file's own number is no key. A network's first row is
/// `imported`, its later ones are `reused`, so that none is dropped from the replay memory.
pub fn import(experiment: &Experiment, source: &Path) -> anyhow::Result<Imported> {
    let kind = experiment.config().strategy.kind;
    if !kind.has_epsilon() {
        bail!(Refusal::Usage(format!(
            "the strategy `{kind}` takes no results of another search (import into an experiment \
             of `strategy.kind: q_learning`)"
        )));
    }
    let (database, q_values) = match source.is_dir() {
        true => (source.join(REPLAY_DATABASE), Some(source.join(Q_VALUES))),
        false => (source.to_owned(), None),
    };
    let q_values = q_values.filter(|path| path.exists());
    if !database.exists() {
        bail!(Refusal::not_there(&database));
    }
    let bytes = read_input(&database)?;
    let usable = read_replay_database(bytes, &experiment.config().space, &database)?;
    let q_values = q_values.map(|path| read_q_table(experiment, &path)).transpose()?;
    let task = Task::current()?;
    let root = experiment.dir().root().display();
    let distinct_architectures = Journal::open(experiment)?.transaction(|transaction| {
        match transaction.rows().len() {
            0 => {}
            rows => bail!(Refusal::Usage(format!(
                "`{root}` has {rows} events already (import into a fresh experiment: `metaqnn \
                     init CONFIG NEW_DIR`)"
            ))),
        }
        if let Some((bytes, _)) = &q_values {
            keep_q_values(experiment, bytes)?;
        }
        for row in &usable.rows {
            let cost = experiment.config().space.cost(&row.architecture);
            transaction.push(imported_row(transaction.state(), row, cost, &task))?;
        }
        Ok(transaction.state().known.len())
    })?;
    Ok(Imported {
        rows: usable.rows.len() + usable.set_aside.len(),
        imported_rows: usable.rows.len(),
        distinct_architectures,
        set_aside_rows: usable.set_aside,
        q_values: q_values.map(|(_, rows)| rows),
    })
}

fn imported_row(knowledge: &Knowledge, row: &ReplayRow, cost: Cost, by: &Task) -> Row {
    let (architecture, epsilon) = (row.architecture.to_string(), row.epsilon.value());
    let (iteration, accuracy) = (knowledge.next_iteration, row.best_validation_accuracy);
    let imported = Row::imported(iteration, epsilon, &architecture, accuracy, row.finished);
    match knowledge.standing(&Candidate::once(architecture)) {
        Standing::Known(known) => Row {
            event: Event::Reused,
            of_iteration: Some(known.iteration),
            reward: known.reward,
            best_validation_accuracy: None,
            host: Some(by.host.as_str().into()),
            job: Some(by.job.as_str().into()),
            task: Some(by.task.as_str().into()),
            ..imported
        },
        _ => Row {
            parameters: Some(cost.parameters),
            macs: Some(cost.macs),
            layers: Some(row.architecture.depth() as u32),
            ..imported
        },
    }
}

fn read_input(path: &Path) -> Result<Vec<u8>, StorageError> {
    regular_file::read_input(path, LARGE).map_err(StorageError::io("read", path))
}

/// Returns the file of a published Q-table, once it is known to be one, and its number of rows.
fn read_q_table(experiment: &Experiment, path: &Path) -> anyhow::Result<(Vec<u8>, usize)> {
    let bytes = read_input(path)?;
    let usable = read_q_values(bytes.clone(), &experiment.config().space, path)?;
    if let Some(reason) = usable.set_aside.first() {
        log::warn!("`{}`, {reason}", path.display());
    }
    let rows = usable.rows.len();
    Ok((bytes, rows))
}

/// Keeps a published Q-table for reports.
fn keep_q_values(experiment: &Experiment, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = experiment.dir().imported();
    fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create `{}`", folder.display()))?;
    // An import that died here before it wrote the log may have kept another one.
    Ok(publish::replace_file(&folder.join(Q_VALUES), bytes).map(drop)?)
}

/// Returns the Q-table that was imported with results, empty where there is none.
pub(crate) fn imported_q_values(experiment: &Experiment) -> anyhow::Result<Vec<QValue>> {
    let path = experiment.dir().imported().join(Q_VALUES);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let usable = read_q_values(read_input(&path)?, &experiment.config().space, &path)?;
    let q_value = |(state, action, value)| QValue { state, action, value, updates: None };
    Ok(usable.rows.into_iter().map(q_value).collect())
}
