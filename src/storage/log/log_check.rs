//! Whether the log is still what it was: what a view was made from, and what a task has read.

use crate::storage::error::StorageError;
use crate::storage::log::file::{ReplayLog, read_up_to};
use crate::storage::log::position::{LogCursor, LogPosition};
use crate::storage::log::row::Event;

impl ReplayLog {
    /// Returns the cursor at a position that a view has kept, after checking that the log up to it
    /// is what it was. Takes no lock: these bytes change no more.
    ///
    /// # Errors
    /// They have changed.
    pub fn cursor_at(&self, position: &LogPosition) -> Result<LogCursor, StorageError> {
        if let Some(cursor) = self.check(LogCursor::origin(), position)? {
            return Ok(cursor);
        }
        // What another machine has appended since we opened the file is certain to be seen only
        // under the lock.
        let guard = self.lock_shared()?;
        let cursor = self.check(LogCursor::origin(), position)?;
        drop(guard);
        cursor.ok_or_else(|| self.changed("a view was made from other rows".to_owned()))
    }

    /// Returns whether a repair has begun after so many rows, so that what was made of these rows is from before it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn was_repaired_after(&self, rows: u64) -> Result<bool, StorageError> {
        let all = self.read_from(&LogCursor::start())?.rows;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Ok(all.iter().skip(rows).any(|row| row.event == Event::Repaired))
    }

    /// Returns whether the rows between two cursors are still those that were read: no repair has
    /// blanked one. What lies before `from` is taken to be what it was.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn holds_between(&self, from: &LogCursor, to: &LogCursor) -> Result<bool, StorageError> {
        Ok(self.check(from.clone(), &to.position())?.is_some())
    }

    /// Reads on from a cursor to a position; `None` when what lies there is not what it was.
    fn check(
        &self,
        mut cursor: LogCursor,
        position: &LogPosition,
    ) -> Result<Option<LogCursor>, StorageError> {
        let mut chunk = vec![0; 1 << 16];
        while cursor.byte() < position.byte {
            let left = usize::try_from(position.byte - cursor.byte()).unwrap_or(usize::MAX);
            let wanted = left.min(chunk.len());
            let read = read_up_to(&self.file, &mut chunk[..wanted], cursor.byte())
                .map_err(self.io("read"))?;
            if read == 0 {
                return Ok(None);
            }
            cursor.advance(&chunk[..read], 0);
        }
        cursor.advance(&[], position.rows - cursor.rows());
        Ok((cursor.position() == *position).then_some(cursor))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::log::file::tests::{experiment, message};

    #[test]
    fn a_log_that_is_not_what_a_view_saw_is_refused() {
        let (_folder, experiment) = experiment();
        let log = ReplayLog::open(&experiment).unwrap();
        let cursor = log.read_from(&LogCursor::start()).unwrap().cursor;
        let position = cursor.position();
        let text = fs::read_to_string(experiment.replay_log()).unwrap();
        fs::write(experiment.replay_log(), text.replace("2,lost", "9,lost")).unwrap();
        assert!(
            message(log.cursor_at(&position).unwrap_err()).contains("changed by another program")
        );
        fs::write(experiment.replay_log(), &text[..text.len() - 5]).unwrap();
        assert!(
            message(log.cursor_at(&position).unwrap_err()).contains("changed by another program")
        );
        assert!(message(log.read_from(&cursor).unwrap_err()).contains("it ends at byte"));
    }

    #[test]
    fn rows_hold_until_one_of_them_is_blanked() {
        let (_folder, experiment) = experiment();
        let log = ReplayLog::open(&experiment).unwrap();
        let start = LogCursor::start();
        let end = log.read_from(&start).unwrap().cursor;
        assert!(log.holds_between(&start, &end).unwrap() && log.holds_between(&end, &end).unwrap());
        let text = fs::read_to_string(experiment.replay_log()).unwrap();
        fs::write(experiment.replay_log(), text.replace("2,lost", "2,void")).unwrap();
        assert!(!log.holds_between(&start, &end).unwrap());
        assert!(log.holds_between(&end, &end).unwrap(), "what lies before is not looked at");
        fs::write(experiment.replay_log(), &text[..text.len() - 1]).unwrap();
        assert!(!log.holds_between(&start, &end).unwrap());
    }
}
