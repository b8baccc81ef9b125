//! Text that a person wrote, as a YAML document.

use serde_yaml::Value;

use super::error::ConfigError;
use super::wording::in_plain_words;

/// Brackets that may be open at once, those in comments and quotes counted, too: more than any configuration has, and
/// as many as the parser follows. Its time grows with the square of their number before it gives up, to minutes for a
/// file of brackets.
const MOST_OPEN: usize = 128;

/// Reads a document.
///
/// # Errors
/// The text is no YAML, or is nested too deeply.
pub(super) fn document(text: &str) -> Result<Value, ConfigError> {
    let mut open = 0_usize;
    for (line, text) in (1..).zip(text.lines()) {
        for character in text.chars() {
            match character {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > MOST_OPEN {
                return Err(ConfigError::TooDeep { line, most: MOST_OPEN });
            }
        }
    }
    serde_yaml::from_str(text)
        .map_err(|error| ConfigError::NotYaml(in_plain_words(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_brackets_is_refused_at_once() {
        for bracket in ["[", "{", "[{"] {
            let text = "a: 1\nb: ".to_owned() + &bracket.repeat(500_000);
            let problem = document(&text).unwrap_err().to_string();
            assert!(problem.starts_with("more than 128 brackets are open at line 2"), "{problem}");
        }
        let wide = format!("[{}[]]", "[1, {a: 2}], ".repeat(10_000));
        assert!(document(&wide).is_ok());
    }
}
