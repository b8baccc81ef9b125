//! What a YAML text may ask of the parser: how deep it nests, and how much its aliases repeat.
//!
//! The parser takes time with the square of the brackets that are open, minutes for a file of them,
//! and its own limit on aliases lets a kilobyte become gigabytes.

use std::cell::Cell;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Brackets that may be open at once, as many as the parser follows.
const MOST_OPEN: usize = 128;

/// Values that a text with aliases may stand for.
const MOST_VALUES: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    #[error("more than {MOST_OPEN} brackets are open at line {line} (is one not closed?)")]
    Deep { line: usize },
    #[error("its aliases (`*name`) stand for more than {MOST_VALUES} values")]
    Repeated,
}

/// To be called before a text is parsed.
pub fn check(text: &str) -> Result<(), TooMuch> {
    check_depth(text)?;
    if text.contains('*') {
        let left = Cell::new(MOST_VALUES);
        // Any other error is found when the text is parsed.
        let _ = Values(&left).deserialize(serde_yaml::Deserializer::from_str(text));
        if left.get() == 0 {
            return Err(TooMuch::Repeated);
        }
    }
    Ok(())
}

/// Brackets that open are counted wherever they stand; one that closes within quotes or a comment
/// closes only what was opened there. So what is taken for quotes and is none, as in `5" wide`, at
/// most keeps brackets open.
fn check_depth(text: &str) -> Result<(), TooMuch> {
    let (mut open, mut line) = (0_usize, 1);
    // What ends the quotes or the comment, and how many were open where they began.
    let (mut end, mut outside) = (None, 0);
    let (mut before, mut characters) = ('\n', text.chars().peekable());
    while let Some(character) = characters.next() {
        let begins = before.is_whitespace() || "[]{},:-?\u{feff}".contains(before);
        match (end, character) {
            (_, '[' | '{') => open += 1,
            (None, ']' | '}') => open = open.saturating_sub(1),
            (_, ']' | '}') => open = open.saturating_sub(1).max(outside),
            (None, '"' | '\'') if begins => (end, outside) = (Some(character), open),
            (None, '#') if before.is_whitespace() => (end, outside) = (Some('\n'), open),
            (Some('"'), '\\') => drop(characters.next_if(|&next| next != '\n')),
            (Some('\''), '\'') if characters.next_if_eq(&'\'').is_some() => {}
            (Some(ending), _) if ending == character => end = None,
            _ => {}
        }
        if open > MOST_OPEN {
            return Err(TooMuch::Deep { line });
        }
        line += usize::from(character == '\n');
        before = character;
    }
    Ok(())
}

/// Counts the values of a document down to 0, where it ends in an error, and keeps none.
#[derive(Clone, Copy)]
struct Values<'a>(&'a Cell<usize>);

impl Values<'_> {
    fn one<E: Error>(self) -> Result<(), E> {
        self.0.set(self.0.get() - 1);
        if self.0.get() == 0 { Err(E::custom(TooMuch::Repeated)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($visit:ident: $scalar:ty,)*) => {
        $(fn $visit<E: Error>(self, _: $scalar) -> Result<(), E> {
            self.one()
        })*
    };
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }
    scalars! {
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
        visit_f64: f64, visit_str: &str,
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.one()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(self)?.is_some() {}
        self.one()
    }
    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_key_seed(self)?.is_some() {
            values.next_value_seed(self)?;
        }
        self.one()
    }
    fn visit_enum<A: EnumAccess<'de>>(self, value: A) -> Result<(), A::Error> {
        let (IgnoredAny, value) = value.variant()?;
        value.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_brackets_are_refused_at_once_whatever_closes_them_in_quotes() {
        let openings =
            ["[", "{", "[{", "[\"]\",", "['''] ',", "[\"\\\"]\", ", "[ # ]\n", "{a: \"}\", b: "];
        for bracket in openings {
            let text = "a: 1\nb: ".to_owned() + &bracket.repeat(200_000);
            assert!(matches!(check(&text), Err(TooMuch::Deep { .. })), "{bracket}");
        }
        assert_eq!(
            check(&("a: 1\nb: ".to_owned() + &"[".repeat(200))),
            Err(TooMuch::Deep { line: 2 })
        );
    }

    #[test]
    fn wide_lists_and_quotes_that_are_none_are_fine() {
        let wide = "[1, {a: 2}, 'it''s', \"]\\\"\", don't], ".repeat(10_000);
        assert_eq!(check(&format!("a: [{wide}[]] # five \" wide\nb: 5\" wide\n")), Ok(()));
        let architectures = "- '[C(64,3,1), SM(10)]' # [one of many]\n- \"{a}\"\n".repeat(10_000);
        assert_eq!(check(&architectures), Ok(()));
        assert_eq!(check("a: &name [1, 2]\nb: *name\nc: 2 * 3\n"), Ok(()));
    }

    #[test]
    fn aliases_that_stand_for_millions_of_values_are_refused() {
        let list = |value: &str| vec![value; 2_000].join(",");
        let wide = format!("a: &a [{}]\nb: [{}]\n", list("x"), list("*a"));
        assert_eq!(check(&wide), Err(TooMuch::Repeated));
    }
}
