//! Columns, tables of them, their files, and the data dictionary of these, `columns.csv`.

use std::collections::BTreeMap;

use csv::StringRecord;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::cell::CellValue;
use crate::storage::Iteration;

/// Type, unit and allowed values in the words of the dictionary.
pub(in crate::report) type Domain = (&'static str, &'static str, &'static str);

pub(in crate::report) const COUNT: Domain = ("integer", "", "at least 0");
pub(in crate::report) const POSITIVE: Domain = ("integer", "", "at least 1");
pub(in crate::report) const PIXELS: Domain = ("integer", "pixels", "at least 1");
pub(in crate::report) const NUMBER: Domain = ("number", "", "any number");
pub(in crate::report) const NOT_NEGATIVE: Domain = ("number", "", "at least 0");
pub(in crate::report) const SHARE: Domain = ("number", "", "between 0 and 1");
pub(in crate::report) const SECONDS: Domain = ("number", "seconds", "at least 0");
pub(in crate::report) const HOURS: Domain = ("number", "hours", "at least 0");
pub(in crate::report) const BOOLEAN: Domain = ("boolean", "", "true | false");
pub(in crate::report) const TIME: Domain = ("time", "", "ISO 8601 in UTC with milliseconds");
pub(in crate::report) const ARCHITECTURE: Domain = (
    "architecture",
    "",
    "layers between brackets: C(filters,kernel,stride), P(kernel,stride), FC(width), \
     GAP(classes), SM(classes), D(i,n) for dropout with probability i/(2n)",
);
pub(in crate::report) const TEXT: Domain = (
    "text",
    "",
    "any text on one line; an apostrophe at its beginning is not part of it and keeps \
     spreadsheets from changing it",
);

pub(in crate::report) const TRAINER: Domain =
    one_of("torch | command | synthetic | recorded | imported");
/// In each row, so that no table of made-up accuracies passes for a real one.
pub(in crate::report) const WHO_TRAINED: &str = "Who trained: the trainer of this search, whose accuracies \
    are made up when it is synthetic and were recorded before when it is recorded, or imported, \
    when the result was taken over from another one";

/// One of the words between ` | `.
pub(in crate::report) const fn one_of(words: &'static str) -> Domain {
    ("word", "", words)
}

/// A row of the data dictionary.
#[derive(Clone)]
pub(in crate::report) struct Definition {
    file: String,
    pub column: String,
    pub meaning: String,
    pub domain: Domain,
}

pub(in crate::report) struct Column<'a, R> {
    definition: Definition,
    text: Box<dyn Fn(&R) -> String + 'a>,
}

pub(in crate::report) fn column<'a, R, V: CellValue>(
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
pub(in crate::report) use columns;

/// Picks columns by their names, in that order; of two with one name the first.
pub(in crate::report) fn pick<'a, R>(
    mut columns: Vec<Column<'a, R>>,
    names: &str,
) -> Vec<Column<'a, R>> {
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
    /// All of it, or what comes after the place in the file that is there.
    pub text: String,
    pub after: Option<FileEnd>,
}

impl TableFile {
    /// The cells of each line, the header first.
    pub fn records(&self) -> impl Iterator<Item = StringRecord> {
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.text.as_bytes());
        reader.into_records().map(|record| record.expect("our tables are CSV"))
    }
}

/// Where the rows that stay end: how many, and their bytes with the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileEnd {
    pub(in crate::report) rows: u64,
    pub byte: u64,
}

/// The rows that stay as they are: those that depend on iterations before one alone, all ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settled {
    pub before: u64,
    /// Where they end in each file that grows at its end.
    pub files: BTreeMap<String, FileEnd>,
    /// By the epochs that were observed.
    pub(in crate::report) errors: BTreeMap<u32, Errors>,
}

/// Of predictions made during the search, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::report) struct Errors {
    pub predictions: u64,
    pub absolute: f64,
    pub over_sigma: f64,
}

impl Errors {
    pub fn mean(self, sum: f64) -> Option<f64> {
        (self.predictions > 0).then(|| sum / self.predictions as f64)
    }
}

#[derive(SmartDefault)]
pub struct TableSet {
    pub files: Vec<TableFile>,
    /// Which tables were split.
    pub notices: Vec<String>,
    pub(in crate::report) dictionary: Vec<Definition>,
    /// In the files that are there, and in these ones.
    pub kept: Settled,
    pub settled: Settled,
    /// Whether a table is too long for a file, so that it is written whole.
    pub is_split: bool,
    /// Of one file: what spreadsheets can open.
    #[default = 1_000_000]
    pub most_rows: usize,
}

impl TableSet {
    /// Of columns, new ones go to the end, so that readers by position go on working.
    pub(in crate::report) fn add<R>(&mut self, table: &str, columns: &[Column<R>], rows: &[R]) {
        // A table without rows has its header.
        let parts = rows.len().div_ceil(self.most_rows).max(1);
        for part in 1..=parts {
            let name = part_name(table, part);
            let part = rows.chunks(self.most_rows).nth(part - 1).unwrap_or_default();
            self.define(&name, columns);
            self.files.push(TableFile { name, text: text(columns, part), after: None });
        }
        if parts > 1 {
            self.notices.push(format!(
                "`{table}.csv` has {} rows, more than a spreadsheet opens: it is split into \
                 {parts} files, up to `{table}_{parts}.csv`",
                rows.len()
            ));
        }
    }

    /// Adds a table to which rows come at its end, but for one that `newest`, the last iteration
    /// that it depends on, says to have changed. Rows that are kept are not given.
    pub(in crate::report) fn add_growing<R>(
        &mut self,
        table: &str,
        columns: &[Column<R>],
        rows: &[R],
        newest: impl Fn(&R) -> Option<Iteration>,
    ) {
        let name = format!("{table}.csv");
        let after = self.kept.files.get(&name).copied();
        let mut place = after.unwrap_or_default();
        if place.rows as usize + rows.len() > self.most_rows {
            self.is_split = true;
            return self.add(table, columns, rows);
        }
        let is_settled = |row: &&R| newest(row).is_some_and(|it| it.0 < self.settled.before);
        let (settled, others) = rows.split_at(rows.iter().take_while(is_settled).count());
        let header = if after.is_some() { String::new() } else { text(columns, &[]) };
        let text = header + &lines(columns, settled);
        place.rows += settled.len() as u64;
        place.byte += text.len() as u64;
        self.define(&name, columns);
        self.settled.files.insert(name.clone(), place);
        self.files.push(TableFile { name, text: text + &lines(columns, others), after });
    }

    /// Of a file, the names of parts that its table has not, the first one first.
    pub fn other_parts(&self, file: &str) -> impl Iterator<Item = String> {
        let table = file.trim_end_matches(".csv");
        let is_there = |name: &String| self.files.iter().any(|file| file.name == *name);
        (2..).map(move |part| part_name(table, part)).skip_while(is_there)
    }

    /// Leaves out the tables of other names.
    pub fn retain(&mut self, names: &[&str]) {
        self.files.retain(|file| names.contains(&&*file.name));
        self.dictionary.retain(|it| names.contains(&&*it.file));
    }

    /// Of a file, in their order.
    pub(in crate::report) fn columns(&self, file: &str) -> Vec<&Definition> {
        self.dictionary.iter().filter(|it| it.file == file).collect()
    }

    fn define<R>(&mut self, file: &str, columns: &[Column<R>]) {
        let of = |it: &Column<R>| Definition { file: file.to_owned(), ..it.definition.clone() };
        self.dictionary.extend(columns.iter().map(of));
    }

    pub(in crate::report) fn add_dictionary(&mut self) {
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
        let text = text(&columns, &self.dictionary);
        self.files.push(TableFile { name, text, after: None });
    }
}

fn part_name(table: &str, part: usize) -> String {
    if part > 1 { format!("{table}_{part}.csv") } else { format!("{table}.csv") }
}

/// The header and the rows.
fn text<R>(columns: &[Column<R>], rows: &[R]) -> String {
    let header = columns.iter().map(|it| it.definition.column.clone()).collect();
    csv([header]) + &lines(columns, rows)
}

fn lines<R>(columns: &[Column<R>], rows: &[R]) -> String {
    csv(rows.iter().map(|row| columns.iter().map(|it| (it.text)(row)).collect()))
}

fn csv(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.into_iter().for_each(|row| writer.write_record(row).expect("memory takes any text"));
    let bytes = writer.into_inner().expect("memory takes any text");
    String::from_utf8(bytes).expect("cells are text")
}
