//! Files of attempts: those that the log has no rows of, and results that were left beside their
//! curves.
//!
//! An attempt begins with a row of the log, so a file of an attempt without any row means that rows
//! were lost: the log was put back from an older copy, or its server has lost its last seconds. It
//! would be in the way of the attempt that gets its number.
//!
//! A result is left when its process ended between publishing it and appending it to the log, or is
//! still trying. Each place that records claims as lost appends left results first; a process that
//! is still trying then finds its row in the log.

use std::path::{Path, PathBuf};

use crate::ops::journal::{Journal, Transaction};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::storage::search_state::Record;
use crate::storage::{Attempt, ExperimentDir, Iteration, Knowledge, Row, StorageError};

/// Files of attempts: to be listed before the log is read, so that the log holds the claim of each.
#[derive(Debug, Clone)]
pub(crate) struct AttemptFiles {
    pub curves: Vec<(Attempt, PathBuf)>,
    pub results: Vec<(Attempt, PathBuf)>,
    pub checkpoints: Vec<(Attempt, PathBuf)>,
}

impl AttemptFiles {
    pub fn list(dir: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self {
            curves: dir.list_curves()?,
            results: dir.list_results()?,
            checkpoints: dir.list_checkpoints()?,
        })
    }

    pub fn unknown(&self, knows: impl Fn(Attempt) -> bool) -> impl Iterator<Item = &Path> {
        let all = self.curves.iter().chain(&self.results).chain(&self.checkpoints);
        all.filter(move |(attempt, _)| !knows(*attempt)).map(|(_, path)| path.as_path())
    }

    /// Refuses to go on where the log, read after they were listed, lacks the rows of one.
    pub fn check(&self, knowledge: &Knowledge) -> Result<(), Refusal> {
        let mut unknown = self.unknown(|attempt| knowledge.has_begun(attempt));
        match unknown.next() {
            None => Ok(()),
            Some(file) => {
                let others = match unknown.count() {
                    0 => String::new(),
                    others => format!(" (and {others} other files)"),
                };
                Err(Refusal::Damage(format!(
                    "the log lacks rows: `{}`{others} is there, and no row of it (the next \
                     iteration would be {}; put back the newer log if it was replaced by an older \
                     copy, else `metaqnn verify --repair` sets such files aside)",
                    file.display(),
                    knowledge.next_iteration
                )))
            }
        }
    }
}

/// The results that were there when the folder was listed, of which none is damaged.
#[derive(Debug)]
pub(crate) struct LeftResults<'a> {
    dir: &'a ExperimentDir,
    rows: Vec<(Attempt, Row)>,
}

impl<'a> LeftResults<'a> {
    /// Reads all of them, without a lock: to be listed before the log is read.
    pub fn read(dir: &'a ExperimentDir) -> Result<Self, StorageError> {
        Self::read_of(dir, |_| true)
    }

    pub fn of(dir: &'a ExperimentDir, iteration: Iteration) -> Result<Self, StorageError> {
        Self::read_of(dir, |attempt| attempt.iteration == iteration)
    }

    fn read_of(
        dir: &'a ExperimentDir,
        is_wanted: impl Fn(Attempt) -> bool,
    ) -> Result<Self, StorageError> {
        let mut rows = Vec::new();
        for (attempt, path) in dir.list_results()?.into_iter().filter(|(one, _)| is_wanted(*one)) {
            match dir.read_result(attempt) {
                Ok(row) => rows.push((attempt, row)),
                // Appended meanwhile.
                Err(error) if error.is_gone() => {}
                Err(error) if error.is_damage() => {
                    log::warn!("`{}` is passed over: {error}", path.display());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { dir, rows })
    }

    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends those that count, removes their files and those of which the log has no use any
    /// more, and returns what became of them.
    pub fn settle(&self, transaction: &mut Transaction<'_>) -> anyhow::Result<Vec<TrainEvent>> {
        let mut settled = Vec::new();
        for (attempt, row) in &self.rows {
            if let Err(violation) = transaction.state().record(row) {
                log::warn!(
                    "the result of attempt {attempt} is left where it is: {violation} \
                     (see `metaqnn verify`)"
                );
                continue;
            }
            let before = transaction.rows().len();
            let event = record(transaction, row)?;
            match &event {
                TrainEvent::Superseded { iteration } => log::warn!(
                    "a result of iteration {iteration} is dropped, since its architecture has one; \
                     its learning curve is kept"
                ),
                _ if transaction.rows().len() == before => {}
                _ => log::warn!(
                    "the result of iteration {}, which its task could not append, is recorded",
                    attempt.iteration
                ),
            }
            remove(self.dir, *attempt);
            settled.push(event);
        }
        Ok(settled)
    }
}

/// Appends a result under the lock, unless its architecture has one; returns what became of it.
pub(crate) fn record(transaction: &mut Transaction<'_>, row: &Row) -> anyhow::Result<TrainEvent> {
    let iteration = row.iteration.unwrap_or_default().0;
    let (rows, is_known) = match transaction.state().record(row)? {
        Record::Append(rows) => (rows, false),
        Record::AlreadyKnown { due, .. } => (due, true),
    };
    transaction.push_all(rows)?;
    transaction.write()?;
    // Another copy of the task may have trained the very same.
    if is_known && !transaction.has_result_of(row) {
        return Ok(TrainEvent::Superseded { iteration });
    }
    // It may stand in the log by an earlier try, whose sync failed.
    transaction.sync()?;
    Ok(TrainEvent::Recorded {
        iteration,
        outcome: row.event.to_string(),
        reward: row.reward,
        seconds: row.train_seconds.unwrap_or(0.0),
    })
}

/// Removes the file of a result that the log has no use for any more; one that stays is removed by
/// the next reduce.
pub(crate) fn remove(dir: &ExperimentDir, attempt: Attempt) {
    if let Err(error) = dir.remove_result(attempt) {
        log::info!("a result that is in the log stays beside its curve: {error}");
    }
}

pub(crate) fn settle_all(experiment: &Experiment) -> anyhow::Result<()> {
    let left = LeftResults::read(experiment.dir())?;
    if !left.is_empty() {
        Journal::open(experiment)?.transaction(|transaction| left.settle(transaction))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ops::init;
    use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
    use crate::q_learning::Epsilon;
    use crate::storage::{Claimant, Event, Training};

    const CONFIGURATION: &str = "
experiment: {name: left, seed: 1}
data: {classes: 10, input_size: 16, channels: 1}
epsilon_schedule: [{epsilon: 1.0, architectures: 9}]
training: {trainer: synthetic}
";

    /// Draws the one architecture in a claim that has ended already.
    fn draw(journal: &mut Journal) -> Row {
        let time = Timestamp::UNIX_EPOCH.into();
        let by = Claimant {
            round: None,
            view: None,
            predictor: None,
            device: None,
            host: "n1".into(),
            job: "7".into(),
            task: "0".into(),
            time,
            expires_at: time,
        };
        journal
            .transaction(|transaction| {
                let row = transaction.state().draw("[SM(10)]", Epsilon::RANDOM, &by);
                transaction.push(row.clone())?;
                Ok(row)
            })
            .unwrap()
    }

    fn result_of(claim: &Row, reward: f64) -> Row {
        let training =
            Training { learning_rate: None, ..Training::made_up(Timestamp::UNIX_EPOCH.into()) };
        Row { reward: Some(reward), ..claim.result(Event::Failed, &training).with_curve(None) }
    }

    fn events(experiment: &Experiment) -> Vec<Event> {
        let log = crate::storage::ReplayLog::open(experiment.dir()).unwrap();
        let start = crate::storage::LogPosition::start();
        log.read_from(&start).unwrap().rows.iter().map(|row| row.event).collect()
    }

    fn reduce(experiment: &Experiment) -> usize {
        let mut journal = Journal::open(experiment).unwrap();
        lose_ended_claims(experiment, &mut journal, &EndedJobs::None).unwrap()
    }

    #[test]
    fn a_left_result_is_appended_before_its_expired_claim_is_lost_and_late_ones_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::experiment(&folder.path().join("search"), CONFIGURATION);
        let mut journal = Journal::open(&experiment).unwrap();
        let first = draw(&mut journal);
        assert_eq!(
            (reduce(&experiment), events(&experiment)),
            (1, vec![Event::Claimed, Event::Lost])
        );
        let second = draw(&mut journal);
        let publish = |claim: &Row, reward| {
            let attempt = claim.attempt().unwrap();
            experiment.dir().publish_result(attempt, &result_of(claim, reward)).unwrap();
        };
        publish(&second, 0.25);
        assert_eq!(reduce(&experiment), 0, "it is recorded and not lost");
        // The first attempt has finished, too, when its architecture has a result.
        publish(&first, 0.125);
        assert_eq!(reduce(&experiment), 0);
        let all = [Event::Claimed, Event::Lost, Event::Claimed, Event::Failed];
        assert_eq!(events(&experiment), all);
        assert!(experiment.dir().list_results().unwrap().is_empty());
    }

    #[test]
    fn a_result_that_is_in_the_log_already_is_reported_as_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::experiment(&folder.path().join("search"), CONFIGURATION);
        let mut journal = Journal::open(&experiment).unwrap();
        let claim = draw(&mut journal);
        // A write whose sync fails is tried again, and so is one that a reduce was faster with.
        for reward in [0.25, 0.25, 0.5] {
            let row = result_of(&claim, reward);
            let event = journal.transaction(|transaction| record(transaction, &row)).unwrap();
            assert_eq!(matches!(event, TrainEvent::Recorded { .. }), reward == 0.25, "{event:?}");
        }
        // Another copy of the task comes to the same from the same checkpoint: its own result is
        // not in the log.
        let second = Row { attempt: Some(2), ..result_of(&claim, 0.25) };
        let event = journal.transaction(|transaction| record(transaction, &second)).unwrap();
        assert!(matches!(event, TrainEvent::Superseded { .. }), "{event:?}");
        assert_eq!(events(&experiment), [Event::Claimed, Event::Failed]);
    }
}
