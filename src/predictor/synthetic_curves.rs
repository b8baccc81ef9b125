//! Curves for tests: saturating, with noise, from two features.

use super::features::{Example, Features, LearningCurve};
use crate::maths::exp;

/// Returns networks whose accuracy rises to a level set by two features; the same ones each time.
pub(crate) fn examples(networks: usize, epochs: usize) -> Vec<Example> {
    (0..networks).map(|network| example(network, epochs)).collect()
}

fn example(network: usize, epochs: usize) -> Example {
    // Low-discrepancy sequences stand for random numbers in [0, 1).
    let part = |step: f64| (network as f64 * step).fract();
    let (size, depth) = (part(0.618_034), part(0.414_214));
    let level = 0.3 + 0.4 * size + 0.2 * depth;
    let speed = 0.2 + 0.5 * part(0.732_051);
    let noise = |epoch: usize| 0.02 * ((network * 31 + epoch) as f64 * 0.236_068).fract();
    let accuracy = |epoch: usize| level * (1.0 - exp(-speed * epoch as f64)) + noise(epoch);
    Example {
        features: Features::try_from(vec![size, depth]).expect("finite"),
        curve: LearningCurve::try_from((1..=epochs).map(accuracy).collect::<Vec<_>>())
            .expect("finite"),
    }
}

/// Returns the same networks with their numbers as names.
pub(crate) fn named(networks: usize, epochs: usize) -> Vec<(String, Example)> {
    (0..networks).map(|network| (network.to_string(), example(network, epochs))).collect()
}
