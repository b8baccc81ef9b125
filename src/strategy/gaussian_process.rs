//! A Gaussian process over networks: which rewards they are likely to have.
//!
//! Two networks are compared place by place. A number of a layer (the filters of a convolution, the
//! stride of a pooling, ..) exists only with that kind of layer. Scaled to x in [0, 1], it is a
//! point on an arc,
//!
//! ```text
//! weight (sin(pi turn x), cos(pi turn x)),
//! ```
//!
//! and the origin where it does not exist. So networks of which one lacks the number are apart by
//! its weight, whatever it is in the other (Swersky, Duvenaud, Snoek, Hutter and Osborne, 2014,
//! *Raiders of the lost architecture: kernels for Bayesian optimization in conditional parameter
//! spaces*). The squared distances of all places and numbers add up to d^2; the covariance is the
//! Matern kernel of 5/2, as Snoek et al., 2012, recommend:
//!
//! ```text
//! signal (1 + sqrt(5) d + 5/3 d^2) exp(-sqrt(5) d), on the diagonal plus noise
//! ```
//!
//! Rewards are standardised. The signal is that of the greatest likelihood, which has a closed
//! form; all else is searched for ([`GaussianProcess::fit`]).

use std::f64::consts::PI;

use itertools::EitherOrBoth::{self, Both, Left, Right};
use itertools::Itertools;

use crate::maths::{cos, exp, ln, mean, normal_cdf, pow, sin, square, variance};
use crate::space::{Architecture, Layer, Pool, Space};

/// Filters and kernel of a convolution, kernel and stride of a pooling, width, classes of a global
/// average pooling.
const NUMBERS: usize = 6;

/// Of the hyperparameters, base 2: the noise as a part of the signal, each number's weight, and its
/// turn, at most 1.
type Logarithms = [f64; 1 + 2 * NUMBERS];

/// Where the search for them begins: noise 1/32, weights and turns 0.35, with which a layer more
/// leaves a correlation of 0.8, three more 0.6.
const START: Logarithms = {
    let mut logarithms = [-1.5; 1 + 2 * NUMBERS];
    logarithms[0] = -5.0;
    logarithms
};

/// Standard deviation of each around its start, a priori: ten results say little about so many.
const SPREAD: f64 = 2.0;

#[derive(Clone)]
pub struct GaussianProcess {
    /// Of each number: the least and the greatest of the space.
    ends: [[f64; 2]; NUMBERS],
    pub logarithms: Logarithms,
}

/// A layer on the arcs of its numbers.
struct Embedded {
    /// The first of its numbers.
    kind: usize,
    at: [f64; 4],
    /// Squared distance from the origin.
    size: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    pub mean: f64,
    pub deviation: f64,
}

impl Expectation {
    /// By how much the reward is expected to exceed `best`, less counting as nothing (Jones,
    /// Schonlau and Welch, 1998, *Efficient global optimization of expensive black-box functions*,
    /// equation 15).
    pub fn expected_improvement(self, best: f64) -> f64 {
        let gain = self.mean - best;
        if self.deviation == 0.0 {
            return gain.max(0.0);
        }
        let z = gain / self.deviation;
        let density = exp(-0.5 * z * z) / (2.0 * PI).sqrt();
        gain * normal_cdf(z) + self.deviation * density
    }
}

/// The first of a layer's numbers among those of all kinds, and its numbers.
fn numbers(layer: Layer) -> (usize, Vec<u32>) {
    match layer {
        Layer::Conv { filters, kernel, .. } => (0, vec![filters, kernel]),
        Layer::Pool { kernel, stride } => (2, vec![kernel, stride]),
        Layer::FullyConnected { width } => (4, vec![width]),
        Layer::GlobalAveragePool { classes } | Layer::Softmax { classes } => (5, vec![classes]),
    }
}

fn squared_distance(a: &[Embedded], b: &[Embedded]) -> f64 {
    let apart = |place: EitherOrBoth<&Embedded>| match place {
        Both(a, b) if a.kind == b.kind => (0..4).map(|at| square(a.at[at] - b.at[at])).sum::<f64>(),
        Both(a, b) => a.size + b.size,
        Left(one) | Right(one) => one.size,
    };
    a.iter().zip_longest(b).map(apart).sum()
}

fn covariance(a: &[Embedded], b: &[Embedded]) -> f64 {
    let r = (5.0 * squared_distance(a, b)).sqrt();
    (1.0 + r + r * r / 3.0) * exp(-r)
}

/// Turns the rows of [A | B] into [L' | L^-1 B], where A = L L' is positive definite (Cholesky);
/// below the diagonal nothing is read. Every element comes from the same operations in the same
/// order on every machine, however wide its vectors are.
fn eliminate(rows: &mut [Vec<f64>]) {
    for at in 0..rows.len() {
        let (above, rest) = rows.split_at_mut(at);
        let row = &mut rest[0][at..];
        for above in above {
            let above = &above[at..];
            let factor = above[0];
            row.iter_mut().zip(above).for_each(|(x, y)| *x -= factor * y);
        }
        let root = row[0].sqrt();
        row.iter_mut().for_each(|x| *x /= root);
    }
}

impl GaussianProcess {
    /// Searches for the hyperparameters of the greatest likelihood times what is likely a priori:
    /// each in turn is made greater or else smaller by 2, all then by 1, and by 1/2, where that
    /// is better. Takes about 70 likelihoods.
    pub fn fit(space: &Space, known: &[(Architecture, f64)]) -> Self {
        let mut best = Self::new(space, START);
        let mut greatest = best.log_posterior(known);
        for step in [2.0, 1.0, 0.5] {
            for at in 0..START.len() {
                for step in [step, -step] {
                    let mut other = best.clone();
                    other.logarithms[at] += step;
                    let found = other.log_posterior(known);
                    if found > greatest {
                        (best, greatest) = (other, found);
                        break;
                    }
                }
            }
        }
        best
    }

    pub fn new(space: &Space, logarithms: Logarithms) -> Self {
        let sides = |side: fn(&Pool) -> u32| space.pools.iter().map(side).collect();
        let all: [Vec<u32>; NUMBERS] = [
            space.filters.clone(),
            space.kernels.clone(),
            sides(|pool| pool.0),
            sides(|pool| pool.1),
            space.fc_widths.clone(),
            vec![space.image.classes],
        ];
        let end = |value: Option<&u32>| value.map_or(1.0, |&value| f64::from(value));
        let ends = all.map(|values| [end(values.iter().min()), end(values.iter().max())]);
        Self { ends, logarithms }
    }

    /// The rewards to expect of `candidates`. Those of `open` are taken to be what is expected of
    /// them, which changes no other expectation and makes the near ones surer.
    pub fn predict(
        &self,
        known: &[(Architecture, f64)],
        open: &[Architecture],
        candidates: &[Architecture],
    ) -> Vec<Expectation> {
        let (rows, signal) = self.solved(known, open, candidates);
        let (center, scale) = center_and_scale(known);
        let of_column = |column: usize| {
            let products = rows[..known.len()].iter().map(|row| row[column] * reward_of(row));
            let explained: f64 = rows.iter().map(|row| square(row[column])).sum();
            Expectation {
                mean: center + scale * products.sum::<f64>(),
                deviation: scale * (signal * (1.0 - explained).max(0.0)).sqrt(),
            }
        };
        (rows.len()..rows.len() + candidates.len()).map(of_column).collect()
    }

    /// Up to a constant.
    fn log_posterior(&self, known: &[(Architecture, f64)]) -> f64 {
        let (rows, signal) = self.solved(known, &[], &[]);
        let half_log_determinant: f64 = (0..).zip(&rows).map(|(at, row)| ln(row[at])).sum();
        let from_start = self.logarithms.iter().zip(START);
        let squares: f64 = from_start.map(|(it, start)| square((it - start) / SPREAD)).sum();
        -0.5 * known.len() as f64 * ln(signal) - half_log_determinant - 0.5 * squares
    }

    /// A row for each of `known` and `open`, a column for each of these and of `candidates`, and
    /// the rewards in the last column, after [`eliminate`]; and the signal.
    fn solved(
        &self,
        known: &[(Architecture, f64)],
        open: &[Architecture],
        candidates: &[Architecture],
    ) -> (Vec<Vec<f64>>, f64) {
        let networks = known.iter().map(|(known, _)| known).chain(open).chain(candidates);
        let networks: Vec<_> = networks.map(|network| self.embed(network)).collect();
        let noise = self.power(0);
        let (center, scale) = center_and_scale(known);
        let mut rows: Vec<Vec<f64>> = (0..known.len() + open.len())
            .map(|at| {
                let covariances = networks[at..].iter().map(|it| covariance(&networks[at], it));
                let reward = known.get(at).map_or(0.0, |(_, reward)| (reward - center) / scale);
                let mut row: Vec<f64> = std::iter::repeat_n(0.0, at).chain(covariances).collect();
                row[at] += noise;
                row.push(reward);
                row
            })
            .collect();
        eliminate(&mut rows);
        let signal = mean(rows[..known.len()].iter().map(|row| square(reward_of(row))));
        (rows, signal)
    }

    fn embed(&self, network: &Architecture) -> Vec<Embedded> {
        let embed = |&layer: &Layer| {
            let (kind, numbers) = numbers(layer);
            let mut embedded = Embedded { kind, at: [0.0; 4], size: 0.0 };
            for (at, (number, value)) in (kind..).zip(numbers).enumerate() {
                let [least, greatest] = self.ends[number];
                let [x, end] = [f64::from(value), greatest].map(|it| ln(it / least));
                let x = if end == 0.0 { 0.0 } else { x / end };
                let [weight, turn] = [1, 1 + NUMBERS].map(|it| self.power(it + number));
                let angle = PI * turn.min(1.0) * x;
                embedded.at[2 * at] = weight * sin(angle);
                embedded.at[2 * at + 1] = weight * cos(angle);
                embedded.size += square(weight);
            }
            embedded
        };
        network.layers()[..network.depth()].iter().map(embed).collect()
    }

    fn power(&self, at: usize) -> f64 {
        pow(2.0, self.logarithms[at])
    }
}

/// Of the rewards: mean and standard deviation, 1 where all are equal.
fn center_and_scale(known: &[(Architecture, f64)]) -> (f64, f64) {
    let rewards: Vec<_> = known.iter().map(|(_, reward)| *reward).collect();
    let variance = variance(&rewards).filter(|&variance| variance > 0.0);
    (mean(rewards.iter().copied()), variance.map_or(1.0, f64::sqrt))
}

fn reward_of(row: &[f64]) -> f64 {
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{DataShape, SpaceParams};

    fn space() -> Space {
        let image = DataShape { size: 16, channels: 1, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    fn network(text: &str) -> Architecture {
        space().parse(text).unwrap()
    }

    fn process(logarithms: Logarithms) -> GaussianProcess {
        GaussianProcess::new(&space(), logarithms)
    }

    fn is(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-7, "{found}, not {expected}");
    }

    fn are(found: &[Expectation], means: [f64; 3], deviations: [f64; 3]) {
        for (found, (mean, deviation)) in found.iter().zip_eq(means.into_iter().zip(deviations)) {
            is(found.mean, mean);
            is(found.deviation, deviation);
        }
    }

    #[test]
    fn two_points_by_hand() {
        let (nothing, conv) = (network("[SM(10)]"), network("[C(64,1,1), SM(10)]"));
        // Noise 1/2; d^2 = 2 x 0.1, so that sqrt(5) d = 1 and the covariance is k = (7/3) / e.
        let tenth = libm::log2(0.1) / 2.0;
        let process = process(std::array::from_fn(|at| if at == 0 { -1.0 } else { tenth }));
        let known = [(nothing.clone(), 0.2), (conv, 0.6)];
        let [at_nothing] = process.predict(&known, &[], &[nothing])[..] else { panic!() };
        // K = [3/2 k; k 3/2], its inverse [3/2 -k; -k 3/2] / (9/4 - k^2); the rewards are
        // -1/sqrt(2) and 1/sqrt(2) after division by sqrt(0.08), and K^-1 of them is they by
        // 3/2 - k. To the first point itself the covariances are (1, k).
        let k = 7.0 / 3.0 * exp(-1.0);
        is(at_nothing.mean, 0.4 - 0.2 * (1.0 - k) / (1.5 - k));
        let signal = 0.5 / (1.5 - k);
        let explained = (1.5 - 0.5 * k * k) / (2.25 - k * k);
        is(at_nothing.deviation, (0.08 * signal * (1.0 - explained)).sqrt());
    }

    #[test]
    fn expectations_and_likelihood_are_those_of_scikit_learn() {
        // scikit-learn 1.9.1: `GaussianProcessRegressor(signal * Matern(nu=2.5), optimizer=None)`
        // of the points on the arcs, computed in Python.
        let known = [
            ("[C(64,3,1), SM(10)]", 0.5),
            ("[C(128,5,1), P(2,2), SM(10)]", 0.7),
            ("[C(512,1,1), C(64,3,1), GAP(10), SM(10)]", 0.9),
            ("[C(64,3,1), P(3,2), FC(256), SM(10)]", 0.6),
            ("[SM(10)]", 0.1),
        ]
        .map(|(text, reward)| (network(text), reward));
        let candidates = [
            "[C(256,3,1), P(2,2), SM(10)]",
            "[C(64,3,1), SM(10)]",
            "[C(64,1,1), C(512,1,1), C(64,5,1), SM(10)]",
        ]
        .map(network);
        let process =
            process([-4.0, -1.0, -2.0, -0.5, -1.5, -1.0, 0.25, -1.0, -2.0, -0.5, -1.5, 0.0, 0.0]);
        let means = [0.64708221, 0.47502735, 0.50432084];
        are(
            &process.predict(&known, &[], &candidates),
            means,
            [0.13996339, 0.08229056, 0.27714779],
        );
        // An observation more, of what was expected.
        let open = network("[C(128,3,1), P(5,3), SM(10)]");
        are(
            &process.predict(&known, &[open], &candidates),
            means,
            [0.13985209, 0.08146580, 0.27652919],
        );
        let from_start = process.logarithms.iter().zip(START);
        let a_priori: f64 = from_start.map(|(it, start)| square((it - start) / SPREAD)).sum();
        is(process.log_posterior(&known) + 0.5 * a_priori, -0.190_756_187);
    }

    #[test]
    fn expected_improvement_by_its_closed_form() {
        let at = |mean, deviation| Expectation { mean, deviation }.expected_improvement(0.5);
        // Deviation times z Phi(z) + phi(z): phi(0) = 0.3989423; Phi(1) = 0.8413447 and
        // phi(1) = 0.2419707; Phi(-2) = 0.0227501 and phi(2) = 0.0539910.
        is(at(0.5, 0.1), 0.039_894_23);
        is(at(0.6, 0.1), 0.108_331_54);
        is(at(0.3, 0.1), 0.000_849_08);
        assert_eq!([at(0.75, 0.0), at(0.25, 0.0)], [0.25, 0.0]);
    }

    #[test]
    fn a_number_that_one_network_lacks_counts_the_same_whatever_it_is() {
        let process = process(START);
        let apart = |a: &str, b: &str| {
            squared_distance(&process.embed(&network(a)), &process.embed(&network(b)))
        };
        // Two numbers of either layer, each of weight 2^-1.5.
        for conv in ["C(64,1,1)", "C(512,5,1)"] {
            let (one, two) = (format!("[{conv}, SM(10)]"), format!("[{conv}, {conv}, SM(10)]"));
            is(apart(&one, "[SM(10)]"), 0.25);
            is(apart(&two, &format!("[{conv}, P(2,2), SM(10)]")), 0.5);
            is(apart(&one, &two), 0.25);
            is(apart(&one, &one), 0.0);
        }
        // 64 and 512, the ends of an arc of pi 2^-1.5: w^2 (2 - 2 cos(pi 2^-1.5)), w^2 = 1/8.
        is(apart("[C(64,3,1), SM(10)]", "[C(512,3,1), SM(10)]"), 0.138_996_04);
    }

    #[test]
    fn fitting_finds_out_which_numbers_matter() {
        // Depth and filters do, kernels do not.
        let known: Vec<_> = [64, 128, 256, 512]
            .into_iter()
            .cartesian_product([1, 3, 5])
            .flat_map(|(filters, kernel)| {
                let conv = format!("C({filters},{kernel},1), ");
                [1, 2].map(|depth| {
                    let reward = 0.1 * f64::from(depth) + f64::from(filters) / 1024.0;
                    (network(&format!("[{}SM(10)]", conv.repeat(depth as usize))), reward)
                })
            })
            .collect();
        let (start, fitted) = (process(START), GaussianProcess::fit(&space(), &known));
        let gain = fitted.log_posterior(&known) - start.log_posterior(&known);
        assert!(gain > 10.0, "{gain}");
        let [_, filters, kernel, ..] = fitted.logarithms;
        assert!(kernel <= START[2] - 2.0 && filters >= START[1] + 1.0, "{:?}", fitted.logarithms);
        // The same on every machine.
        let [found] = fitted.predict(&known, &[], &[network("[GAP(10), SM(10)]")])[..] else {
            panic!()
        };
        let bits = [found.mean, found.deviation].map(f64::to_bits);
        assert_eq!(bits, [0x3fd6_e6b5_0a8a_5352, 0x3fb0_c059_caeb_b406], "{found:?}");
    }

    #[test]
    fn equal_rewards_are_expected_again() {
        let known = ["[SM(10)]", "[C(64,3,1), SM(10)]"].map(|text| (network(text), 0.1));
        let fitted = GaussianProcess::fit(&space(), &known);
        let found = fitted.predict(&known, &[], &[network("[GAP(10), SM(10)]")]);
        assert_eq!(found, [Expectation { mean: 0.1, deviation: 0.0 }]);
    }
}
