//! How a value is written into a cell.

use std::num::NonZeroU32;

use super::spreadsheet::{is_computed, is_guessed};
use crate::outcome::Accuracy;
use crate::storage::{Event, Iteration, Time};

/// Before quoting. An empty text is a missing value: not known, or not applicable.
pub(in crate::report) trait CellValue {
    fn text(&self) -> String;
}

macro_rules! written_as_displayed {
    ($($of:ty),*) => {
        $(impl CellValue for $of {
            fn text(&self) -> String {
                self.to_string()
            }
        })*
    };
}

// `&'static str`: words of this program.
written_as_displayed!(u32, u64, NonZeroU32, bool, Event, Iteration, Time, &'static str);

/// At most 15 significant digits and 20 decimals, never an exponent: what a spreadsheet keeps and
/// shows (measured with LibreOffice). What is not finite, such as the loss of a network that
/// diverged, is missing.
impl CellValue for f64 {
    fn text(&self) -> String {
        if !self.is_finite() {
            return String::new();
        }
        if self.abs() < 1e-20 {
            return "0".to_owned();
        }
        let shortest = self.to_string();
        if shortest.len() <= SIGNIFICANT_DIGITS {
            // Most numbers come from a text with so few digits.
            return shortest;
        }
        let kept: Self = format!("{self:.14e}").parse().expect("a printed float is a float");
        let plain = kept.to_string();
        if plain.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= MOST_DECIMALS) {
            return plain;
        }
        format!("{kept:.MOST_DECIMALS$}").trim_end_matches('0').to_owned()
    }
}

pub(in crate::report) const SIGNIFICANT_DIGITS: usize = 15;
const MOST_DECIMALS: usize = 20;

impl CellValue for Accuracy {
    fn text(&self) -> String {
        self.value().text()
    }
}

impl<T: CellValue> CellValue for Option<T> {
    fn text(&self) -> String {
        self.as_ref().map_or_else(String::new, T::text)
    }
}

/// Most units of UTF-16 of a text; a spreadsheet's cell holds 32,767.
const LONGEST: usize = 32_000;

/// Text of other programs and people, on one line. Of absolute paths the last part stays
/// (`.../name`): tables are handed on, and homes are private. What a spreadsheet might take for
/// anything else than text, and what begins with an apostrophe, gets an apostrophe before it.
impl CellValue for String {
    fn text(&self) -> String {
        let line: Vec<_> = self
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        let mut line = without_absolute_paths(&line.join(" "));
        let mut units = 0;
        let is_beyond = |&(_, c): &(usize, char)| {
            units += c.len_utf16();
            units > LONGEST
        };
        if let Some((end, _)) = line.char_indices().find(is_beyond) {
            line.truncate(end);
            line.push_str("...");
        }
        let is_changed = is_computed(&line) || is_guessed(&line) || line.starts_with('\'');
        if is_changed && !line.is_empty() { format!("'{line}") } else { line }
    }
}

impl CellValue for std::sync::Arc<str> {
    fn text(&self) -> String {
        self.to_string().text()
    }
}

/// Such a path begins with a slash at the beginning of a word.
pub fn without_absolute_paths(text: &str) -> String {
    let is_of_a_name = |c: char| c.is_alphanumeric() || "._-~/".contains(c);
    let ends = |c: char| c.is_whitespace() || "`'\"<>|;,()".contains(c);
    let shortened = |part: &str| {
        let text = part.trim_end_matches(ends);
        let begins = |&(at, _): &(usize, &str)| {
            text[at + 1..].starts_with(is_of_a_name) && !text[..at].ends_with(is_of_a_name)
        };
        let Some((at, _)) = text.match_indices('/').find(begins) else { return part.to_owned() };
        let name = text[at..].trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        format!("{}.../{name}{}", &text[..at], &part[text.len()..])
    };
    text.split_inclusive(ends).map(shortened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_is_kept(cell: &str) -> bool {
        cell.is_empty() || !is_computed(cell) && !is_guessed(cell)
    }

    fn safe(text: &str) -> String {
        text.to_owned().text()
    }

    #[test]
    fn numbers_have_at_most_fifteen_digits_and_no_exponent() {
        let text = |value: f64| value.text();
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
        assert_eq!(f64::NAN.text(), "");
        assert_eq!(Some(f64::INFINITY).text(), "");
        assert_eq!(None::<u64>.text(), "");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["", "gpu-07", "diverged: loss is not a number", "cuda:0 and/or cpu", "3 a"] {
            assert_eq!(safe(text).trim_start_matches('\''), text);
        }
        assert_eq!(safe("gpu-07"), "gpu-07");
        assert_eq!(safe("[C(64,3,1), P(2,2), SM(10)]"), "[C(64,3,1), P(2,2), SM(10)]");
    }

    #[test]
    fn what_a_spreadsheet_would_change_gets_an_apostrophe() {
        assert_eq!(safe("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(safe("may12"), "'may12");
        assert_eq!(safe("1-2"), "'1-2");
        assert_eq!(safe("007"), "'007");
        assert_eq!(safe("true"), "'true");
        assert_eq!(safe("'quoted'"), "''quoted'");
        assert_eq!(safe("\t=1"), "'=1");
        assert_eq!(safe("[see mar1]"), "'[see mar1]");
        assert_eq!(safe("[\u{1a80}]"), "'[\u{1a80}]", "a digit of another script");
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        assert_eq!(safe("a\r\n  b\0\u{7}c\n"), "a b c");
        assert_eq!(safe(&"é".repeat(2 * LONGEST)).chars().count(), LONGEST + 3);
        assert_eq!(safe(&"🦀".repeat(LONGEST)).encode_utf16().count(), LONGEST + 3);
    }

    #[test]
    fn of_absolute_paths_the_name_stays() {
        assert_eq!(safe("no room in `/scratch/me/x y`"), "no room in `.../x y`");
        assert_eq!(safe("open /a/b/c.csv: denied"), "open .../c.csv: denied");
        assert_eq!(safe("path=/home/me/"), "path=.../me");
        assert_eq!(safe("w/o 1 / 2, a/b, ~/c, ../d, .../e"), "w/o 1 / 2, a/b, ~/c, ../d, .../e");
        assert_eq!(safe("file:///home/me/x"), "file:.../x");
        assert_eq!(safe("[A[/home/me/x]"), "[A[.../x]");
    }

    proptest! {
        #[test]
        fn any_text_becomes_harmless(text in any::<String>()) {
            let safe = safe(&text);
            prop_assert!(text_is_kept(&safe), "{safe:?}");
            prop_assert_eq!(&without_absolute_paths(&safe), &safe);
            prop_assert!(!safe.chars().any(char::is_control));
        }

        #[test]
        fn an_apostrophe_can_be_taken_away_again(text in "[-=+'a-z0-9:,()%.]{0,20}") {
            let safe = safe(&text);
            prop_assert_eq!(safe.strip_prefix('\'').unwrap_or(&safe), text);
        }

        #[test]
        fn any_number_is_taken_for_one(bits in any::<u64>()) {
            let text = f64::from_bits(bits).text();
            let plain = |c: char| c.is_ascii_digit() || c == '-' || c == '.';
            prop_assert!(text.chars().all(plain) && !text.ends_with('.'), "{text}");
            prop_assert!(text.is_empty() || text.parse::<f64>().is_ok(), "{text}");
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let digits = digits.trim_start_matches('0').trim_end_matches('0');
            prop_assert!(digits.len() <= SIGNIFICANT_DIGITS, "{text}");
        }
    }
}
