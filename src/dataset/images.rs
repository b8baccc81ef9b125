//! Images in memory: pixels, labels, shape.

use itertools::{Either, Itertools};
use serde::{Deserialize, Serialize};

/// `[channels, size, size]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    pub channels: usize,
    pub size: usize,
}

impl ImageShape {
    pub const fn pixels(self) -> usize {
        self.size * self.size
    }

    /// How many numbers an image has.
    pub const fn values(self) -> usize {
        self.channels * self.pixels()
    }

    /// Puts values of `bytes_each` bytes into the order `[N, C, H, W]`, from images of the given
    /// sides: `[H, W]`, `[C, H, W]` or `[H, W, C]`, which comes first where both would fit.
    pub(super) fn channels_first(
        self,
        images: Vec<u8>,
        bytes_each: usize,
        sides: &[usize],
    ) -> Result<Vec<u8>, String> {
        let (size, channels) = (self.size, self.channels);
        match *sides {
            [h, w, c] if [h, w, c] == [size, size, channels] => {}
            [c, h, w] if [c, h, w] == [channels, size, size] => return Ok(images),
            [h, w] if [h, w, 1] == [size, size, channels] => return Ok(images),
            _ => {
                let sides = sides.iter().join("x");
                return Err(format!(
                    "images of `{sides}` values, but `data` has `input_size: {size}` and \
                     `channels: {channels}`"
                ));
            }
        }
        let mut moved = Vec::with_capacity(images.len());
        for image in images.chunks_exact(self.values() * bytes_each) {
            for channel in 0..channels {
                let values = image.chunks_exact(bytes_each).skip(channel).step_by(channels);
                moved.extend(values.flatten());
            }
        }
        Ok(moved)
    }
}

/// What images are for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    Training,
    Validation,
    /// Never read by a search.
    Test,
    /// Further images that train.
    #[serde(skip)]
    Extra,
}

/// As in the files, of 8 or of 16 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
}

/// The values that stand for 0 and 255, `data.value_range`.
pub type ValueRange = [u32; 2];
pub const BYTES: ValueRange = [0, 255];

impl Pixels {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> {
        match self {
            Self::Bytes(bytes) => Either::Left(bytes.iter().copied().map(u16::from)),
            Self::Words(words) => Either::Right(words.iter().copied()),
        }
    }

    /// Little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Words(words) => words.iter().copied().flat_map(u16::to_le_bytes).collect(),
        }
    }

    /// 0 to 255 for bytes, the least and the greatest value for words.
    pub fn range(&self) -> ValueRange {
        match (self, self.iter().minmax().into_option()) {
            // A range of one value would divide by zero.
            (Self::Words(_), Some((low, high))) => {
                [low.min(high.max(1) - 1), high.max(1)].map(u32::from)
            }
            _ => BYTES,
        }
    }

    /// `255 (v - low) / (high - low)`: below 0 or above 255 for values outside of the range.
    pub fn numbers(&self, range: ValueRange) -> Vec<f32> {
        let [low, high] = range.map(f64::from);
        self.iter().map(|v| (255.0 * (f64::from(v) - low) / (high - low)) as f32).collect()
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

fn gather<T: Copy>(all: &[T], values: usize, images: &[usize]) -> Vec<T> {
    let image = |&image: &usize| &all[image * values..(image + 1) * values];
    images.iter().map(image).collect::<Vec<_>>().concat()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pub shape: ImageShape,
    pub classes: usize,
    /// Shape `[N, C, H, W]`.
    pub pixels: Pixels,
    /// Each below the number of classes, shape `[N]`.
    pub labels: Vec<u8>,
    /// What stands in the file for class 0.
    pub first_label: u32,
    /// How many at the end are for validation, where the files say which.
    pub given_validation: usize,
    /// How many at the end only train.
    pub extra: usize,
}

impl Images {
    /// Panics on what the readers of the formats refuse before.
    pub fn new(
        shape: ImageShape,
        classes: usize,
        pixels: impl Into<Pixels>,
        labels: Vec<u8>,
    ) -> Self {
        let pixels = pixels.into();
        assert_eq!(pixels.iter().len(), labels.len() * shape.values(), "every label has an image");
        assert!(labels.iter().all(|&label| usize::from(label) < classes), "labels are classes");
        Self { shape, classes, pixels, labels, first_label: 0, given_validation: 0, extra: 0 }
    }

    pub fn count(&self) -> usize {
        self.labels.len()
    }

    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    pub(super) fn with_validation(self, validation: Self) -> Result<Self, String> {
        Ok(Self { given_validation: validation.count(), ..self.followed_by(validation)? })
    }

    pub(super) fn with_extra(self, extra: Self) -> Result<Self, String> {
        Ok(Self { extra: extra.count(), ..self.followed_by(extra)? })
    }

    fn followed_by(mut self, others: Self) -> Result<Self, String> {
        match (&mut self.pixels, others.pixels) {
            (Pixels::Bytes(pixels), Pixels::Bytes(others)) => pixels.extend(others),
            (Pixels::Words(pixels), Pixels::Words(others)) => pixels.extend(others),
            _ => return Err("images of 8 bits and others of 16 (save all with one dtype)".into()),
        }
        self.labels.extend(others.labels);
        Ok(self)
    }

    /// In the order of the indices.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let values = self.shape.values();
        let pixels = match &self.pixels {
            Pixels::Bytes(bytes) => Pixels::Bytes(gather(bytes, values, indices)),
            Pixels::Words(words) => Pixels::Words(gather(words, values, indices)),
        };
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self { pixels, labels, given_validation: 0, extra: 0, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Images {
        /// The bytes of one image, shape `[C, H, W]`.
        pub(in crate::dataset) fn image(&self, index: usize) -> &[u8] {
            let Pixels::Bytes(bytes) = &self.pixels else { panic!("words") };
            let values = self.shape.values();
            &bytes[index * values..(index + 1) * values]
        }
    }

    fn three() -> Images {
        let shape = ImageShape { channels: 1, size: 2 };
        Images::new(shape, 3, (0..12).collect::<Vec<u8>>(), vec![2, 0, 2])
    }

    #[test]
    fn an_image_is_its_slice_of_the_bytes() {
        assert_eq!(three().image(1), [4, 5, 6, 7]);
        assert_eq!(three().class_counts(), [1, 0, 2]);
    }

    #[test]
    fn a_subset_keeps_the_order_of_its_indices() {
        let subset = three().subset(&[2, 0]);
        assert_eq!(subset.pixels, Pixels::Bytes(vec![8, 9, 10, 11, 0, 1, 2, 3]));
        assert_eq!(subset.labels, [2, 2]);
    }

    #[test]
    fn words_are_mapped_to_the_scale_of_bytes_and_may_leave_it() {
        // Depths of 500 to 4,500 mm: 255 * 1000 / 4000 = 63.75; 255 * -500 / 4000 = -31.875.
        let depths = Pixels::Words(vec![500, 1_500, 4_500]);
        assert_eq!(depths.range(), [500, 4_500]);
        assert_eq!(depths.numbers(depths.range()), [0.0, 63.75, 255.0]);
        let others = Pixels::Words(vec![0, 4_500, 8_500]);
        assert_eq!(others.numbers([500, 4_500]), [-31.875, 255.0, 510.0]);
        assert_eq!(Pixels::Words(vec![7, 7]).range(), [6, 7]);
        assert_eq!(Pixels::Words(vec![0]).range(), [0, 1]);
        let bytes: Vec<u8> = (0..=255).collect();
        let numbers: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
        assert_eq!(Pixels::Bytes(bytes).numbers(BYTES), numbers);
    }
}
