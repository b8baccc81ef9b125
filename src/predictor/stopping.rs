//! The stopping rule: end a training that will hardly beat the best network.

use crate::invalid::Invalid;
use crate::maths::normal_cdf;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Expected validation accuracy after the last epoch; may leave [0, 1].
    pub mean: f64,
    /// Standard deviation of the error of such predictions.
    pub sigma: f64,
}

/// With the probability that the network stays below the best, when there are both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    Continue { stop_probability: Option<f64> },
    Stop { stop_probability: f64 },
}

/// Stops when `Phi((y_best - offset - mean) / sigma) >= threshold`.
///
/// Phi is the standard normal distribution function: the probability that the final accuracy stays
/// below the best one. (The talk on the method writes one minus this, which would stop the
/// promising networks; the paper has the sign used here.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoppingRule {
    pub(crate) threshold: f64,
    pub(crate) offset: f64,
}

impl Verdict {
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stop { .. })
    }

    pub const fn stop_probability(self) -> Option<f64> {
        match self {
            Self::Continue { stop_probability } => stop_probability,
            Self::Stop { stop_probability } => Some(stop_probability),
        }
    }
}

impl StoppingRule {
    /// `threshold` is the paper's Delta; networks predicted within `offset` of the best may finish
    /// (in units of the curve: recorded losses may differ by more than 1).
    pub fn new(threshold: f64, offset: f64) -> Result<Self, Invalid> {
        let (key, allowed) = ("early_stopping.threshold", "must be above 0.5 and below 1");
        Invalid::unless(threshold > 0.5 && threshold < 1.0, key, threshold, allowed)?;
        let (key, allowed) = ("early_stopping.offset", "must be a finite number of at least 0");
        Invalid::unless(offset >= 0.0 && offset.is_finite(), key, offset, allowed)?;
        Ok(Self { threshold, offset })
    }

    /// The only place where a stop probability is compared with the threshold. `y_best` is the n-th
    /// best last-epoch value of the networks trained to the end
    /// ([`BestFinals`](super::BestFinals)): the best n are trained to the end. Without it or a
    /// prediction a training goes on.
    pub fn judge(&self, prediction: Option<Prediction>, y_best: Option<f64>) -> Verdict {
        let (Some(prediction), Some(y_best)) = (prediction, y_best) else {
            return Verdict::Continue { stop_probability: None };
        };
        let z = (y_best - self.offset - prediction.mean) / prediction.sigma;
        let stop_probability = normal_cdf(z);
        if stop_probability >= self.threshold {
            Verdict::Stop { stop_probability }
        } else {
            Verdict::Continue { stop_probability: Some(stop_probability) }
        }
    }
}

#[cfg(test)]
impl Default for StoppingRule {
    /// The threshold of the paper's full search, 0.99, and no offset.
    fn default() -> Self {
        Self { threshold: 0.99, offset: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn probability(rule: StoppingRule, mean: f64, sigma: f64, best: f64) -> (bool, f64) {
        let verdict = rule.judge(Some(Prediction { mean, sigma }), Some(best));
        (verdict.is_stop(), verdict.stop_probability().unwrap())
    }

    #[test]
    fn the_worked_examples_of_the_method() {
        // z = (0.80 - 0.70) / 0.05 = 2, Phi(2) = 0.97725.
        let (stopped, p) = probability(StoppingRule::new(0.95, 0.0).unwrap(), 0.70, 0.05, 0.80);
        assert!(stopped && (p - 0.97725).abs() < 1e-5);
        let (stopped, _) = probability(StoppingRule::new(0.99, 0.0).unwrap(), 0.70, 0.05, 0.80);
        assert!(!stopped);
        // z = (0.80 - 0.95) / 0.02 = -7.5.
        let (stopped, p) = probability(StoppingRule::new(0.51, 0.0).unwrap(), 0.95, 0.02, 0.80);
        assert!(!stopped && p < 1e-13);
    }

    #[test]
    fn a_probability_equal_to_the_threshold_stops() {
        let threshold = normal_cdf(1.0);
        let (stopped, p) = probability(StoppingRule::new(threshold, 0.0).unwrap(), 0.0, 1.0, 1.0);
        assert!(stopped && p == threshold);
    }

    #[test]
    fn hopeless_networks_are_stopped() {
        assert!(probability(StoppingRule::default(), 0.10, 0.05, 0.80).0);
    }

    #[test]
    fn without_a_prediction_or_a_best_training_goes_on() {
        let rule = StoppingRule::default();
        let goes_on = Verdict::Continue { stop_probability: None };
        let hopeless = Prediction { mean: 0.1, sigma: 0.01 };
        assert_eq!(rule.judge(None, Some(0.9)), goes_on);
        assert_eq!(rule.judge(Some(hopeless), None), goes_on);
    }

    #[test]
    fn parameters_outside_their_range_are_refused() {
        assert!(StoppingRule::new(0.5, 0.0).is_err());
        assert!(StoppingRule::new(1.0, 0.0).is_err());
        assert!(StoppingRule::new(f64::NAN, 0.0).is_err());
        assert!(StoppingRule::new(0.9, -0.1).is_err());
    }

    proptest! {
        #[test]
        fn the_probability_rises_with_the_best_and_falls_with_the_prediction(
            mean in 0.0..1.0, sigma in 0.001..0.5, best in 0.0..0.9, more in 0.0..0.1,
        ) {
            let rule = StoppingRule::default();
            let base = probability(rule, mean, sigma, best).1;
            prop_assert!(probability(rule, mean, sigma, best + more).1 >= base);
            prop_assert!(probability(rule, mean + more, sigma, best).1 <= base);
        }

        #[test]
        fn a_network_predicted_far_above_the_best_is_never_stopped(
            mean in 0.5..1.0, sigma in 0.001..0.1, best in 0.0..0.5, threshold in 0.51..0.999,
        ) {
            let rule = StoppingRule::new(threshold, 0.0).unwrap();
            prop_assert!(!probability(rule, mean, sigma, best).0);
        }
    }
}
