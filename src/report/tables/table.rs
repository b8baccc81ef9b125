//! Columns, tables of them, their files, and the data dictionary of these, `columns.csv`.

use super::cell::Cell;

/// Type, unit and allowed values in the words of the dictionary.
pub(super) type Domain = (&'static str, &'static str, &'static str);

pub(super) const COUNT: Domain = ("integer", "", "at least 0");
pub(super) const POSITIVE: Domain = ("integer", "", "at least 1");
pub(super) const PIXELS: Domain = ("integer", "pixels", "at least 1");
pub(super) const NUMBER: Domain = ("number", "", "any number");
pub(super) const NOT_NEGATIVE: Domain = ("number", "", "at least 0");
pub(super) const SHARE: Domain = ("number", "", "between 0 and 1");
pub(super) const SECONDS: Domain = ("number", "seconds", "at least 0");
pub(super) const HOURS: Domain = ("number", "hours", "at least 0");
pub(super) const BOOLEAN: Domain = ("boolean", "", "true | false");
pub(super) const TIME: Domain = ("time", "", "ISO 8601 in UTC with milliseconds");
pub(super) const ARCHITECTURE: Domain = (
    "architecture",
    "",
    "layers between brackets: C(filters,kernel,stride), P(kernel,stride), FC(width), \
     GAP(classes), SM(classes), D(i,n) for dropout with probability i/(2n)",
);
pub(super) const TEXT: Domain = (
    "text",
    "",
    "any text on one line; an apostrophe at its beginning is not part of it and keeps \
     spreadsheets from changing it",
);

pub(super) const TRAINER: Domain = one_of("torch | command | synthetic | imported");
/// In each row, so that no table of made-up accuracies passes for a real one.
pub(super) const WHO_TRAINED: &str = "Who trained: the trainer of this search, whose accuracies \
    are made up when it is synthetic, or imported, when the result was taken over from another one";

/// One of the words between ` | `.
pub(super) const fn one_of(words: &'static str) -> Domain {
    ("word", "", words)
}

/// A row of the data dictionary.
#[derive(Clone)]
pub(super) struct Definition {
    file: String,
    column: String,
    meaning: String,
    domain: Domain,
}

pub(super) struct Column<'a, R> {
    definition: Definition,
    text: Box<dyn Fn(&R) -> String + 'a>,
}

pub(super) fn column<'a, R, V: Cell>(
    name: impl ToString,
    domain: Domain,
    meaning: impl ToString,
    value: impl Fn(&R) -> V + 'a,
) -> Column<'a, R> {
    let (file, column, meaning) = (String::new(), name.to_string(), meaning.to_string());
    let definition = Definition { file, column, meaning, domain };
    Column { definition, text: Box::new(move |row: &R| value(row).text()) }
}

/// Defines columns: `name: domain, meaning, value;`, the value being the field of that name where
/// none is given.
macro_rules! columns {
    (@value $name:ident) => { |row| row.$name.clone() };
    (@value $name:ident $value:expr) => { $value };
    ($row:ty: $($name:ident: $domain:expr, $meaning:expr $(, $value:expr)?;)*) => {
        vec![$($crate::report::tables::table::column::<$row, _>(
            stringify!($name), $domain, $meaning, columns!(@value $name $($value)?),
        )),*]
    };
}
pub(super) use columns;

/// Picks columns by their names, in that order; of two with one name the first.
pub(super) fn pick<'a, R>(mut columns: Vec<Column<'a, R>>, names: &str) -> Vec<Column<'a, R>> {
    let take = |name: &str| {
        let place = columns.iter().position(|it| it.definition.column == name);
        columns.remove(place.expect("tables pick columns that exist, once"))
    };
    names.split_whitespace().map(take).collect()
}

/// Rows of one file: what spreadsheets can open.
pub const MOST_ROWS: usize = 1_000_000;

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
    pub(super) fn files(&self, most_rows: usize) -> Vec<TableFile> {
        // A table without rows has its header.
        let parts = 1..=self.rows.len().div_ceil(most_rows).max(1);
        let file = |part| {
            let number = if part > 1 { format!("_{part}") } else { String::new() };
            let rows = self.rows.chunks(most_rows).nth(part - 1).unwrap_or_default();
            let text = self.text(rows).expect("writing into memory does not fail");
            TableFile { name: format!("{}{number}.csv", self.name), text }
        };
        parts.map(file).collect()
    }

    fn text(&self, rows: &[R]) -> csv::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|it| &it.definition.column))?;
        for row in rows {
            writer.write_record(self.columns.iter().map(|it| (it.text)(row)))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8(bytes).expect("cells are text"))
    }

    /// Of the columns of one of its files.
    pub(super) fn definitions(&self, file: &str) -> Vec<Definition> {
        let of = |it: &Column<R>| Definition { file: file.to_owned(), ..it.definition.clone() };
        self.columns.iter().map(of).collect()
    }
}

pub(super) fn dictionary<'a>(rows: Vec<Definition>) -> Table<'a, Definition> {
    let columns = columns! { Definition:
        file: TEXT, "Name of the file";
        column: TEXT, "Name of the column in its header";
        type: one_of("integer | number | boolean | time | word | architecture | text"),
            "Kind of value; an empty cell is a missing value in every column", |row| row.domain.0;
        unit: TEXT, "Unit of the numbers, if they have one", |row| row.domain.1;
        meaning: TEXT, "What the column holds";
        allowed_values: TEXT, "Which values there can be", |row| row.domain.2;
    };
    let mut table = Table { name: "columns", columns, rows };
    table.rows.extend(table.definitions("columns.csv"));
    table
}
