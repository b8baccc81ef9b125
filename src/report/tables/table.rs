//! A table, and how it becomes files.

use super::column::Column;

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
