//! What a claim came to, appended to the log: a result or a loss, however long the disk is full.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Worker;
use crate::ops::curve_in_progress::CurveInProgress;
use crate::ops::live_log::{LiveLog, Session};
use crate::ops::{Refusal, TrainEvent};
use crate::storage::knowledge::Record;
use crate::storage::{Attempt, Iteration, Row, StorageError};

impl Worker<'_> {
    /// Appends that an attempt has ended without a result.
    pub(super) fn lose(
        &mut self,
        attempt: Attempt,
        reason: String,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let iteration = attempt.iteration;
        self.once_there_is_room(iteration, |worker| {
            worker.write(|session| {
                let now = Timestamp::now().into();
                let rows = session.knowledge().lose(attempt, &reason, Some(seconds), now);
                session.stage_all(rows)?;
                session.write()
            })
        })?;
        (self.on_event)(TrainEvent::Lost { iteration: iteration.0, reason });
        Ok(())
    }

    /// Appends a result, once its curve is safe.
    pub(super) fn record(
        &mut self,
        attempt: Attempt,
        row: &Row,
        curve: &mut CurveInProgress,
    ) -> anyhow::Result<()> {
        let iteration = attempt.iteration;
        self.once_there_is_room(iteration, |_| Ok(curve.finish()?))?;
        let counts = self.once_there_is_room(iteration, |worker| {
            worker.write(|session| {
                let (rows, counts) = match session.knowledge().record(row)? {
                    Record::Append(rows) => (rows, true),
                    Record::AlreadyKnown { due, .. } => (due, false),
                };
                session.stage_all(rows)?;
                session.write()?;
                Ok(counts)
            })
        })?;
        (self.on_event)(if counts {
            TrainEvent::Recorded {
                iteration: iteration.0,
                outcome: row.event.to_string(),
                reward: row.reward,
                seconds: row.train_seconds.unwrap_or(0.0),
            }
        } else {
            TrainEvent::Superseded { iteration: iteration.0 }
        });
        Ok(())
    }

    /// Writes what a claim came to, which is not refused where the log or the configuration is no longer what the newest view
    /// was made from.
    fn write<T>(
        &mut self,
        decide: impl FnOnce(&mut Session<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self.current() {
            Ok(mut current) => {
                let written = current.live.locked(decide)?;
                self.kept = Some(current);
                Ok(written)
            }
            Err(error)
                if matches!(
                    error.downcast_ref(),
                    Some(StorageError::Changed { .. } | StorageError::OtherConfiguration { .. })
                ) =>
            {
                LiveLog::without_view(self.experiment)?.locked(decide)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes, again and again with growing pauses while the disk is full: a result is worth waiting for.
    fn once_there_is_room<T>(
        &mut self,
        iteration: Iteration,
        mut write: impl FnMut(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut pause = Duration::from_secs(1);
        loop {
            match write(self) {
                Err(error) if is_full(&error) && self.may_wait(pause) => {
                    log::warn!(
                        "iteration {iteration} is not recorded yet: {error:#}; trying again in {} s",
                        pause.as_secs()
                    );
                    self.sleep(pause);
                    pause = (2 * pause).min(Duration::from_secs(60));
                }
                Err(error) if is_full(&error) => {
                    self.requeue()?;
                    return Err(error.context(Refusal::Unrecorded { iteration: iteration.0 }));
                }
                written => return written,
            }
        }
    }

    fn may_wait(&self, pause: Duration) -> bool {
        let margin = pause + self.experiment.config().slurm.signal();
        self.interrupt.signal().is_none() && self.task.time_left().is_none_or(|left| left > margin)
    }

    /// Sleeps in steps, so that a signal ends it.
    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && self.interrupt.signal().is_none() {
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether an append failed for want of space, which may come back.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<StorageError>())
        .any(StorageError::is_full)
}
