//! A table, and how it becomes files.

use super::column::Column;
use super::dictionary::Entry;

/// Rows of one file: what spreadsheets can open.
pub(super) const MOST_ROWS: usize = 1_000_000;

/// One CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Its name, `iterations.csv` or, from the second part of a split table on, `curves_long_2.csv`.
    pub name: String,
    /// Its content.
    pub text: String,
    /// Number of rows, the header not counted.
    pub rows: usize,
}

/// A table before it is written.
pub(super) struct Table<'a, R> {
    /// Name of the file without `.csv`.
    pub(super) name: &'static str,
    /// The columns, in order; new ones go to the end, so that readers by position go on working.
    pub(super) columns: Vec<Column<'a, R>>,
    /// What the rows are made from.
    pub(super) rows: Vec<R>,
}

impl<R> Table<'_, R> {
    /// Writes the table: one file with at most `most_rows` rows, or as many such files as it takes.
    pub(super) fn files(&self, most_rows: usize) -> Vec<TableFile> {
        let parts: Vec<&[R]> = match self.rows.as_slice() {
            [] => vec![&[]],
            rows => rows.chunks(most_rows).collect(),
        };
        (1..)
            .zip(parts)
            .map(|(part, rows)| TableFile {
                name: match part {
                    1 => format!("{}.csv", self.name),
                    _ => format!("{}_{part}.csv", self.name),
                },
                text: self.text(rows),
                rows: rows.len(),
            })
            .collect()
    }

    /// Describes the columns of each file.
    pub(super) fn entries(&self, files: &[TableFile]) -> Vec<Entry> {
        files.iter().flat_map(|file| Entry::of_each(&file.name, &self.columns)).collect()
    }

    fn text(&self, rows: &[R]) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let into_memory = "writing into memory does not fail";
        writer
            .write_record(self.columns.iter().map(|column| column.name.as_bytes()))
            .expect(into_memory);
        for row in rows {
            for column in &self.columns {
                writer.write_field(&*(column.value)(row).text()).expect(into_memory);
            }
            writer.write_record(None::<&[u8]>).expect(into_memory);
        }
        String::from_utf8(writer.into_inner().expect(into_memory)).expect("cells are text")
    }
}
