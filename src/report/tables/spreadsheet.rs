//! What a spreadsheet takes a cell of a CSV file for.
//!
//! A cautious model: it foresees more mistakes than any one program makes. What the programs do
//! depends on the program, its settings and its language; `scripts/check-spreadsheets.sh` compares
//! with LibreOffice.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    Empty,
    /// In plain notation, digits before and after a full stop.
    Number,
    /// `true` or `false`.
    Boolean,
    /// As this program writes it, which spreadsheets keep as text or read as that time.
    Time,
    Text,
    /// Something to compute.
    Formula,
    /// Perhaps a number, a date or a truth value: it may come back changed.
    Guess,
}

pub(super) fn kind_of(cell: &str) -> CellKind {
    let trimmed = cell.trim();
    if cell.is_empty() {
        CellKind::Empty
    } else if is_number(cell) {
        CellKind::Number
    } else if cell == "true" || cell == "false" {
        CellKind::Boolean
    } else if is_utc_time(cell) {
        CellKind::Time
    } else if cell.starts_with(['\t', '\r']) || trimmed.starts_with(OPENS_A_FORMULA) {
        CellKind::Formula
    } else if trimmed.is_empty() || is_guessed(trimmed) {
        CellKind::Guess
    } else {
        CellKind::Text
    }
}

/// The last four are the wide forms, which East Asian versions treat alike.
const OPENS_A_FORMULA: [char; 8] =
    ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// In English, German, French, Spanish, Italian, Portuguese and Dutch.
const MONTHS: [&str; 33] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mär",
    "mrz", "mai", "okt", "dez", "fév", "avr", "jui", "aoû", "déc", "ene", "abr", "ago", "dic",
    "gen", "mag", "giu", "lug", "set", "ott", "out",
];

/// Whether the text is a truth value, or has a digit before any letter (`1-2`, `3/4`,
/// `5 %`, `007`, `(7)`, `1e5`), or a month with a digit after it (`MAR1`, `Monday, January 5`).
fn is_guessed(text: &str) -> bool {
    if text.starts_with('\'') {
        return false;
    }
    let lower = text.to_lowercase();
    let after_a_word = lower.split_once(' ').map_or("", |(_, rest)| rest);
    starts_with_digit(&lower)
        || lower == "true"
        || lower == "false"
        || begins_a_date(&lower)
        || begins_a_date(after_a_word)
}

/// Whether a lower-case text begins with a month and then a digit.
fn begins_a_date(text: &str) -> bool {
    let rest = text.trim_start_matches(char::is_alphabetic);
    let word = &text[..text.len() - rest.len()];
    MONTHS.iter().any(|month| word.starts_with(month)) && starts_with_digit(rest)
}

/// Whether the first letter or digit is a digit.
fn starts_with_digit(text: &str) -> bool {
    text.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(char::is_numeric)
}

/// `-12`, `0.5` or the like.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits(whole) && !leading_zero && digits(fraction)
}

/// `2026-03-01T12:00:00.250Z` or the like.
fn is_utc_time(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(found, wanted)| match wanted {
            b'd' => found.is_ascii_digit(),
            _ => found == wanted,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_reads_as(kind: CellKind, cells: &[&str]) {
        for cell in cells {
            assert_eq!(kind_of(cell), kind, "{cell:?}");
        }
    }

    #[test]
    fn what_is_meant_is_recognised() {
        each_reads_as(CellKind::Number, &["0", "-12", "0.5", "-0.25", "123456789012345"]);
        each_reads_as(CellKind::Boolean, &["true", "false"]);
        each_reads_as(CellKind::Time, &["2026-03-01T12:00:00.250Z"]);
        each_reads_as(CellKind::Empty, &[""]);
    }

    #[test]
    fn formulas_are_recognised() {
        let formulas =
            ["=1+1", "+x", "-x", "@sum", "\t=1", "\r=1", " =1", "-", "--1", "\u{ff1d}1", "-1-2"];
        each_reads_as(CellKind::Formula, &formulas);
    }

    #[test]
    fn dates_and_odd_numbers_are_recognised() {
        let dates = ["1-2", "3/4", "MAR1", "SEPT2", "may-12", "Jan 5, 2020", "2026-03-01", "12:30"];
        each_reads_as(CellKind::Guess, &dates);
        each_reads_as(CellKind::Guess, &["Monday, January 5, 2020", "see mar1"]);
        each_reads_as(CellKind::Guess, &["mai12", "Dez. 1", "AOÛT 3", "Mär1", "okt/7"]);
        let numbers = ["007", "1e5", "1E5", "1,5", "5%", "$5", "(5)", ".5", "5 nodes", "TRUE", " "];
        each_reads_as(CellKind::Guess, &numbers);
    }

    #[test]
    fn text_stays_text() {
        each_reads_as(
            CellKind::Text,
            &[
                "[C(64,3,1), P(2,2), SM(10)]",
                "[SM(10)]",
                "gpu-07.cluster",
                "NVIDIA H100",
                "cuda:0",
                "mars-gpu01",
                "marvellous",
                "'=1+1",
                "'1-2",
                "diverged at epoch 3",
            ],
        );
    }
}
