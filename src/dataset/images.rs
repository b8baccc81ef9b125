//! Images in memory: bytes, labels, shape.

use super::error::problem;

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

    /// The bytes of one image.
    pub const fn values(self) -> usize {
        self.channels * self.pixels()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pub shape: ImageShape,
    pub classes: usize,
    /// 0 to 255, shape `[N, C, H, W]`.
    pub bytes: Vec<u8>,
    /// Each below the number of classes, shape `[N]`.
    pub labels: Vec<u8>,
}

impl Images {
    /// Panics on what the readers of the formats refuse before.
    pub fn new(shape: ImageShape, classes: usize, bytes: Vec<u8>, labels: Vec<u8>) -> Self {
        assert_eq!(bytes.len(), labels.len() * shape.values(), "every label has an image");
        assert!(labels.iter().all(|&label| usize::from(label) < classes), "labels are classes");
        Self { shape, classes, bytes, labels }
    }

    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The pixels of one image, shape `[C, H, W]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let values = self.shape.values();
        &self.bytes[index * values..(index + 1) * values]
    }

    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// In the order of the indices.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let bytes = indices.iter().map(|&index| self.image(index)).collect::<Vec<_>>().concat();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self { bytes, labels, ..*self }
    }
}

pub(super) fn check_labels(labels: &[u8], classes: usize) -> Result<(), String> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(index) => Err(problem::no_class(labels[index], index, classes)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Images {
        let shape = ImageShape { channels: 1, size: 2 };
        Images::new(shape, 3, (0..12).collect(), vec![2, 0, 2])
    }

    #[test]
    fn an_image_is_its_slice_of_the_bytes() {
        assert_eq!(three().image(1), [4, 5, 6, 7]);
        assert_eq!(three().class_counts(), [1, 0, 2]);
    }

    #[test]
    fn a_subset_keeps_the_order_of_its_indices() {
        let subset = three().subset(&[2, 0]);
        assert_eq!(subset.bytes, [8, 9, 10, 11, 0, 1, 2, 3]);
        assert_eq!(subset.labels, [2, 2]);
    }

    #[test]
    fn the_first_bad_label_is_named() {
        let problem = check_labels(&[0, 9, 10, 11], 10).unwrap_err();
        assert_eq!(problem, "label `10` of image `2` is outside the `10` classes");
    }
}
