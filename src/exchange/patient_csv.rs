//! CSV files of other programs, read with patience: columns go by name, unknown ones are passed
//! over, whole numbers may be written as floats, and a row that cannot be used is set aside and
//! reported, never a reason to stop.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use csv::ByteRecord;
use jiff::Timestamp;

use crate::outcome::NotAnAccuracy;
use crate::q_learning::Epsilon;
use crate::space::SpaceError;
use crate::storage::error::StorageError;
use crate::storage::fs::bounded_csv::ForeignRecords;
use crate::storage::fs::time::Time;

/// What a file holds, and what of it could not be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Readable<T> {
    /// The usable rows, in file order.
    pub rows: Vec<T>,
    /// The others, in file order.
    pub problems: Vec<Problem>,
}

/// A row that was set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Its line in the file, from 1, the header included.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a row was set aside.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// A column that the row is too short for.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value of the wrong kind.
    #[error("`{column}` is `{value}` (must be {expected})")]
    Value {
        /// The column.
        column: &'static str,
        /// The text found there.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A share of correct images that is no share; some runs wrote percent.
    #[error(transparent)]
    Accuracy(#[from] NotAnAccuracy),
    /// A network outside the search space, or with marks that are not its own.
    #[error(transparent)]
    Architecture(#[from] SpaceError),
    /// A state or an action outside the search space.
    #[error("its state and action are not in the search space")]
    Foreign,
}

/// Reads rows by the names of their columns and sorts the usable from the others.
pub(crate) fn read_rows<T>(
    reader: impl Read,
    columns: impl IntoIterator<Item = &'static str>,
    path: &Path,
    row: impl Fn(&Fields) -> Result<T, Reason>,
) -> Result<Readable<T>, StorageError> {
    let failed = StorageError::csv(path);
    let mut records = ForeignRecords::new(reader);
    let header = records.header().map_err(failed)?;
    let columns = columns
        .into_iter()
        .map(|column| match header.iter().position(|name| name == column.as_bytes()) {
            Some(index) => Ok((column, index)),
            None => Err(StorageError::NoColumn { path: path.to_owned(), column }),
        })
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let mut readable = Readable { rows: Vec::new(), problems: Vec::new() };
    let mut record = ByteRecord::new();
    while records.read(&mut record).map_err(failed)? {
        match row(&Fields { columns: &columns, record: &record }) {
            Ok(row) => readable.rows.push(row),
            Err(reason) => {
                let line = record.position().map_or(0, csv::Position::line);
                readable.problems.push(Problem { line, reason });
            }
        }
    }
    Ok(readable)
}

/// The cells of one row, by the names of their columns.
pub(crate) struct Fields<'a> {
    columns: &'a BTreeMap<&'static str, usize>,
    record: &'a ByteRecord,
}

impl Fields<'_> {
    /// Returns a cell's text.
    pub(crate) fn text(&self, column: &'static str) -> Result<&str, Reason> {
        let bytes = self.record.get(self.columns[column]).ok_or(Reason::Missing(column))?;
        std::str::from_utf8(bytes).map_err(|_| {
            let value = shown(&String::from_utf8_lossy(bytes));
            Reason::Value { column, value, expected: "UTF-8 text" }
        })
    }

    /// Returns a cell's text on one line, as every field of the replay log must be.
    pub(crate) fn line(&self, column: &'static str) -> Result<String, Reason> {
        self.parsed(column, "one line of text", |text| {
            (!text.contains(char::is_control)).then(|| text.to_owned())
        })
    }

    /// Returns a finite number.
    pub(crate) fn number(&self, column: &'static str) -> Result<f64, Reason> {
        self.parsed(column, "a number", |text| {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        })
    }

    /// Returns a whole number of at least 0 that a float holds exactly.
    pub(crate) fn count<T: TryFrom<u64>>(&self, column: &'static str) -> Result<T, Reason> {
        self.parsed(column, "a whole number of at least 0", |text| {
            let number: f64 = text.parse().ok()?;
            let whole = (0.0..=(1_u64 << 53) as f64).contains(&number) && number.fract() == 0.0;
            T::try_from(whole.then_some(number as u64)?).ok()
        })
    }

    /// Returns an exploration rate.
    pub(crate) fn epsilon(&self, column: &'static str) -> Result<Epsilon, Reason> {
        self.parsed(column, "0 to 1", |text| text.parse().ok())
    }

    /// Returns a time written in Unix seconds; 0 means that nobody wrote it down.
    pub(crate) fn time(&self, column: &'static str) -> Result<Option<Time>, Reason> {
        self.parsed(column, "a time in Unix seconds, 0 when unknown", |text| {
            let seconds: f64 = text.parse().ok().filter(|seconds: &f64| seconds.is_finite())?;
            if seconds == 0.0 {
                return Some(None);
            }
            // A float beyond the range of the target becomes its end, which no timestamp reaches.
            let time = Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok()?;
            Some(Some(Time::from(time)))
        })
    }

    fn parsed<T>(
        &self,
        column: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Reason> {
        let text = self.text(column)?.trim();
        parse(text).ok_or_else(|| Reason::Value { column, value: shown(text), expected })
    }
}

/// Characters of a cell that a message shows.
const SHOWN: usize = 60;

/// Returns as much of a cell as a line of a message has room for, control characters as escapes.
pub(crate) fn shown(cell: &str) -> String {
    let mut text = String::new();
    for character in cell.chars().take(SHOWN) {
        match character.is_control() {
            true => text.extend(character.escape_debug()),
            false => text.push(character),
        }
    }
    if cell.chars().nth(SHOWN).is_some() {
        text.push_str("..");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_beginning_of_a_cell_on_one_line() {
        assert_eq!(shown("0.5"), "0.5");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(&"\u{e9}".repeat(61)), "\u{e9}".repeat(60) + "..");
    }
}
