//! A value of the configuration, or of an option, that is not allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Names the key by its whole path, such as `training.epochs`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is `{value}` ({allowed})")]
pub struct Invalid {
    pub(crate) key: String,
    value: String,
    /// What is allowed, or why the value is not, and what to write instead.
    allowed: String,
}

impl Invalid {
    pub(crate) fn new(
        key: impl Into<String>,
        value: impl Display,
        allowed: impl Into<String>,
    ) -> Self {
        let value = value.to_string();
        // Longer ones get an exponent; no float of 17 digits near 1 is as long.
        let number = value.parse::<f64>().ok().filter(|_| value.len() > 24);
        let value = number.map_or(value, |number| format!("{number:e}"));
        Self { key: key.into(), value, allowed: allowed.into() }
    }

    pub(crate) fn unless(
        holds: bool,
        key: &str,
        value: impl Display,
        allowed: &str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(key, value, allowed)) }
    }

    /// Refuses a number outside a range; NaN is in none.
    pub(crate) fn unless_in<T: PartialOrd + Display>(
        range: RangeInclusive<T>,
        key: &str,
        value: T,
    ) -> Result<(), Self> {
        let allowed = format!("must be {} to {}", range.start(), range.end());
        Self::unless(range.contains(&value), key, value, &allowed)
    }
}
