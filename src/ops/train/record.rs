//! The result of a training: its row, appended however long the log cannot be written, and what is
//! left of it beside its curve meanwhile.
//!
//! A result is left when its process ended between publishing it and appending it to the log, or is
//! still trying. Each place that records claims as lost appends left results first; a process that
//! is still trying then finds its row in the log.

use std::mem;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::journal::{Journal, Transaction};
use crate::ops::train::model::settle_model;
use crate::ops::train::{Claim, TaskRun};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::outcome::{Accuracy, Outcome};
use crate::predictor::is_audited;
use crate::seed::{Purpose, generator};
use crate::storage::search_state::Record;
use crate::storage::{
    Attempt, CurveInProgress, CurveRow, CurveSummary, Event, ExperimentDir, Folder, Iteration,
    LockTimeout, Row, StorageError, fs::publish, plain,
};
use crate::training::{Signal, TrainingEnd};

const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the lock of the log is waited for though the time is nearly up.
const SHORTEST_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a task without a scheduler tries to append a result; the next `run` appends it then.
const LONGEST_WITHOUT_A_SCHEDULER: Duration = Duration::from_secs(600);

/// `None` without a result; `spent` are the seconds of this attempt.
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
    let passed = first.is_some_and(|row| match row.validation_accuracy {
        Some(accuracy) => config.recipe.passes_first_epoch(accuracy.value()),
        None => true,
    });
    let mut summary = curve.curve.summary();
    let (event, outcome, at, reason) = match end {
        TrainingEnd::Done | TrainingEnd::EndedItself => {
            let CurveSummary { best, last, .. } = summary?;
            let is_whole = *end == TrainingEnd::Done;
            let audited = audited_at(experiment, &claim.row, start).filter(|_| is_whole);
            let outcome = best.zip(last).map(|(best, last)| Outcome::Trained { best, last });
            let reason = (!is_whole).then(|| "ended early by a rule of its trainer".into());
            (Event::Trained, outcome, audited, reason)
        }
        TrainingEnd::Stopped => {
            // The verdict after the last epoch.
            let at = start.last()?;
            let predicted = at.predicted_accuracy?;
            (Event::Stopped, Some(Outcome::Stopped { predicted }), Some(at), None)
        }
        TrainingEnd::Failed { reason } => {
            summary = summary.filter(|_| passed);
            let best = summary.and_then(|summary| summary.best);
            (Event::Failed, Some(Outcome::Failed { best }), None, plain(reason))
        }
        TrainingEnd::OutOfMemory { peak_bytes } => {
            let reason = peak_bytes.map(|bytes| format!("{bytes} bytes in use at most"));
            (Event::OutOfMemory, Some(Outcome::OutOfMemory), None, reason.map(Into::into))
        }
        TrainingEnd::Interrupted => return None,
    };
    let cost = config.space.cost(&claim.architecture);
    let train_seconds = spent + curve.kept_seconds;
    let seconds_left = || curve.curve.seconds_left(config.recipe.epochs, train_seconds);
    let row = Row {
        event,
        reward: outcome
            .and_then(|outcome| config.reward.reward(&outcome, config.space.image.classes))
            .map(Accuracy::value),
        audit: (event == Event::Trained && at.is_some()).then_some(true),
        parameters: Some(cost.parameters),
        macs: Some(cost.macs),
        layers: Some(claim.architecture.depth() as u32),
        learning_rate: first.filter(|_| passed).and_then(|row| row.learning_rate),
        restarts: Some(first.map_or(0, |row| row.start - 1)),
        train_seconds: Some(train_seconds),
        saved_seconds: (event == Event::Stopped).then(seconds_left),
        lost_seconds: Some(curve.lost_seconds()),
        reason,
        started_at: claim.row.time,
        time: Some(Timestamp::now().into()),
        expires_at: None,
        ..claim.row.clone()
    };
    let row = if event == Event::OutOfMemory { row } else { with_curve(row, summary) };
    let threshold = at.map(|_| config.early_stopping.threshold);
    Some(with_verdict(row, at, threshold))
}

/// `None` without an epoch.
pub(crate) fn with_curve(row: Row, summary: Option<CurveSummary>) -> Row {
    Row {
        best_validation_accuracy: summary.and_then(|summary| summary.best).map(Accuracy::value),
        best_epoch: summary.and_then(|summary| summary.best_epoch),
        last_validation_accuracy: summary.and_then(|summary| summary.last).map(Accuracy::value),
        epochs: Some(summary.map_or(0, |summary| summary.epochs)),
        ..row
    }
}

/// Adds the numbers of the verdict to stop that stands in the row of an epoch.
pub(crate) fn with_verdict(row: Row, at: Option<&CurveRow>, threshold: Option<f64>) -> Row {
    Row {
        predicted_accuracy: at.and_then(|at| at.predicted_accuracy),
        sigma: at.and_then(|at| at.sigma),
        y_best: at.and_then(|at| at.y_best),
        stop_probability: at.and_then(|at| at.stop_probability),
        threshold,
        ..row
    }
}

/// Whether a verdict to stop is not executed: the same for every attempt at an iteration.
pub(crate) fn is_of_audit(experiment: &Experiment, claim: &Row) -> bool {
    let config = experiment.config();
    let stream = experiment.stream(claim);
    let mut rng = generator(config.experiment.seed, Purpose::Audit, stream, 0);
    is_audited(config.early_stopping.audit_share, &mut rng)
}

/// Returns the epoch of the first verdict to stop a network that was trained to the end to audit
/// it. An attempt goes on with the rows of the one before, so that none is forgotten.
pub(crate) fn audited_at<'a>(
    experiment: &Experiment,
    claim: &Row,
    start: &'a [CurveRow],
) -> Option<&'a CurveRow> {
    let rule = experiment.config().early_stopping.rule;
    let is_audited = is_of_audit(experiment, claim);
    start.iter().find(|row| is_audited && row.is_stop(rule))
}

impl TaskRun<'_> {
    /// Appends a result once its curve is synced; until then the row lies beside the curve. In
    /// between its model is named or removed.
    pub fn record(
        &mut self,
        attempt: Attempt,
        row: &Row,
        curve: &mut CurveInProgress,
    ) -> anyhow::Result<()> {
        let (experiment, dir) = (self.experiment, self.experiment.dir());
        let (mut is_published, mut is_settled) = (false, false);
        let write = |journal: &mut Journal| {
            curve.finish()?;
            // Syncs the folder of both.
            if !is_published {
                match dir.publish_result(attempt, row) {
                    Ok(_) => is_published = true,
                    // The log may take it all the same.
                    Err(error) => {
                        log::warn!("a result is not kept beside its curve: {error}");
                        publish::sync_folder(&dir.folder(Folder::Curves))?;
                    }
                }
            }
            if !mem::replace(&mut is_settled, true) {
                settle_model(experiment, journal, row);
            }
            journal.transaction(|transaction| record(transaction, row))
        };
        let event = self.until_written(attempt.iteration, |_| true, write)?;
        remove(dir, attempt);
        (self.on_event)(event);
        Ok(())
    }

    /// Retries with growing pauses after an error that is worth it, until the time is nearly up.
    pub fn until_written<T>(
        &mut self,
        iteration: Iteration,
        is_worth_it: impl Fn(&anyhow::Error) -> bool,
        mut write: impl FnMut(&mut Journal) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (began, mut pause) = (Instant::now(), Duration::from_secs(1));
        loop {
            // A wait for the lock is not ended by the scheduler's warning, so it is not much longer
            // than the time of the task.
            let left = self.time_to_record(Instant::now()).max(SHORTEST_LOCK_TIMEOUT);
            self.journal.timeout = LockTimeout::default();
            self.journal.timeout.limit = self.journal.timeout.limit.min(left);
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
            self.interrupt.arrives_within(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// How long it may go on trying: until the warning of the scheduler, if that says when.
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
    if is_known {
        transaction.sync()?;
    }
    Ok(TrainEvent::Recorded {
        iteration,
        outcome: row.event.to_string(),
        reward: row.reward,
        seconds: row.train_seconds.unwrap_or(0.0),
    })
}

/// A file that stays is removed by the next reduce.
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
        let mut listed = dir.list_curves_and_results()?.1;
        listed.retain(|(attempt, _)| of.is_none_or(|iteration| iteration == attempt.iteration));
        Self::read_listed(dir, &listed)
    }

    pub fn read_listed(
        dir: &'a ExperimentDir,
        listed: &[(Attempt, PathBuf)],
    ) -> Result<Self, StorageError> {
        let mut rows = Vec::new();
        for (attempt, path) in listed {
            match dir.read_result(*attempt) {
                Ok(row) => rows.push((*attempt, row)),
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

    /// Appends those that count, removes what is settled, and returns what became of the first.
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
    use crate::ops::train::attempt::tests::curve_row;
    use crate::q_learning::Epsilon;
    use crate::space::Candidate;
    use crate::storage::log::random_log::claimant;
    use crate::storage::{Claimant, Curve};

    /// Draws the one architecture in a claim that has ended already.
    fn draw(journal: &mut Journal) -> Row {
        let by = Claimant { expires_at: Timestamp::UNIX_EPOCH.into(), ..claimant(0) };
        let only = Candidate::once("[SM(10)]");
        journal
            .transaction(|transaction| {
                let row = transaction.state().draw(&only, Some(Epsilon::RANDOM), &by);
                transaction.push(row.clone())?;
                Ok(row)
            })
            .unwrap()
    }

    fn result_of(claim: &Row, reward: f64) -> Row {
        claim.made_up_result(Event::Failed, reward, Timestamp::UNIX_EPOCH.into())
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
    fn a_result_carries_what_its_claim_carried() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::random_search(&folder, 9);
        let row = Row {
            attempt: Some(2),
            round: Some(2),
            view: Some(40),
            predictor: Some(100),
            device: Some("cuda:0".into()),
            reason: Some("the attempt before came to nothing".into()),
            ..draw(&mut Journal::open(&experiment).unwrap())
        };
        let architecture = experiment.config().space.parse("[SM(10)]").unwrap();
        let claim = Claim { attempt: row.attempt().unwrap(), row, architecture, timeouts: 0 };
        let path = folder.path().join("1.2.csv");
        let mut curve = CurveInProgress::new(path.clone(), Curve::default());
        for (epoch, accuracy) in (1..).zip([0.25, 0.375, 0.5, 0.5]) {
            let row = CurveRow { learning_rate: Some(0.001), ..curve_row(epoch, accuracy) };
            assert!(curve.append(row, |_| ()).unwrap());
        }
        let result = |end: TrainingEnd, curve: &CurveInProgress| {
            let time = Some(Timestamp::UNIX_EPOCH.into());
            Row { time, ..result_row(&experiment, &claim, &end, curve, 8.5).unwrap() }
        };
        assert_eq!(
            String::from_utf8(result(TrainingEnd::Done, &curve).to_line().unwrap()).unwrap(),
            "1,trained,2,2,1.0,[SM(10)],,0.5,0.5,3,0.5,4,,,,,,,2570,2560,0,0.001,0,8.5,,0.0,40,,\
             cuda:0,node1,77,0,2026-03-01T12:00:00.000Z,1970-01-01T00:00:00.000Z,,1,100,\n"
        );
        let mut unjudged = CurveInProgress::new(folder.path().join("1.3.csv"), Curve::default());
        for epoch in [1, 2] {
            let row = CurveRow { validation_accuracy: None, ..curve_row(epoch, 0.5) };
            assert!(unjudged.append(row, |_| ()).unwrap());
        }
        let trained = result(TrainingEnd::Done, &unjudged);
        assert_eq!(
            (trained.event, trained.epochs, trained.reward),
            (Event::Trained, Some(2), None)
        );
        assert_eq!((trained.best_epoch, trained.last_validation_accuracy), (None, None));
        let failed = TrainingEnd::Failed { reason: "NaN".to_owned() };
        let failed = result(failed, &CurveInProgress::new(path, Curve::default()));
        assert_eq!((failed.epochs, failed.best_epoch), (Some(0), None));
        assert_eq!(failed.reason.as_deref(), Some("NaN"));
        let out_of_memory = result(TrainingEnd::OutOfMemory { peak_bytes: None }, &curve);
        assert_eq!((out_of_memory.epochs, out_of_memory.reason), (None, None));
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
        assert!(experiment.dir().list_curves_and_results().unwrap().1.is_empty());
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
