//! Results of the published program taken over, and ours written as it would read them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use crate::ops::live_log::LiveLog;
use crate::ops::snapshot::Snapshot;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal};
use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::regular_file::{self, LARGE};
use crate::storage::fs::publish;
use crate::storage::search_state::{KnownArchitectures, Standing};
use crate::storage::{
    Claimant, Event, Knowledge, ReferenceRow, Row, StorageError, read_q_values,
    read_replay_database, write_q_values, write_replay_database,
};

/// What an import has taken over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imported {
    /// Rows in the file, the header not counted.
    pub rows: usize,
    /// Rows that were taken over.
    pub imported_rows: usize,
    /// Different networks among them.
    pub distinct_architectures: usize,
    /// Rows that could not be used, each with its line and the reason.
    pub set_aside_rows: Vec<String>,
    /// Q-values kept beside for reports; none without a `q_values.csv`.
    pub q_values: Option<usize>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "imported {} of {} rows, {} different networks; {} rows set aside",
            self.imported_rows,
            self.rows,
            self.distinct_architectures,
            self.set_aside_rows.len()
        )?;
        self.q_values.map_or(Ok(()), |number| write!(f, "; {number} Q-values kept for reports"))
    }
}

const REPLAY_DATABASE: &str = "replay_database.csv";
const Q_VALUES: &str = "q_values.csv";

/// Appends the rows of a `replay_database.csv` to the log of a fresh experiment, in the order of the file.
///
/// Iterations are numbered by row, since the file's own number is no key. A network's first row is
/// `imported`, its later ones are `reused`, so that none is dropped from the replay memory.
///
/// # Errors
/// When the experiment has begun, or a file cannot be read or written.
pub fn import(experiment: &Experiment, source: &Path) -> anyhow::Result<Imported> {
    let (database, q_values) = files_of(source);
    if !database.exists() {
        bail!(Refusal::NotThere { path: database });
    }
    let bytes = read_input(&database)?;
    let readable = read_replay_database(&bytes[..], &experiment.config().space, &database)?;
    let mut live = LiveLog::open(experiment)?;
    // Looked at before anything is kept, and again under the lock.
    let rows = live.peek(|_| ()).map(|()| live.rows())?;
    check_fresh(experiment, rows)?;
    let kept = q_values.map(|path| keep_q_values(experiment, &path)).transpose()?;
    let distinct = live.locked(|session| {
        check_fresh(experiment, session.rows())?;
        let by = importer()?;
        for row in &readable.rows {
            let row = imported_row(session.knowledge(), row, &by);
            session.stage(row)?;
        }
        session.write()?;
        Ok(session.knowledge().known().len())
    })?;
    Ok(Imported {
        rows: readable.rows.len() + readable.problems.len(),
        imported_rows: readable.rows.len(),
        distinct_architectures: distinct,
        set_aside_rows: readable
            .problems
            .iter()
            .map(|problem| format!("line {}: {}", problem.line, problem.reason))
            .collect(),
        q_values: kept,
    })
}

fn check_fresh(experiment: &Experiment, rows: u64) -> anyhow::Result<()> {
    if rows > 0 {
        bail!(Refusal::NotFresh { dir: experiment.dir().root().to_owned(), rows });
    }
    Ok(())
}

/// A file, or a folder with the usual names.
fn files_of(source: &Path) -> (PathBuf, Option<PathBuf>) {
    if source.is_dir() {
        let q_values = source.join(Q_VALUES);
        (source.join(REPLAY_DATABASE), q_values.exists().then_some(q_values))
    } else {
        (source.to_owned(), None)
    }
}

fn imported_row(knowledge: &Knowledge, row: &ReferenceRow, by: &Claimant) -> Row {
    let (architecture, epsilon) = (row.architecture.to_string(), row.epsilon);
    match knowledge.standing(&architecture) {
        Standing::Known(_) => {
            Row { time: row.finished, ..knowledge.draw(&architecture, epsilon, by) }
        }
        _ => Row::imported(
            knowledge.next_iteration(),
            epsilon.value(),
            &architecture,
            row.best_validation_accuracy,
            row.finished,
        ),
    }
}

fn importer() -> anyhow::Result<Claimant> {
    let task = Task::current()?;
    let now = Timestamp::now();
    Ok(Claimant {
        round: None,
        view: None,
        predictor: None,
        device: None,
        host: task.host,
        job: task.job,
        task: task.task,
        time: now.into(),
        expires_at: now.into(),
    })
}

fn read_input(path: &Path) -> Result<Vec<u8>, StorageError> {
    regular_file::read_input(path, LARGE).map_err(StorageError::io("read", path))
}

/// Keeps the Q-table of the published program for reports, after a look at whether it is one.
fn keep_q_values(experiment: &Experiment, path: &Path) -> anyhow::Result<usize> {
    let bytes = read_input(path)?;
    let readable = read_q_values(&bytes[..], &experiment.config().space, path)?;
    if let Some(problem) = readable.problems.first() {
        log::warn!("`{}`, line {}: {}", path.display(), problem.line, problem.reason);
    }
    let folder = experiment.dir().imported();
    fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create `{}`", folder.display()))?;
    let kept = folder.join(Q_VALUES);
    // An import that died here before it wrote the log may have kept another one.
    publish::replace_file(&kept, &bytes)?;
    Ok(readable.rows.len())
}

/// What becomes of files that an export finds in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay: they may be the published program's own.
    Keep,
    /// They are replaced.
    Replace,
}

/// Writes `replay_database.csv` and `q_values.csv` into a folder, and returns their paths.
///
/// # Errors
/// [`Refusal::NoFolder`]; [`Refusal::IsThere`]; when the log cannot be read or a file not be written.
pub fn export(
    experiment: &Experiment,
    target: &Path,
    existing: Existing,
) -> anyhow::Result<Vec<PathBuf>> {
    if target.exists() && !target.is_dir() {
        bail!(Refusal::NoFolder { path: target.to_owned() });
    }
    let (database, q_values) = (target.join(REPLAY_DATABASE), target.join(Q_VALUES));
    let in_place = [&database, &q_values].into_iter().find(|path| path.exists());
    if let (Existing::Keep, Some(path)) = (existing, in_place) {
        bail!(Refusal::IsThere { path: path.clone() });
    }
    let snapshot = Snapshot::read(experiment)?;
    let rows = snapshot.all_rows(experiment)?;
    let rows = reference_rows(experiment, snapshot.knowledge().known(), &rows)?;
    fs::create_dir_all(target)
        .with_context(|| format!("failed to create `{}`", target.display()))?;
    let mut text = Vec::new();
    write_replay_database(&mut text, &rows, &database)?;
    publish::replace_file(&database, &text)?;
    let mut text = Vec::new();
    write_q_values(&mut text, &snapshot.q_table()?, &q_values)?;
    publish::replace_file(&q_values, &text)?;
    Ok(vec![database, q_values])
}

/// The rows of the replay memory. A row of a network met again tells what its first result told.
fn reference_rows(
    experiment: &Experiment,
    known: &KnownArchitectures,
    rows: &[Row],
) -> anyhow::Result<Vec<ReferenceRow>> {
    let steps = experiment.steps_per_epoch();
    let results: BTreeMap<_, _> =
        rows.iter().filter(|row| row.event.is_result()).map(|row| (row.iteration, row)).collect();
    let mut written = Vec::new();
    for row in rows {
        let Some((architecture, reward)) = row.memory() else { continue };
        let first = known.get(architecture).and_then(|known| results.get(&Some(known.iteration)));
        let result = first.copied().unwrap_or(row);
        let reward = Accuracy::new(reward)?;
        // A failed network has its chance level twice, reached at step 0: the reference's way to say so.
        let is_failed = result.event == Event::Failed && result.best_validation_accuracy.is_none();
        let last = result.last_validation_accuracy.map_or(Ok(reward), Accuracy::new)?;
        let step =
            |epoch: Option<u32>| if is_failed { 0 } else { u64::from(epoch.unwrap_or(0)) * steps };
        written.push(ReferenceRow {
            architecture: experiment.config().space.parse(architecture)?,
            best_validation_accuracy: reward,
            best_step: step(result.best_epoch),
            last_validation_accuracy: if is_failed { reward } else { last },
            last_step: step(result.epochs),
            iteration: row.iteration.map_or(0, |iteration| iteration.0),
            epsilon: Epsilon::new(row.epsilon.unwrap_or(1.0))?,
            finished: row.time,
            machine: result.host.clone().unwrap_or_else(|| "unknown".into()),
        });
    }
    Ok(written)
}
