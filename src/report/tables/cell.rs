//! How a value is written into a cell.

use std::borrow::Cow;

use jiff::Timestamp;

use super::super::records::Status;
use super::super::summary::utc;
use super::spreadsheet::{Reading, reading};
use super::text::safe;

/// What stands in one cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Nothing: not known, or does not apply.
    Missing,
    /// A whole number.
    Integer(u64),
    /// A finite number.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// A point in time.
    Time(Timestamp),
    /// A word of ours.
    Word(&'static str),
    /// Text of ours whose beginning no spreadsheet changes: architectures, names of columns.
    Verbatim(String),
    /// Text of anybody.
    FreeText(String),
}

impl Cell {
    /// Writes the cell, before quoting.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Missing => "".into(),
            Self::Integer(value) => value.to_string().into(),
            Self::Number(value) => number(*value).into(),
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
            Self::Time(time) => utc(*time).into(),
            Self::Word(word) => (*word).into(),
            Self::Verbatim(text) => text.into(),
            Self::FreeText(text) => safe(text).into(),
        }
    }
}

/// Writes at most 15 significant digits and 20 decimals, never an exponent: as much as a
/// spreadsheet keeps and shows (measured with LibreOffice), so that a table that passes through
/// one holds the same numbers. The replay log has all 17 digits.
fn number(value: f64) -> String {
    let shortest = value.to_string();
    if shortest.len() <= SIGNIFICANT_DIGITS && shortest != "-0" {
        // So few digits stay as they are, and most numbers have no more: they come from text.
        return shortest;
    }
    let kept: f64 = format!("{value:.14e}").parse().expect("what is printed of a float is a float");
    let plain = format!("{kept}");
    let decimals = plain.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let plain = if decimals > MOST_DECIMALS {
        format!("{kept:.MOST_DECIMALS$}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        plain
    };
    if plain == "-0" { "0".to_owned() } else { plain }
}

const SIGNIFICANT_DIGITS: usize = 15;
const MOST_DECIMALS: usize = 20;

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

/// What is not finite, such as the loss of a network that diverged, is missing.
impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Missing }
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Timestamp> for Cell {
    fn from(value: Timestamp) -> Self {
        Self::Time(value)
    }
}

impl From<&'static str> for Cell {
    fn from(value: &'static str) -> Self {
        Self::Word(value)
    }
}

impl From<Status> for Cell {
    fn from(status: Status) -> Self {
        Self::Word(status.name())
    }
}

/// Anybody's text, unless the column says that it is an architecture.
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::FreeText(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// The cell of an architecture. What is no such string is anybody's text and written with care.
pub(super) fn architecture(text: String) -> Cell {
    if is_architecture(&text) { Cell::Verbatim(text) } else { Cell::FreeText(text) }
}

/// Returns whether the text is in brackets, of the characters of an architecture, and left alone
/// by a spreadsheet.
fn is_architecture(text: &str) -> bool {
    let of_the_notation = |c: char| c.is_ascii_alphanumeric() || "[](), ".contains(c);
    text.starts_with('[')
        && text.ends_with(']')
        && text.chars().all(of_the_notation)
        && reading(text) == Reading::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_begins_like_an_architecture_is_free_text() {
        let cell = |text: &str| architecture(text.to_owned());
        let as_text = |text: &str| matches!(cell(text), Cell::FreeText(_));
        assert!(!as_text("[C(64,3,1), P(2,2), SM(10)]"));
        assert!(as_text("[\u{1a80}]"), "a digit of another script");
        assert!(as_text("[see mar1]"));
        assert!(as_text("[C(64,3,1), SM(10)"));
        assert!(as_text("[C(64,3,1),\nSM(10)]"));
        assert_eq!(cell("[A[/home/me/x]").text(), "[A[.../x]");
    }

    #[test]
    fn numbers_have_at_most_fifteen_digits_and_no_exponent() {
        let text = |value: f64| Cell::from(value).text().into_owned();
        assert_eq!(text(0.812_345_678_901_2), "0.8123456789012");
        assert_eq!(text(1e-13), "0.0000000000001");
        assert_eq!(text(0.1 + 0.2), "0.3");
        assert_eq!(text(2.0 / 3.0), "0.666666666666667");
        assert_eq!(text(1.0), "1");
        assert_eq!(text(-0.25), "-0.25");
        assert_eq!(text(-0.0), "0");
        assert_eq!(text(0.0000256), "0.0000256");
        assert_eq!(text(1.5e-7), "0.00000015");
        assert_eq!(text(-1.234_567_890_123_45e-10), "-0.00000000012345678901");
        assert_eq!(text(-1e-30), "0");
        assert_eq!(text(123_456_789_012_345.0), "123456789012345");
        assert_eq!(text(1e20), "100000000000000000000");
    }

    #[test]
    fn what_is_not_finite_is_missing() {
        assert_eq!(Cell::from(f64::NAN).text(), "");
        assert_eq!(Cell::from(Some(f64::INFINITY)).text(), "");
        assert_eq!(Cell::from(None::<u64>).text(), "");
    }

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        let time: Timestamp = "2026-03-01T13:00:00.2504+01:00".parse().unwrap();
        assert_eq!(Cell::from(time).text(), "2026-03-01T12:00:00.250Z");
    }
}
