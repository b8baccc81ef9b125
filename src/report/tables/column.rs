//! The one definition of a column: what the tables write and what the data dictionary says.

use super::cell::Cell;

/// Which values a column may hold, in the dictionary's words for type, unit and allowed values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Domain {
    pub(super) kind: &'static str,
    pub(super) unit: &'static str,
    pub(super) allowed: &'static str,
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

/// A column of a table whose rows are made from values of type `R`.
pub(super) struct Column<'a, R> {
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) domain: Domain,
    pub(super) text: Box<dyn Fn(&R) -> String + 'a>,
}

pub(super) fn column<'a, R, V: Cell>(
    name: impl Into<String>,
    domain: Domain,
    meaning: impl Into<String>,
    value: impl Fn(&R) -> V + 'a,
) -> Column<'a, R> {
    let text = Box::new(move |row: &R| value(row).text());
    Column { name: name.into(), meaning: meaning.into(), domain, text }
}

/// Defines columns: `name: domain, meaning, value;`, the value being the field of that name where
/// none is given.
macro_rules! columns {
    (@one $row:ty, $name:ident, $domain:expr, $meaning:expr) => {
        columns!(@one $row, $name, $domain, $meaning, |row| row.$name.clone())
    };
    (@one $row:ty, $name:ident, $domain:expr, $meaning:expr, $value:expr) => {
        $crate::report::tables::column::column::<$row, _>(
            stringify!($name), $domain, $meaning, $value,
        )
    };
    ($row:ty: $($name:ident: $domain:expr, $meaning:expr $(, $value:expr)?;)*) => {
        vec![$(columns!(@one $row, $name, $domain, $meaning $(, $value)?)),*]
    };
}
pub(super) use columns;

/// Makes columns of a table whose rows hold an `R`.
pub(super) fn of_part<'a, R: 'a, S: 'a>(
    columns: Vec<Column<'a, R>>,
    part: impl Fn(&S) -> &R + Copy + 'a,
) -> Vec<Column<'a, S>> {
    let of = |Column { name, meaning, domain, text }: Column<'a, R>| Column {
        name,
        meaning,
        domain,
        text: Box::new(move |row: &S| text(part(row))),
    };
    columns.into_iter().map(of).collect()
}

/// Picks columns by their names, which spaces divide, in that order; of two with one name the
/// first.
pub(super) fn pick<'a, R>(mut columns: Vec<Column<'a, R>>, names: &str) -> Vec<Column<'a, R>> {
    let take = |name: &str| {
        let place = columns.iter().position(|column| column.name == name);
        columns.remove(place.expect("tables pick columns that exist, once"))
    };
    names.split_whitespace().map(take).collect()
}

/// Marks each row with who trained what it shows, so that no table of made-up accuracies passes
/// for a real one.
pub(super) fn trainer<'a, R>(trainer: impl Fn(&R) -> &'static str + 'a) -> Column<'a, R> {
    column(
        "trainer",
        one_of("torch | command | synthetic | imported"),
        "Who trained: the trainer of this search, whose accuracies are made up when it is \
         synthetic, or imported, when the result was taken over from another one",
        trainer,
    )
}
