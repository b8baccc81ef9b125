//! Rows of CSV files that other programs wrote, by the names of their columns: unknown ones are
//! passed over, and a row that cannot be used is set aside with the reason, never a reason to stop.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use csv::ByteRecord;
use jiff::Timestamp;

use crate::space::whole_number;
use crate::storage::error::StorageError;
use crate::storage::fs::time::Time;

/// Bytes of the longest row: a longer one has a quote that is never closed, or is no CSV at all.
const LONGEST_ROW: usize = 1 << 20;

/// Reads the header and the rows, of any length. In a file with semicolons or tabs, as spreadsheets
/// of many languages save it, a number may have a decimal comma.
pub(crate) fn read_csv(mut bytes: Vec<u8>) -> Result<(ByteRecord, Vec<ByteRecord>), csv::Error> {
    // The reader counts line feeds: of a file with other line ends it would name the line before.
    let mut is_after_return = false;
    bytes.retain_mut(|byte| {
        let belongs_to_return = *byte == b'\n' && is_after_return;
        is_after_return = *byte == b'\r';
        if is_after_return {
            *byte = b'\n';
        }
        !belongs_to_return
    });
    let other = match &bytes[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => Some("UTF-16"),
        [b'P', b'K', 3, 4, ..] => Some("a workbook, or another zip file"),
        _ => None,
    };
    if let Some(other) = other {
        let problem = format!("it is {other} (save it as CSV in UTF-8)");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem).into());
    }
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = match first.contains(&b',') {
        true => None,
        false => [b';', b'\t'].into_iter().find(|other| first.contains(other)),
    };
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.flexible(true).delimiter(delimiter.unwrap_or(b','));
    let mut reader = reader.from_reader(&bytes[..]);
    let header = reader.byte_headers()?.clone();
    let mut rows = reader.into_byte_records().collect::<Result<Vec<_>, _>>()?;
    if delimiter.is_some() {
        rows.iter_mut().for_each(with_full_stops);
    }
    let is_long = |row: &&ByteRecord| row.as_slice().len() > LONGEST_ROW;
    if let Some(line) = [&header].into_iter().chain(&rows).find(is_long).map(line) {
        let problem = format!(
            "the row at line {line} has more than a mebibyte (is it the right file? is a quote not \
             closed?)"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem).into());
    }
    Ok((header, rows))
}

fn with_full_stops(row: &mut ByteRecord) {
    let is_number = |cell: &[u8]| cell.iter().all(|byte| b"0123456789+-,eE ".contains(byte));
    let cells = row.iter().map(|cell| match is_number(cell) {
        true => cell.iter().map(|byte| if *byte == b',' { b'.' } else { *byte }).collect(),
        false => cell.to_vec(),
    });
    let mut changed: ByteRecord = cells.collect();
    changed.set_position(row.position().cloned());
    *row = changed;
}

/// The line on which a row begins, from 1.
pub(crate) fn line(row: &ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

/// The beginning of a cell for a message, control characters as escapes.
pub(crate) fn shown(cell: &str) -> String {
    const SHOWN: usize = 60;
    let escaped = |character: char| match character.is_control() {
        true => character.escape_debug().to_string(),
        false => character.to_string(),
    };
    let text: String = cell.chars().take(SHOWN).map(escaped).collect();
    text + if cell.chars().nth(SHOWN).is_some() { ".." } else { "" }
}

#[derive(Debug, Clone, PartialEq)]
pub struct UsableRows<T> {
    pub rows: Vec<T>,
    /// For each of the others its line and the reason.
    pub set_aside: Vec<String>,
}

/// Reads the rows of a file that has at least one of `columns` each.
pub(super) fn read_rows<T>(
    bytes: Vec<u8>,
    columns: &[&[&str]],
    path: &Path,
    row: impl Fn(&Cells) -> Result<T, String>,
) -> Result<UsableRows<T>, StorageError> {
    let (header, records) = read_csv(bytes).map_err(StorageError::csv(path))?;
    let names = header.iter().enumerate().rev();
    let places: HashMap<_, _> = names
        .map(|(place, name)| (String::from_utf8_lossy(name).trim().to_owned(), place))
        .collect();
    if let Some(lacking) = columns.iter().find(|any| !any.iter().any(|it| places.contains_key(*it)))
    {
        let names = lacking.join("` or `");
        return Err(StorageError::damaged(path, format!("lacks the column `{names}`")));
    }
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
    places: &'a HashMap<String, usize>,
    record: &'a ByteRecord,
}

impl Cells<'_> {
    pub fn text(&self, column: &str) -> Result<&str, String> {
        let cell = self.places.get(column).and_then(|place| self.record.get(*place));
        let cell = cell.ok_or_else(|| format!("`{column}` is missing"))?;
        let refused = |_| refusal(column, &String::from_utf8_lossy(cell), "UTF-8 text");
        std::str::from_utf8(cell).map(str::trim).map_err(refused)
    }

    /// The first of some columns that the file has.
    pub fn first<'b>(&self, columns: &[&'b str]) -> &'b str {
        columns.iter().find(|it| self.places.contains_key(**it)).unwrap_or(&columns[0])
    }

    /// What a column holds, if the file has it and the cell is not empty.
    pub fn optional<T>(
        &self,
        column: &str,
        read: impl Fn(&Self, &str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let is_given = self.places.contains_key(column) && !self.text(column)?.is_empty();
        is_given.then(|| read(self, column)).transpose()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<usize, String> {
        let rows = read_csv(text.into()).map_err(|error| error.to_string())?.1;
        Ok(rows.len())
    }

    #[test]
    fn a_row_is_on_the_same_line_however_the_lines_of_its_file_end() {
        let text = "a,b\n1,2\n\"x\ny\",4\n5,6";
        for end in ["\n", "\r\n", "\r"] {
            let rows = read_csv(text.replace('\n', end).into()).unwrap().1;
            let found: Vec<_> = rows.iter().map(|row| (line(row), &row[1])).collect();
            assert_eq!(found, [(2, &b"2"[..]), (3, b"4"), (5, b"6")], "{end:?}");
        }
    }

    #[test]
    fn files_of_spreadsheets_are_read_or_named() {
        let text = "net;y1;epsilon\n\"[C(4,3,1), SM(10)]\";0,5;1\n[SM(10)];-1,5e-3;2.5\n";
        for text in [text.to_owned(), text.replace(';', "\t")] {
            let rows = read_csv(text.into_bytes()).unwrap().1;
            let cells: Vec<Vec<_>> =
                rows.iter().map(|row| row.iter().map(String::from_utf8_lossy).collect()).collect();
            assert_eq!(cells[0], ["[C(4,3,1), SM(10)]", "0.5", "1"]);
            assert_eq!(
                (&cells[1][1], &cells[1][2], line(&rows[1])),
                (&"-1.5e-3".into(), &"2.5".into(), 3)
            );
        }
        // Where commas separate, they are no decimal ones.
        assert_eq!(rows("a,b;c\n1,2;3\n"), Ok(1));
        let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let refused = |bytes: &[u8]| read_csv(bytes.to_vec()).unwrap_err().to_string();
        for bytes in [[&[0xff, 0xfe], &utf16[..]].concat(), utf16] {
            assert!(refused(&bytes).contains("it is UTF-16 (save it as CSV in UTF-8)"));
        }
        assert!(refused(b"PK\x03\x04...").contains("a workbook"));
    }

    #[test]
    fn a_file_without_an_end_of_line_is_refused() {
        let long = "7".repeat(2 << 20);
        let refused = rows(&long).unwrap_err();
        assert!(refused.starts_with("the row at line 1 has more than a mebibyte"), "{refused}");
        let refused = rows(&format!("a,b\n1,2\n3,{long}")).unwrap_err();
        assert!(refused.starts_with("the row at line 3 has more than a mebibyte"), "{refused}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused() {
        let text = "a,b\n1,\"2\n".to_owned() + &"3,4\n".repeat(1 << 19);
        assert!(rows(&text).unwrap_err().contains("is a quote not closed?"));
    }

    #[test]
    fn a_long_file_of_long_rows_is_read() {
        let row = "0.5,".repeat(100_000) + "1\n";
        assert_eq!(rows(&("a\n".to_owned() + &row.repeat(10))), Ok(10));
    }

    #[test]
    fn a_message_shows_the_beginning_of_a_cell_on_one_line() {
        assert_eq!(shown("0.5"), "0.5");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(&"\u{e9}".repeat(61)), "\u{e9}".repeat(60) + "..");
    }
}
