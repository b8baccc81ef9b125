//! Rows of the published program's files by the names of their columns.
//!
//! Unknown columns are passed over, whole numbers may be written as floats, and a row that cannot
//! be used is set aside with the reason: it is never a reason to stop.

use std::collections::HashMap;
use std::path::Path;

use csv::ByteRecord;
use jiff::Timestamp;

use super::csv_rows::{line, read_csv, shown};
use crate::space::whole_number;
use crate::storage::error::StorageError;
use crate::storage::fs::time::Time;

/// The usable rows of a file, and for each of the others its line and the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct UsableRows<T> {
    pub rows: Vec<T>,
    pub set_aside: Vec<String>,
}

/// Reads the rows of a file that has at least `columns`; `path` is for the messages.
pub(super) fn read_rows<T>(
    bytes: Vec<u8>,
    columns: &[&'static str],
    path: &Path,
    row: impl Fn(&Cells) -> Result<T, String>,
) -> Result<UsableRows<T>, StorageError> {
    let (header, records) = read_csv(bytes).map_err(StorageError::csv(path))?;
    let place = |&column| match header.iter().position(|name| name == str::as_bytes(column)) {
        Some(place) => Ok((column, place)),
        None => Err(StorageError::damaged(path, format!("lacks the column `{column}`"))),
    };
    let places = columns.iter().map(place).collect::<Result<_, _>>()?;
    let (mut rows, mut set_aside) = (Vec::new(), Vec::new());
    for record in &records {
        match row(&Cells { places: &places, record }) {
            Ok(row) => rows.push(row),
            Err(reason) => set_aside.push(format!("line {}: {reason}", line(record))),
        }
    }
    Ok(UsableRows { rows, set_aside })
}

pub(super) struct Cells<'a> {
    places: &'a HashMap<&'static str, usize>,
    record: &'a ByteRecord,
}

impl Cells<'_> {
    pub fn text(&self, column: &str) -> Result<&str, String> {
        let cell = self.record.get(self.places[column]);
        let cell = cell.ok_or_else(|| format!("`{column}` is missing"))?;
        let refused = |_| refusal(column, &String::from_utf8_lossy(cell), "UTF-8 text");
        std::str::from_utf8(cell).map(str::trim).map_err(refused)
    }

    /// Returns what `parse` makes of a cell, which must be what `expected` says.
    pub fn parsed<T>(
        &self,
        column: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        let text = self.text(column)?;
        parse(text).ok_or_else(|| refusal(column, text, expected))
    }

    pub fn number(&self, column: &str) -> Result<f64, String> {
        self.parsed(column, "a number", |text| text.parse().ok().filter(|x: &f64| x.is_finite()))
    }

    pub fn count(&self, column: &str) -> Result<u64, String> {
        self.parsed(column, "a whole number of at least 0", whole_number)
    }

    /// Returns a time written in Unix seconds; 0 where it is unknown.
    pub fn time(&self, column: &str) -> Result<Option<Time>, String> {
        self.parsed(column, "a time in Unix seconds, 0 when unknown", |text| {
            let seconds: f64 = text.parse().ok().filter(|seconds: &f64| seconds.is_finite())?;
            // A float beyond the range of the target becomes its end, which no timestamp reaches.
            let time = Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok()?;
            Some((seconds != 0.0).then(|| Time::from(time)))
        })
    }
}

pub(super) fn refusal(column: &str, cell: &str, expected: &str) -> String {
    format!("`{column}` is `{}` (must be {expected})", shown(cell))
}
