//! How large a round may be: `auto`, or a number of tasks.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SlurmError, yaml_scalar};

/// How many tasks a round has, before the limits of the cluster and of the schedule: `auto` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArraySize {
    /// Chosen for each round.
    Auto,
    /// At most so many tasks.
    Tasks(NonZeroU32),
}

impl fmt::Display for ArraySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Tasks(tasks) => tasks.fmt(f),
        }
    }
}

impl FromStr for ArraySize {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Tasks).map_err(|_| SlurmError::Notation {
            text: text.to_owned(),
            notation: "array size",
            hint: "`auto`, or a number from 1 on",
        })
    }
}

impl Serialize for ArraySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Tasks(tasks) => tasks.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ArraySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml_scalar::parse(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_auto_or_a_number_of_tasks() {
        let read = |yaml| serde_yaml::from_str::<ArraySize>(yaml).ok();
        assert_eq!(read("auto"), Some(ArraySize::Auto));
        assert_eq!(read("500"), NonZeroU32::new(500).map(ArraySize::Tasks));
        for yaml in ["0", "-1", "many", "1.5", "''"] {
            assert_eq!(read(yaml), None, "{yaml}");
        }
    }
}
