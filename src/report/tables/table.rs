//! Columns, tables of them, their files, and the data dictionary of these, `columns.csv`.

use smart_default::SmartDefault;

use super::cell::CellValue;

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

pub(super) fn column<'a, R, V: CellValue>(
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// `iterations.csv` or, from the second part of a split table on, `curves_long_2.csv`.
    pub name: String,
    pub text: String,
}

#[derive(SmartDefault)]
pub struct TableSet {
    pub files: Vec<TableFile>,
    /// Which tables were split.
    pub notices: Vec<String>,
    pub(super) dictionary: Vec<Definition>,
    /// Of one file: what spreadsheets can open.
    #[default = 1_000_000]
    pub most_rows: usize,
}

impl TableSet {
    /// Of columns, new ones go to the end, so that readers by position go on working.
    pub(super) fn add<R>(&mut self, table: &str, columns: &[Column<R>], rows: &[R]) {
        // A table without rows has its header.
        let parts = rows.len().div_ceil(self.most_rows).max(1);
        for part in 1..=parts {
            let number = if part > 1 { format!("_{part}") } else { String::new() };
            let part = rows.chunks(self.most_rows).nth(part - 1).unwrap_or_default();
            let name = format!("{table}{number}.csv");
            self.define(&name, columns);
            self.files.push(TableFile { name, text: text(columns, part) });
        }
        if parts > 1 {
            self.notices.push(format!(
                "`{table}.csv` has {} rows, more than a spreadsheet opens: it is split into \
                 {parts} files, up to `{table}_{parts}.csv`",
                rows.len()
            ));
        }
    }

    fn define<R>(&mut self, file: &str, columns: &[Column<R>]) {
        let of = |it: &Column<R>| Definition { file: file.to_owned(), ..it.definition.clone() };
        self.dictionary.extend(columns.iter().map(of));
    }

    pub(super) fn add_dictionary(&mut self) {
        let columns = columns! { Definition:
            file: TEXT, "Name of the file";
            column: TEXT, "Name of the column in its header";
            type: one_of("integer | number | boolean | time | word | architecture | text"),
                "Kind of value; an empty cell is a missing value in every column",
                |row| row.domain.0;
            unit: TEXT, "Unit of the numbers, if they have one", |row| row.domain.1;
            meaning: TEXT, "What the column holds";
            allowed_values: TEXT, "Which values there can be", |row| row.domain.2;
        };
        let name = "columns.csv".to_owned();
        self.define(&name, &columns);
        self.files.push(TableFile { name, text: text(&columns, &self.dictionary) });
    }
}

fn text<R>(columns: &[Column<R>], rows: &[R]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: Vec<String>| writer.write_record(row).expect("memory takes any text");
    write(columns.iter().map(|it| it.definition.column.clone()).collect());
    rows.iter().for_each(|row| write(columns.iter().map(|it| (it.text)(row)).collect()));
    let bytes = writer.into_inner().expect("memory takes any text");
    String::from_utf8(bytes).expect("cells are text")
}
