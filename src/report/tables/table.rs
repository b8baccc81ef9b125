//! Columns, tables of them and the files they become; `columns.csv`, the data dictionary, made from
//! the same definitions.

use super::cell::Cell;

/// In the dictionary's words for type, unit and allowed values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Domain {
    kind: &'static str,
    unit: &'static str,
    allowed: &'static str,
}

const fn domain(kind: &'static str, unit: &'static str, allowed: &'static str) -> Domain {
    Domain { kind, unit, allowed }
}

pub(super) const COUNT: Domain = domain("integer", "", "at least 0");
pub(super) const POSITIVE: Domain = domain("integer", "", "at least 1");
pub(super) const PIXELS: Domain = domain("integer", "pixels", "at least 1");
pub(super) const NUMBER: Domain = domain("number", "", "any number");
pub(super) const NOT_NEGATIVE: Domain = domain("number", "", "at least 0");
pub(super) const SHARE: Domain = domain("number", "", "between 0 and 1");
pub(super) const SECONDS: Domain = domain("number", "seconds", "at least 0");
pub(super) const HOURS: Domain = domain("number", "hours", "at least 0");
pub(super) const BOOLEAN: Domain = domain("boolean", "", "true | false");
pub(super) const TIME: Domain = domain("time", "", "ISO 8601 in UTC with milliseconds");
pub(super) const ARCHITECTURE: Domain = domain(
    "architecture",
    "",
    "layers between brackets: C(filters,kernel,stride), P(kernel,stride), FC(width), \
     GAP(classes), SM(classes), D(i,n) for dropout with probability i/(2n)",
);
pub(super) const TEXT: Domain = domain(
    "text",
    "",
    "any text on one line; an apostrophe at its beginning is not part of it and keeps \
     spreadsheets from changing it",
);

/// One of the words between ` | `.
pub(super) const fn one_of(words: &'static str) -> Domain {
    domain("word", "", words)
}

#[derive(Clone)]
pub(super) struct Definition {
    name: String,
    meaning: String,
    domain: Domain,
}

pub(super) struct Column<'a, R> {
    definition: Definition,
    text: Box<dyn Fn(&R) -> String + 'a>,
}

pub(super) fn column<'a, R, V: Cell>(
    name: impl Into<String>,
    domain: Domain,
    meaning: impl Into<String>,
    value: impl Fn(&R) -> V + 'a,
) -> Column<'a, R> {
    let definition = Definition { name: name.into(), meaning: meaning.into(), domain };
    Column { definition, text: Box::new(move |row: &R| value(row).text()) }
}

/// Defines columns: `name: domain, meaning, value;`, the value being the field of that name where
/// none is given.
macro_rules! columns {
    (@one $row:ty, $name:ident, $domain:expr, $meaning:expr) => {
        columns!(@one $row, $name, $domain, $meaning, |row| row.$name.clone())
    };
    (@one $row:ty, $name:ident, $domain:expr, $meaning:expr, $value:expr) => {
        $crate::report::tables::table::column::<$row, _>(
            stringify!($name), $domain, $meaning, $value,
        )
    };
    ($row:ty: $($name:ident: $domain:expr, $meaning:expr $(, $value:expr)?;)*) => {
        vec![$(columns!(@one $row, $name, $domain, $meaning $(, $value)?)),*]
    };
}
pub(super) use columns;

pub(super) fn of_part<'a, R: 'a, S: 'a>(
    columns: Vec<Column<'a, R>>,
    part: impl Fn(&S) -> &R + Copy + 'a,
) -> Vec<Column<'a, S>> {
    let of = |Column { definition, text }: Column<'a, R>| Column {
        definition,
        text: Box::new(move |row: &S| text(part(row))) as Box<_>,
    };
    columns.into_iter().map(of).collect()
}

/// Picks columns by their names, in that order; of two with one name the first.
pub(super) fn pick<'a, R>(mut columns: Vec<Column<'a, R>>, names: &str) -> Vec<Column<'a, R>> {
    let take = |name: &str| {
        let place = columns.iter().position(|column| column.definition.name == name);
        columns.remove(place.expect("tables pick columns that exist, once"))
    };
    names.split_whitespace().map(take).collect()
}

/// In each row, so that no table of made-up accuracies passes for a real one.
pub(super) fn trainer<'a, R>(trainer: impl Fn(&R) -> &'static str + 'a) -> Column<'a, R> {
    column(
        "trainer",
        one_of("torch | command | synthetic | imported"),
        "Who trained: the trainer of this search, whose accuracies are made up when it is \
         synthetic, or imported, when the result was taken over from another one",
        trainer,
    )
}

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
        writer.write_record(self.columns.iter().map(|column| &column.definition.name))?;
        for row in rows {
            writer.write_record(self.columns.iter().map(|column| (column.text)(row)))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8(bytes).expect("cells are text"))
    }
}

/// A column of a file, by the file's name.
pub(super) type ColumnEntry = (String, Definition);

pub(super) fn entries<R>(file: &str, columns: &[Column<R>]) -> Vec<ColumnEntry> {
    columns.iter().map(|column| (file.to_owned(), column.definition.clone())).collect()
}

pub(super) fn dictionary<'a>(mut rows: Vec<ColumnEntry>) -> Table<'a, ColumnEntry> {
    let columns = columns! { ColumnEntry:
        file: TEXT, "Name of the file", |row| row.0.clone();
        column: TEXT, "Name of the column in its header", |row| row.1.name.clone();
        type: one_of("integer | number | boolean | time | word | architecture | text"),
            "Kind of value; an empty cell is a missing value in every column",
            |row| row.1.domain.kind;
        unit: TEXT, "Unit of the numbers, if they have one", |row| row.1.domain.unit;
        meaning: TEXT, "What the column holds", |row| row.1.meaning.clone();
        allowed_values: TEXT, "Which values there can be", |row| row.1.domain.allowed;
    };
    rows.extend(entries("columns.csv", &columns));
    Table { name: "columns", columns, rows }
}
