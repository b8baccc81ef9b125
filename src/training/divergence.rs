//! NaN and infinity in JSON, which has no words for them. Python's `json` writes `NaN`, `Infinity`
//! and `-Infinity` all the same: the sign of a training that has diverged.

use serde::Deserialize;

/// Returns the epoch of a line that has one and is JSON but for NaN and infinities; `None` for
/// any other line.
pub(super) fn diverged_epoch(line: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Diverged {
        epoch: u32,
    }
    let line: Diverged = serde_json::from_str(&with_nulls(line)?).ok()?;
    Some(line.epoch)
}

/// Puts `null` in the place of every number that is none, outside of strings; `None` when there is
/// none.
fn with_nulls(line: &str) -> Option<String> {
    let (mut json, mut rest) = (String::new(), line);
    let (mut is_found, mut is_in_string) = (false, false);
    while let Some(next) = rest.chars().next() {
        let words = ["NaN", "-Infinity", "Infinity"];
        let word = words.into_iter().find(|word| !is_in_string && rest.starts_with(word));
        let length = match (word, next) {
            (Some(word), _) => word.len(),
            // What follows a backslash ends no string.
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, next) => next.len_utf8(),
        };
        is_found |= word.is_some();
        is_in_string ^= next == '"';
        json.push_str(if word.is_some() { "null" } else { &rest[..length] });
        rest = &rest[length..];
    }
    is_found.then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_that_is_none_says_that_the_training_has_diverged() {
        for number in ["NaN", "Infinity", "-Infinity"] {
            let line = format!(
                r#"{{"epoch": 2, "validation_accuracy": 0.1, "training_loss": {number}, "note": "\"NaN"}}"#
            );
            assert_eq!(diverged_epoch(&line), Some(2), "{line}");
        }
        let in_words = r#"{"epoch": 2, "validation_accuracy": 0.1, "note": "loss is NaN"}"#;
        for line in [in_words, r#"{"done": NaN}"#, r#"{"epoch": NaN}"#, "NaN", ""] {
            assert_eq!(diverged_epoch(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn only_what_is_no_number_is_replaced(line in r#"["\\\\NaIn ä{:]{0,40}"#) {
            if let Some(json) = with_nulls(&line) {
                prop_assert!(json.contains("null"));
                prop_assert_eq!(json.matches('"').count(), line.matches('"').count());
            }
        }
    }
}
