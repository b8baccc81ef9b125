//! The log open for writing, and what is known of it while rows are decided under its lock.

use crate::ops::Experiment;
use crate::ops::known_rows::KnownRows;
use crate::storage::{
    ExclusiveGuard, Knowledge, LockTimeout, LogCursor, Row, View, WritableReplayLog,
};

/// The log opened for writing, with what is known at the last place that was read.
pub(crate) struct LiveLog {
    log: WritableReplayLog,
    known: KnownRows,
}

/// Bytes of the log that are too many to be taken in under the exclusive lock: about 100 rows.
const FAR_BEHIND: u64 = 1 << 15;

impl LiveLog {
    /// Opens the log beside the newest view, after a look at whether the one fits the other.
    pub fn open(experiment: &Experiment) -> anyhow::Result<Self> {
        let view = View::newest(experiment.dir(), experiment.view_params())?;
        Self::after(experiment, &view)
    }

    /// As [`LiveLog::open`], beside a view that was read already. The folders that rows speak of are there afterwards.
    pub fn after(experiment: &Experiment, view: &View) -> anyhow::Result<Self> {
        experiment.dir().make_folders()?;
        let log = WritableReplayLog::open(experiment.dir())?;
        let known = KnownRows::of(view, log.reader())?;
        Ok(Self { log, known })
    }

    /// Opens the log again, to read on; `None` when the rows that were read are no longer what they were.
    ///
    /// Not the file that is open: another program may have put one in its place.
    pub fn reopened(self, experiment: &Experiment) -> anyhow::Result<Option<Self>> {
        let log = WritableReplayLog::open(experiment.dir())?;
        let holds = self.known.hold_in(log.reader())?;
        Ok(holds.then_some(Self { log, ..self }))
    }

    /// Sets how long to wait for the lock.
    pub const fn set_lock_timeout(&mut self, patience: LockTimeout) {
        self.log.set_lock_timeout(patience);
    }

    /// Opens the log to record a result where it is no longer what the newest view was made from, which
    /// refuses no result: what is known is what its rows say.
    pub fn without_view(experiment: &Experiment) -> anyhow::Result<Self> {
        let log = WritableReplayLog::open(experiment.dir())?;
        Ok(Self { log, known: KnownRows::nothing() })
    }

    /// Returns the number of rows that were taken in.
    pub const fn rows(&self) -> u64 {
        self.known.cursor().rows()
    }

    /// Returns what was known when the log was last read.
    pub const fn knowledge(&self) -> &Knowledge {
        self.known.knowledge()
    }

    /// Takes in what others wrote, under the shared lock, and asks a question.
    pub fn peek<T>(&mut self, ask: impl FnOnce(&Knowledge) -> T) -> anyhow::Result<T> {
        self.known.read_on(self.log.reader())?;
        Ok(ask(self.known.knowledge()))
    }

    /// Takes the exclusive lock, takes in what others wrote, and lets `decide` stage and write rows.
    /// The lock is held for as long as it takes; so what others wrote is taken in beforehand where
    /// it is much, as it is late in a large round, and where a repair has changed what was read before.
    pub fn locked<T>(
        &mut self,
        decide: impl FnOnce(&mut Session<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if self.log.reader().bytes_after(self.known.cursor())? > FAR_BEHIND {
            self.known.read_on(self.log.reader())?;
        }
        let mut guard = self.log.lock_exclusive()?;
        let mut tail = guard.read_from(self.known.cursor())?;
        while self.known.are_ended_by(&tail) {
            drop(guard);
            self.known.read_on(self.log.reader())?;
            guard = self.log.lock_exclusive()?;
            tail = guard.read_from(self.known.cursor())?;
        }
        self.known.take_in(tail)?;
        let (knowledge, cursor) = self.known.parts();
        decide(&mut Session { guard, knowledge, cursor, staged: Vec::new() })
    }
}

/// The time under the lock: rows are staged, seen in what is known, and written together.
///
/// After an error the [`LiveLog`] knows rows that were never written, and is not to be used again.
pub(crate) struct Session<'a> {
    guard: ExclusiveGuard<'a>,
    knowledge: &'a mut Knowledge,
    cursor: &'a mut LogCursor,
    staged: Vec<Row>,
}

impl Session<'_> {
    /// Returns what is known, staged rows included.
    pub const fn knowledge(&self) -> &Knowledge {
        self.knowledge
    }

    /// Returns the number of rows in the log, staged ones not counted.
    pub const fn rows(&self) -> u64 {
        self.cursor.rows()
    }

    /// Takes a row in and keeps it for [`Session::write`].
    pub fn stage(&mut self, row: Row) -> anyhow::Result<()> {
        self.knowledge.apply(&row)?;
        self.staged.push(row);
        Ok(())
    }

    /// Takes several rows in.
    pub fn stage_all(&mut self, rows: Vec<Row>) -> anyhow::Result<()> {
        rows.into_iter().try_for_each(|row| self.stage(row))
    }

    /// Returns whether this very result, of this attempt, is in the log. Reads all of it.
    pub fn has_result_of(&self, result: &Row) -> anyhow::Result<bool> {
        let all = self.guard.read_from(&LogCursor::start())?;
        let is_same = |row: &Row| {
            row.event.is_result()
                && (row.iteration, row.attempt, row.reward)
                    == (result.iteration, result.attempt, result.reward)
        };
        Ok(all.rows.iter().any(is_same))
    }

    /// Brings what is in the log to the disk.
    pub fn sync(&self) -> anyhow::Result<()> {
        Ok(self.guard.sync()?)
    }

    /// Appends what was staged, in one write.
    pub fn write(&mut self) -> anyhow::Result<()> {
        if !self.staged.is_empty() {
            self.guard.append(&self.staged)?;
            self.staged.clear();
            *self.cursor = self.guard.read_from(self.cursor)?.cursor;
        }
        Ok(())
    }
}
