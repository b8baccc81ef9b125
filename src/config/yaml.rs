//! Reading YAML; the parser's messages in words for configurations.

use serde_yaml::Value;

use super::error::ConfigError;
use crate::yaml_bounds;

pub(super) fn document(text: &str) -> Result<Value, ConfigError> {
    yaml_bounds::check(text)?;
    serde_yaml::from_str(text)
        .map_err(|error| ConfigError::NotYaml(in_plain_words(&error.to_string())))
}

/// Returns the message of a parser's error and its line.
pub(super) fn without_place(error: &serde_yaml::Error) -> (String, Option<usize>) {
    let message = error.to_string();
    let Some(place) = error.location() else { return (message, None) };
    let suffix = format!(" at line {} column {}", place.line(), place.column());
    let text = message.strip_suffix(&suffix).map(str::to_owned);
    (text.unwrap_or(message), Some(place.line()))
}

/// Replaces the parser's words for types of this program by words for YAML.
pub(super) fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 16] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("unknown variant", "unknown value"),
        ("unit value", "no value"),
        ("invalid type: ", ""),
        ("invalid value: ", ""),
        ("a nonzero u32", "a whole number from 1 on"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0 to 18446744073709551615"),
        ("expected usize", "expected a whole number from 0 on"),
        ("expected f64", "expected a number"),
        ("sequence", "list"),
        (" as u128", ""),
        (" as i128", ""),
        ("any YAML value", "at most 64 bits"),
    ];
    let mut plain =
        WORDS.iter().fold(message.to_owned(), |text, (word, plain)| text.replace(word, plain));
    // `struct Recipe`, `tuple struct Pool`
    for (kind, plain_kind) in
        [("tuple struct ", "a list of numbers"), ("struct ", "a section of keys")]
    {
        if let Some((before, after)) = plain.split_once(kind) {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            plain = format!("{before}{plain_kind}{rest}");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_in_yaml() {
        for (message, plain) in [
            (
                "training.epochs: invalid type: string \"many\", expected u32",
                "training.epochs: string \"many\", expected a whole number from 0 to 4294967295",
            ),
            (
                "q_learning: invalid type: integer `5`, expected struct QLearningParams",
                "q_learning: integer `5`, expected a section of keys",
            ),
            (
                "search_space.pools[0]: invalid type: integer `2`, expected tuple struct Pool",
                "search_space.pools[0]: integer `2`, expected a list of numbers",
            ),
            (
                "early_stopping.burn_in: invalid type: string \"1_00\", expected usize",
                "early_stopping.burn_in: string \"1_00\", expected a whole number from 0 on",
            ),
            ("data: missing field `classes`", "data: missing key `classes`"),
            (
                "epsilon_schedule: string \"x\", expected a sequence",
                "epsilon_schedule: string \"x\", expected a list",
            ),
        ] {
            assert_eq!(in_plain_words(message), plain);
        }
    }
}
