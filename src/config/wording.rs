//! What the YAML parser complains of, in words of a person who writes configurations.

use super::{ConfigError, ExperimentConfig};

/// Says what is wrong with a value, and at which line of `text` unless it came from the command line.
pub(super) fn wrong_value(error: &serde_yaml::Error, text: &str) -> ConfigError {
    let without_place = |error: &serde_yaml::Error| {
        let message = error.to_string();
        let place = error.location().map_or(String::new(), |place| {
            format!(" at line {} column {}", place.line(), place.column())
        });
        message.strip_suffix(&place).map_or(message.clone(), str::to_owned)
    };
    let message = without_place(error);
    let line = serde_yaml::from_str::<ExperimentConfig>(text)
        .err()
        // A missing section has no line.
        .filter(|in_file| without_place(in_file) == message && !message.starts_with("missing"))
        .and_then(|in_file| in_file.location())
        .map(|place| place.line());
    ConfigError::Value { problem: in_plain_words(&message), line }
}

/// Replaces words of the parser, which speaks of types of this program, by those of a person who writes YAML.
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
    // `struct Recipe`, `tuple struct Pool`: a mapping or a list, whatever its name here.
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
    fn types_are_told_as_what_a_person_would_write() {
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
