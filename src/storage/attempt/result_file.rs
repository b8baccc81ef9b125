//! A result that is about to be appended to the log: `curves/000123.1.result`.
//!
//! An attempt publishes the very row, with a checksum, before it tries to append it, and removes
//! the file after a synced append. So a finished training outlives its process: each place that
//! would record the claim as lost appends this row instead.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::regular_file;
use crate::storage::fs::publish::{self, Published};
use crate::storage::log::event::{Attempt, Row};
use crate::storage::{dir::ExperimentDir, dir::Folder, error::StorageError, log::text::header};

impl ExperimentDir {
    pub fn publish_result(&self, attempt: Attempt, row: &Row) -> Result<Published, StorageError> {
        let path = self.result(attempt);
        let line = row
            .to_line()
            .map_err(|source| StorageError::Unwritable { path: path.clone(), source })?;
        publish::file_once(&path, &text(&line))
    }

    pub fn read_result(&self, attempt: Attempt) -> Result<Row, StorageError> {
        let path = self.result(attempt);
        let bytes = regular_file::read(&path, regular_file::SMALL)
            .map_err(StorageError::io("read", &path))?;
        let damaged = |how: &str| StorageError::line(&path, 2, how);
        let line = bytes.split_inclusive(|&byte| byte == b'\n').nth(1).unwrap_or_default();
        if text(line) != bytes {
            return Err(damaged("the file is not what its checksum says"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let row = Row::parse(line).map_err(|error| damaged(&error.to_string()))?;
        if !row.event.is_result() || row.attempt() != Some(attempt) {
            return Err(damaged("the row is no result of this attempt"));
        }
        Ok(row)
    }

    /// Removes the file, whose row the log holds now; another process may have done so.
    pub fn remove_result(&self, attempt: Attempt) -> Result<(), StorageError> {
        let path = self.result(attempt);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StorageError::io("remove", &path)),
        }
    }

    pub fn list_results(&self) -> Result<Vec<(Attempt, PathBuf)>, StorageError> {
        self.list_of_attempts(".result")
    }

    fn result(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Curves).join(format!("{attempt}.result"))
    }
}

/// The header of the log, the row, and the checksum of both.
fn text(line: &[u8]) -> Vec<u8> {
    let row = [header().as_bytes(), line].concat();
    let sum = format!("# SHA-256 {:x}\n", Sha256::digest(&row));
    [row, sum.into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::event::{Event, Iteration};

    const ATTEMPT: Attempt = Attempt { iteration: Iteration(12), number: 2 };

    fn row() -> Row {
        let Attempt { iteration, number } = ATTEMPT;
        let reason = Some("said \"no\", twice".to_owned());
        Row { iteration: Some(iteration), attempt: Some(number), reason, ..Row::new(Event::Failed) }
    }

    #[test]
    fn a_result_is_published_once_read_back_and_removed() {
        let (_folder, experiment) = ExperimentDir::made_up();
        assert_eq!(experiment.publish_result(ATTEMPT, &row()).unwrap(), Published::First);
        let other = Row { reason: None, ..row() };
        assert_eq!(experiment.publish_result(ATTEMPT, &other).unwrap(), Published::AlreadyThere);
        assert_eq!(experiment.read_result(ATTEMPT).unwrap(), row());
        let listed: Vec<Attempt> =
            experiment.list_results().unwrap().into_iter().map(|(attempt, _)| attempt).collect();
        assert_eq!(listed, [ATTEMPT]);
        assert!(experiment.list_curves().unwrap().is_empty());
        experiment.remove_result(ATTEMPT).unwrap();
        experiment.remove_result(ATTEMPT).unwrap();
        assert!(experiment.list_results().unwrap().is_empty());
    }

    #[test]
    fn a_file_with_one_byte_changed_or_cut_off_is_no_result() {
        let (_folder, experiment) = ExperimentDir::made_up();
        experiment.publish_result(ATTEMPT, &row()).unwrap();
        let path = experiment.result(ATTEMPT);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&changed[..], &whole[..at]] {
                fs::write(&path, bytes).unwrap();
                assert!(experiment.read_result(ATTEMPT).unwrap_err().is_damage(), "byte {at}");
            }
        }
        // The whole result of another attempt.
        fs::write(&path, text(&Row { attempt: Some(1), ..row() }.to_line().unwrap())).unwrap();
        assert!(experiment.read_result(ATTEMPT).unwrap_err().is_damage());
    }
}
