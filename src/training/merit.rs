//! How good the synthetic trainer takes a design to be.

use super::protocol::LayerDescription;
use crate::maths::{exp, pow};

/// Returns the merit of a design, in (0, 1): the share of the way from chance to the ceiling that
/// its training can get.
///
/// It is the logistic function of a sum over the layers that follows the authors' reading of their
/// results: convolutions and pooling early, large kernels deep, fully connected layers late, depth
/// helps, and a global average pooling mostly fails (paper, first version, appendix, figures A3
/// and A4). d is the depth of a layer, from 1:
///
/// | layer | adds |
/// | --- | --- |
/// | none | -2.4 |
/// | n-th convolution | 0.88^(n-1); from d = 5 also 0.25 for a kernel of 5 and more, -0.25 for one of 1 |
/// | first pooling | 0.6 if d < 7, else -0.4 |
/// | second pooling | 0.3 if d < 11, else -0.4 |
/// | further pooling | -0.4 |
/// | fully connected | 0.1, or -0.5 if d < 6 |
/// | global average pooling | -2 |
///
/// The numbers of filters and neurons do not matter.
pub(super) fn merit(layers: &[LayerDescription]) -> f64 {
    let (mut depth, mut convs, mut pools) = (0, 0, 0);
    let mut sum = -2.4;
    for layer in layers {
        depth += 1;
        sum += match layer {
            LayerDescription::Conv { kernel, .. } => {
                convs += 1;
                pow(0.88, f64::from(convs - 1)) + worth_of_kernel(*kernel, depth)
            }
            LayerDescription::Pool { .. } => {
                pools += 1;
                match (pools, depth) {
                    (1, ..7) => 0.6,
                    (2, ..11) => 0.3,
                    _ => -0.4,
                }
            }
            LayerDescription::FullyConnected { .. } if depth < 6 => -0.5,
            LayerDescription::FullyConnected { .. } => 0.1,
            LayerDescription::GlobalAveragePool { .. } => -2.0,
            LayerDescription::Softmax { .. } => 0.0,
            LayerDescription::Dropout { .. } => {
                depth -= 1; // has no depth of its own
                0.0
            }
        };
    }
    1.0 / (1.0 + exp(-sum))
}

const fn worth_of_kernel(kernel: u32, depth: u32) -> f64 {
    match (depth, kernel) {
        (..5, _) | (_, 2..5) => 0.0,
        (_, ..2) => -0.25,
        (_, 5..) => 0.25,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::request_for;
    use super::*;

    fn of(architecture: &str) -> f64 {
        merit(&request_for(architecture, 1).layers)
    }

    #[test]
    fn hand_worked_merits() {
        let logistic = |sum: f64| 1.0 / (1.0 + exp(-sum));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(of("[SM(10)]"), logistic(-2.4)));
        // -2.4 + 1 + 0.88 + 0.6 = 0.08; the dropout after the second layer counts for nothing.
        assert!(close(of("[C(64,5,1), C(64,1,1), P(2,2), SM(10)]"), logistic(0.08)));
        // -2.4 + (1 + 0.88 + 0.7744 + 0.681472) + (0.59969536 + 0.25) = 1.78...
        let five = "[C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,5,1), SM(10)]";
        assert!(close(of(five), logistic(1.785_567_36)));
    }

    #[test]
    fn merit_follows_the_authors_reading() {
        let better = |a: &str, b: &str| assert!(of(a) > of(b), "{a} {b}");
        better("[C(64,3,1), C(64,3,1), SM(10)]", "[C(64,3,1), SM(10)]");
        better("[C(64,3,1), C(64,3,1), SM(10)]", "[C(64,3,1), C(64,3,1), GAP(10), SM(10)]");
        better("[C(64,3,1), P(2,2), C(64,3,1), SM(10)]", "[C(64,3,1), C(64,3,1), SM(10)]");
        let deep = |kernel: u32| {
            let conv = "C(64,3,1), ".repeat(6);
            of(&format!("[{conv}C(64,{kernel},1), SM(10)]"))
        };
        assert!(deep(5) > deep(3) && deep(3) > deep(1));
        assert!(of("[C(512,3,1), SM(10)]") == of("[C(64,3,1), SM(10)]"));
    }
}
