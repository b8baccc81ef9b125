//! The binary versions of CIFAR-10 and CIFAR-100.
//!
//! Records without a header: the label (CIFAR-100: the coarse, then the fine one), then 32x32 red,
//! green and blue bytes, row by row: `[C, H, W]`.

use super::error::{WrongFile, problem};
use super::sniff::sniff;
use super::{ImageShape, Images};

/// Reads the images of all batches, which must be equally large: the files say nothing about their
/// length, so a batch cut between two records shows in no other way.
pub(super) fn parse(
    batches: &[Vec<u8>],
    shape: ImageShape,
    classes: usize,
) -> Result<Images, (usize, WrongFile)> {
    let wrong = |batch: usize, problem: String| {
        // Whose first byte is no label, of CIFAR-100 the coarse one.
        let other = batches[batch].first().is_none_or(|&label| label >= 20);
        let other = other.then(|| sniff(&batches[batch])).flatten();
        Err((batch, other.map_or(WrongFile::Damaged(problem), WrongFile::Unsuitable)))
    };
    // Of the labels before an image the last counts.
    let label_bytes = if classes == 100 { 2 } else { 1 };
    let record = label_bytes + shape.values();
    let mut pixels = Vec::with_capacity(batches.iter().map(Vec::len).sum());
    let mut labels = Vec::new();
    for (batch, file) in batches.iter().enumerate() {
        if file.is_empty() {
            return wrong(batch, problem::NO_IMAGES.into());
        }
        if !file.len().is_multiple_of(record) {
            let bytes = file.len();
            let problem = format!(
                "`{bytes}` bytes are not a whole number of records of `{record}` bytes (fetch it \
                 again)"
            );
            return wrong(batch, problem);
        }
        let [found, expected] = [file, &batches[0]].map(|file| file.len() / record);
        if found != expected {
            let problem =
                format!("`{found}` images, but the first batch has `{expected}` (fetch it again)");
            return wrong(batch, problem);
        }
        let before = labels.len();
        for record in file.chunks_exact(record) {
            let (head, image) = record.split_at(label_bytes);
            labels.push(head[label_bytes - 1]);
            pixels.extend_from_slice(image);
        }
        let is_none = |&label: &u8| usize::from(label) >= classes;
        if let Some(image) = labels[before..].iter().position(is_none) {
            return wrong(batch, problem::no_class(labels[before + image], image, classes));
        }
    }
    Ok(Images::new(shape, classes, pixels, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(labels: &[u8], red: u8) -> Vec<u8> {
        let mut record = labels.to_vec();
        record.extend([red; 1024]);
        record.extend([2; 1024]);
        record.extend([3; 1024]);
        record
    }

    const SHAPE: ImageShape = ImageShape { channels: 3, size: 32 };

    #[test]
    fn batches_follow_each_other() {
        let images = parse(&[record(&[9], 1), record(&[0], 255)], SHAPE, 10).unwrap();
        assert_eq!(images.labels, [9, 0]);
        assert_eq!(images.image(1)[0], 255);
        assert_eq!((images.image(0)[1024], images.image(0)[2048]), (2, 3));
    }

    #[test]
    fn the_fine_label_counts() {
        let images = parse(&[record(&[19, 99], 1)], SHAPE, 100).unwrap();
        assert_eq!(images.labels, [99]);
        assert_eq!(images.image(0)[0], 1);
    }

    #[test]
    fn a_file_of_the_other_version_is_refused() {
        let (file, message) = parse(&[record(&[9], 1)], SHAPE, 100).unwrap_err();
        assert!(file == 0 && message.to_string().contains("`3074`"), "{message}");
    }

    #[test]
    fn a_batch_cut_between_records_is_refused() {
        let two = [record(&[1], 0), record(&[2], 0)].concat();
        let (file, message) = parse(&[two, record(&[3], 0)], SHAPE, 10).unwrap_err();
        assert!(file == 1 && message.to_string().starts_with("`1` images"), "{message}");
    }

    #[test]
    fn a_label_beyond_the_classes_is_refused() {
        let (_, message) = parse(&[record(&[10], 0)], SHAPE, 10).unwrap_err();
        assert!(message.to_string().contains("label `10` of image `0`"), "{message}");
    }

    #[test]
    fn the_version_for_python_is_named() {
        let (_, message) = parse(&[b"\x80\x02}q\x00(X\x04\x00".to_vec()], SHAPE, 10).unwrap_err();
        assert!(message.to_string().starts_with("a pickle of Python (CIFAR's binary"), "{message}");
    }

    #[test]
    fn an_empty_file_is_refused() {
        assert!(parse(&[Vec::new()], SHAPE, 10).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(seed: Vec<u8>, length in 0usize..10_000) {
            let bytes: Vec<u8> = seed.iter().chain(&[0]).copied().cycle().take(length).collect();
            for classes in [10, 100] {
                let _ = parse(std::slice::from_ref(&bytes), SHAPE, classes);
            }
        }
    }
}
