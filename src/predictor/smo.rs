//! The dual of nu-SVR, solved by sequential minimal optimisation: two coefficients at a time.
//!
//! ```text
//! minimise  1/2 b' K b - y' b,   b = alpha - alpha*
//! where     0 <= alpha_i, alpha*_i <= C   and   sum alpha = sum alpha* = C nu l / 2
//! ```
//!
//! With x = C - alpha*, so that b = alpha + x - C, both halves are one problem: a step moves an
//! amount from one coefficient of a half to another, at which the gradient g = K b - y is less. As
//! in LIBSVM the receiver has the least gradient, the giver gains most to second order (Fan, Chen
//! and Lin, 2005), and at the end no two gradients differ by the tolerance. The rows are flat and
//! the loops without branches, for speed; the order of each sum is fixed, for the same bits on
//! every machine.

/// Of two equal rows K_ii + K_jj - 2 K_ij is 0.
const LEAST_CURVATURE: f64 = 1e-12;
/// After so many steps a solution is taken as it is, as by LIBSVM.
const MOST_STEPS: usize = 10_000_000;

/// A kernel matrix row after row, and 1 / (K_ii + K_jj - 2 K_ij).
pub(super) struct KernelMatrix {
    rows: usize,
    values: Vec<f64>,
    inverse_curvatures: Vec<f64>,
}

impl KernelMatrix {
    /// Of the values on and left of the diagonal, row after row.
    pub fn new(rows: usize, lower: impl Iterator<Item = f64>) -> Self {
        let mut values = vec![0.0; rows * rows];
        let places = (0..rows).flat_map(|i| (0..=i).map(move |j| (i, j)));
        for ((i, j), value) in places.zip(lower) {
            values[i * rows + j] = value;
            values[j * rows + i] = value;
        }
        let diagonal: Vec<f64> = (0..rows).map(|i| values[i * rows + i]).collect();
        let mut inverse_curvatures = Vec::with_capacity(values.len());
        for (row, own) in values.chunks_exact(rows).zip(&diagonal) {
            let curvatures = row.iter().zip(&diagonal).map(|(k, other)| own + other - 2.0 * k);
            inverse_curvatures.extend(curvatures.map(|it| 1.0 / larger(it, LEAST_CURVATURE)));
        }
        Self { rows, values, inverse_curvatures }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.rows..][..self.rows]
    }

    fn inverse_curvatures(&self, i: usize) -> &[f64] {
        &self.inverse_curvatures[i * self.rows..][..self.rows]
    }
}

pub(super) struct Problem<'a> {
    pub kernel: &'a KernelMatrix,
    /// y, as many as there are rows.
    pub targets: &'a [f64],
    pub c: f64,
    pub nu: f64,
    pub tolerance: f64,
}

impl Problem<'_> {
    /// Returns b of each row, and rho; after few steps when `start` is the b of a similar problem.
    pub fn solve(&self, start: &[f64]) -> (Vec<f64>, f64) {
        let Self { kernel, c, .. } = *self;
        let (alpha, alpha_star) = self.feasible(start);
        let mut gradient: Vec<f64> = self.targets.iter().map(|y| -y).collect();
        for (i, (alpha, alpha_star)) in alpha.iter().zip(&alpha_star).enumerate() {
            let b = alpha - alpha_star;
            if b != 0.0 {
                gradient.iter_mut().zip(kernel.row(i)).for_each(|(g, k)| *g += b * k);
            }
        }
        let x = alpha_star.iter().map(|star| c - star).collect();
        let mut halves = [alpha, x].map(|values| Half::new(values, c));
        let mut scratch = vec![0.0; self.targets.len()];
        for _ in 0..MOST_STEPS {
            let [above, below] =
                halves.each_ref().map(|half| half.best_pair(&gradient, kernel, &mut scratch));
            if larger(above.difference, below.difference) < self.tolerance {
                break;
            }
            let (half, Pair { to, from, .. }) =
                if below.gain > above.gain { (1, below) } else { (0, above) };
            let wanted = (gradient[from] - gradient[to]) * kernel.inverse_curvatures(to)[from];
            let moved = halves[half].shift(from, to, wanted);
            let rows = kernel.row(to).iter().zip(kernel.row(from));
            gradient.iter_mut().zip(rows).for_each(|(g, (to, from))| *g += moved * (to - from));
        }
        let [above, below] = &halves;
        let both = above.values.iter().zip(&below.values);
        let b = both.map(|(alpha, x)| alpha - (c - x)).collect();
        (b, (above.level(&gradient) + below.level(&gradient)) / 2.0)
    }

    /// Returns alpha and alpha* with their sums, whose differences are `start` as far as they can.
    fn feasible(&self, start: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let c = self.c;
        let b = || start.iter().map(|b| b.clamp(-c, c));
        let sum = c * self.nu * start.len() as f64 / 2.0;
        let missing = |sign: f64| sum - b().map(|b| larger(sign * b, 0.0)).sum::<f64>();
        // What both lack, added to both, leaves their difference.
        let room: f64 = b().map(|b| c - b.abs()).sum();
        let share = larger(smaller(missing(1.0), missing(-1.0)), 0.0) / larger(room, c);
        let half = |sign: f64| {
            let values = b().map(|b| larger(sign * b, 0.0) + share * (c - b.abs()));
            with_sum(values.map(|it| smaller(it, c)).collect(), c, sum)
        };
        (half(1.0), half(-1.0))
    }
}

/// Moves coefficients in 0..=c to their sum, each by the same share of its room: those between the
/// bounds, and where that is not enough all.
fn with_sum(mut values: Vec<f64>, c: f64, sum: f64) -> Vec<f64> {
    let is_between = |v: f64| 0.0 < v && v < c;
    for is_moved in [&is_between as &dyn Fn(f64) -> bool, &|_| true] {
        let missing = sum - values.iter().sum::<f64>();
        let room = |v: f64| if missing > 0.0 { c - v } else { v };
        let all: f64 = values.iter().copied().filter(|v| is_moved(*v)).map(room).sum();
        if all > 0.0 {
            let share = (missing / all).clamp(-1.0, 1.0);
            for value in values.iter_mut().filter(|v| is_moved(**v)) {
                *value = (*value + share * room(*value)).clamp(0.0, c);
            }
        }
    }
    values
}

/// alpha, or C - alpha*: coefficients in 0..=C whose sum stays.
struct Half {
    values: Vec<f64>,
    c: f64,
    /// Infinity where a coefficient is at C, else 0.
    full: Vec<f64>,
    /// 0 where a coefficient is 0, else 1.
    filled: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Pair {
    to: usize,
    from: usize,
    /// Twice what a step between them gains where no bound is in its way.
    gain: f64,
    /// The greatest difference of gradients between which something can be moved.
    difference: f64,
}

impl Half {
    fn new(values: Vec<f64>, c: f64) -> Self {
        let full = values.iter().map(|v| if *v < c { 0.0 } else { f64::INFINITY }).collect();
        let filled = values.iter().map(|v| if *v > 0.0 { 1.0 } else { 0.0 }).collect();
        Self { values, c, full, filled }
    }

    fn best_pair(&self, gradient: &[f64], kernel: &KernelMatrix, scratch: &mut [f64]) -> Pair {
        for ((open, g), full) in scratch.iter_mut().zip(gradient).zip(&self.full) {
            *open = g + full;
        }
        let least = best_of(scratch, smaller);
        let to = place_of(scratch, least);
        for ((over, g), filled) in scratch.iter_mut().zip(gradient).zip(&self.filled) {
            *over = larger((g - least) * filled, 0.0);
        }
        let difference = best_of(scratch, larger);
        for (gain, inverse) in scratch.iter_mut().zip(kernel.inverse_curvatures(to)) {
            *gain = *gain * *gain * inverse;
        }
        let gain = best_of(scratch, larger);
        Pair { to, from: place_of(scratch, gain), gain, difference }
    }

    /// Moves as much of `wanted` as the bounds allow, and returns it.
    fn shift(&mut self, from: usize, to: usize, wanted: f64) -> f64 {
        let room = self.c - self.values[to];
        let moved = smaller(smaller(wanted, room), self.values[from]);
        self.values[from] -= moved;
        self.values[to] = if moved == room { self.c } else { self.values[to] + moved };
        for at in [from, to] {
            self.full[at] = if self.values[at] < self.c { 0.0 } else { f64::INFINITY };
            self.filled[at] = if self.values[at] > 0.0 { 1.0 } else { 0.0 };
        }
        moved
    }

    /// The gradient that coefficients between the bounds share; where there is none, the middle of
    /// those that the bounds allow.
    fn level(&self, gradient: &[f64]) -> f64 {
        let (mut count, mut sum) = (0, 0.0);
        let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
        for (value, g) in self.values.iter().zip(gradient) {
            if *value >= self.c {
                least = larger(least, *g);
            } else if *value <= 0.0 {
                most = smaller(most, *g);
            } else {
                count += 1;
                sum += g;
            }
        }
        if count > 0 { sum / f64::from(count) } else { (least + most) / 2.0 }
    }
}

/// Folds in four lanes, which a processor compares side by side.
fn best_of(values: &[f64], best: impl Fn(f64, f64) -> f64) -> f64 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = [values[0]; 4];
    for four in fours {
        for lane in 0..4 {
            lanes[lane] = best(lanes[lane], four[lane]);
        }
    }
    lanes.iter().chain(rest).copied().fold(lanes[0], best)
}

fn place_of(values: &[f64], value: f64) -> usize {
    values.iter().position(|it| *it == value).unwrap_or(0)
}

/// One instruction, unlike `f64::max`, which asks for NaN.
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}
