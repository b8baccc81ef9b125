//! What is done to the pixels of images: [`Preprocess`], which has the formulas, with tensors.

use metaqnn::dataset::{Images, Pixels, Preprocess, ValueRange};
use metaqnn::maths::{exp, square};
use tch::{Device, Kind, TchError, Tensor};

/// The smallest deviation, and the smallest local root mean square, that is divided by.
const FLOOR: f64 = 0.001;
/// How far the local blur reaches, in pixels.
const REACH: i64 = 3;

#[derive(Debug)]
pub enum Normaliser {
    Raw,
    /// Mean and deviation `[H, W, C]`; the latter is 1 for mean subtraction.
    PerPixel(Tensor, Tensor),
    /// The smallest deviation that is divided by.
    PerImage(f64),
    /// The blur's weights `[1, 1, 1, K]`, a row.
    Local(Tensor),
}

impl Normaliser {
    pub fn fit(
        method: Preprocess,
        training: &Images,
        range: ValueRange,
        device: Device,
    ) -> Result<Self, TchError> {
        Ok(match method {
            Preprocess::None => Self::Raw,
            Preprocess::MeanSubtraction | Preprocess::GlobalContrastNormalisation => {
                let (mean, mut deviation) = pixel_statistics(training, range);
                if method == Preprocess::MeanSubtraction {
                    deviation.fill(1.0);
                }
                let size = training.shape.size as i64;
                let on_device = |values: &[f32]| {
                    let values = Tensor::f_from_slice(values)?.f_view([-1, size, size])?;
                    values.f_permute([1, 2, 0])?.f_contiguous()?.f_to_device(device)
                };
                Self::PerPixel(on_device(&mean)?, on_device(&deviation)?)
            }
            Preprocess::StandardWhitening => {
                Self::PerImage(1.0 / (training.shape.pixels() as f64).sqrt())
            }
            Preprocess::LocalContrastNormalisation => {
                let row = Tensor::f_from_slice(&gaussian_kernel())?.f_view([1, 1, 1, -1])?;
                Self::Local(row.f_to_device(device)?)
            }
        })
    }

    /// With these constants, see [`Self::constants`].
    pub fn with(
        method: Preprocess,
        constants: &[(String, Tensor)],
        device: Device,
    ) -> Result<Self, TchError> {
        let constant = |name: &str| {
            let found = constants.iter().find(|(found, _)| found == name);
            found.expect("the card has checked the names").1.f_to_device(device)
        };
        let image = |name| constant(name)?.f_permute([1, 2, 0])?.f_contiguous();
        Ok(match method {
            Preprocess::None => Self::Raw,
            Preprocess::MeanSubtraction | Preprocess::GlobalContrastNormalisation => {
                Self::PerPixel(image("mean")?, image("deviation")?)
            }
            Preprocess::StandardWhitening => {
                Self::PerImage(constant("floor")?.f_double_value(&[0])?)
            }
            Preprocess::LocalContrastNormalisation => {
                Self::Local(constant("blur")?.f_view([1, 1, 1, -1])?)
            }
        })
    }

    /// The constants of its formula by name, images as `[C, H, W]`.
    pub fn constants(&self) -> Result<Vec<(&'static str, Tensor)>, TchError> {
        let image = |values: &Tensor| values.f_permute([2, 0, 1]);
        Ok(match self {
            Self::Raw => Vec::new(),
            Self::PerPixel(mean, deviation) => {
                vec![("mean", image(mean)?), ("deviation", image(deviation)?)]
            }
            Self::PerImage(floor) => vec![("floor", Tensor::f_from_slice(&[*floor as f32])?)],
            Self::Local(row) => {
                let floor = Tensor::f_from_slice(&[FLOOR as f32])?;
                vec![("blur", row.f_view([-1])?), ("floor", floor)]
            }
        })
    }

    /// Normalises pixels `[B, H, W, C]` into 32-bit numbers of the same shape.
    pub fn normalise(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        // A copy in any case: what follows changes it in place.
        let mut images = pixels.f_to_dtype(Kind::Float, false, true)?;
        match self {
            Self::Raw => Ok(images),
            Self::PerPixel(mean, deviation) => images.f_sub_(mean)?.f_div_(deviation),
            Self::PerImage(floor) => whiten(&images, *floor),
            Self::Local(row) => normalise_locally(&images, row),
        }
    }
}

fn whiten(images: &Tensor, floor: f64) -> Result<Tensor, TchError> {
    let centred = images.f_sub(&images.f_mean_dim([1, 2].as_slice(), true, Kind::Float)?)?;
    let variance = centred.f_square()?.f_mean_dim([1, 2].as_slice(), true, Kind::Float)?;
    centred.f_div(&variance.f_sqrt()?.f_clamp_min(floor)?)
}

fn normalise_locally(images: &Tensor, row: &Tensor) -> Result<Tensor, TchError> {
    let [batch, height, width, channels] = images.size()[..] else {
        unreachable!("a batch of images has four axes")
    };
    let planes = images.f_permute([0, 3, 1, 2])?.f_reshape([batch * channels, 1, height, width])?;
    let mean = blur(&planes, row)?;
    let root = blur(&planes.f_square()?, row)?.f_sqrt()?.f_clamp_min(FLOOR)?;
    planes
        .f_sub(&mean)?
        .f_div(&root)?
        .f_view([batch, channels, height, width])?
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()
}

/// Of planes `[P, 1, H, W]`: along the rows, then along the columns, the border mirrored.
fn blur(planes: &Tensor, row: &Tensor) -> Result<Tensor, TchError> {
    let slide = |planes: &Tensor, kernel: &Tensor| {
        planes.f_conv2d(kernel, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    };
    let padded = planes.f_reflection_pad2d([REACH; 4])?;
    slide(&slide(&padded, row)?, &row.f_transpose(2, 3)?)
}

/// Mean and floored population deviation of each value over all images, from exact integer sums,
/// on the scale on which the range is 0 to 255.
fn pixel_statistics(images: &Images, [low, high]: ValueRange) -> (Vec<f32>, Vec<f32>) {
    let (sums, squares) = match &images.pixels {
        Pixels::Bytes(bytes) => sums(bytes, images.shape.values()),
        Pixels::Words(words) => sums(words, images.shape.values()),
    };
    let count = images.count() as f64;
    let scale = 255.0 / f64::from(high - low);
    let mean = |&sum: &u64| ((sum as f64 / count - f64::from(low)) * scale) as f32;
    let deviation = sums.iter().zip(&squares).map(|(&sum, &square)| {
        // n^2 variance = n sum(x^2) - sum(x)^2
        let (n, sum) = (images.count() as u128, u128::from(sum));
        let scaled = n * u128::from(square) - sum * sum;
        ((scaled as f64).sqrt() / count * scale).max(FLOOR) as f32
    });
    (sums.iter().map(mean).collect(), deviation.collect())
}

/// Of each value and of its square over all images.
fn sums<T: Copy + Into<u64>>(pixels: &[T], values: usize) -> (Vec<u64>, Vec<u64>) {
    let (mut sums, mut squares) = (vec![0u64; values], vec![0u64; values]);
    for image in pixels.chunks_exact(values) {
        for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(image) {
            *sum += x.into();
            *square += x.into() * x.into();
        }
    }
    (sums, squares)
}

/// A Gaussian of sigma 1 at -3 to 3 pixels, of sum 1.
fn gaussian_kernel() -> [f32; 7] {
    let weights = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0].map(|at: f64| exp(-0.5 * square(at)));
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metaqnn::dataset::{BYTES, ImageShape};
    use metaqnn::seed::{Purpose, generator};
    use rand::Rng;

    /// Twenty images of two channels and 9x9 pixels: noise, and one that is all 7.
    fn images() -> Images {
        let shape = ImageShape { channels: 2, size: 9 };
        let mut rng = generator(1, Purpose::Synthetic, 0, 0);
        let mut bytes: Vec<u8> = (0..19 * shape.values()).map(|_| rng.random()).collect();
        bytes.extend(vec![7; shape.values()]);
        Images::new(shape, 2, bytes, vec![0; 20])
    }

    type Statistics = (Vec<f32>, Vec<f32>);

    /// Each formula for one image, `[C, H, W]` in and out.
    fn reference(
        method: Preprocess,
        (mean, deviation): &Statistics,
        shape: ImageShape,
        image: &[u8],
    ) -> Vec<f32> {
        let planes = image.chunks_exact(shape.pixels());
        let centred = image.iter().zip(mean).map(|(&x, mean)| f32::from(x) - mean);
        match method {
            Preprocess::None => image.iter().map(|&x| f32::from(x)).collect(),
            Preprocess::MeanSubtraction => centred.collect(),
            Preprocess::GlobalContrastNormalisation => {
                centred.zip(deviation).map(|(x, deviation)| x / deviation).collect()
            }
            Preprocess::StandardWhitening => planes.flat_map(whiten_plane).collect(),
            Preprocess::LocalContrastNormalisation => {
                planes.flat_map(|plane| normalise_plane_locally(plane, shape.size)).collect()
            }
        }
    }

    fn whitened(shape: ImageShape, image: &[u8]) -> Vec<f32> {
        reference(Preprocess::StandardWhitening, &Statistics::default(), shape, image)
    }

    fn local(shape: ImageShape, image: &[u8]) -> Vec<f32> {
        reference(Preprocess::LocalContrastNormalisation, &Statistics::default(), shape, image)
    }

    fn whiten_plane(plane: &[u8]) -> Vec<f32> {
        let pixels = plane.len() as f64;
        let mean = plane.iter().map(|&x| f64::from(x)).sum::<f64>() / pixels;
        let variance = plane.iter().map(|&x| square(f64::from(x) - mean)).sum::<f64>() / pixels;
        let deviation = variance.sqrt().max(1.0 / pixels.sqrt());
        plane.iter().map(|&x| ((f64::from(x) - mean) / deviation) as f32).collect()
    }

    fn normalise_plane_locally(plane: &[u8], size: usize) -> Vec<f32> {
        let values: Vec<f64> = plane.iter().map(|&x| f64::from(x)).collect();
        let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
        let (means, mean_squares) = (blur_plane(&values, size), blur_plane(&squares, size));
        let statistics = means.iter().zip(mean_squares);
        let local = |(x, (mean, mean_square)): (&f64, (&f64, f64))| {
            ((x - mean) / mean_square.sqrt().max(FLOOR)) as f32
        };
        values.iter().zip(statistics).map(local).collect()
    }

    fn blur_plane(plane: &[f64], size: usize) -> Vec<f64> {
        blur_rows_transposed(&blur_rows_transposed(plane, size), size)
    }

    /// Blurs each row and transposes the plane; twice is a blur in both directions.
    fn blur_rows_transposed(plane: &[f64], size: usize) -> Vec<f64> {
        let kernel = gaussian_kernel().map(f64::from);
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
        let position = (at + step).abs_diff(REACH as usize);
        if position < size { position } else { 2 * (size - 1) - position }
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_device_computes_what_the_reference_computes() {
        let images = images();
        let shape = images.shape;
        let Pixels::Bytes(raw) = &images.pixels else { panic!("words") };
        let bytes = Tensor::from_data_size(raw, &[20, 2, 9, 9], Kind::Uint8)
            .permute([0, 2, 3, 1])
            .contiguous();
        let statistics = pixel_statistics(&images, BYTES);
        for method in [
            Preprocess::None,
            Preprocess::MeanSubtraction,
            Preprocess::GlobalContrastNormalisation,
            Preprocess::StandardWhitening,
            Preprocess::LocalContrastNormalisation,
        ] {
            let normaliser = Normaliser::fit(method, &images, BYTES, Device::Cpu).unwrap();
            let found = normaliser.normalise(&bytes).unwrap().permute([0, 3, 1, 2]).contiguous();
            for index in 0..20 {
                let found: Vec<f32> = Vec::try_from(found.get(index).reshape([-1])).unwrap();
                let image = raw.chunks_exact(shape.values()).nth(index as usize).unwrap();
                let reference = reference(method, &statistics, shape, image);
                for (found, reference) in found.iter().zip(reference) {
                    assert!(
                        (found - reference).abs() < 2e-4,
                        "{method:?}: {found} for {reference}"
                    );
                }
            }
        }
    }

    #[test]
    fn whitening_is_per_channel_of_one_image() {
        // Channel 0: 0, 0, 8, 8: mean 4, deviation 4. Channel 1: constant, so the floor of 1/2.
        let shape = ImageShape { channels: 2, size: 2 };
        assert_eq!(
            whitened(shape, &[0, 0, 8, 8, 9, 9, 9, 9]),
            [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
        // One pixel in four differs by 1: mean 1/4, deviation sqrt(3)/4 = 0.433, below the floor.
        let grey = ImageShape { channels: 1, size: 2 };
        assert_eq!(whitened(grey, &[1, 0, 0, 0]), [1.5, -0.5, -0.5, -0.5]);
    }

    #[test]
    fn a_point_is_divided_by_its_local_root_mean_square() {
        let shape = ImageShape { channels: 1, size: 9 };
        let mut image = [0; 81];
        image[4 * 9 + 4] = 100;
        let local = local(shape, &image);
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
        let local = local(shape, &image);
        // (100 - 100 k0) / (100 sqrt(k0)) = 0.95131; -sqrt(k1) = -0.49197; -sqrt(k3) = -0.06658.
        close(&[local[0], local[1], local[3]], &[0.95131, -0.49197, -0.06658]);
    }

    #[test]
    fn a_flat_image_has_no_contrast() {
        let shape = ImageShape { channels: 3, size: 4 };
        close(&local(shape, &[77; 48]), &[0.0; 48]);
    }

    #[test]
    fn statistics_are_per_channel_and_pixel_and_a_pixel_that_never_changes_has_the_floor() {
        // Two images of two channels and one pixel: (10, 200) and (14, 200).
        let pair = ImageShape { channels: 2, size: 1 };
        let images = Images::new(pair, 2, vec![10, 200, 14, 200], vec![0, 1]);
        // Channel 0: mean 12, deviation sqrt((4 + 4) / 2) = 2. Channel 1: deviation 0, so 0.001.
        let statistics = (vec![12.0, 200.0], vec![2.0, 0.001]);
        assert_eq!(pixel_statistics(&images, BYTES), statistics);
        let fitted = |method| Normaliser::fit(method, &images, BYTES, Device::Cpu).unwrap();
        for (method, expected) in [
            (Preprocess::MeanSubtraction, [1.0, 1.0]),
            (Preprocess::GlobalContrastNormalisation, [2.0, 0.001]),
        ] {
            let Normaliser::PerPixel(mean, deviation) = fitted(method) else { panic!() };
            assert_eq!(mean, Tensor::from_slice(&[12.0_f32, 200.0]).view([1, 1, 2]));
            assert_eq!(deviation, Tensor::from_slice(&expected.map(|x| x as f32)).view([1, 1, 2]));
        }
    }

    #[test]
    fn deviations_of_many_bright_images_are_exact() {
        // 30,000 times 254 and 255: mean 254.5, deviation 0.5.
        let shape = ImageShape { channels: 1, size: 1 };
        let bytes: Vec<u8> = [254, 255].repeat(30_000);
        let images = Images::new(shape, 2, bytes, vec![0; 60_000]);
        assert_eq!(pixel_statistics(&images, BYTES), (vec![254.5], vec![0.5]));
    }

    #[test]
    fn the_kernel_is_a_gaussian() {
        // exp(0) = 1, exp(-1/2) = 0.60653, exp(-2) = 0.13534, exp(-9/2) = 0.01111; sum 2.50595.
        let expected = [0.00443, 0.05401, 0.24204, 0.39905, 0.24204, 0.05401, 0.00443];
        close(&gaussian_kernel(), &expected);
    }
}
