//! How bytes become the numbers that a network sees.
//!
//! Statistics as plain numbers, and a reference of each formula for one image at a time; a trainer
//! does the same with tensors, a batch at a time, on its device. Everything is on the scale of the
//! bytes, 0 to 255: the floors of the formulas are meant for it.

use super::{ImageShape, Images, Preprocess};
use crate::maths::{exp, square};

/// The width of the Gaussian of local contrast normalisation, in pixels.
pub const LOCAL_KERNEL_SIZE: usize = 7;
/// The smallest local root mean square that local contrast normalisation divides by.
pub const LOCAL_FLOOR: f32 = 0.001;
/// The smallest deviation of a pixel that global contrast normalisation divides by.
const DEVIATION_FLOOR: f64 = 0.001;

/// A [`Preprocess`] with the statistics it needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalisation {
    /// `x`.
    Raw,
    /// `(x - mean) / deviation`, both `[C, H, W]`; the deviation is 1 for mean subtraction.
    PerPixel {
        mean: Vec<f32>,
        /// At least 0.001.
        deviation: Vec<f32>,
    },
    /// `(x - mean) / max(deviation, 1 / sqrt(H W))`, mean and deviation over one channel of one
    /// image.
    PerImage,
    /// `(x - blur(x)) / max(sqrt(blur(x^2)), LOCAL_FLOOR)`, `blur` the outer product of
    /// [`gaussian_kernel`] with itself, each channel by itself, the border mirrored about its
    /// outermost pixel (`c b | a b c`, reflection padding of 3).
    Local,
}

impl Normalisation {
    /// `training` holds the images that train, and no others.
    pub fn fit(method: Preprocess, training: &Images) -> Self {
        assert!(training.count() > 0, "a split leaves images to train with");
        match method {
            Preprocess::None => Self::Raw,
            Preprocess::MeanSubtraction => {
                let (mean, _) = pixel_statistics(training);
                let deviation = vec![1.0; mean.len()];
                Self::PerPixel { mean, deviation }
            }
            Preprocess::GlobalContrastNormalisation => {
                let (mean, deviation) = pixel_statistics(training);
                Self::PerPixel { mean, deviation }
            }
            Preprocess::StandardWhitening => Self::PerImage,
            Preprocess::LocalContrastNormalisation => Self::Local,
        }
    }

    /// Normalises one image, `[C, H, W]` in and out: the reference that a trainer's tensors are
    /// compared with. [`Self::Local`] needs at least four rows, which a checked configuration has.
    pub fn normalise(&self, shape: ImageShape, image: &[u8]) -> Vec<f32> {
        assert_eq!(image.len(), shape.values(), "an image has the shape of its data set");
        match self {
            Self::Raw => image.iter().map(|&x| f32::from(x)).collect(),
            Self::PerPixel { mean, deviation } => {
                assert_eq!(image.len(), mean.len(), "statistics have the shape of their data set");
                let statistics = mean.iter().zip(deviation);
                image.iter().zip(statistics).map(|(&x, (m, d))| (f32::from(x) - m) / d).collect()
            }
            Self::PerImage => image.chunks_exact(shape.pixels()).flat_map(whiten).collect(),
            Self::Local => image
                .chunks_exact(shape.pixels())
                .flat_map(|plane| normalise_locally(plane, shape.size))
                .collect(),
        }
    }

    /// The value that fills the border of a translated image, after normalisation.
    ///
    /// 0, the mean, but mid-grey (128) where bytes stay as they are. The reference fills with 128
    /// also after per-image methods, whose values are near 1: a border brighter than any image. We
    /// do not.
    pub fn padding(&self) -> f32 {
        match self {
            Self::Raw => 128.0,
            Self::PerPixel { .. } | Self::PerImage | Self::Local => 0.0,
        }
    }
}

/// Returns mean and floored population deviation of each value over all images.
///
/// Sums are of integers, so they are exact and the same in any order.
fn pixel_statistics(images: &Images) -> (Vec<f32>, Vec<f32>) {
    let values = images.shape().values();
    let (mut sums, mut squares) = (vec![0u64; values], vec![0u64; values]);
    for image in images.bytes().chunks_exact(values) {
        for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(image) {
            *sum += u64::from(x);
            *square += u64::from(x) * u64::from(x);
        }
    }
    let count = images.count() as f64;
    let mean = sums.iter().map(|&sum| (sum as f64 / count) as f32).collect();
    let deviation = sums.iter().zip(&squares).map(|(&sum, &square)| {
        // n^2 variance = n sum(x^2) - sum(x)^2
        let scaled =
            images.count() as u128 * u128::from(square) - u128::from(sum) * u128::from(sum);
        ((scaled as f64).sqrt() / count).max(DEVIATION_FLOOR) as f32
    });
    (mean, deviation.collect())
}

fn whiten(plane: &[u8]) -> Vec<f32> {
    let pixels = plane.len() as f64;
    let mean = plane.iter().map(|&x| f64::from(x)).sum::<f64>() / pixels;
    let variance = plane.iter().map(|&x| square(f64::from(x) - mean)).sum::<f64>() / pixels;
    let deviation = variance.sqrt().max(1.0 / pixels.sqrt());
    plane.iter().map(|&x| ((f64::from(x) - mean) / deviation) as f32).collect()
}

fn normalise_locally(plane: &[u8], size: usize) -> Vec<f32> {
    let values: Vec<f64> = plane.iter().map(|&x| f64::from(x)).collect();
    let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
    let (means, mean_squares) = (blur(&values, size), blur(&squares, size));
    let statistics = means.iter().zip(mean_squares);
    let local = |(x, (mean, mean_square)): (&f64, (&f64, f64))| {
        ((x - mean) / mean_square.sqrt().max(f64::from(LOCAL_FLOOR))) as f32
    };
    values.iter().zip(statistics).map(local).collect()
}

fn blur(plane: &[f64], size: usize) -> Vec<f64> {
    blur_rows_transposed(&blur_rows_transposed(plane, size), size)
}

/// Blurs each row and transposes the plane; twice is a blur in both directions.
fn blur_rows_transposed(plane: &[f64], size: usize) -> Vec<f64> {
    let kernel = gaussian();
    let mut blurred = vec![0.0; plane.len()];
    for (row, values) in plane.chunks_exact(size).enumerate() {
        for column in 0..size {
            let steps = kernel.iter().enumerate();
            blurred[column * size + row] =
                steps.map(|(step, weight)| weight * values[mirrored(column, step, size)]).sum();
        }
    }
    blurred
}

/// The pixel under one step of the kernel centred at `at`.
fn mirrored(at: usize, step: usize, size: usize) -> usize {
    let reach = LOCAL_KERNEL_SIZE / 2;
    let position = (at + step).abs_diff(reach);
    if position < size { position } else { 2 * (size - 1) - position }
}

/// Returns the weights of a Gaussian of sigma 1 at -3 to 3 pixels, of sum 1; the 7x7 kernel is
/// their outer product.
pub fn gaussian_kernel() -> [f32; LOCAL_KERNEL_SIZE] {
    gaussian().map(|weight| weight as f32)
}

fn gaussian() -> [f64; LOCAL_KERNEL_SIZE] {
    let centre = LOCAL_KERNEL_SIZE / 2;
    let weights: [f64; LOCAL_KERNEL_SIZE] =
        std::array::from_fn(|step| exp(-0.5 * square(step.abs_diff(centre) as f64)));
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(fitted.normalise(PAIR, &[10, 210]), [-2.0, 10.0]);
    }

    #[test]
    fn a_pixel_that_never_changes_is_divided_by_the_floor() {
        // Channel 0: mean 12, deviation sqrt((4 + 4) / 2) = 2. Channel 1: deviation 0, so 0.001.
        let fitted = Normalisation::fit(Preprocess::GlobalContrastNormalisation, &two_images());
        let (mean, deviation) = (vec![12.0, 200.0], vec![2.0, 0.001]);
        assert_eq!(fitted, Normalisation::PerPixel { mean, deviation });
        close(&fitted.normalise(PAIR, &[16, 200]), &[2.0, 0.0]);
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
    fn whitening_is_per_channel_of_one_image() {
        // Channel 0: 0, 0, 8, 8: mean 4, deviation 4. Channel 1: constant, so the floor of 1/2.
        let shape = ImageShape { channels: 2, size: 2 };
        let whitened = Normalisation::PerImage.normalise(shape, &[0, 0, 8, 8, 9, 9, 9, 9]);
        assert_eq!(whitened, [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // One pixel in four differs by 1: mean 1/4, deviation sqrt(3)/4 = 0.433, below the floor.
        let grey = ImageShape { channels: 1, size: 2 };
        let whitened = Normalisation::PerImage.normalise(grey, &[1, 0, 0, 0]);
        assert_eq!(whitened, [1.5, -0.5, -0.5, -0.5]);
    }

    #[test]
    fn the_kernel_is_a_gaussian() {
        // exp(0) = 1, exp(-1/2) = 0.60653, exp(-2) = 0.13534, exp(-9/2) = 0.01111; sum 2.50595.
        let expected = [0.00443, 0.05401, 0.24204, 0.39905, 0.24204, 0.05401, 0.00443];
        close(&gaussian_kernel(), &expected);
    }

    #[test]
    fn a_point_is_divided_by_its_local_root_mean_square() {
        let shape = ImageShape { channels: 1, size: 9 };
        let mut image = [0; 81];
        image[4 * 9 + 4] = 100;
        let local = Normalisation::Local.normalise(shape, &image);
        // At the point: blur(x) = 100 k0^2 = 15.924, blur(x^2) = 10,000 k0^2, k0 = 0.39905:
        // (100 - 15.924) / (100 k0) = 2.10690. One to the right:
        // -100 k0 k1 / (100 sqrt(k0 k1)) = -sqrt(k0 k1) = -0.31078.
        close(&[local[4 * 9 + 4], local[4 * 9 + 5]], &[2.10690, -0.31078]);
        // Four away the kernel does not reach: 0 / 0.001.
        assert_eq!(local[4 * 9 + 8], 0.0);
    }

    #[test]
    fn a_border_is_mirrored_about_its_outermost_pixel() {
        // The left column is 100 and its mirror image lies outside, so each pixel sees it once:
        // blur = 100 k0 at column 0, 100 k1 at column 1, 100 k3 at column 3.
        let shape = ImageShape { channels: 1, size: 8 };
        let image: Vec<u8> = (0..64).map(|index| if index % 8 == 0 { 100 } else { 0 }).collect();
        let local = Normalisation::Local.normalise(shape, &image);
        // (100 - 100 k0) / (100 sqrt(k0)) = 0.95131; -sqrt(k1) = -0.49197; -sqrt(k3) = -0.06658.
        close(&[local[0], local[1], local[3]], &[0.95131, -0.49197, -0.06658]);
    }

    #[test]
    fn a_flat_image_has_no_contrast() {
        let shape = ImageShape { channels: 3, size: 4 };
        close(&Normalisation::Local.normalise(shape, &[77; 48]), &[0.0; 48]);
    }

    #[test]
    fn borders_are_filled_with_the_middle() {
        assert_eq!(Normalisation::Raw.padding(), 128.0);
        assert_eq!(Normalisation::PerImage.padding(), 0.0);
    }
}
