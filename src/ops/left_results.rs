//! Results that attempts have published beside their curves and not appended to the log: their process ended between
//! the two, or is still trying.
//!
//! Whoever is about to record claims as lost appends these first. One whose process lives finds its row in the log then.

use super::live_log::{LiveLog, Session};
use super::{Experiment, TrainEvent};
use crate::storage::knowledge::Record;
use crate::storage::{Attempt, ExperimentDir, Iteration, Row, StorageError};

/// The results that were there when the folder was listed, of which none is damaged.
#[derive(Debug, Default)]
pub(super) struct LeftResults(Vec<(Attempt, Row)>);

impl LeftResults {
    /// Reads all of them, without a lock: to be listed before the log is read.
    ///
    /// # Errors
    /// The folder or a file cannot be read. A damaged file is passed over with a warning.
    pub fn read(dir: &ExperimentDir) -> Result<Self, StorageError> {
        Self::read_of(dir, |_| true)
    }

    /// Reads those of one iteration.
    ///
    /// # Errors
    /// Those of [`LeftResults::read`].
    pub fn of(dir: &ExperimentDir, iteration: Iteration) -> Result<Self, StorageError> {
        Self::read_of(dir, |attempt| attempt.iteration == iteration)
    }

    fn read_of(
        dir: &ExperimentDir,
        is_wanted: impl Fn(Attempt) -> bool,
    ) -> Result<Self, StorageError> {
        let mut left = Vec::new();
        for (attempt, path) in dir.list_results()?.into_iter().filter(|(one, _)| is_wanted(*one)) {
            match dir.read_result(attempt) {
                Ok(row) => left.push((attempt, row)),
                // Appended meanwhile.
                Err(error) if error.is_gone() => {}
                Err(error) if error.is_damage() => {
                    log::warn!("`{}` is passed over: {error}", path.display());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self(left))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends those that count, and returns all that the log has no use for any more, with what became of them.
    pub fn record(&self, session: &mut Session<'_>) -> anyhow::Result<Vec<(Attempt, TrainEvent)>> {
        let mut settled = Vec::new();
        for (attempt, row) in &self.0 {
            if let Err(violation) = session.knowledge().record(row) {
                log::warn!(
                    "the result of attempt {attempt} is left where it is: {violation} (see `metaqnn verify`)"
                );
                continue;
            }
            let was_known = session.knowledge().has_result(row);
            let told = record(session, row)?;
            match &told {
                TrainEvent::Superseded { iteration } => log::warn!(
                    "a result of iteration {iteration} is dropped, since its architecture has one; its learning curve is kept"
                ),
                _ if was_known => {}
                _ => log::warn!(
                    "the result of iteration {}, which its task could not append, is recorded",
                    attempt.iteration
                ),
            }
            settled.push((*attempt, told));
        }
        Ok(settled)
    }
}

/// Appends a result under the lock, unless its architecture has one; returns what became of it.
pub(super) fn record(session: &mut Session<'_>, row: &Row) -> anyhow::Result<TrainEvent> {
    let iteration = row.iteration.unwrap_or_default().0;
    let rows = match session.knowledge().record(row)? {
        Record::Append(rows) => rows,
        Record::AlreadyKnown { due, .. } => due,
    };
    session.stage_all(rows)?;
    session.write()?;
    if !session.knowledge().has_result(row) {
        return Ok(TrainEvent::Superseded { iteration });
    }
    // It may stand in the log by an earlier try, whose sync failed.
    session.sync()?;
    Ok(TrainEvent::Recorded {
        iteration,
        outcome: row.event.to_string(),
        reward: row.reward,
        seconds: row.train_seconds.unwrap_or(0.0),
    })
}

/// Removes the files of results that the log has no use for any more; one that stays is removed by the next reduce.
pub(super) fn remove<'a>(dir: &ExperimentDir, settled: impl IntoIterator<Item = &'a Attempt>) {
    for attempt in settled {
        if let Err(error) = dir.remove_result(*attempt) {
            log::info!("a result that is in the log stays beside its curve: {error}");
        }
    }
}

/// Appends or removes all of them.
///
/// # Errors
/// A file cannot be read, or the log not be written.
pub(super) fn settle(experiment: &Experiment) -> anyhow::Result<()> {
    let left = LeftResults::read(experiment.dir())?;
    if !left.is_empty() {
        let settled = LiveLog::open(experiment)?.locked(|session| left.record(session))?;
        remove(experiment.dir(), settled.iter().map(|(attempt, _)| attempt));
    }
    Ok(())
}
