//! Ordinary least squares by singular values.
//!
//! The differences of a curve are exact combinations of its values, so the design matrix lacks full
//! rank from the second epoch on, and there may be more columns than rows. Of all solutions the
//! one of least norm is taken: `w = A^+ b`, with the pseudo-inverse from the singular value
//! decomposition. (Normal equations or a plain QR return garbage here.)

use serde::{Deserialize, Serialize};

use crate::maths::mean;

/// A singular value below this share of the largest is rounding noise: differences of nearly equal
/// values, standardised, carry relative errors of 1e-13.
const RANK_TOLERANCE: f64 = 1e-10;
/// A column below this share of the largest is noise whatever its direction.
const NEGLIGIBLE: f64 = 1e-12;
/// Columns are orthogonal when the cosine between them is below this.
const ORTHOGONAL: f64 = 1e-14;
/// Jacobi's method converges quadratically; six to ten sweeps are usual.
const MOST_SWEEPS: usize = 60;

/// `prediction = intercept + weights . x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeastSquares {
    intercept: f64,
    pub weights: Vec<f64>,
}

impl LeastSquares {
    pub fn fit(rows: &[Vec<f64>], targets: &[f64]) -> Self {
        let column_mean = |at: usize| mean(rows.iter().map(|row| row[at]));
        let means: Vec<f64> = (0..rows[0].len()).map(column_mean).collect();
        let target_mean = mean(targets.iter().copied());
        let centre = |row: &Vec<f64>| row.iter().zip(&means).map(|(x, mean)| x - mean).collect();
        let centred: Vec<Vec<f64>> = rows.iter().map(centre).collect();
        let b: Vec<f64> = targets.iter().map(|target| target - target_mean).collect();
        let weights = minimum_norm_solution(&centred, &b);
        Self { intercept: target_mean - dot(&weights, &means), weights }
    }

    pub fn predict(&self, row: &[f64]) -> f64 {
        self.intercept + dot(&self.weights, row)
    }
}

/// `A^+ b` for the rows of A. The thinner side of A is orthogonalised. With `A V = U S`,
/// `w = sum_j v_j (u_j . b) / s_j`; with `A^T W = P S`, `w = sum_j p_j (w_j . b) / s_j`; singular
/// values of noise are left out.
fn minimum_norm_solution(rows: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let columns: Vec<Vec<f64>> =
        (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at]).collect()).collect();
    let tall = columns.len() <= rows.len();
    let (orthogonal, rotation) = orthogonalise(if tall { columns.clone() } else { rows.to_vec() });
    let squared: Vec<f64> = orthogonal.iter().map(|column| dot(column, column)).collect();
    let noise = squared.iter().copied().fold(0.0, f64::max) * RANK_TOLERANCE * RANK_TOLERANCE;
    let mut weights = vec![0.0; columns.len()];
    let (along_rows, along_columns) =
        if tall { (&orthogonal, &rotation) } else { (&rotation, &orthogonal) };
    for ((u, v), square) in along_rows.iter().zip(along_columns).zip(&squared) {
        if *square > noise {
            let share = dot(u, b) / square;
            weights.iter_mut().zip(v).for_each(|(w, v)| *w += share * v);
        }
    }
    weights
}

/// One-sided Jacobi (Hestenes, 1958): rotates pairs of columns until all are orthogonal, and
/// returns the columns `s_j u_j` and the columns `v_j` of the rotation.
fn orthogonalise(mut columns: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let count = columns.len();
    let mut rotation: Vec<Vec<f64>> =
        (0..count).map(|j| (0..count).map(|i| f64::from(u8::from(i == j))).collect()).collect();
    let largest = columns.iter().map(|column| dot(column, column)).fold(0.0, f64::max);
    let negligible = largest * NEGLIGIBLE * NEGLIGIBLE;
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for i in 0..count {
            for j in i + 1..count {
                let (alpha, beta) = (dot(&columns[i], &columns[i]), dot(&columns[j], &columns[j]));
                let gamma = dot(&columns[i], &columns[j]);
                let (small, large) = (alpha.min(beta), alpha.max(beta));
                // Noise need not be orthogonal to a kept column, but what it holds of one turns
                // the kept direction by `gamma / large`, and long weights show that.
                let scale = if small <= negligible { large } else { (small * large).sqrt() };
                if large <= negligible || gamma.abs() <= ORTHOGONAL * scale {
                    continue;
                }
                rotated = true;
                let zeta = (beta - alpha) / (2.0 * gamma);
                let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                rotate(&mut columns, i, j, cosine, cosine * tangent);
                rotate(&mut rotation, i, j, cosine, cosine * tangent);
            }
        }
        if !rotated {
            break;
        }
    }
    (columns, rotation)
}

fn rotate(columns: &mut [Vec<f64>], i: usize, j: usize, cosine: f64, sine: f64) {
    let (head, tail) = columns.split_at_mut(j);
    for (x, y) in head[i].iter_mut().zip(&mut tail[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-10)
    }

    #[test]
    fn a_line_is_found() {
        // y = 1 + 2 x.
        let fit = LeastSquares::fit(&[vec![0.0], vec![1.0], vec![3.0]], &[1.0, 3.0, 7.0]);
        assert!((fit.predict(&[10.0]) - 21.0).abs() < 1e-10);
    }

    #[test]
    fn of_dependent_columns_the_least_norm_is_taken() {
        // Column 2 is twice column 1 and y = 5 x: w = 5 (1, 2) / (1 + 4) = (1, 2).
        let rows = [vec![-1.0, -2.0], vec![0.0, 0.0], vec![1.0, 2.0]];
        let fit = LeastSquares::fit(&rows, &[-5.0, 0.0, 5.0]);
        assert!(close(&fit.weights, &[1.0, 2.0]) && fit.intercept.abs() < 1e-12);
    }

    #[test]
    fn of_more_columns_than_rows_the_least_norm_is_taken() {
        // One equation 2 w = 2 . (3, 4): w = (3, 4) * 2 / 25 * ... with centred rows +-(3, 4), b =
        // +-1: w = (3, 4) / 25.
        let rows = [vec![3.0, 4.0, 0.0], vec![-3.0, -4.0, 0.0]];
        let fit = LeastSquares::fit(&rows, &[1.0, -1.0]);
        assert!(close(&fit.weights, &[3.0 / 25.0, 4.0 / 25.0, 0.0]));
    }

    #[test]
    fn constant_rows_predict_the_mean() {
        let fit = LeastSquares::fit(&[vec![0.0, 0.0], vec![0.0, 0.0]], &[1.0, 3.0]);
        assert_eq!(fit.predict(&[7.0, 7.0]), 2.0);
    }

    #[test]
    fn a_nearly_dependent_column_does_not_spoil_the_least_norm() {
        // Column 5 is column 1 less column 2, and the four others are nearly dependent: singular
        // values 3.4, 3.0, 2.0, 0.0027 and 0. The weights are long, and the least norm must hold
        // all the same. numpy.linalg.pinv gives the same weights.
        let rows: Vec<Vec<f64>> = [
            [1.6865006259192539, -0.9511447876585981, 1.359209281133664, -0.7407764070510877],
            [-0.5127499491646067, -1.5558780594145052, 0.8282029480820783, -1.6841666218612608],
            [-0.8138879495856997, -1.746413504517353, -1.1753001258696496, -0.9986420498248411],
            [1.3987224113953485, -1.730033481830723, -1.4372147579646828, 0.16341873819693487],
            [0.3176259425714678, 0.18758094871715786, -1.6901692004835471, 0.2244913164688668],
        ]
        .iter()
        .map(|row| vec![row[0], row[1], row[2], row[3], row[0] - row[1]])
        .collect();
        let fit = LeastSquares::fit(&rows, &[0.0, 0.0, 1.8629692506976627, 0.0, 0.0]);
        let w = &fit.weights;
        let numpy = [135.18649217, 108.69791799, -150.96623826, -344.62375631, 26.48857418];
        assert!(w.iter().zip(numpy).all(|(ours, theirs)| (ours - theirs).abs() < 1e-7), "{w:?}");
        assert!((w[0] - w[1] - w[4]).abs() < 1e-9, "{w:?}");
    }

    proptest! {
        #[test]
        fn the_residual_is_orthogonal_to_every_column(
            rows in proptest::collection::vec(proptest::collection::vec(-2.0..2.0, 4), 2..12),
            targets in proptest::collection::vec(-2.0..2.0, 12),
        ) {
            // A fifth column depends on the others.
            let rows: Vec<Vec<f64>> = rows.into_iter().map(|mut row: Vec<f64>| {
                row.push(row[0] - row[1]);
                row
            }).collect();
            let targets = &targets[..rows.len()];
            let means: Vec<f64> = (0..5)
                .map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / rows.len() as f64)
                .collect();
            // The errors grow with the square of the condition number: rows that are dependent but
            // for a thousandth are another test's.
            let centred = |row: &Vec<f64>| row.iter().zip(&means).map(|(x, m)| x - m).collect();
            let centred = rows.iter().map(centred);
            let lengths: Vec<f64> = orthogonalise(centred.collect()).0.iter()
                .map(|column| dot(column, column).sqrt()).collect();
            let largest = lengths.iter().copied().fold(0.0, f64::max);
            prop_assume!(!lengths.iter().any(|s| (1e-10..1e-3).contains(&(s / largest))));
            let fit = LeastSquares::fit(&rows, targets);
            for (at, mean) in means.iter().enumerate() {
                let product: f64 = rows.iter().zip(targets)
                    .map(|(row, y)| (row[at] - mean) * (y - fit.predict(row))).sum();
                prop_assert!(product.abs() < 1e-7, "{product}");
            }
            // Minimum norm: orthogonal to the dependency (1, -1, 0, 0, -1).
            prop_assert!((fit.weights[0] - fit.weights[1] - fit.weights[4]).abs() < 1e-7);
        }
    }
}
