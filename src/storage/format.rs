//! The version of the files of an experiment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the form of all files below an experiment directory.
///
/// It stands in `experiment.yaml` as `format_version`. A program reads and writes exactly one
/// version: within an experiment several copies of the program may run for weeks, and one that
/// understood the files a little differently would damage them.
///
/// Raised by one whenever a file written by the new program could be misread by the old one, or
/// the other way round: a column of the replay log or of a view added, dropped, renamed, reordered
/// or given another meaning; another rule for which rows may follow which; another path; another
/// key of a generator. Not raised for `tables/` and `report/`, which no program reads, nor for a
/// new key of `experiment.yaml` that has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormatVersion(pub u32);

impl FormatVersion {
    /// The version of this program.
    pub const CURRENT: Self = Self(2);
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
