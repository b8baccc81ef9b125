//! How bytes become the numbers that a network sees: statistics, on the scale of the bytes, 0 to
//! 255. A trainer applies the formulas with tensors, a batch at a time, on its device.

use super::{Images, Preprocess};
use crate::maths::{exp, square};

/// In pixels.
pub const LOCAL_KERNEL_SIZE: usize = 7;
/// The smallest local root mean square that local contrast normalisation divides by.
pub const LOCAL_FLOOR: f32 = 0.001;
/// The smallest deviation of a pixel that global contrast normalisation divides by.
const DEVIATION_FLOOR: f64 = 0.001;

/// A [`Preprocess`], which has the formulas, with the statistics it needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalisation {
    Raw,
    /// `(x - mean) / deviation`, both `[C, H, W]`; the deviation is 1 for mean subtraction.
    PerPixel {
        mean: Vec<f32>,
        deviation: Vec<f32>,
    },
    PerImage,
    /// `blur` is the outer product of [`gaussian_kernel`] with itself.
    Local,
}

impl Normalisation {
    pub fn fit(method: Preprocess, training: &Images) -> Self {
        assert!(training.count() > 0, "a split leaves images to train with");
        match method {
            Preprocess::None => Self::Raw,
            Preprocess::MeanSubtraction | Preprocess::GlobalContrastNormalisation => {
                let (mean, mut deviation) = pixel_statistics(training);
                if method == Preprocess::MeanSubtraction {
                    deviation.fill(1.0);
                }
                Self::PerPixel { mean, deviation }
            }
            Preprocess::StandardWhitening => Self::PerImage,
            Preprocess::LocalContrastNormalisation => Self::Local,
        }
    }

    /// What fills the border of a translated image: 0, the mean, but mid-grey where bytes stay as
    /// they are. (The reference fills with 128 also after per-image methods, whose values are near
    /// 1: a border brighter than any image.)
    pub fn padding(&self) -> f32 {
        if matches!(self, Self::Raw) { 128.0 } else { 0.0 }
    }
}

/// Mean and floored population deviation of each value over all images, from exact integer sums.
fn pixel_statistics(images: &Images) -> (Vec<f32>, Vec<f32>) {
    let values = images.shape.values();
    let (mut sums, mut squares) = (vec![0u64; values], vec![0u64; values]);
    for image in images.bytes.chunks_exact(values) {
        for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(image) {
            *sum += u64::from(x);
            *square += u64::from(x) * u64::from(x);
        }
    }
    let count = images.count() as f64;
    let mean = sums.iter().map(|&sum| (sum as f64 / count) as f32).collect();
    let deviation = sums.iter().zip(&squares).map(|(&sum, &square)| {
        // n^2 variance = n sum(x^2) - sum(x)^2
        let (n, sum) = (images.count() as u128, u128::from(sum));
        let scaled = n * u128::from(square) - sum * sum;
        ((scaled as f64).sqrt() / count).max(DEVIATION_FLOOR) as f32
    });
    (mean, deviation.collect())
}

/// A Gaussian of sigma 1 at -3 to 3 pixels, of sum 1.
pub fn gaussian_kernel() -> [f32; LOCAL_KERNEL_SIZE] {
    let centre = LOCAL_KERNEL_SIZE / 2;
    let weights: [f64; LOCAL_KERNEL_SIZE] =
        std::array::from_fn(|step| exp(-0.5 * square(step.abs_diff(centre) as f64)));
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ImageShape;

    const PAIR: ImageShape = ImageShape { channels: 2, size: 1 };

    /// Two images of two channels and one pixel: (10, 200) and (14, 200).
    fn two_images() -> Images {
        Images::new(PAIR, 2, vec![10, 200, 14, 200], vec![0, 1])
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_mean_is_per_channel_and_pixel() {
        let fitted = Normalisation::fit(Preprocess::MeanSubtraction, &two_images());
        let (mean, deviation) = (vec![12.0, 200.0], vec![1.0, 1.0]);
        assert_eq!(fitted, Normalisation::PerPixel { mean, deviation });
    }

    #[test]
    fn a_pixel_that_never_changes_is_divided_by_the_floor() {
        // Channel 0: mean 12, deviation sqrt((4 + 4) / 2) = 2. Channel 1: deviation 0, so 0.001.
        let fitted = Normalisation::fit(Preprocess::GlobalContrastNormalisation, &two_images());
        let (mean, deviation) = (vec![12.0, 200.0], vec![2.0, 0.001]);
        assert_eq!(fitted, Normalisation::PerPixel { mean, deviation });
    }

    #[test]
    fn deviations_of_many_bright_images_are_exact() {
        // 30,000 times 254 and 255: mean 254.5, deviation 0.5.
        let shape = ImageShape { channels: 1, size: 1 };
        let bytes: Vec<u8> = [254, 255].repeat(30_000);
        let images = Images::new(shape, 2, bytes, vec![0; 60_000]);
        let fitted = Normalisation::fit(Preprocess::GlobalContrastNormalisation, &images);
        assert_eq!(fitted, Normalisation::PerPixel { mean: vec![254.5], deviation: vec![0.5] });
    }

    #[test]
    fn the_kernel_is_a_gaussian() {
        // exp(0) = 1, exp(-1/2) = 0.60653, exp(-2) = 0.13534, exp(-9/2) = 0.01111; sum 2.50595.
        let expected = [0.00443, 0.05401, 0.24204, 0.39905, 0.24204, 0.05401, 0.00443];
        close(&gaussian_kernel(), &expected);
    }

    #[test]
    fn borders_are_filled_with_the_middle() {
        assert_eq!(Normalisation::Raw.padding(), 128.0);
        assert_eq!(Normalisation::PerImage.padding(), 0.0);
    }
}
