//! The sizes of what layers put out.

use super::layer::Layer;
use super::params::{Padding, PoolRounding, Space};

/// The side of a convolution's output. `Same`: padded by `kernel / 2`, so `ceil(size / stride)`.
/// `Valid`: `ceil((size - kernel + 1) / stride)`, 0 when the kernel does not fit.
pub fn conv_output(size: u32, kernel: u32, stride: u32, padding: Padding) -> u32 {
    match padding {
        Padding::Same => size.div_ceil(stride),
        Padding::Valid => (size + 1).saturating_sub(kernel).div_ceil(stride),
    }
}

/// The side of a pooling's output: `floor((size - kernel) / stride) + 1`, or with
/// [`PoolRounding::Ceil`] the same rounded up; 0 when the window does not fit. (The published code
/// rounds down in the grammar and, through Caffe, up in training; here one rule holds in both.)
pub fn pool_output(size: u32, kernel: u32, stride: u32, rounding: PoolRounding) -> u32 {
    match (size.checked_sub(kernel), rounding) {
        (None, _) => 0,
        (Some(rest), PoolRounding::Floor) => rest / stride + 1,
        // A last window that would begin outside the map is dropped, as libtorch and Caffe do.
        (Some(rest), PoolRounding::Ceil) => {
            let windows = rest.div_ceil(stride) + 1;
            if (windows - 1) * stride >= size { windows - 1 } else { windows }
        }
    }
}

impl Space {
    /// The side of `layer`'s output; what flattens hands on what it got.
    pub(super) fn output_size(&self, size: u32, layer: Layer) -> u32 {
        match layer {
            Layer::Conv { kernel, stride, .. } => {
                conv_output(size, kernel, stride, self.conv_padding)
            }
            Layer::Pool { kernel, stride } => pool_output(size, kernel, stride, self.pool_rounding),
            _ => size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_drops_incomplete_windows() {
        let sizes = |size| {
            [(5, 3), (3, 2), (2, 2)].map(|(k, s)| pool_output(size, k, s, PoolRounding::Floor))
        };
        assert_eq!(sizes(32), [10, 15, 16]);
        assert_eq!(sizes(28), [8, 13, 14]);
        assert_eq!(sizes(16), [4, 7, 8]);
        assert_eq!(sizes(15), [4, 7, 7]);
        assert_eq!(sizes(14), [4, 6, 7]);
        assert_eq!(sizes(13), [3, 6, 6]);
        assert_eq!(sizes(10), [2, 4, 5]);
        assert_eq!(sizes(8), [2, 3, 4]);
        let small =
            |size| [(3, 2), (2, 2)].map(|(k, s)| pool_output(size, k, s, PoolRounding::Floor));
        assert_eq!([7, 6, 5, 4].map(small), [[3, 3], [2, 3], [2, 2], [1, 2]]);
    }

    #[test]
    fn rounding_up_keeps_incomplete_windows() {
        // (8 - 3) / 2 = 2.5: two whole windows after the first, and a third that is cut.
        assert_eq!(pool_output(8, 3, 2, PoolRounding::Ceil), 4);
        assert_eq!(pool_output(7, 3, 2, PoolRounding::Ceil), 3);
        // A third window of (1, 2) on 4 pixels would begin at pixel 4, outside.
        assert_eq!(pool_output(4, 1, 2, PoolRounding::Ceil), 2);
    }

    #[test]
    fn only_valid_convolutions_shrink() {
        assert_eq!(conv_output(32, 5, 1, Padding::Same), 32);
        assert_eq!(conv_output(32, 5, 1, Padding::Valid), 28);
        assert_eq!(conv_output(3, 5, 1, Padding::Valid), 0);
    }
}
