//! What a spreadsheet takes a cell of a CSV file for: a cautious model, which foresees more
//! mistakes than any one program makes; `scripts/check-spreadsheets.sh` compares with LibreOffice.

/// The last four are the wide forms, which East Asian versions treat alike.
const OPENS_A_FORMULA: [char; 8] =
    ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// In English, German, French, Spanish, Italian, Portuguese and Dutch.
const MONTHS: [&str; 33] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mär",
    "mrz", "mai", "okt", "dez", "fév", "avr", "jui", "aoû", "déc", "ene", "abr", "ago", "dic",
    "gen", "mag", "giu", "lug", "set", "ott", "out",
];

pub(super) fn is_computed(cell: &str) -> bool {
    cell.starts_with(['\t', '\r']) || cell.trim().starts_with(OPENS_A_FORMULA)
}

/// Whether a cell may be taken for a number, a date or a truth value, and come back changed: a
/// digit before any letter (`1-2`, `3/4`, `5 %`, `007`, `(7)`, `1e5`), or a month with a digit
/// after it (`MAR1`, `Monday, January 5`).
pub(super) fn is_guessed(cell: &str) -> bool {
    let lower = cell.trim().to_lowercase();
    if lower.starts_with('\'') {
        return false;
    }
    let after_a_word = lower.split_once(' ').map_or("", |(_, rest)| rest);
    ["", "true", "false"].contains(&&*lower)
        || starts_with_digit(&lower)
        || begins_a_date(&lower)
        || begins_a_date(after_a_word)
}

fn begins_a_date(text: &str) -> bool {
    let rest = text.trim_start_matches(char::is_alphabetic);
    let word = &text[..text.len() - rest.len()];
    MONTHS.iter().any(|month| word.starts_with(month)) && starts_with_digit(rest)
}

fn starts_with_digit(text: &str) -> bool {
    text.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(char::is_numeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_recognised() {
        for cell in
            ["=1+1", "+x", "-x", "@sum", "\t=1", "\r=1", " =1", "-", "--1", "\u{ff1d}1", "-1-2"]
        {
            assert!(is_computed(cell), "{cell:?}");
        }
    }

    #[test]
    fn dates_and_numbers_are_recognised() {
        let dates = ["1-2", "3/4", "MAR1", "SEPT2", "may-12", "Jan 5, 2020", "2026-03-01", "12:30"];
        let words = ["Monday, January 5, 2020", "see mar1"];
        let languages = ["mai12", "Dez. 1", "AOÛT 3", "Mär1", "okt/7"];
        let numbers = ["007", "1e5", "1E5", "1,5", "5%", "$5", "(5)", ".5", "5 nodes", "TRUE", " "];
        for cell in [&dates[..], &words, &languages, &numbers].concat() {
            assert!(is_guessed(cell) && !is_computed(cell), "{cell:?}");
        }
    }

    #[test]
    fn text_stays_text() {
        for cell in [
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
        ] {
            assert!(!is_guessed(cell) && !is_computed(cell), "{cell:?}");
        }
    }
}
