//! Notations of Slurm and of the section `slurm`: time limits, amounts of memory, array sizes.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SlurmError;

/// Beyond 10,000 days a number is a mistake; Slurm itself takes 49,711 days for no limit.
const MAX_SECONDS: u64 = 10_000 * 86_400;

/// How long a job may run, in every form that `sbatch --time` takes; `UNLIMITED`, `INFINITE`, `-1`
/// or zero for no limit. A field may pass 59 (`1:90:00`); Slurm rounds up to whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(limit) = self.0 else { return f.write_str("UNLIMITED") };
        let seconds = limit.as_secs();
        if seconds >= 86_400 {
            write!(f, "{}-", seconds / 86_400)?;
        }
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    }
}

impl FromStr for TimeLimit {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        if ["unlimited", "infinite", "-1"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Self(None));
        }
        let seconds = seconds(text).filter(|seconds| *seconds <= MAX_SECONDS);
        let what = "time limit (write `days-hours:minutes:seconds` such as `04:00:00` or \
                    `1-12:00:00`, minutes alone, or `UNLIMITED`; at most 10,000 days)";
        let seconds = seconds.ok_or_else(|| SlurmError::is_no(text, what))?;
        Ok(Self((seconds > 0).then(|| Duration::from_secs(seconds))))
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(field(days)?), rest),
        None => (None, text),
    };
    let fields: Vec<u64> = rest.splitn(4, ':').map(field).collect::<Option<_>>()?;
    let units: &[u64] = match (days, fields.len()) {
        (Some(_), 1..=3) | (None, 3) => &[3600, 60, 1],
        (None, 1..=2) => &[60, 1],
        _ => return None,
    };
    let rest: u64 = fields.iter().zip(units).map(|(field, unit)| field * unit).sum();
    Some(days.unwrap_or(0) * 86_400 + rest)
}

/// A field has at most 10 digits, so that their sum in seconds cannot overflow.
fn field(text: &str) -> Option<u64> {
    is_number(text, 10).then(|| text.parse().ok()).flatten()
}

fn is_number(text: &str, most_digits: usize) -> bool {
    (1..=most_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Serialize for TimeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Memory of a node for one job, as `sbatch --mem` takes it: a number with `K`, `M`, `G` or `T`, in
/// MB without one; 0 is all memory of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, derive_more::Display)]
pub struct Memory(String);

impl FromStr for Memory {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let digits = text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(text);
        let what = "amount of memory (a whole number with K, M, G or T, such as `16G`; MB without \
                    one)";
        let memory = is_number(digits, 12).then(|| Self(text.to_owned()));
        memory.ok_or_else(|| SlurmError::is_no(text, what))
    }
}

/// How many tasks a round has, before the limits of the cluster and of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ArraySize {
    Auto,
    #[serde(untagged)]
    Tasks(NonZeroU32),
}

impl FromStr for ArraySize {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let what = "array size (`auto`, or a number from 1 on)";
        text.parse().map(Self::Tasks).map_err(|_| SlurmError::is_no(text, what))
    }
}

/// In YAML these may stand with or without quotes: `90` is a number there, `04:00:00` is not.
macro_rules! deserialize_from_text {
    ($($notation:ty),+) => {$(
        impl<'de> Deserialize<'de> for $notation {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar(PhantomData))
            }
        }
    )+};
}
deserialize_from_text!(TimeLimit, Memory, ArraySize);

struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err = SlurmError>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Option<String> {
        text.parse::<TimeLimit>().ok().map(|limit| limit.to_string())
    }

    /// Each pair was given to `sbatch --time` and read from `scontrol show job` (22.05), but for
    /// the seconds, which Slurm rounds up to a minute.
    #[test]
    fn every_form_is_read_as_slurm_reads_it() {
        for (text, expected) in [
            ("90", "01:30:00"),
            ("90:30", "01:30:30"),
            ("1:30:00", "01:30:00"),
            ("1:90:00", "02:30:00"),
            ("25:00:00", "1-01:00:00"),
            ("1-2", "1-02:00:00"),
            ("1-2:3", "1-02:03:00"),
            ("1-2:3:4", "1-02:03:04"),
            ("1-30", "2-06:00:00"),
            ("1-2:99:99", "1-03:40:39"),
            ("0:70", "00:01:10"),
            ("365-0", "365-00:00:00"),
            ("0", "UNLIMITED"),
            ("-1", "UNLIMITED"),
            ("UNLIMITED", "UNLIMITED"),
            ("infinite", "UNLIMITED"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_sbatch_refuses_is_refused() {
        for text in [
            "", " 5", "5:", "1:2:3:4", "1-2-3", "1.5", "+5", "1h", "1-2:3:4:5", "-2", "99999999999",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn ten_thousand_days_are_the_most() {
        assert_eq!(written("10000-0").as_deref(), Some("10000-00:00:00"));
        assert_eq!(written("10000-0:0:1"), None);
    }

    #[test]
    fn yaml_may_leave_the_quotes_away() {
        let read = |yaml: &str| serde_yaml::from_str::<TimeLimit>(yaml).unwrap().to_string();
        assert_eq!(read("04:00:00"), "04:00:00");
        assert_eq!(read("1-12"), "1-12:00:00");
        assert_eq!(read("90"), "01:30:00");
        assert_eq!(read("'10:00'"), "00:10:00");
    }

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
    fn memory_in_yaml_needs_no_unit() {
        assert_eq!(serde_yaml::from_str::<Memory>("4000").unwrap().to_string(), "4000");
    }

    #[test]
    fn a_size_is_auto_or_a_number_of_tasks() {
        let read = |yaml| serde_yaml::from_str::<ArraySize>(yaml).ok();
        assert_eq!(read("auto"), Some(ArraySize::Auto));
        assert_eq!(read("500"), NonZeroU32::new(500).map(ArraySize::Tasks));
        for yaml in ["0", "-1", "many", "1.5", "''"] {
            assert_eq!(read(yaml), None, "{yaml}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 1..=MAX_SECONDS) {
            let limit = TimeLimit(Some(Duration::from_secs(seconds)));
            prop_assert_eq!(limit.to_string().parse::<TimeLimit>().ok(), Some(limit));
            prop_assert_eq!(limit.0, Some(Duration::from_secs(seconds)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:-]{0,40}|\\PC*") {
            let _ = text.parse::<TimeLimit>();
        }
    }
}
