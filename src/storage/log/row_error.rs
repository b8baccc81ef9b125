//! Why a line of the replay log is no row, or a row cannot be a line.

use crate::storage::log::text::COLUMNS;

/// What is wrong with one line of the replay log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Another number of columns; 0 when the line is no row at all.
    #[error("{found} columns instead of {}", COLUMNS.len())]
    Columns {
        /// How many there are.
        found: usize,
    },
    /// A value that cannot be read.
    #[error("column `{column}` is unreadable: `{value}`")]
    Unreadable {
        /// Name of the column.
        column: &'static str,
        /// The text found.
        value: String,
    },
    /// A number that is none.
    #[error("column `{column}` is not a finite number")]
    NotFinite {
        /// Name of the column.
        column: &'static str,
    },
    /// Text that would break the line.
    #[error("column `{column}` is empty text, or holds a line break or NUL")]
    Forbidden {
        /// Name of the column.
        column: &'static str,
    },
    /// A row that `verify --repair` was killed at.
    #[error("the row was blanked in part")]
    HalfBlanked,
    /// A row written in another way, as a spreadsheet writes it.
    #[error(
        "the row is not written as this program writes it (was the log saved by a spreadsheet?)"
    )]
    Foreign,
}
