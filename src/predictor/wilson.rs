//! The interval of a share by few trials.

/// Quantile of the standard normal distribution that leaves 2.5 % on each side.
const Z: f64 = 1.959_963_984_540_054;

/// Returns Wilson's 95 % interval of a share, `found` of `of`; none of nothing:
///
/// ```text
/// (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n),  p = found / n, z = 1.96
/// ```
///
/// Wilson, 1927, *Probable inference, the law of succession, and statistical inference*. Unlike the
/// textbook interval it stays in [0, 1] and says something of few trials.
pub(super) fn wilson_interval(found: u64, of: u64) -> Option<(f64, f64)> {
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
