//! The one definition of a column: what the tables write and what the data dictionary says.

use super::cell::Cell;

/// Which values a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// Whole numbers from a least one.
    AtLeast(u64),
    Number,
    NotNegative,
    /// Numbers in [0, 1].
    Share,
    Seconds,
    Hours,
    /// Lengths of an image.
    Pixels,
    Boolean,
    Time,
    /// One of the words between ` | `.
    OneOf(&'static str),
    Architecture,
    FreeText,
}

impl Domain {
    /// Returns the dictionary's `type`, `unit` and `allowed_values`.
    pub(super) fn described(self) -> (&'static str, Option<&'static str>, String) {
        let (type_name, unit, allowed) = match self {
            Self::AtLeast(least) => return ("integer", None, format!("at least {least}")),
            Self::Pixels => ("integer", Some("pixels"), "at least 1"),
            Self::Number => ("number", None, "any number"),
            Self::NotNegative => ("number", None, "at least 0"),
            Self::Seconds => ("number", Some("seconds"), "at least 0"),
            Self::Hours => ("number", Some("hours"), "at least 0"),
            Self::Share => ("number", None, "between 0 and 1"),
            Self::Boolean => ("boolean", None, "true | false"),
            Self::Time => ("time", None, "ISO 8601 in UTC with milliseconds"),
            Self::OneOf(words) => ("word", None, words),
            Self::Architecture => (
                "architecture",
                None,
                "layers between brackets: C(filters,kernel,stride), P(kernel,stride), FC(width), \
                 GAP(classes), SM(classes), D(i,n) for dropout with probability i/(2n)",
            ),
            Self::FreeText => (
                "text",
                None,
                "any text on one line; an apostrophe at its beginning is not part of it and keeps \
                 spreadsheets from changing it",
            ),
        };
        (type_name, unit, allowed.to_owned())
    }
}

/// A column of a table whose rows are made from values of type `R`.
pub(super) struct Column<'a, R> {
    pub(super) name: String,
    pub(super) meaning: String,
    /// Of the values that are not missing.
    pub(super) domain: Domain,
    /// Writes the cell of a row.
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
        $crate::report::tables::column::Column {
            name: stringify!($name).to_owned(),
            meaning: $meaning.to_owned(),
            domain: $domain,
            text: Box::new(|row: &$row| $crate::report::tables::cell::Cell::text(&row.$name)),
        }
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

/// Makes columns of another table, whose rows hold an `R`.
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

/// Picks columns by their names, which spaces divide, in the order asked for; of two with one
/// name the first.
///
/// # Panics
/// When there is no such column: the names are constants of the tables.
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
        Domain::OneOf("torch | command | synthetic | imported"),
        "Who trained: the trainer of this search, whose accuracies are made up when it is \
         synthetic, or imported, when the result was taken over from another one",
        trainer,
    )
}
