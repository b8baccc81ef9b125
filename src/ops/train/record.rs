//! The result of a training: its row, appended however long the log cannot be written, and what is
//! left of it beside its curve meanwhile. A loss is appended once the disk has room.
//!
//! A result is left when its process ended between publishing it and appending it to the log, or is
//! still trying. Each place that records claims as lost appends left results first; a process that
//! is still trying then finds its row in the log.

use std::env;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::journal::{Journal, Transaction};
use crate::ops::train::curve::{CurveInProgress, audited_at};
use crate::ops::train::{Claim, TaskRun, sleep_unless};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::outcome::{Accuracy, Outcome};
use crate::slurm::{Slurm, Variables};
use crate::storage::search_state::Record;
use crate::storage::{
    Attempt, CurveRow, CurveSummary, Event, ExperimentDir, Iteration, LockTimeout, Row,
    StorageError, Training, plain,
};
use crate::training::{Signal, TrainingEnd};

const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the lock of the log is waited for though the time is nearly up.
const SHORTEST_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a task without a scheduler tries to append a result; the next `run` appends it then.
const LONGEST_WITHOUT_A_SCHEDULER: Duration = Duration::from_secs(600);

/// Returns the row of a training that has ended after `spent` seconds in this attempt; none when it
/// has no result.
pub(crate) fn result_row(
    experiment: &Experiment,
    claim: &Claim,
    end: &TrainingEnd,
    curve: &CurveInProgress,
    spent: f64,
) -> Option<Row> {
    let config = experiment.config();
    let start = curve.curve.last_start();
    let first = start.first();
    let passes = |row: &CurveRow| config.recipe.passes_first_epoch(row.validation_accuracy.value());
    let passed = first.is_some_and(passes);
    let cost = config.space.cost(&claim.architecture);
    let training = Training {
        parameters: cost.parameters,
        macs: cost.macs,
        layers: claim.architecture.depth() as u32,
        learning_rate: first.filter(|_| passed).and_then(|row| row.learning_rate),
        restarts: first.map_or(0, |row| row.start - 1),
        train_seconds: spent + curve.kept_seconds,
        lost_seconds: curve.lost_seconds(),
        time: Timestamp::now().into(),
    };
    let row = |event| claim.row.result(event, &training);
    let threshold = config.early_stopping.threshold;
    let summary = curve.curve.summary();
    let (outcome, row) = match end {
        TrainingEnd::Done => {
            let CurveSummary { best, last, .. } = summary?;
            let row = row(Event::Trained).with_curve(summary);
            let row = match audited_at(experiment, claim.attempt.iteration, start) {
                Some(at) => Row { audit: Some(true), ..with_verdict(row, Some(at), threshold) },
                None => row,
            };
            (Outcome::Trained { best, last }, row)
        }
        TrainingEnd::Stopped => {
            // The verdict after the last epoch.
            let at = start.last()?;
            let saved = curve.seconds_left(config.recipe.epochs, training.train_seconds);
            let row = with_verdict(row(Event::Stopped).with_curve(summary), Some(at), threshold);
            let outcome = Outcome::Stopped { predicted: at.predicted_accuracy? };
            (outcome, Row { saved_seconds: Some(saved), ..row })
        }
        TrainingEnd::Failed { reason } => {
            let summary = summary.filter(|_| passed);
            let row = row(Event::Failed).with_curve(summary);
            let outcome = Outcome::Failed { best: summary.map(|summary| summary.best) };
            (outcome, Row { reason: plain(reason), ..row })
        }
        TrainingEnd::OutOfMemory { peak_bytes } => {
            let reason = peak_bytes.map(|bytes| format!("{bytes} bytes in use at most"));
            (Outcome::OutOfMemory, Row { reason, ..row(Event::OutOfMemory) })
        }
        TrainingEnd::Interrupted => return None,
    };
    let reward = config.reward.reward(&outcome, config.space.image.classes);
    Some(Row { reward: reward.map(Accuracy::value), ..row })
}

/// Adds the numbers of the verdict to stop that stands in the row of an epoch.
pub(crate) fn with_verdict(row: Row, at: Option<&CurveRow>, threshold: f64) -> Row {
    Row {
        predicted_accuracy: at.and_then(|at| at.predicted_accuracy),
        sigma: at.and_then(|at| at.sigma),
        y_best: at.and_then(|at| at.y_best),
        stop_probability: at.and_then(|at| at.stop_probability),
        threshold: Some(threshold),
        ..row
    }
}

impl TaskRun<'_> {
    /// Appends a result, once its curve is synced. Until that has succeeded the row lies beside the
    /// curve.
    pub(super) fn record(
        &mut self,
        attempt: Attempt,
        row: &Row,
        curve: &mut CurveInProgress,
    ) -> anyhow::Result<()> {
        let dir = self.experiment.dir();
        let mut is_published = false;
        let write = |journal: &mut Journal| {
            curve.finish()?;
            if !is_published {
                match dir.publish_result(attempt, row) {
                    Ok(_) => is_published = true,
                    // The log may take it all the same.
                    Err(error) => log::warn!("a result is not kept beside its curve: {error}"),
                }
            }
            journal.transaction(|transaction| record(transaction, row))
        };
        let event = self.until_written(attempt.iteration, |_| true, write)?;
        remove(dir, attempt);
        (self.on_event)(event);
        Ok(())
    }

    /// Appends that an attempt has ended without a result.
    pub(super) fn lose(
        &mut self,
        attempt: Attempt,
        reason: String,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let iteration = attempt.iteration;
        // A result of this iteration that waits to be appended goes before its loss.
        let left = LeftResults::read(self.experiment.dir(), Some(iteration))?;
        let write = |journal: &mut Journal| {
            journal.transaction(|transaction| {
                let settled = left.settle(transaction)?;
                let now = Timestamp::now().into();
                let rows = transaction.state().lose(attempt, &reason, Some(seconds), now);
                transaction.push_all(rows)?;
                Ok(settled)
            })
        };
        let settled = self.until_written(iteration, is_full, write)?;
        (self.on_event)(settled.unwrap_or(TrainEvent::Lost { iteration: iteration.0, reason }));
        Ok(())
    }

    /// Retries with growing pauses after an error that is worth it, until the time is nearly up.
    fn until_written<T>(
        &mut self,
        iteration: Iteration,
        is_worth_it: impl Fn(&anyhow::Error) -> bool,
        mut write: impl FnMut(&mut Journal) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (began, mut pause) = (Instant::now(), Duration::from_secs(1));
        loop {
            // A wait for the lock is not ended by the scheduler's warning, so it is not much longer
            // than the time of the task.
            let default = LockTimeout::default();
            let left = self.time_to_record(Instant::now()).max(SHORTEST_LOCK_TIMEOUT);
            let timeout = LockTimeout { limit: default.limit.min(left), ..default };
            self.journal.timeout = timeout;
            let error = match write(&mut self.journal) {
                Err(error) if is_worth_it(&error) => error,
                written => return written,
            };
            if self.interrupt.signal().is_some() || self.time_to_record(began) < pause {
                return Err(self.leave_unrecorded(iteration, error));
            }
            log::warn!(
                "iteration {iteration} is not recorded yet: {error:#}; trying again in {} s",
                pause.as_secs()
            );
            sleep_unless(|| self.interrupt.signal().is_some(), pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// How long a task that has begun to record a result may go on trying: until the scheduler's
    /// warning, if it says when that is, and without a scheduler as long as a person may wait.
    fn time_to_record(&self, began: Instant) -> Duration {
        match (&self.task.slurm, self.task.time_left()) {
            (None, _) => LONGEST_WITHOUT_A_SCHEDULER.saturating_sub(began.elapsed()),
            (Some(_), None) => Duration::MAX,
            (Some(_), Some(left)) => left.saturating_sub(self.experiment.config().slurm.signal()),
        }
    }

    fn leave_unrecorded(&self, iteration: Iteration, error: anyhow::Error) -> anyhow::Error {
        let signal = self.interrupt.signal();
        if self.task.slurm.is_none() && signal.is_none() {
            return error.context(Refusal::Environment(format!(
                "failed to record iteration {iteration} for ten minutes (a result is kept beside \
                 its learning curve: once the log can be written the next `metaqnn run` or \
                 `metaqnn reduce` records it)"
            )));
        }
        // Never after TERM: a cancelled job would come back.
        if signal != Some(Signal::Terminate)
            && let Err(error) = self.requeue()
        {
            log::warn!("the task is not queued again: {error:#}");
        }
        error.context(Refusal::TryAgain(format!(
            "failed to record iteration {iteration} until the time was nearly up (a result is kept \
             beside its learning curve: the next attempt or `metaqnn reduce` records it)"
        )))
    }

    pub(super) fn requeue(&self) -> anyhow::Result<()> {
        if let Some(task) = &self.task.slurm
            && self.experiment.config().slurm.requeue
        {
            let variables: Variables = env::vars_os().collect();
            Slurm::new(&variables, None).requeue(task.id)?;
        }
        Ok(())
    }
}

/// Whether an append failed for want of space, which may come back.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(StorageError::is_full)
}

/// Appends a result, unless its architecture has one; returns what became of it.
fn record(transaction: &mut Transaction<'_>, row: &Row) -> anyhow::Result<TrainEvent> {
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
fn remove(dir: &ExperimentDir, attempt: Attempt) {
    if let Err(error) = dir.remove_result(attempt) {
        log::info!("a result that is in the log stays beside its curve: {error}");
    }
}

/// The results that were there when the folder was listed, of which none is damaged.
pub(crate) struct LeftResults<'a> {
    dir: &'a ExperimentDir,
    rows: Vec<(Attempt, Row)>,
}

impl<'a> LeftResults<'a> {
    /// Reads all of them, or those of one iteration, without a lock: before the log is read.
    pub fn read(dir: &'a ExperimentDir, of: Option<Iteration>) -> Result<Self, StorageError> {
        let mut rows = Vec::new();
        for (attempt, path) in dir.list_results()? {
            if of.is_some_and(|iteration| iteration != attempt.iteration) {
                continue;
            }
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
    /// more, and returns what became of the first.
    pub fn settle(&self, transaction: &mut Transaction<'_>) -> anyhow::Result<Option<TrainEvent>> {
        let mut first = None;
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
            first.get_or_insert(event);
        }
        Ok(first)
    }
}

pub(crate) fn settle_all(experiment: &Experiment) -> anyhow::Result<()> {
    let left = LeftResults::read(experiment.dir(), None)?;
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
        let experiment = init::tests::random_search(&folder, 9);
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
        let experiment = init::tests::random_search(&folder, 9);
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
