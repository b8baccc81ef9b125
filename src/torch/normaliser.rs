//! The normalisations of [`metaqnn::dataset::Normalisation`] with tensors, a batch at a time.

use metaqnn::dataset::{
    ImageShape, LOCAL_FLOOR, LOCAL_KERNEL_SIZE, Normalisation, gaussian_kernel,
};
use tch::{Device, Kind, TchError, Tensor};

/// A normalisation whose statistics lie on the device.
#[derive(Debug)]
pub enum Normaliser {
    Raw,
    /// Both `[H, W, C]`.
    PerPixel {
        mean: Tensor,
        deviation: Tensor,
    },
    PerImage,
    /// The blur's weights `[1, 1, 1, K]`, a row.
    Local {
        row: Tensor,
    },
}

impl Normaliser {
    pub fn new(
        fitted: &Normalisation,
        shape: ImageShape,
        device: Device,
    ) -> Result<Self, TchError> {
        let on_device = |values: &[f32]| {
            let (channels, size) = (shape.channels as i64, shape.size as i64);
            Tensor::f_from_slice(values)?
                .f_view([channels, size, size])?
                .f_permute([1, 2, 0])?
                .f_contiguous()?
                .f_to_device(device)
        };
        Ok(match fitted {
            Normalisation::Raw => Self::Raw,
            Normalisation::PerPixel { mean, deviation } => {
                Self::PerPixel { mean: on_device(mean)?, deviation: on_device(deviation)? }
            }
            Normalisation::PerImage => Self::PerImage,
            Normalisation::Local => {
                let width = LOCAL_KERNEL_SIZE as i64;
                let row = Tensor::f_from_slice(&gaussian_kernel())?.f_view([1, 1, 1, width])?;
                Self::Local { row: row.f_to_device(device)? }
            }
        })
    }

    /// Normalises bytes `[B, H, W, C]` into 32-bit numbers of the same shape.
    pub fn normalise(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let mut images = bytes.f_to_kind(Kind::Float)?;
        match self {
            Self::Raw => Ok(images),
            Self::PerPixel { mean, deviation } => images.f_sub_(mean)?.f_div_(deviation),
            Self::PerImage => whiten(&images),
            Self::Local { row } => normalise_locally(&images, row),
        }
    }
}

/// `(x - mean) / max(deviation, 1 / sqrt(H W))` over the pixels of one channel of one image.
fn whiten(images: &Tensor) -> Result<Tensor, TchError> {
    let pixels = (images.size()[1] * images.size()[2]) as f64;
    let centred = images.f_sub(&images.f_mean_dim([1, 2].as_slice(), true, Kind::Float)?)?;
    let variance = centred.f_square()?.f_mean_dim([1, 2].as_slice(), true, Kind::Float)?;
    centred.f_div(&variance.f_sqrt()?.f_clamp_min(1.0 / pixels.sqrt())?)
}

/// `(x - blur(x)) / max(sqrt(blur(x^2)), LOCAL_FLOOR)` for each channel by itself.
fn normalise_locally(images: &Tensor, row: &Tensor) -> Result<Tensor, TchError> {
    let [batch, height, width, channels] = images.size()[..] else {
        unreachable!("a batch of images has four axes")
    };
    let planes = images.f_permute([0, 3, 1, 2])?.f_reshape([batch * channels, 1, height, width])?;
    let mean = blur(&planes, row)?;
    let root = blur(&planes.f_square()?, row)?.f_sqrt()?.f_clamp_min(f64::from(LOCAL_FLOOR))?;
    planes
        .f_sub(&mean)?
        .f_div(&root)?
        .f_view([batch, channels, height, width])?
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()
}

/// Blurs planes `[P, 1, H, W]` along the rows, then along the columns, the border mirrored.
fn blur(planes: &Tensor, row: &Tensor) -> Result<Tensor, TchError> {
    let reach = LOCAL_KERNEL_SIZE as i64 / 2;
    let column = row.f_transpose(2, 3)?;
    let slide = |planes: &Tensor, kernel: &Tensor| {
        planes.f_conv2d(kernel, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    };
    let padded = planes.f_reflection_pad2d([reach, reach, reach, reach])?;
    slide(&slide(&padded, row)?, &column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metaqnn::dataset::{Images, Preprocess};
    use metaqnn::maths::square;
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

    /// Each formula for one image, `[C, H, W]` in and out.
    fn reference(fitted: &Normalisation, shape: ImageShape, image: &[u8]) -> Vec<f32> {
        assert_eq!(image.len(), shape.values(), "an image has the shape of its data set");
        match fitted {
            Normalisation::Raw => image.iter().map(|&x| f32::from(x)).collect(),
            Normalisation::PerPixel { mean, deviation } => {
                assert_eq!(image.len(), mean.len(), "statistics have the shape of their data set");
                let statistics = mean.iter().zip(deviation);
                image.iter().zip(statistics).map(|(&x, (m, d))| (f32::from(x) - m) / d).collect()
            }
            Normalisation::PerImage => {
                image.chunks_exact(shape.pixels()).flat_map(whiten_plane).collect()
            }
            Normalisation::Local => image
                .chunks_exact(shape.pixels())
                .flat_map(|plane| normalise_plane_locally(plane, shape.size))
                .collect(),
        }
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
            ((x - mean) / mean_square.sqrt().max(f64::from(LOCAL_FLOOR))) as f32
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
        let reach = LOCAL_KERNEL_SIZE / 2;
        let position = (at + step).abs_diff(reach);
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
        let bytes = Tensor::from_data_size(&images.bytes, &[20, 2, 9, 9], Kind::Uint8)
            .permute([0, 2, 3, 1])
            .contiguous();
        for method in [
            Preprocess::None,
            Preprocess::MeanSubtraction,
            Preprocess::GlobalContrastNormalisation,
            Preprocess::StandardWhitening,
            Preprocess::LocalContrastNormalisation,
        ] {
            let fitted = Normalisation::fit(method, &images);
            let normaliser = Normaliser::new(&fitted, shape, Device::Cpu).unwrap();
            let found = normaliser.normalise(&bytes).unwrap().permute([0, 3, 1, 2]).contiguous();
            for index in 0..20 {
                let found: Vec<f32> = Vec::try_from(found.get(index).reshape([-1])).unwrap();
                let reference = reference(&fitted, shape, images.image(index as usize));
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
        let whitened = reference(&Normalisation::PerImage, shape, &[0, 0, 8, 8, 9, 9, 9, 9]);
        assert_eq!(whitened, [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // One pixel in four differs by 1: mean 1/4, deviation sqrt(3)/4 = 0.433, below the floor.
        let grey = ImageShape { channels: 1, size: 2 };
        let whitened = reference(&Normalisation::PerImage, grey, &[1, 0, 0, 0]);
        assert_eq!(whitened, [1.5, -0.5, -0.5, -0.5]);
    }

    #[test]
    fn a_point_is_divided_by_its_local_root_mean_square() {
        let shape = ImageShape { channels: 1, size: 9 };
        let mut image = [0; 81];
        image[4 * 9 + 4] = 100;
        let local = reference(&Normalisation::Local, shape, &image);
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
        let local = reference(&Normalisation::Local, shape, &image);
        // (100 - 100 k0) / (100 sqrt(k0)) = 0.95131; -sqrt(k1) = -0.49197; -sqrt(k3) = -0.06658.
        close(&[local[0], local[1], local[3]], &[0.95131, -0.49197, -0.06658]);
    }

    #[test]
    fn a_flat_image_has_no_contrast() {
        let shape = ImageShape { channels: 3, size: 4 };
        close(&reference(&Normalisation::Local, shape, &[77; 48]), &[0.0; 48]);
    }
}
