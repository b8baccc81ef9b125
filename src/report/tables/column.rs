//! The one definition of a column: what the tables write and what the data dictionary says.

use std::borrow::Cow;

use super::cell::{Cell, architecture};

/// Which values a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// Whole numbers from a least one.
    AtLeast(u64),
    /// Any number.
    Number,
    /// Numbers from 0.
    NotNegative,
    /// Numbers in [0, 1].
    Share,
    /// Durations in seconds.
    Seconds,
    /// Durations in hours.
    Hours,
    /// Lengths of an image, in pixels.
    Pixels,
    /// `true` and `false`.
    Boolean,
    /// Points in time.
    Time,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An architecture string.
    Architecture,
    /// Whatever somebody wrote.
    FreeText,
}

impl Domain {
    /// Returns the word in the dictionary's `type`.
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::AtLeast(_) | Self::Pixels => "integer",
            Self::Number | Self::NotNegative | Self::Share | Self::Seconds | Self::Hours => {
                "number"
            }
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::OneOf(_) => "word",
            Self::Architecture => "architecture",
            Self::FreeText => "text",
        }
    }

    /// Every word of [`Domain::type_name`].
    pub(super) const TYPES: &[&str] =
        &["integer", "number", "boolean", "time", "word", "architecture", "text"];

    /// Returns the dictionary's `unit`, if its numbers have one.
    pub(super) const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Seconds => Some("seconds"),
            Self::Hours => Some("hours"),
            Self::Pixels => Some("pixels"),
            _ => None,
        }
    }

    /// Returns the dictionary's `allowed_values`.
    pub(super) fn allowed_values(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}"),
            Self::Number => "any number".to_owned(),
            Self::NotNegative | Self::Seconds | Self::Hours => "at least 0".to_owned(),
            Self::Pixels => "at least 1".to_owned(),
            Self::Share => "between 0 and 1".to_owned(),
            Self::Boolean => "true | false".to_owned(),
            Self::Time => "ISO 8601 in UTC with milliseconds".to_owned(),
            Self::OneOf(words) => words.join(" | "),
            Self::Architecture => "layers between brackets: C(filters,kernel,stride), \
                P(kernel,stride), FC(width), GAP(classes), SM(classes), D(i,n) for dropout with \
                probability i/(2n)"
                .to_owned(),
            Self::FreeText => "any text on one line; an apostrophe at its beginning is not part \
                of it and keeps spreadsheets from changing it"
                .to_owned(),
        }
    }
}

/// A column of a table whose rows are made from values of type `R`.
pub(super) struct Column<'a, R> {
    /// Name in the header.
    pub(super) name: Cow<'static, str>,
    /// What it means, for the data dictionary.
    pub(super) meaning: Cow<'static, str>,
    /// Which values it may hold, missing ones apart.
    pub(super) domain: Domain,
    /// Reads the cell of a row.
    pub(super) value: Box<dyn Fn(&R) -> Cell + 'a>,
}

/// Defines a column.
pub(super) fn column<'a, R, V: Into<Cell>>(
    name: impl Into<Cow<'static, str>>,
    domain: Domain,
    meaning: impl Into<Cow<'static, str>>,
    value: impl Fn(&R) -> V + 'a,
) -> Column<'a, R> {
    let cell = move |row: &R| match (domain, value(row).into()) {
        (Domain::Architecture, Cell::FreeText(text)) => architecture(text),
        (_, cell) => cell,
    };
    Column { name: name.into(), meaning: meaning.into(), domain, value: Box::new(cell) }
}

/// Defines columns that bear the names of the fields they show: `field: domain, meaning;`.
macro_rules! fields {
    ($row:ty: $($field:ident: $domain:expr, $meaning:expr;)*) => {
        vec![$($crate::report::tables::column::column(
            stringify!($field),
            $domain,
            $meaning,
            |row: &$row| ToOwned::to_owned(&row.$field),
        )),*]
    };
}
pub(super) use fields;

/// Makes columns of another table, whose rows hold an `R`.
pub(super) fn of_part<'a, R: 'a, S: 'a>(
    columns: Vec<Column<'a, R>>,
    part: impl Fn(&S) -> &R + Copy + 'a,
) -> Vec<Column<'a, S>> {
    let of = |Column { name, meaning, domain, value }: Column<'a, R>| Column {
        name,
        meaning,
        domain,
        value: Box::new(move |row: &S| value(part(row))),
    };
    columns.into_iter().map(of).collect()
}

/// Picks columns by their names, which spaces divide, in the order asked for.
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
