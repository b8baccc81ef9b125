//! The images of a data set on the device, as bytes where they are bytes, and batches of them as
//! numbers.
//!
//! Images lie as `[N, H, W, C]`: a batch, seen as `[B, C, H, W]`, is then channels last without a
//! copy. (With one channel libtorch's conversions to channels last do nothing, while its fast
//! convolutions look at the strides.)

use metaqnn::dataset::{
    AugmentParams, BYTES, DataParams, Images, Pixels, Preprocess, ValueRange, load_training_images,
    split,
};
use metaqnn::training::protocol::Request;
use tch::{Device, Kind, TchError, Tensor};

use super::augment::{mirror, translate};
use super::error::TorchError;
use super::normaliser::Normaliser;

/// Pixels `[N, H, W, C]`, bytes or numbers on their scale, and 64-bit labels `[N]`.
#[derive(Debug)]
pub struct ImageTensors {
    pixels: Tensor,
    labels: Tensor,
}

#[derive(Debug)]
pub struct Batches {
    pub training: ImageTensors,
    pub validation: ImageTensors,
    pub normaliser: Normaliser,
    /// Fills the border of a translated image after normalisation: 0, the mean, but mid-grey where
    /// bytes stay as they are. (The reference fills with 128 also after per-image methods, whose
    /// values are near 1: a border brighter than any image.)
    padding: f64,
    augment: AugmentParams,
}

impl ImageTensors {
    pub fn new(images: &Images, range: ValueRange, device: Device) -> Result<Self, TchError> {
        let (channels, size) = (images.shape.channels as i64, images.shape.size as i64);
        let pixels = match &images.pixels {
            Pixels::Bytes(bytes) if range == BYTES => Tensor::f_from_slice(bytes)?,
            pixels => Tensor::f_from_slice(&pixels.numbers(range))?,
        };
        let pixels = pixels.f_view([-1, channels, size, size])?.f_to_device(device)?;
        let pixels = pixels.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let labels = Tensor::f_from_slice(&images.labels)?.f_to_device(device)?;
        Ok(Self { pixels, labels: labels.f_to_kind(Kind::Int64)? })
    }

    /// Of pixels `[N, C, H, W]`, without labels.
    pub fn unlabelled(pixels: &Tensor, device: Device) -> Result<Self, TchError> {
        let pixels = pixels.f_to_device(device)?.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        Ok(Self { pixels, labels: Tensor::f_zeros([0_i64], (Kind::Int64, device))? })
    }

    /// 64-bit, `[N]`.
    pub const fn labels(&self) -> &Tensor {
        &self.labels
    }

    pub fn count(&self) -> i64 {
        self.pixels.size()[0]
    }

    /// Returns normalised images `[count, C, H, W]` from `first` on.
    pub fn batch(&self, by: &Normaliser, first: i64, count: i64) -> Result<Tensor, TchError> {
        by.normalise(&self.pixels.f_narrow(0, first, count)?)?.f_permute([0, 3, 1, 2])
    }
}

impl Batches {
    pub fn new(
        training: &Images,
        validation: &Images,
        params: &DataParams,
        device: Device,
    ) -> Result<Self, TorchError> {
        let range = params.value_range.unwrap_or_else(|| training.pixels.range());
        Ok(Self {
            training: ImageTensors::new(training, range, device)?,
            validation: ImageTensors::new(validation, range, device)?,
            normaliser: Normaliser::fit(params.preprocess, training, range, device)?,
            padding: if params.preprocess == Preprocess::None { 128.0 } else { 0.0 },
            augment: params.augment,
        })
    }

    pub fn has_validation(&self) -> bool {
        self.validation.count() > 0
    }

    pub fn device(&self) -> Device {
        self.training.labels.device()
    }

    /// Draws from libtorch's generator.
    pub fn random_order(&self) -> Result<Tensor, TorchError> {
        Ok(Tensor::f_randperm(self.training.count(), (Kind::Int64, self.device()))?)
    }

    /// Gathers images `[B, C, H, W]`, normalised and then augmented, as in the reference, and
    /// labels `[B]`.
    pub fn training_batch(&self, indices: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
        let pixels = self.training.pixels.f_index_select(0, indices)?;
        let labels = self.training.labels.f_index_select(0, indices)?;
        let mut images = self.normaliser.normalise(&pixels)?;
        if self.augment.translate > 0 {
            images = translate(&images, self.augment.translate.into(), self.padding)?;
        }
        if self.augment.mirror {
            images = mirror(&images)?;
        }
        Ok((images.f_permute([0, 3, 1, 2])?, labels))
    }

    /// Returns normalised images `[count, C, H, W]` from `first` on, and labels `[count]`.
    pub fn validation_batch(&self, first: i64, count: i64) -> Result<(Tensor, Tensor), TorchError> {
        let images = self.validation.batch(&self.normaliser, first, count)?;
        Ok((images, self.validation.labels.f_narrow(0, first, count)?))
    }
}

/// The data set of the last request with what it depends on: its section, the experiment's seed,
/// the device.
#[derive(Debug, Default)]
pub struct DataCache(Option<((DataParams, u64, Device), Batches)>);

impl DataCache {
    pub fn get(&mut self, request: &Request, device: Device) -> Result<&Batches, TorchError> {
        let params: DataParams = serde_json::from_value(request.data.clone())
            .map_err(|error| TorchError::unreadable(format!("data: {error}")))?;
        let shape = (params.classes, params.channels, params.input_size);
        let wanted = (params, request.experiment_seed, device);
        let kept = match self.0.take().filter(|(kept, _)| *kept == wanted) {
            Some(kept) => kept,
            None => (wanted.clone(), load(&wanted.0, request.experiment_seed, device)?),
        };
        if shape != (request.classes, request.channels, request.input_size) {
            let problem = "classes, channels and input_size are not those of its data";
            return Err(TorchError::unreadable(problem));
        }
        Ok(&self.0.insert(kept).1)
    }
}

fn load(params: &DataParams, seed: u64, device: Device) -> Result<Batches, TorchError> {
    let valid = params.clone().check()?;
    let images = load_training_images(&valid)?;
    let parts = split(&images, &valid, seed)?;
    let (training, validation) = (images.subset(&parts.training), images.subset(&parts.validation));
    drop(images);
    let remedy = "set `data.training_images`, or use a larger device";
    let batches = Batches::new(&training, &validation, &valid, device);
    batches.map_err(|error| without_room(error, remedy))
}

/// Too little memory for images is not the network's fault, so not its answer `out_of_memory`.
pub fn without_room(error: TorchError, remedy: &str) -> TorchError {
    match error {
        TorchError::OutOfMemory { message, .. } => {
            TorchError::NoDevice(format!("images do not fit on the device: {message} ({remedy})"))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alone, data_params};
    use metaqnn::dataset::ImageShape;

    fn batches(channels: usize) -> Batches {
        let shape = ImageShape { channels, size: 2 };
        let part = |images: usize| {
            let bytes: Vec<u8> = (0..images * shape.values()).map(|value| value as u8).collect();
            let labels = (0..images).map(|image| image as u8).collect();
            Images::new(shape, 10, bytes, labels)
        };
        Batches::new(&part(5), &part(3), &data_params("none", 0), Device::Cpu).unwrap()
    }

    #[test]
    fn a_batch_holds_the_images_asked_for_channels_last() {
        for channels in [1, 3] {
            let values = 4 * channels as i64;
            let batches = batches(channels);
            let (images, labels) =
                batches.training_batch(&Tensor::from_slice(&[4_i64, 0])).unwrap();
            assert_eq!(Vec::<i64>::try_from(&labels).unwrap(), [4, 0]);
            // Strides of [B, C, H, W] when the memory holds [B, H, W, C].
            assert_eq!(images.stride(), [values, 1, 2 * channels as i64, channels as i64]);
            let first: Vec<f32> = Vec::try_from(images.get(0).reshape([-1])).unwrap();
            let expected: Vec<f32> = (4 * values..5 * values).map(|value| value as f32).collect();
            assert_eq!(first, expected);
            let (images, labels) = batches.validation_batch(1, 2).unwrap();
            assert_eq!(Vec::<i64>::try_from(&labels).unwrap(), [1, 2]);
            assert_eq!(images.get(0).double_value(&[0, 0, 0]), values as f64);
        }
    }

    #[test]
    fn images_without_room_are_no_answer_about_the_network() {
        let short = TorchError::OutOfMemory { message: "out of memory".into(), in_use: None };
        let error = without_room(short, "name fewer");
        assert!(error.is_refusal());
        assert!(error.to_string().contains("do not fit on the device: out of memory (name fewer)"));
    }

    #[test]
    fn an_order_holds_every_image_once() {
        let _alone = alone();
        let mut order: Vec<i64> = Vec::try_from(batches(1).random_order().unwrap()).unwrap();
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn words_are_numbers_on_the_scale_of_bytes_and_stay_when_read_twice() {
        let shape = ImageShape { channels: 1, size: 1 };
        let part = |words: Vec<u16>| {
            let labels = vec![0; words.len()];
            Images::new(shape, 2, Pixels::Words(words), labels)
        };
        // The range of the training part: 255 * 500 / 1000 = 127.5, of mean 127.5 and deviation 127.5.
        let (training, validation) = (part(vec![500, 1_500]), part(vec![1_000, 2_500]));
        for (method, expected) in
            [("none", [127.5, 510.0]), ("global_contrast_normalisation", [0.0, 3.0])]
        {
            let params = data_params(method, 0);
            let batches = Batches::new(&training, &validation, &params, Device::Cpu).unwrap();
            for _ in 0..2 {
                let (images, _) = batches.validation_batch(0, 2).unwrap();
                let found: Vec<f32> = Vec::try_from(images.reshape([-1])).unwrap();
                assert_eq!(found, expected, "{method}");
            }
        }
    }
}
