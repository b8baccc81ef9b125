//! Free text made safe for a cell.

use super::spreadsheet::{Reading, reading};

/// Most characters of a free text; a spreadsheet's cell holds 32,767.
const LONGEST: usize = 1000;

/// Makes a text one line, without absolute paths, and such that a spreadsheet leaves it alone.
///
/// White space and control characters become single spaces; of absolute paths the last part
/// stays (`.../name`), since tables are handed on and homes are nobody's business; a text
/// beyond 1,000 characters is cut. The replay log has the original. If a spreadsheet might take
/// the result for anything else than text, or if it begins with an apostrophe, an apostrophe is
/// put before it: taking one leading apostrophe away gives the text back.
pub(super) fn safe(text: &str) -> String {
    let line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let mut line = without_absolute_paths(&line);
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push_str("...");
    }
    match reading(&line) {
        Reading::Text if !line.starts_with('\'') => line,
        Reading::Empty => line,
        _ => format!("'{line}"),
    }
}

/// Returns where absolute paths begin and end: a slash at the beginning of a word, up to white
/// space or a quotation mark.
pub(super) fn absolute_paths(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut before = None;
    let mut after = 0;
    for (start, c) in text.char_indices() {
        let opens_a_word =
            before.is_none_or(|b: char| !b.is_alphanumeric() && !"._-~/".contains(b));
        let rest = &text[start + c.len_utf8()..];
        let has_a_name = rest.starts_with(|c: char| c.is_alphanumeric() || "._-~/".contains(c));
        if c == '/' && start >= after && opens_a_word && has_a_name {
            let ends = |c: char| c.is_whitespace() || "`'\"<>|;,()".contains(c);
            after = text[start..].find(ends).map_or(text.len(), |length| start + length);
            found.push((start, after));
        }
        before = Some(c);
    }
    found
}

fn without_absolute_paths(text: &str) -> String {
    let mut shortened = String::with_capacity(text.len());
    let mut kept = 0;
    for (start, end) in absolute_paths(text) {
        let path = text[start..end].trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or_default();
        shortened.push_str(&text[kept..start]);
        shortened.push_str(".../");
        shortened.push_str(name);
        kept = end;
    }
    shortened.push_str(&text[kept..]);
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["", "gpu-07", "diverged: loss is not a number", "cuda:0 and/or cpu", "3 a"] {
            assert_eq!(safe(text).trim_start_matches('\''), text);
        }
        assert_eq!(safe("gpu-07"), "gpu-07");
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
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        assert_eq!(safe("a\r\n  b\0\u{7}c\n"), "a b c");
        assert_eq!(safe(&"é".repeat(2000)).chars().count(), LONGEST + 3);
    }

    #[test]
    fn of_absolute_paths_the_name_stays() {
        assert_eq!(safe("no room in `/scratch/me/x y`"), "no room in `.../x y`");
        assert_eq!(safe("open /a/b/c.csv: denied"), "open .../c.csv: denied");
        assert_eq!(safe("path=/home/me/"), "path=.../me");
        assert_eq!(safe("w/o 1 / 2, a/b, ~/c, ../d, .../e"), "w/o 1 / 2, a/b, ~/c, ../d, .../e");
        assert_eq!(safe("file:///home/me/x"), "file:.../x");
    }

    proptest! {
        #[test]
        fn any_text_becomes_harmless(text in any::<String>()) {
            let safe = safe(&text);
            prop_assert!(matches!(reading(&safe), Reading::Text | Reading::Empty), "{safe:?}");
            prop_assert!(absolute_paths(&safe).is_empty(), "{safe:?}");
            prop_assert!(!safe.chars().any(char::is_control));
        }

        #[test]
        fn an_apostrophe_can_be_taken_away_again(text in "[-=+'a-z0-9:,()%.]{0,20}") {
            let safe = safe(&text);
            prop_assert_eq!(safe.strip_prefix('\'').unwrap_or(&safe), text);
        }
    }
}
