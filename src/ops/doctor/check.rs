//! One thing that was looked at, as a value.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is to be thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A search works, and less well than it could, or not in every case.
    Warning,
    /// A search will not work.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What was looked at, in a word or two.
    pub check: String,
    /// Where; `None` when it is no matter of one machine.
    pub host: Option<String>,
    /// What was seen.
    pub seen: String,
    /// What to do, unless it is as it should be.
    pub remedy: Option<String>,
}

impl Check {
    /// Returns what is as it should be.
    pub fn ok(check: &str, seen: impl Into<String>) -> Self {
        // What other programs say may have several lines.
        let seen: String = seen.into();
        let (check, seen) = (check.to_owned(), seen.lines().collect::<Vec<_>>().join("; "));
        Self { verdict: Verdict::Ok, check, host: None, seen, remedy: None }
    }

    /// Returns what could be better, and how.
    pub fn warning(check: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(check, seen) }
    }

    /// Returns what will not work, and what to do. A message that names the remedy itself needs no other.
    pub fn failure(check: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into()).filter(|remedy| !remedy.is_empty());
        Self { verdict: Verdict::Failure, remedy, ..Self::ok(check, seen) }
    }

    /// Says on which machine it was seen.
    pub fn on(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }
}

/// One line: `failure  locks (n2): what was seen (what to do)`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
        };
        write!(f, "{verdict:<7}  {}", self.check)?;
        if let Some(host) = &self.host {
            write!(f, " ({host})")?;
        }
        write!(f, ": {}", self.seen)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line() {
        assert_eq!(
            Check::ok("clocks", "0.01 s apart").to_string(),
            "ok       clocks: 0.01 s apart"
        );
        let failure = Check::failure("locks", "none", "mount it with `flock`").on("n2");
        assert_eq!(failure.to_string(), "failure  locks (n2): none (mount it with `flock`)");
        assert_eq!(
            serde_json::to_string(&failure).unwrap(),
            "{\"verdict\":\"failure\",\"check\":\"locks\",\"host\":\"n2\",\"seen\":\"none\",\
             \"remedy\":\"mount it with `flock`\"}"
        );
        assert!(Verdict::Ok < Verdict::Failure);
    }
}
