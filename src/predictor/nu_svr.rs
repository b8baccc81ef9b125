//! nu-support vector regression (Schoelkopf et al., 2000), solved by [`super::smo`].
//!
//! LIBSVM's convention: each dual coefficient lies in [0, C], their sum is at most C * nu * l, and
//!
//! ```text
//! prediction(x) = sum_i (alpha_i - alpha*_i) K(x_i, x) - rho
//! ```
//!
//! nu bounds the share of points outside the tube from above and that of support vectors from
//! below; the width of the tube is learned. The solver is given kernel values, not features: those
//! of one fold then serve every candidate of a search, and dense rows are multiplied as such.

use serde::{Deserialize, Serialize};

use super::smo::{KernelMatrix, Problem};
use crate::maths::exp;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kernel {
    /// K(x, x') = x . x'
    Linear,
    /// K(x, x') = exp(-gamma |x - x'|^2)
    Rbf { gamma: f64 },
}

impl Kernel {
    /// Returns what the kernel is a function of: x . x' or |x - x'|^2.
    fn similarity(self, a: &[f64], b: &[f64]) -> f64 {
        match self {
            Self::Linear => sum_over_pairs(a, b, |x, y| x * y),
            Self::Rbf { .. } => sum_over_pairs(a, b, |x, y| (x - y) * (x - y)),
        }
    }

    fn of_similarity(self, similarity: f64) -> f64 {
        match self {
            Self::Linear => similarity,
            Self::Rbf { gamma } => exp(-gamma * similarity),
        }
    }
}

/// Sums in four lanes, which a processor adds side by side; the order is fixed, so the sum is too.
fn sum_over_pairs(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let (a_lanes, a_rest) = a.as_chunks::<4>();
    let (b_lanes, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (x, y) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..4 {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| term(*x, *y)).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NuSvrParams {
    pub kernel: Kernel,
    /// C, the bound of each dual coefficient, above 0.
    pub c: f64,
    /// In (0, 1].
    pub nu: f64,
    pub tolerance: f64,
}

/// Similarities of some rows to the rows of a training set; the same for every C, nu and gamma.
pub(super) fn similarities(
    kernel: Kernel,
    rows: &[Vec<f64>],
    training: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let to_training =
        |row: &Vec<f64>| training.iter().map(|other| kernel.similarity(row, other)).collect();
    rows.iter().map(to_training).collect()
}

/// Similarities of a training set's rows to each other, on and left of the diagonal.
pub(super) fn own_similarities(kernel: Kernel, rows: &[Vec<f64>]) -> Vec<f64> {
    let up_to = |(i, row): (usize, &Vec<f64>)| {
        rows[..=i].iter().map(|other| kernel.similarity(row, other)).collect::<Vec<_>>()
    };
    rows.iter().enumerate().flat_map(up_to).collect()
}

/// A fitted nu-SVR over training rows that are kept elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NuSvr {
    params: NuSvrParams,
    rho: f64,
    /// alpha_i - alpha*_i of each training row; 0 where it is no support vector.
    pub coefficients: Vec<f64>,
}

impl NuSvr {
    /// Fits to a training set, at least one row, known by its own similarities; quickly from the
    /// coefficients of a similar fit, otherwise from zeros.
    pub fn fit(params: NuSvrParams, own: &[f64], targets: &[f64], start: &[f64]) -> Self {
        let NuSvrParams { kernel, c, nu, tolerance } = params;
        let matrix =
            KernelMatrix::new(targets.len(), own.iter().map(|it| kernel.of_similarity(*it)));
        let problem = Problem { kernel: &matrix, targets, c, nu, tolerance };
        let (coefficients, rho) = problem.solve(start);
        Self { params, rho, coefficients }
    }

    pub fn predict(&self, training: &[Vec<f64>], row: &[f64]) -> f64 {
        let kernel = self.params.kernel;
        self.sum(|i| kernel.similarity(&training[i], row))
    }

    /// Predicts for rows known by their similarities to the training rows.
    pub fn predict_all(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        rows.iter().map(|row| self.sum(|i| row[i])).collect()
    }

    fn sum(&self, similarity: impl Fn(usize) -> f64) -> f64 {
        let support = self.coefficients.iter().enumerate().filter(|(_, c)| **c != 0.0);
        let kernel = self.params.kernel;
        support.map(|(i, c)| c * kernel.of_similarity(similarity(i))).sum::<f64>() - self.rho
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit_rows(params: NuSvrParams, rows: &[Vec<f64>], targets: &[f64]) -> NuSvr {
        let start = vec![0.0; rows.len()];
        NuSvr::fit(params, &own_similarities(params.kernel, rows), targets, &start)
    }

    /// A noisy sine over one standardised feature.
    fn sine() -> (Vec<Vec<f64>>, Vec<f64>) {
        let rows: Vec<Vec<f64>> = (0..40).map(|i| vec![f64::from(i) * 0.1 - 2.0]).collect();
        // Noise: the fractional part of multiples of the golden ratio, in [-0.3, 0.3).
        let noise = |i: usize| ((i as f64 * 0.618_034).fract() - 0.5) * 0.6;
        let targets =
            rows.iter().enumerate().map(|(i, x)| libm::sin(2.0 * x[0]) + noise(i)).collect();
        (rows, targets)
    }

    fn params(nu: f64) -> NuSvrParams {
        NuSvrParams { kernel: Kernel::Rbf { gamma: 0.5 }, c: 10.0, nu, tolerance: 1e-6 }
    }

    #[test]
    fn nu_matters() {
        let (rows, targets) = sine();
        let fits = [0.2, 0.8].map(|nu| fit_rows(params(nu), &rows, &targets));
        let difference = rows
            .iter()
            .map(|x| (fits[0].predict(&rows, x) - fits[1].predict(&rows, x)).abs())
            .fold(0.0, f64::max);
        assert!(difference > 0.01, "{difference}");
    }

    #[test]
    fn at_least_a_share_of_nu_are_support_vectors() {
        let (rows, targets) = sine();
        for nu in [0.2, 0.5, 0.8] {
            let fit = fit_rows(params(nu), &rows, &targets);
            let support = fit.coefficients.iter().filter(|c| **c != 0.0).count() as f64;
            assert!(support / rows.len() as f64 >= nu - 1e-3, "nu {nu}: {support} of 40");
            // sum |alpha - alpha*| = C * nu * l where no point has both.
            let sum: f64 = fit.coefficients.iter().map(|c| c.abs()).sum();
            assert!((sum - 10.0 * nu * 40.0).abs() < 1e-6, "nu {nu}: {sum}");
        }
    }

    #[test]
    fn predicting_from_similarities_is_predicting_from_rows() {
        let (rows, targets) = sine();
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 0.3 }] {
            let fit = fit_rows(NuSvrParams { kernel, ..params(0.5) }, &rows, &targets);
            let at_once = fit.predict_all(&similarities(kernel, &rows, &rows));
            assert!(rows.iter().zip(at_once).all(|(row, y)| fit.predict(&rows, row) == y));
        }
    }

    #[test]
    fn equal_targets_are_predicted_as_they_are() {
        let rows = sine().0;
        let fit = fit_rows(params(0.5), &rows, &vec![0.0; rows.len()]);
        assert!(fit.predict(&rows, &[0.3]).abs() < 1e-6);
    }
}
