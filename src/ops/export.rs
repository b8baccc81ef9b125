//! `export`: the results of an experiment as the published program would write them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::exchange::{
    Q_VALUES, REPLAY_DATABASE, ReplayRow, write_q_values, write_replay_database,
};
use crate::ops::snapshot::Snapshot;
use crate::ops::{Experiment, Refusal};
use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::storage::fs::publish;
use crate::storage::search_state::KnownArchitectures;
use crate::storage::{Event, Row};

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
) -> anyhow::Result<Vec<ReplayRow>> {
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
        written.push(ReplayRow {
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
