//! The one definition of a column: what the tables write and what the data dictionary says.

use std::borrow::Cow;

use super::cell::Cell;

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
            Self::AtLeast(_) => "integer",
            Self::Number | Self::NotNegative | Self::Share => "number",
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

    /// Returns the dictionary's `allowed_values`.
    pub(super) fn allowed_values(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}"),
            Self::Number => "any number".to_owned(),
            Self::NotNegative => "at least 0".to_owned(),
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
    /// Unit of its numbers, empty when they have none.
    pub(super) unit: &'static str,
    /// What it means, for the data dictionary.
    pub(super) meaning: Cow<'static, str>,
    /// Which values it may hold, missing ones apart.
    pub(super) domain: Domain,
    /// Reads the cell of a row.
    pub(super) value: Box<dyn Fn(&R) -> Cell + 'a>,
}

/// Defines a column without a unit.
pub(super) fn column<'a, R, V: Into<Cell>>(
    name: impl Into<Cow<'static, str>>,
    domain: Domain,
    meaning: impl Into<Cow<'static, str>>,
    value: impl Fn(&R) -> V + 'a,
) -> Column<'a, R> {
    Column {
        name: name.into(),
        unit: "",
        meaning: meaning.into(),
        domain,
        value: Box::new(move |row| value(row).into()),
    }
}

impl<'a, R: 'a> Column<'a, R> {
    /// Gives the column a unit.
    pub(super) fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// Makes it a column of another table, whose rows hold an `R`.
    pub(super) fn of<S: 'a>(self, part: impl Fn(&S) -> &R + 'a) -> Column<'a, S> {
        let Self { name, unit, meaning, domain, value } = self;
        Column { name, unit, meaning, domain, value: Box::new(move |row| value(part(row))) }
    }
}

/// Picks columns by name, in the order asked for.
///
/// # Panics
/// When there is no such column: the names are constants of the tables.
pub(super) fn pick<'a, R>(columns: Vec<Column<'a, R>>, names: &[&str]) -> Vec<Column<'a, R>> {
    let mut columns: Vec<Option<Column<R>>> = columns.into_iter().map(Some).collect();
    names
        .iter()
        .map(|name| {
            columns
                .iter_mut()
                .find(|column| column.as_ref().is_some_and(|column| column.name == *name))
                .and_then(Option::take)
                .expect("tables pick columns that exist, once")
        })
        .collect()
}
