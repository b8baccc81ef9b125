//! Blanking a damaged row: overwritten in place with a `void` row of the same length, so that no byte offset moves.
//!
//! What was there is saved in `torn/` before. The row keeps its iteration and attempt as far as they are known and
//! fit. A process that is killed while it writes leaves a row that is void in part, which [`crate::storage::RawLog`] tells from
//! a whole one; blanking is then repeated.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::storage::error::StorageError;
use crate::storage::log::append::ExclusiveGuard;
use crate::storage::log::damage::RawLine;
use crate::storage::log::row::{Attempt, Iteration, Row};
use crate::storage::log::text::COLUMNS;
use crate::storage::log::torn;

/// What a blanked row keeps, or what can still be read of a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Its iteration.
    pub iteration: Option<Iteration>,
    /// Its attempt.
    pub attempt: Option<u32>,
}

impl Kept {
    /// Returns the numbers of a row.
    pub const fn of(row: &Row) -> Self {
        Self { iteration: row.iteration, attempt: row.attempt }
    }

    /// Returns the attempt, when both numbers are known.
    pub fn attempt(self) -> Option<Attempt> {
        Some(Attempt { iteration: self.iteration?, number: self.attempt? })
    }
}

impl ExclusiveGuard<'_> {
    /// Blanks a line that [`ExclusiveGuard::read_raw`] has told of, and returns where its bytes are kept. A line
    /// without a byte cannot be blanked and is left as it is: `None`.
    ///
    /// # Errors
    /// Its bytes cannot be saved, and it stays as it is; or it cannot be overwritten.
    pub fn blank(&mut self, line: &RawLine, keep: Kept) -> Result<Option<PathBuf>, StorageError> {
        if line.bytes.is_empty() {
            return Ok(None);
        }
        let saved = torn::save(&self.log.torn, line.byte, &line.bytes)?;
        let blank = blanked(line.bytes.len(), keep);
        let log = self.log.reader();
        log.file.write_all_at(&blank, line.byte).map_err(log.io("overwrite a row of"))?;
        log.file.sync_data().map_err(log.io("sync"))?;
        Ok(Some(saved))
    }
}

/// Returns a `void` row of exactly `length` bytes: all columns when they fit, else `iteration,void,attempt` or less, and
/// commas alone where not even the event fits.
pub(crate) fn blanked(length: usize, keep: Kept) -> Vec<u8> {
    let kept = [keep, Kept { attempt: None, ..keep }, Kept::default()];
    let mut forms = kept.into_iter().flat_map(forms);
    let fits = |candidate: &String| {
        // Spaces may follow a comma only: after a number or the event they would change it.
        candidate.len() == length || (candidate.len() < length && candidate.ends_with(','))
    };
    let begin = forms.find(fits).unwrap_or_else(|| ",".repeat(length));
    format!("{begin:length$}").into_bytes()
}

/// Returns the ways to write these numbers, the longest first.
fn forms(keep: Kept) -> [String; 3] {
    let iteration = keep.iteration.map_or_else(String::new, |number| number.to_string());
    let columns = ",".repeat(COLUMNS.len() - 3);
    match keep.attempt {
        Some(attempt) => {
            let row = format!("{iteration},void,{attempt}");
            [row.clone() + &columns, row.clone() + ",", row]
        }
        None => {
            let row = format!("{iteration},void");
            [format!("{row},{columns}"), row.clone() + ",", row]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::row::Event;
    use crate::storage::{ExperimentDir, RawLog, WritableReplayLog};
    use proptest::prelude::*;
    use std::fs;

    fn blanked(length: usize, iteration: Option<u64>, attempt: Option<u32>) -> Vec<u8> {
        super::blanked(length, Kept { iteration: iteration.map(Iteration), attempt })
    }

    #[test]
    fn a_blanked_row_has_all_columns_where_they_fit() {
        let line = String::from_utf8(blanked(60, Some(12), Some(3))).unwrap();
        assert_eq!(line.matches(',').count(), COLUMNS.len() - 1);
        assert!(line.starts_with("12,void,3,,,"));
        assert_eq!(blanked(12, Some(12), Some(3)), b"12,void,3,  ");
        assert_eq!(blanked(9, Some(12), Some(3)), b"12,void,3");
        assert_eq!(blanked(8, Some(12), Some(3)), b"12,void,");
        assert_eq!(blanked(7, Some(12), Some(3)), b"12,void");
        assert_eq!(blanked(6, Some(12), Some(3)), b",void,");
        assert_eq!(blanked(3, Some(12), Some(3)), b",,,");
        // Attempt 10 does not fit, and is not cut to attempt 1.
        assert_eq!(blanked(7, None, Some(10)), b",void, ");
    }

    proptest! {
        #[test]
        fn a_blanked_row_has_its_length_and_is_read_back(
            length in 1usize..80,
            iteration in prop::option::of(any::<u64>()),
            attempt in prop::option::of(any::<u32>()),
        ) {
            let line = blanked(length, iteration, attempt);
            prop_assert_eq!(line.len(), length);
            let row = Row::parse(&line).unwrap();
            prop_assert_eq!(row.event, Event::Void);
            let read = row.iteration.map(|iteration| iteration.0);
            prop_assert!(read.is_none() || read == iteration);
            prop_assert!(row.attempt.is_none() || row.attempt == attempt);
            prop_assert_eq!(blanked(length, read, row.attempt), line);
        }
    }

    #[test]
    fn blanking_that_was_killed_at_any_byte_is_repeated() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let row = |number| Row {
            iteration: Some(Iteration(number)),
            attempt: Some(1),
            architecture: Some("[C(64,3,1), SM(10)]".into()),
            ..Row::new(Event::Claimed)
        };
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        log.lock_exclusive().unwrap().append(&[row(1), row(2), row(3)]).unwrap();
        let mut whole = fs::read(experiment.replay_log()).unwrap();
        let line = RawLog::of(whole.clone()).lines()[1].clone();
        let at = line.byte as usize;
        whole[at + 3] = b'x'; // 2,claimed -> 2,cxaimed
        let damaged = whole[at..at + line.bytes.len()].to_vec();
        let blank = blanked(damaged.len(), Some(2), Some(1));
        for killed_at in 0..=blank.len() {
            let mut bytes = whole.clone();
            bytes[at..at + killed_at].copy_from_slice(&blank[..killed_at]);
            fs::write(experiment.replay_log(), &bytes).unwrap();
            let mut guard = log.lock_exclusive().unwrap();
            let raw = guard.read_raw().unwrap();
            let line = &raw.lines()[1];
            if line.row.is_err() {
                assert!(guard.blank(line, line.readable()).unwrap().is_some());
            }
            let raw = guard.read_raw().unwrap();
            let rows: Vec<_> = raw.lines().iter().map(|line| line.row.clone().unwrap()).collect();
            assert_eq!((&rows[0], &rows[2]), (&row(1), &row(3)), "killed at {killed_at}");
            assert_eq!((rows[1].event, rows[1].iteration), (Event::Void, Some(Iteration(2))));
        }
        let kept = fs::read_dir(experiment.torn()).unwrap();
        assert!(
            kept.map(|piece| fs::read(piece.unwrap().path()).unwrap())
                .any(|piece| piece == damaged)
        );
    }
}
