//! Elementary functions with the same bits on every machine.
//!
//! What an experiment stores is computed again elsewhere and compared to the bit. The last bit of
//! `f64::exp` and its kind depends on the C library and the processor, that of `powi` also on the
//! optimiser. So these are plain Rust (crate `libm`); `.clippy.toml` forbids the others. Sums,
//! products, quotients and roots are exact as IEEE 754 has them.

use std::f64::consts::SQRT_2;

pub use libm::{cos, exp, log as ln, log10, pow, sin, tanh};
use statrs::function::evaluate::polynomial;

pub fn square(x: f64) -> f64 {
    x * x
}

/// Of at least one value.
pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// `None` of no value.
pub fn mean_if_any(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| mean(values.iter().copied()))
}

/// The sample variance, over n - 1; `None` of fewer than two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values.iter().copied());
    let squares = values.iter().map(|value| square(value - mean)).sum::<f64>();
    (values.len() > 1).then(|| squares / (values.len() - 1) as f64)
}

/// Of the mean: the sample deviation over the root of the number; `None` of fewer than two values.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    variance(values).map(|variance| (variance / values.len() as f64).sqrt())
}

/// The probability that a standard normal value is below `z`.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// What a standard normal value stays below with probability `p`, in (0, 1).
///
/// Wichura, 1988, *The percentage points of the normal distribution* (algorithm AS 241, PPND16).
pub fn normal_quantile(p: f64) -> f64 {
    let from_median = p - 0.5;
    if from_median.abs() <= 0.425 {
        let x = 0.180625 - from_median * from_median;
        return from_median * ratio(x, &MIDDLE);
    }
    let depth = (-ln(p.min(1.0 - p))).sqrt();
    let size = if depth <= 5.0 { ratio(depth - 1.6, &TAIL) } else { ratio(depth - 5.0, &FAR_TAIL) };
    size.copysign(from_median)
}

/// Returns the exact 95 % interval of a share, `found` of `of`: the shares of which neither so few
/// nor so many would be found with a probability below 2.5 %.
///
/// Clopper and Pearson, 1934, *The use of confidence or fiducial limits illustrated in the case of
/// the binomial*.
pub fn binomial_interval(found: u64, of: u64) -> [f64; 2] {
    let greatest = |found: u64| {
        let (mut least, mut most) = (found as f64 / of as f64, 1.0);
        if found == of {
            return most;
        }
        for _ in 0..60 {
            let middle = 0.5 * (least + most);
            let is_likely = at_most(found, of, middle) > 0.025;
            *(if is_likely { &mut least } else { &mut most }) = middle;
        }
        most
    };
    [1.0 - greatest(of - found), greatest(found)]
}

/// The probability of at most `found` of `of` at a probability above their share each.
fn at_most(found: u64, of: u64, probability: f64) -> f64 {
    let (found, of, other) = (found as f64, of as f64, 1.0 - probability);
    let ways = libm::lgamma(of + 1.0) - libm::lgamma(found + 1.0) - libm::lgamma(of - found + 1.0);
    let mut term = exp(ways + found * ln(probability) + (of - found) * ln(other));
    let (mut sum, mut at) = (0.0, found);
    // Each is smaller than the one before.
    while at >= 0.0 && term > 1e-18 {
        sum += term;
        term *= at * other / ((of - at + 1.0) * probability);
        at -= 1.0;
    }
    sum
}

/// Numerator and denominator, the constant terms first.
type Rational = [[f64; 8]; 2];

fn ratio(x: f64, [numerator, denominator]: &Rational) -> f64 {
    polynomial(x, numerator) / polynomial(x, denominator)
}

const MIDDLE: Rational = [
    [
        3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
        45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227,
    ],
    [
        1.0, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597,
        39307.89580009271, 28729.085735721943, 5226.495278852854,
    ],
];

const TAIL: Rational = [
    [
        1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
        1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
    ],
    [
        1.0, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008,
        0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-09,
    ],
];

const FAR_TAIL: Rational = [
    [
        6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
        0.026532189526576124, 0.0012426609473880784, 2.7115555687434876e-05,
        2.0103343992922881e-07,
    ],
    [
        1.0, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
        1.8463183175100548e-05, 1.421511758316446e-07, 2.0442631033899397e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    /// Returns the checksum of a function's bits at 10,000 points of (0, 1).
    fn bits(function: impl Fn(f64) -> f64) -> u32 {
        let mut checksum = crc32fast::Hasher::new();
        for point in 1..=10_000 {
            checksum.update(&function(f64::from(point) / 10_001.0).to_le_bytes());
        }
        checksum.finalize()
    }

    #[test]
    fn the_standard_error_by_hand() {
        // Mean 2, sample variance 1, root of 1 / 3.
        assert_eq!(standard_error(&[1.0, 2.0, 3.0]), Some((1.0_f64 / 3.0).sqrt()));
        assert_eq!((standard_error(&[1.0]), mean_if_any(&[])), (None, None));
    }

    #[test]
    fn the_bits_are_those_of_every_machine() {
        let found = [
            bits(|x| exp(40.0 * x - 30.0)),
            bits(ln),
            bits(|x| log10(1e8 * x)),
            bits(|x| pow(10.0, 4.0 * x - 2.0)),
            bits(|x| normal_cdf(16.0 * x - 8.0)),
            bits(normal_quantile),
        ];
        assert_eq!(
            found,
            [0x76b0_7639, 0x3725_7a60, 0xef39_aa49, 0x58d7_35a3, 0x8057_10b1, 0x0640_e520]
        );
    }

    #[test]
    fn exact_intervals_known_from_tables() {
        let is = |found, of, [least, most]: [f64; 2]| {
            let [low, high] = binomial_interval(found, of);
            assert!((low - least).abs() < 1e-4 && (high - most).abs() < 1e-4, "{low} {high}");
        };
        // Of none of n: 1 - 0.025^(1/n). 1 of 10 and 5 of 10 by tables; the others by R's
        // binom.test.
        is(0, 10, [0.0, 0.30850]);
        is(10, 10, [0.69150, 1.0]);
        is(1, 10, [0.00253, 0.44502]);
        is(5, 10, [0.18709, 0.81291]);
        is(600, 10_000, [0.05543, 0.06483]);
        is(0, 0, [0.0, 1.0]);
    }

    #[test]
    fn quantiles_known_from_tables() {
        for (p, z) in [(0.9, 1.2816), (0.95, 1.6449), (0.99, 2.3263), (0.001, -3.0902)] {
            assert!((normal_quantile(p) - z).abs() < 5e-5, "{p}");
        }
        assert_eq!(normal_quantile(0.75), -normal_quantile(0.25));
    }

    proptest! {
        #[test]
        #[expect(clippy::disallowed_methods, reason = "compared within a tolerance")]
        fn the_normal_distribution_is_that_of_statrs(z in -8.0..8.0) {
            let theirs = Normal::standard();
            // statrs 0.18 has ten digits here.
            prop_assert!((normal_cdf(z) / theirs.cdf(z) - 1.0).abs() < 2e-10);
            // Below the median, since probabilities near 1 are too coarse to lead back.
            let p = normal_cdf(-z.abs());
            prop_assert!((normal_quantile(p) - theirs.inverse_cdf(p)).abs() < 1e-10, "{p}");
            prop_assert!((normal_quantile(p) + z.abs()).abs() < 1e-12, "{p}");
        }
    }
}
