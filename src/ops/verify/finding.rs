//! What an audit finds.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use strum::EnumMessage as _;

use crate::storage::StorageError;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// A file is not what this program wrote, or lacks what it must hold.
    #[default]
    Damage,
    Note,
}

/// What `verify --repair` does about a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, strum::EnumMessage)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    #[default]
    None,
    #[strum(message = "kept in torn/ and blanked")]
    BlankRow,
    #[strum(message = "kept in torn/ and cut, as by the next writer")]
    CutEnd,
    #[strum(message = "appended")]
    AppendRows,
    #[strum(message = "set aside, and learned again from the log")]
    RebuildView,
    #[strum(message = "set aside")]
    SetAside,
    #[strum(message = "appended or removed, as by the next reduce")]
    SettleResult,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// In a report below the experiment: joined to its root it can be opened.
    pub path: PathBuf,
    /// From 1.
    pub line: Option<u64>,
    /// Where that line begins, from 0.
    pub byte: Option<u64>,
    pub problem: String,
    pub repair: Repair,
    pub repaired: bool,
}

impl Finding {
    pub fn damage(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), ..Self::default() }
    }

    pub fn note(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::damage(path, problem) }
    }

    pub fn at(self, line: u64, byte: u64) -> Self {
        Self { line: Some(line), byte: Some(byte), ..self }
    }

    pub fn mended_by(self, repair: Repair) -> Self {
        Self { repair, ..self }
    }

    /// Whether it is damage that is still there.
    pub fn is_damage(&self) -> bool {
        self.severity == Severity::Damage && !self.repaired
    }
}

/// One line: `damage    replay.csv:5 (byte 1234): what is wrong [what can be done]`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.to_string();
        let kind = if self.repaired { "repaired" } else { &severity };
        write!(f, "{kind:<8}  {}", self.path.display())?;
        if let (Some(line), Some(byte)) = (self.line, self.byte) {
            write!(f, ":{line} (byte {byte})")?;
        }
        write!(f, ": {}", self.problem)?;
        match self.repair.get_message() {
            None if self.severity == Severity::Note => Ok(()),
            None => {
                f.write_str(" [no safe repair: put it back from a copy, unless said otherwise]")
            }
            Some(done) if self.repaired => write!(f, " [{done}]"),
            Some(planned) => write!(f, " [with --repair: {planned}]"),
        }
    }
}

/// Returns what was read, or how that is damaged; any other error ends the audit.
pub(crate) fn or_damage<T>(
    read: Result<T, StorageError>,
) -> Result<Result<T, String>, StorageError> {
    match read {
        Err(error) if error.is_damage() => Ok(Err(one_line(error))),
        read => read.map(Ok),
    }
}

pub(crate) fn one_line(error: StorageError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding =
            Finding::damage("replay.csv", "no row").at(5, 1234).mended_by(Repair::BlankRow);
        assert_eq!(
            finding.to_string(),
            "damage    replay.csv:5 (byte 1234): no row [with --repair: kept in torn/ and blanked]"
        );
        let repaired = Finding { repaired: true, ..finding };
        assert!(repaired.to_string().starts_with("repaired  replay.csv:5"));
        assert!(!repaired.is_damage());
        let note = Finding::note("torn/000000000012.0123456789abcdef", "4 bytes");
        assert_eq!(note.to_string(), "note      torn/000000000012.0123456789abcdef: 4 bytes");
    }

    #[test]
    fn the_names_in_json_are_stable() {
        let finding = Finding::damage("replay.csv", "x").mended_by(Repair::RebuildView);
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            "{\"severity\":\"damage\",\"path\":\"replay.csv\",\"line\":null,\"byte\":null,\
             \"problem\":\"x\",\"repair\":\"rebuild_view\",\"repaired\":false}"
        );
    }
}
