//! The audit of the stopping rule: how often it would end the training of a network that wins.
//!
//! A share of the networks that the rule would stop is trained to the end all the same. One whose
//! last epoch then beats the best network of the verdict was a false stop. (The paper has no audit:
//! there a search cannot see what stopping costs it.)

use rand::Rng;

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

/// Quantile of the standard normal distribution that leaves 2.5 % on each side.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share, `found` of `of`; none of nothing:
///
/// ```text
/// (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n),  p = found / n, z = 1.96
/// ```
///
/// Wilson, 1927, *Probable inference, the law of succession, and statistical inference*. Unlike the
/// textbook interval it stays in [0, 1] and says something of few trials.
fn wilson_interval(found: u64, of: u64) -> Option<(f64, f64)> {
    if of == 0 {
        return None;
    }
    let n = of as f64;
    let p = found as f64 / n;
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // Exact where rounding would leave a trace: 0 is above no limit.
    let lower = if found == 0 { 0.0 } else { (middle - reach) / scale };
    let upper = if found == of { 1.0 } else { (middle + reach) / scale };
    Some((lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn the_interval_by_hand() {
        let is = |found, of, lower: f64, upper: f64| {
            let (low, high) = wilson_interval(found, of).unwrap();
            assert!((low - lower).abs() < 1e-4 && (high - upper).abs() < 1e-4, "{low} {high}");
        };
        // z^2 = 3.8415. n = 10, p = 0.1: middle 0.1 + 0.19207 = 0.29207; reach
        // 1.95996 sqrt(0.009 + 0.0096036) = 0.26733; scale 1.38415.
        is(1, 10, 0.017876, 0.404150);
        // n = 1, p = 1: middle 1 + 1.92073; reach 1.95996 sqrt(0.96036) = 1.92073; scale 4.8415.
        is(1, 1, 0.206543, 1.0);
        // n = 20, p = 0: upper end 2 * 0.096036 / 1.192073.
        is(0, 20, 0.0, 0.161125);
        assert_eq!(wilson_interval(0, 0), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share(of in 1_u64..10_000, part in 0.0..=1.0_f64) {
            let found = (of as f64 * part).floor() as u64;
            let (lower, upper) = wilson_interval(found, of).unwrap();
            let share = found as f64 / of as f64;
            prop_assert!((0.0..=share).contains(&lower) && (share..=1.0).contains(&upper));
        }
    }
}
