//! Files of attempts, and those among them that the log does not know of.
//!
//! An attempt begins with a row of the log, so a file of an attempt without any row means that rows
//! were lost: the log was put back from an older copy, or its server has lost its last seconds. It
//! would be in the way of the attempt that gets its number.

use std::path::{Path, PathBuf};

use crate::ops::Refusal;
use crate::storage::{Attempt, ExperimentDir, Knowledge, StorageError};

/// Files of attempts: to be listed before the log is read, so that the log holds the claim of each.
#[derive(Debug, Clone)]
pub(crate) struct AttemptFiles {
    pub curves: Vec<(Attempt, PathBuf)>,
    pub results: Vec<(Attempt, PathBuf)>,
    pub checkpoints: Vec<(Attempt, PathBuf)>,
}

impl AttemptFiles {
    pub fn list(dir: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self {
            curves: dir.list_curves()?,
            results: dir.list_results()?,
            checkpoints: dir.list_checkpoints()?,
        })
    }

    pub fn unknown(&self, knows: impl Fn(Attempt) -> bool) -> impl Iterator<Item = &Path> {
        let all = self.curves.iter().chain(&self.results).chain(&self.checkpoints);
        all.filter(move |(attempt, _)| !knows(*attempt)).map(|(_, path)| path.as_path())
    }

    /// Refuses to go on where the log, read after they were listed, lacks the rows of one.
    pub fn check(&self, knowledge: &Knowledge) -> Result<(), Refusal> {
        let mut unknown = self.unknown(|attempt| knowledge.has_begun(attempt));
        match unknown.next() {
            None => Ok(()),
            Some(file) => {
                let others = match unknown.count() {
                    0 => String::new(),
                    others => format!(" (and {others} other files)"),
                };
                Err(Refusal::Damage(format!(
                    "the log lacks rows: `{}`{others} is there, and no row of it (the next \
                     iteration would be {}; put back the newer log if it was replaced by an older \
                     copy, else `metaqnn verify --repair` sets such files aside)",
                    file.display(),
                    knowledge.next_iteration()
                )))
            }
        }
    }
}
