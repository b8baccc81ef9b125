//! `columns.csv`: the data dictionary, made from the column definitions themselves.

use super::cell::Cell;
use super::column::Domain::*;
use super::column::{Column, Domain, column};
use super::table::Table;

/// One column of one file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Name of the file.
    pub(super) file: String,
    /// Name of the column.
    pub(super) column: String,
    /// Its values.
    pub(super) domain: Domain,
    /// What it means.
    pub(super) meaning: String,
}

impl Entry {
    /// Describes the columns of a file.
    pub(super) fn of_each<R>(file: &str, columns: &[Column<R>]) -> Vec<Self> {
        columns
            .iter()
            .map(|column| Self {
                file: file.to_owned(),
                column: column.name.clone().into_owned(),
                domain: column.domain,
                meaning: column.meaning.clone().into_owned(),
            })
            .collect()
    }
}

/// Returns the dictionary of the given files and of itself.
pub(super) fn table<'a>(mut rows: Vec<Entry>) -> Table<'a, Entry> {
    let name = "columns";
    let columns = columns();
    rows.extend(Entry::of_each(&format!("{name}.csv"), &columns));
    Table { name, columns, rows }
}

fn columns<'a>() -> Vec<Column<'a, Entry>> {
    let verbatim = Cell::Verbatim;
    vec![
        column("file", FreeText, "Name of the file", move |entry: &Entry| {
            verbatim(entry.file.clone())
        }),
        column("column", FreeText, "Name of the column in its header", move |entry: &Entry| {
            verbatim(entry.column.clone())
        }),
        column(
            "type",
            OneOf(Domain::TYPES),
            "Kind of value; an empty cell is a missing value in every column",
            |entry: &Entry| entry.domain.type_name(),
        ),
        column("unit", FreeText, "Unit of the numbers, if they have one", |entry: &Entry| {
            entry.domain.unit()
        }),
        column("meaning", FreeText, "What the column holds", move |entry: &Entry| {
            verbatim(entry.meaning.clone())
        }),
        column("allowed_values", FreeText, "Which values there can be", move |entry: &Entry| {
            verbatim(entry.domain.allowed_values())
        }),
    ]
}
