//! A table and how it becomes files; `columns.csv`, the data dictionary, made from the column
//! definitions themselves.

use super::column::*;

/// Rows of one file: what spreadsheets can open.
pub(super) const MOST_ROWS: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// `iterations.csv` or, from the second part of a split table on, `curves_long_2.csv`.
    pub name: String,
    pub text: String,
}

pub(super) struct Table<'a, R> {
    /// Name of the file without `.csv`.
    pub(super) name: &'static str,
    /// In order; new ones go to the end, so that readers by position go on working.
    pub(super) columns: Vec<Column<'a, R>>,
    pub(super) rows: Vec<R>,
}

impl<R> Table<'_, R> {
    /// Writes as many files of at most `most_rows` rows as it takes.
    pub(super) fn files(&self, most_rows: usize) -> Vec<TableFile> {
        let parts: Vec<&[R]> = match self.rows.as_slice() {
            [] => vec![&[]],
            rows => rows.chunks(most_rows).collect(),
        };
        let name = |part| match part {
            1 => format!("{}.csv", self.name),
            _ => format!("{}_{part}.csv", self.name),
        };
        let file = |(part, rows): (usize, &[R])| TableFile {
            name: name(part),
            text: self.text(rows).expect("writing into memory does not fail"),
        };
        (1..).zip(parts).map(file).collect()
    }

    fn text(&self, rows: &[R]) -> csv::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &column.name))?;
        for row in rows {
            writer.write_record(self.columns.iter().map(|column| (column.text)(row)))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8(bytes).expect("cells are text"))
    }
}

pub(super) struct ColumnEntry {
    file: String,
    column: String,
    domain: Domain,
    meaning: String,
}

pub(super) fn entries<R>(file: &str, columns: &[Column<R>]) -> Vec<ColumnEntry> {
    let entry = |of: &Column<R>| ColumnEntry {
        file: file.to_owned(),
        column: of.name.clone(),
        domain: of.domain,
        meaning: of.meaning.clone(),
    };
    columns.iter().map(entry).collect()
}

pub(super) fn dictionary<'a>(mut rows: Vec<ColumnEntry>) -> Table<'a, ColumnEntry> {
    let columns = columns! { ColumnEntry:
        file: TEXT, "Name of the file";
        column: TEXT, "Name of the column in its header";
        type: one_of("integer | number | boolean | time | word | architecture | text"),
            "Kind of value; an empty cell is a missing value in every column",
            |entry| entry.domain.kind;
        unit: TEXT, "Unit of the numbers, if they have one",
            |entry| entry.domain.unit;
        meaning: TEXT, "What the column holds";
        allowed_values: TEXT, "Which values there can be",
            |entry| entry.domain.allowed;
    };
    rows.extend(entries("columns.csv", &columns));
    Table { name: "columns", columns, rows }
}
