//! An attempt that ends without a result: its claim stays open for the next attempt, or is lost.

use std::env;

use jiff::Timestamp;

use crate::ops::journal::Journal;
use crate::ops::train::record::{LeftResults, is_full};
use crate::ops::train::task::{Claimed, Sampler};
use crate::ops::train::{Claim, TaskRun};
use crate::ops::{Refusal, TrainEvent};
use crate::slurm::{Slurm, Variables};
use crate::storage::search_state::{EarlierAttempt, is_last_timeout};
use crate::storage::{
    Attempt, Event, ExperimentDir, LeftOnSignal, StorageError, TIME_TOO_SHORT, refusal_as_reason,
};
use crate::training::Signal;

impl Sampler<'_> {
    /// `None` when another process was faster, or its architecture gets no more attempts.
    pub(super) fn take_up_again(
        &self,
        journal: &mut Journal,
        earlier: Attempt,
    ) -> anyhow::Result<Option<Claimed>> {
        let dir = self.experiment.dir();
        let left = LeftResults::read(dir, Some(earlier.iteration))?;
        let end = end_of(dir, earlier);
        journal.transaction(|transaction| {
            // What an attempt of this task has finished is not trained again.
            if let Some(event) = left.settle(transaction)? {
                return Ok(Some(Claimed::Nothing(event)));
            }
            if self.open_claim(transaction.state()) != Some(earlier) {
                return Ok(None);
            }
            let rows = transaction.state().resume(earlier, end?, &self.claimant());
            let claim = rows.iter().find(|row| row.event == Event::Claimed).cloned();
            transaction.push_all(rows)?;
            claim.map(|row| self.claimed(row, transaction.state())).transpose()
        })
    }
}

/// Returns how an attempt ended that left without a row, by its files. It has added epochs when its
/// curve reaches further than any before, not when it has trained the same epochs again.
fn end_of(dir: &ExperimentDir, attempt: Attempt) -> Result<EarlierAttempt, StorageError> {
    Ok(match dir.left_on_signal(attempt) {
        Some(left) if !left.is_time_warning => EarlierAttempt::LeftOnSignal,
        _ if dir.reach(attempt) > dir.reach_before(attempt)? => EarlierAttempt::AddedEpochs,
        Some(left) => EarlierAttempt::TimedOut { lost_seconds: left.lost_seconds },
        None => EarlierAttempt::CameToNothing,
    })
}

impl TaskRun<'_> {
    /// Ends since nothing can be trained here, whatever the network: the claim is lost at once, so
    /// that another machine may have it, and counted as no failure. Returns the error.
    pub fn refuse(
        &mut self,
        attempt: Attempt,
        error: anyhow::Error,
        seconds: f64,
    ) -> anyhow::Result<anyhow::Error> {
        self.lose(attempt, refusal_as_reason(&format!("{error:#}")), seconds)?;
        Ok(error)
    }

    /// Ends after a signal, and returns the error for it. The claim stays open: this task takes it
    /// up when it is queued again. It is lost when the time was too short too often.
    /// `lost_seconds` are in no curve: those of this attempt, and of epochs that it has trained
    /// again; `all_seconds` are lost with the claim.
    pub fn leave(
        &mut self,
        claim: &Claim,
        lost_seconds: f64,
        all_seconds: f64,
    ) -> anyhow::Result<anyhow::Error> {
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        let iteration = attempt.iteration;
        let is_time_warning = self.interrupt.signal() == Some(Signal::TimeNearlyUp);
        // Only under a scheduler is a claim taken up again.
        if self.task.slurm.is_some() {
            // Without the mark the claim may count as a loss, and no more than that: a full disk
            // must not keep the task from being queued again.
            let left = LeftOnSignal { is_time_warning, lost_seconds };
            if let Err(error) = dir.mark_left_on_signal(attempt, &left) {
                log::warn!("the attempt leaves unmarked: {error}");
            }
            if is_time_warning
                && is_last_timeout(claim.timeouts)
                && matches!(end_of(dir, attempt)?, EarlierAttempt::TimedOut { .. })
            {
                self.lose(attempt, TIME_TOO_SHORT.to_owned(), all_seconds)?;
                return Ok(Refusal::Environment(format!(
                    "the claim of iteration {iteration} is lost: three attempts in a row left on \
                     the time warning without a new epoch (`slurm.time` is too short, or the \
                     trainer keeps no checkpoint)"
                ))
                .into());
            }
        }
        // Never after TERM: a cancelled job would come back.
        if is_time_warning {
            self.requeue()?;
        }
        let signal = if is_time_warning { "USR1" } else { "TERM" };
        Ok(Refusal::TryAgain(format!(
            "ended by {signal}; the claim of iteration {iteration} stays open"
        ))
        .into())
    }

    pub fn lose(&mut self, attempt: Attempt, reason: String, seconds: f64) -> anyhow::Result<()> {
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

    pub fn requeue(&self) -> anyhow::Result<()> {
        if let Some(task) = &self.task.slurm
            && self.experiment.config().slurm.requeue
        {
            let variables: Variables = env::vars_os().collect();
            Slurm::new(&variables, None).requeue(task.id)?;
        }
        Ok(())
    }
}
