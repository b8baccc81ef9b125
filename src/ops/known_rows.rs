//! What is known of the log up to a row, read on as it grows, and forgotten where a repair says so.
//!
//! A repair blanks rows and replaces views, while others have read them already. It appends a `repaired` row before, under
//! the lock of the log. Whoever finds that row in what follows a place that was read to begins again with the first row
//! and without a view; a view published after the repair has the row behind it. The folder of views could not say it as
//! well: a client of NFS may show it as it was, but never the end of the log it has locked.

use crate::ops::Experiment;
use crate::storage::fs::publish::Published;
use crate::storage::{Knowledge, LogCursor, ReplayLog, StorageError, Tail, View, set_view_aside};

/// What is known up to a place in the log.
#[derive(Debug, Clone)]
pub(crate) struct KnownRows {
    knowledge: Knowledge,
    /// Where reading began: what lies before was found to be what a view was made from.
    start: LogCursor,
    cursor: LogCursor,
}

impl KnownRows {
    /// Begins with a view, after a look at whether the log fits it; without it where a repair has begun since.
    pub fn of(view: &View, log: &ReplayLog) -> anyhow::Result<Self> {
        match log.cursor_at(view.position()) {
            Ok(cursor) => {
                Ok(Self { knowledge: view.knowledge().clone(), start: cursor.clone(), cursor })
            }
            Err(error) if is_from_before_a_repair(log, view.rows(), &error) => Ok(Self::nothing()),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins with the first row.
    pub fn nothing() -> Self {
        let start = LogCursor::start();
        Self { knowledge: Knowledge::default(), start: start.clone(), cursor: start }
    }

    /// Returns what is known.
    pub const fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Returns where the rows that were taken in end.
    pub const fn cursor(&self) -> &LogCursor {
        &self.cursor
    }

    /// Returns what is known and where its rows end, to be changed together.
    pub const fn parts(&mut self) -> (&mut Knowledge, &mut LogCursor) {
        (&mut self.knowledge, &mut self.cursor)
    }

    /// Whether the rows after the view are still those that were read.
    pub fn hold_in(&self, log: &ReplayLog) -> anyhow::Result<bool> {
        Ok(log.holds_between(&self.start, &self.cursor)?)
    }

    /// Whether what is known may be wrong, by the rows that follow it.
    pub fn are_ended_by(&self, tail: &Tail) -> bool {
        self.cursor.rows() > 0 && tail.tells_of_repair()
    }

    /// Takes in the rows that follow, of which none ends what is known.
    pub fn take_in(&mut self, tail: Tail) -> anyhow::Result<()> {
        tail.apply_to(&mut self.knowledge)?;
        self.cursor = tail.cursor;
        Ok(())
    }

    /// Reads on to the end of the log, from the first row where what is known may be wrong.
    pub fn read_on(&mut self, log: &ReplayLog) -> anyhow::Result<()> {
        let mut tail = log.read_from(&self.cursor)?;
        if self.are_ended_by(&tail) {
            *self = Self::nothing();
            tail = log.read_from(&self.cursor)?;
        }
        self.take_in(tail)
    }
}

/// Returns a view with the rows that follow it; the empty one with all rows where a repair has begun since.
pub(crate) fn with_tail(
    experiment: &Experiment,
    log: &ReplayLog,
    view: View,
) -> anyhow::Result<(View, Tail)> {
    match log.cursor_at(view.position()).and_then(|cursor| log.read_from(&cursor)) {
        Ok(tail) if view.rows() == 0 || !tail.tells_of_repair() => return Ok((view, tail)),
        Ok(_) => {}
        Err(error) if is_from_before_a_repair(log, view.rows(), &error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((View::empty(experiment.view_params()), log.read_from(&LogCursor::start())?))
}

/// Publishes a view of the rows before `end`; `None` where a repair has begun after them: it is put out of sight again.
pub(crate) fn publish_view(
    experiment: &Experiment,
    view: &mut View,
    log: &ReplayLog,
    end: &LogCursor,
) -> anyhow::Result<Option<Published>> {
    let published = view.publish(experiment.dir())?;
    if !log.read_from(end)?.tells_of_repair() {
        return Ok(Some(published));
    }
    set_aside_if_there(experiment, view.rows())?;
    Ok(None)
}

/// Puts a view out of sight, unless another repair or reduce has done so.
pub(crate) fn set_aside_if_there(experiment: &Experiment, rows: u64) -> anyhow::Result<()> {
    match set_view_aside(experiment.dir(), rows) {
        Ok(aside) => {
            log::info!("the view of {rows} rows was set aside as `{}`", aside.display());
            Ok(())
        }
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a view that the log does not fit was made before a repair; if not, another program has changed the log.
fn is_from_before_a_repair(log: &ReplayLog, rows: u64, error: &StorageError) -> bool {
    matches!(error, StorageError::Changed { .. }) && log.was_repaired_after(rows).unwrap_or(false)
}
