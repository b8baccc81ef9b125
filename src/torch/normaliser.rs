//! The normalisations of [`metaqnn::dataset::Normalisation`] with tensors, a batch at a time.

use metaqnn::dataset::{
    ImageShape, LOCAL_FLOOR, LOCAL_KERNEL_SIZE, Normalisation, gaussian_kernel,
};
use tch::{Device, Kind, TchError, Tensor};

/// A normalisation whose statistics lie on the device.
#[derive(Debug)]
pub struct Normaliser {
    method: Method,
    padding: f64,
}

#[derive(Debug)]
enum Method {
    Raw,
    /// Mean `[H, W, C]`; deviation likewise, `None` where it is 1 throughout.
    PerPixel {
        mean: Tensor,
        deviation: Option<Tensor>,
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
        let method = match fitted {
            Normalisation::Raw => Method::Raw,
            Normalisation::PerPixel { mean, deviation } => Method::PerPixel {
                mean: on_device(mean)?,
                deviation: match deviation.iter().all(|&value| value == 1.0) {
                    true => None,
                    false => Some(on_device(deviation)?),
                },
            },
            Normalisation::PerImage => Method::PerImage,
            Normalisation::Local => {
                let width = LOCAL_KERNEL_SIZE as i64;
                let row = Tensor::f_from_slice(&gaussian_kernel())?.f_view([1, 1, 1, width])?;
                Method::Local { row: row.f_to_device(device)? }
            }
        };
        Ok(Self { method, padding: f64::from(fitted.padding()) })
    }

    /// Returns the value that fills the border of a translated image, after normalisation.
    pub const fn padding(&self) -> f64 {
        self.padding
    }

    /// Normalises bytes `[B, H, W, C]` into 32-bit numbers of the same shape.
    pub fn normalise(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let mut images = bytes.f_to_kind(Kind::Float)?;
        match &self.method {
            Method::Raw => Ok(images),
            Method::PerPixel { mean, deviation } => {
                let mut centred = images.f_sub_(mean)?;
                match deviation {
                    Some(deviation) => centred.f_div_(deviation),
                    None => Ok(centred),
                }
            }
            Method::PerImage => whiten(&images),
            Method::Local { row } => normalise_locally(&images, row),
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

    #[test]
    fn the_device_computes_what_the_reference_computes() {
        let images = images();
        let shape = images.shape();
        let bytes = Tensor::from_data_size(images.bytes(), &[20, 2, 9, 9], Kind::Uint8)
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
                let reference = fitted.normalise(shape, images.image(index as usize));
                for (found, reference) in found.iter().zip(reference) {
                    assert!(
                        (found - reference).abs() < 2e-4,
                        "{method:?}: {found} for {reference}"
                    );
                }
            }
        }
    }
}
