//! Points in time as they stand in files: ISO 8601, UTC, milliseconds.

use std::str::FromStr;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// Written `2026-03-01T12:00:00.250Z`: milliseconds always, so that a column of times has one width
/// and sorts as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, derive_more::Display)]
#[display("{_0:.3}")]
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(Timestamp);

impl Time {
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// Rounds to the millisecond.
impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Self {
        // Fails only beyond the year 9999, where the value is kept as it is.
        Self(timestamp.round(Unit::Millisecond).unwrap_or(timestamp))
    }
}

impl FromStr for Time {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;
    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_to_the_millisecond_in_utc() {
        let time: Time = "2026-03-01T13:00:00.2504+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-03-01T12:00:00.250Z");
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        let whole: Time = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(whole.to_string(), "2026-03-01T12:00:00.000Z");
    }
}
