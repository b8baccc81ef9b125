//! The audit of the stopping rule: how often it would end the training of a network that wins.
//!
//! A share of the networks that the rule would stop is trained to the end all the same. One whose
//! last epoch then beats the best network of the verdict was a false stop. (The paper has no audit:
//! there a search cannot see what stopping costs it.)

use rand::Rng;

use super::wilson::wilson_interval;

/// Whether a verdict to stop is not executed.
pub fn is_audited(audit_share: f64, rng: &mut impl Rng) -> bool {
    rng.random::<f64>() < audit_share
}

/// The audits of a search, in the order in which they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditFindings {
    pub audited: u64,
    /// Those among them that beat the best network of that verdict.
    pub false_stops: u64,
    /// The number of audits after which stopping was switched off, for good.
    pub switched_off_after: Option<u64>,
}

impl AuditFindings {
    /// Of audits, each by whether it was a false stop. Stopping is off from the first audit on
    /// whose interval of false stops lies above `limit`.
    pub fn of(audits: impl IntoIterator<Item = bool>, limit: f64) -> Self {
        let mut findings = Self::default();
        for is_false_stop in audits {
            findings.audited += 1;
            findings.false_stops += u64::from(is_false_stop);
            let is_above = findings.interval().is_some_and(|(lower, _)| lower > limit);
            if is_above && findings.switched_off_after.is_none() {
                findings.switched_off_after = Some(findings.audited);
            }
        }
        findings
    }

    /// The share of false stops among the audited, in [0, 1].
    pub fn rate(&self) -> Option<f64> {
        (self.audited > 0).then(|| self.false_stops as f64 / self.audited as f64)
    }

    /// Holds the share of false stops among all stops in 95 % of searches.
    pub fn interval(&self) -> Option<(f64, f64)> {
        wilson_interval(self.false_stops, self.audited)
    }

    pub const fn is_switched_off(&self) -> bool {
        self.switched_off_after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_ends_at_the_first_audit_that_makes_sure_and_stays_off() {
        // Lower ends of 1 in 1, 2, 3, 4: 0.2065, 0.0945, 0.0615, 0.0456.
        let off = |audits: &[bool]| AuditFindings::of(audits.iter().copied(), 0.05);
        assert_eq!(off(&[false, false, true]).switched_off_after, Some(3));
        assert!(!off(&[false, false, false, true]).is_switched_off());
        let later = off(&[false, false, true, false, false, false]);
        assert_eq!((later.switched_off_after, later.audited, later.false_stops), (Some(3), 6, 1));
        assert_eq!(later.rate(), Some(1.0 / 6.0));
    }

    #[test]
    fn no_false_stop_is_above_no_limit() {
        assert!(!AuditFindings::of([false; 100], 0.0).is_switched_off());
        assert!(!AuditFindings::of([true; 100], 1.0).is_switched_off());
        assert_eq!(AuditFindings::default().rate(), None);
    }
}
