//! One thing that was examined.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Health {
    Ok,
    /// A search works, but not as well as it could, or not in every case.
    Warning,
    /// A search will not work.
    Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub verdict: Health,
    pub check: String,
    /// `None` when it is not about one machine.
    pub host: Option<String>,
    pub seen: String,
    pub remedy: Option<String>,
}

impl Check {
    /// The remedy counts only where it is not ok, and is empty where `seen` names it.
    pub fn new(verdict: Health, check: &str, seen: impl Into<String>, remedy: &str) -> Self {
        // Messages of other programs may have several lines.
        let seen = seen.into().lines().collect::<Vec<_>>().join("; ");
        let remedy = (verdict != Health::Ok && !remedy.is_empty()).then(|| remedy.to_owned());
        Self { verdict, check: check.to_owned(), host: None, seen, remedy }
    }

    /// A check that is ok or a warning.
    pub fn ok_if(is_ok: bool, check: &str, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(if is_ok { Health::Ok } else { Health::Warning }, check, seen, remedy)
    }

    pub fn ok(check: &str, seen: impl Into<String>) -> Self {
        Self::new(Health::Ok, check, seen, "")
    }

    pub fn warning(check: &str, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(Health::Warning, check, seen, remedy)
    }

    pub fn failure(check: &str, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(Health::Failure, check, seen, remedy)
    }

    pub fn error(check: &str, error: impl Into<anyhow::Error>, remedy: &str) -> Self {
        Self::failure(check, format!("{:#}", error.into()), remedy)
    }

    pub fn on(host: &str, checks: Vec<Self>) -> Vec<Self> {
        checks.into_iter().map(|check| Self { host: Some(host.to_owned()), ..check }).collect()
    }
}

/// One line: `failure  locks (n2): what was seen (what to do)`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {}", self.verdict, self.check)?;
        self.host.iter().try_for_each(|host| write!(f, " ({host})"))?;
        write!(f, ": {}", self.seen)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, " ({remedy})"))
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
        let failure = Check::failure("locks", "none", "mount it with `flock`");
        let failure = Check::on("n2", vec![failure]).remove(0);
        assert_eq!(failure.to_string(), "failure  locks (n2): none (mount it with `flock`)");
        assert_eq!(
            serde_json::to_string(&failure).unwrap(),
            "{\"verdict\":\"failure\",\"check\":\"locks\",\"host\":\"n2\",\"seen\":\"none\",\
             \"remedy\":\"mount it with `flock`\"}"
        );
    }
}
