//! `columns.csv`: the data dictionary, made from the column definitions themselves.

use super::column::*;
use super::table::Table;

/// One column of one file.
pub(super) struct ColumnEntry {
    file: String,
    column: String,
    domain: Domain,
    meaning: String,
}

/// Describes the columns of a file.
pub(super) fn entries<R>(file: &str, columns: &[Column<R>]) -> Vec<ColumnEntry> {
    let entry = |of: &Column<R>| ColumnEntry {
        file: file.to_owned(),
        column: of.name.clone(),
        domain: of.domain,
        meaning: of.meaning.clone(),
    };
    columns.iter().map(entry).collect()
}

/// Returns the dictionary of the given files and of itself.
pub(super) fn table<'a>(mut rows: Vec<ColumnEntry>) -> Table<'a, ColumnEntry> {
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
