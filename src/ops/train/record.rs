//! How a claim ended, appended to the log: a result however long the log cannot be written, a loss
//! while the disk is full.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::journal::Transaction;
use crate::ops::train::TaskRun;
use crate::ops::train::attempt_files::{self, LeftResults};
use crate::ops::train::claim::{Claim, end_of};
use crate::ops::train::curve::CurveInProgress;
use crate::ops::{Refusal, TrainEvent};
use crate::slurm::{Slurm, Variables};
use crate::storage::search_state::{EarlierAttempt, is_last_timeout};
use crate::storage::{
    Attempt, Iteration, LeftOnSignal, LockTimeout, Row, StorageError, TIME_TOO_SHORT,
};
use crate::training::Signal;

const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the lock of the log is waited for though the time is nearly up.
const SHORTEST_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a task without a scheduler tries to append a result; the next `run` appends it then.
const LONGEST_WITHOUT_A_SCHEDULER: Duration = Duration::from_secs(600);

impl TaskRun<'_> {
    /// Appends that an attempt has ended without a result.
    pub(crate) fn lose(
        &mut self,
        attempt: Attempt,
        reason: String,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let iteration = attempt.iteration;
        let dir = self.experiment.dir();
        // A result of this iteration that waits to be appended goes before its loss.
        let left = LeftResults::of(dir, iteration)?;
        let settled = self.until_written(iteration, is_full, |run| {
            run.write(|transaction| {
                let settled = left.settle(transaction)?;
                let now = Timestamp::now().into();
                let rows = transaction.state().lose(attempt, &reason, Some(seconds), now);
                transaction.push_all(rows)?;
                Ok(settled)
            })
        })?;
        let event = settled.into_iter().next();
        (self.on_event)(event.unwrap_or(TrainEvent::Lost { iteration: iteration.0, reason }));
        Ok(())
    }

    /// Appends a result, once its curve is synced. Until that has succeeded the row lies beside the
    /// curve.
    pub(crate) fn record(
        &mut self,
        attempt: Attempt,
        row: &Row,
        curve: &mut CurveInProgress,
    ) -> anyhow::Result<()> {
        let dir = self.experiment.dir();
        let mut is_published = false;
        let event = self.until_written(
            attempt.iteration,
            |_| true,
            |run| {
                curve.finish()?;
                if !is_published {
                    match dir.publish_result(attempt, row) {
                        Ok(_) => is_published = true,
                        // The log may take it all the same.
                        Err(error) => log::warn!("a result is not kept beside its curve: {error}"),
                    }
                }
                run.write(|transaction| attempt_files::record(transaction, row))
            },
        )?;
        attempt_files::remove(dir, attempt);
        (self.on_event)(event);
        Ok(())
    }

    /// Ends after a signal. The claim stays open: this task takes it up when it is queued again. It
    /// is lost when the time was too short too often.
    pub(super) fn leave(
        &mut self,
        claim: &Claim,
        lost_seconds: f64,
        all_seconds: f64,
    ) -> anyhow::Result<()> {
        let attempt = claim.attempt;
        let iteration = attempt.iteration.0;
        let is_time_warning = self.interrupt.signal() == Some(Signal::TimeNearlyUp);
        // Without the mark the claim may count as a loss, and no more than that: a full disk must
        // not keep the task from being queued again. Only under a scheduler is a claim taken up
        // again.
        let left = LeftOnSignal { is_time_warning, lost_seconds };
        if self.task.slurm.is_some()
            && let Err(error) = self.experiment.dir().mark_left_on_signal(attempt, &left)
        {
            log::warn!("the attempt leaves unmarked: {error}");
        }
        // Never requeued by itself: a cancelled job would come back.
        if !is_time_warning {
            return Err(Refusal::TryAgain(format!(
                "ended by TERM; the claim of iteration {iteration} stays open"
            ))
            .into());
        }
        if self.task.slurm.is_some()
            && is_last_timeout(claim.timeouts)
            && matches!(end_of(self.experiment.dir(), attempt)?, EarlierAttempt::TimedOut { .. })
        {
            self.lose(attempt, TIME_TOO_SHORT.to_owned(), all_seconds)?;
            return Err(Refusal::Environment(format!(
                "the claim of iteration {iteration} is lost: three attempts in a row left \
                 on the time warning without a new epoch (`slurm.time` is too short, or \
                 the trainer keeps no checkpoint)"
            ))
            .into());
        }
        self.requeue()?;
        Err(Refusal::TryAgain(format!(
            "ended by USR1; the claim of iteration {iteration} stays open"
        ))
        .into())
    }

    fn requeue(&self) -> anyhow::Result<()> {
        if let Some(task) = &self.task.slurm
            && self.experiment.config().slurm.requeue
        {
            let variables: Variables = env::vars_os().collect();
            Slurm::new(&variables, None).requeue(task.id)?;
        }
        Ok(())
    }

    /// Writes by what the rows of the log say, whatever became of its views.
    fn write<T>(
        &mut self,
        decide: impl FnOnce(&mut Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.journal.set_lock_timeout(self.lock_timeout());
        self.journal.transaction(decide)
    }

    /// Retries with growing pauses after an error that is worth it, until the time is nearly up.
    fn until_written<T>(
        &mut self,
        iteration: Iteration,
        is_worth_it: impl Fn(&anyhow::Error) -> bool,
        mut write: impl FnMut(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (began, mut pause) = (Instant::now(), Duration::from_secs(1));
        loop {
            let error = match write(self) {
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
            self.sleep(pause);
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

    /// A wait for the lock is not ended by the scheduler's warning, so it is not much longer than
    /// the time of the task.
    fn lock_timeout(&self) -> LockTimeout {
        let default = LockTimeout::default();
        let left = self.time_to_record(Instant::now()).max(SHORTEST_LOCK_TIMEOUT);
        LockTimeout { limit: default.limit.min(left), ..default }
    }

    fn leave_unrecorded(&self, iteration: Iteration, error: anyhow::Error) -> anyhow::Error {
        let iteration = iteration.0;
        if self.task.slurm.is_none() && self.interrupt.signal().is_none() {
            return error.context(Refusal::Environment(format!(
                "failed to record iteration {iteration} for ten minutes (a result is kept \
                 beside its learning curve: once the log can be written the next `metaqnn \
                 run` or `metaqnn reduce` records it)"
            )));
        }
        // Never after TERM: a cancelled job would come back.
        if self.interrupt.signal() != Some(Signal::Terminate)
            && let Err(error) = self.requeue()
        {
            log::warn!("the task is not queued again: {error:#}");
        }
        error.context(Refusal::TryAgain(format!(
            "failed to record iteration {iteration} until the time was nearly up (a result \
             is kept beside its learning curve: the next attempt or `metaqnn reduce` \
             records it)"
        )))
    }

    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && self.interrupt.signal().is_none() {
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether an append failed for want of space, which may come back.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<StorageError>())
        .any(StorageError::is_full)
}
