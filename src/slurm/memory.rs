//! Amounts of memory: `16G`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SlurmError, yaml_scalar};

/// Memory of a node for one job, as `sbatch --mem` takes it: a number with `K`, `M`, `G` or `T`, in MB without one; 0 is
/// all memory of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory(String);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Memory {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let digits = text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(text);
        let is_number =
            (1..=12).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            return Ok(Self(text.to_owned()));
        }
        Err(SlurmError::Notation {
            text: text.to_owned(),
            notation: "amount of memory",
            hint: "a whole number with K, M, G or T, such as `16G`; MB without one",
        })
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml_scalar::parse(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_and_a_unit() {
        for text in ["0", "4000", "16G", "512m", "1T"] {
            assert_eq!(text.parse::<Memory>().unwrap().to_string(), text);
        }
        for text in ["", "G", "1.5G", "16GB", "16 G", "-1", "\u{663}G"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }

    #[test]
    fn yaml_may_leave_the_unit_away() {
        assert_eq!(serde_yaml::from_str::<Memory>("4000").unwrap().to_string(), "4000");
    }
}
