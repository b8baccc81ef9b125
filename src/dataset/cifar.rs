//! The binary versions of CIFAR-10 and CIFAR-100.
//!
//! Records without a header: the label (CIFAR-100: the coarse, then the fine one), then 32x32 red,
//! green and blue bytes, row by row: `[C, H, W]`.

use super::error::{Result, problem};
use super::images::check_labels;
use super::source_file::SourceFile;
use super::{DataKind, ImageShape, Images};

const SHAPE: ImageShape = ImageShape { channels: 3, size: 32 };

/// The bytes of labels before an image, of which the last counts, and the classes.
const fn layout(kind: DataKind) -> (usize, usize) {
    if matches!(kind, DataKind::Cifar100) { (2, 100) } else { (1, 10) }
}

/// Reads the images of all batches, which must be equally large: the files say nothing about their
/// length, so a batch cut between two records shows in no other way.
pub(super) fn parse(batches: &[SourceFile], kind: DataKind) -> Result<Images> {
    let total: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let (mut pixels, mut labels) = (Vec::with_capacity(total), Vec::new());
    let mut expected = None;
    for batch in batches {
        let found = batch.parse(|file| parse_batch(file, kind, &mut pixels, &mut labels))?;
        let expected = *expected.get_or_insert(found);
        if found != expected {
            return Err(batch.damaged(format!(
                "`{found}` images, but the first batch has `{expected}` (fetch it again)"
            )));
        }
    }
    Ok(Images::new(SHAPE, layout(kind).1, pixels, labels))
}

/// Appends the images of one batch and returns their number.
fn parse_batch(
    file: &[u8],
    kind: DataKind,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u8>,
) -> Result<usize, String> {
    let (label_bytes, classes) = layout(kind);
    let record = label_bytes + SHAPE.values();
    if file.is_empty() {
        return Err(problem::NO_IMAGES.into());
    }
    if !file.len().is_multiple_of(record) {
        return Err(format!(
            "`{}` bytes are not a whole number of records of `{record}` bytes (fetch it again)",
            file.len()
        ));
    }
    let before = labels.len();
    for record in file.chunks_exact(record) {
        let (head, image) = record.split_at(label_bytes);
        labels.push(head[label_bytes - 1]);
        pixels.extend_from_slice(image);
    }
    check_labels(&labels[before..], classes)?;
    Ok(labels.len() - before)
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

    fn batch(name: &str, bytes: Vec<u8>) -> SourceFile {
        SourceFile { path: name.into(), bytes }
    }

    #[test]
    fn batches_follow_each_other() {
        let batches = [batch("a", record(&[9], 1)), batch("b", record(&[0], 255))];
        let images = parse(&batches, DataKind::Cifar10).unwrap();
        assert_eq!(images.labels, [9, 0]);
        assert_eq!(images.image(1)[0], 255);
        assert_eq!((images.image(0)[1024], images.image(0)[2048]), (2, 3));
    }

    #[test]
    fn the_fine_label_counts() {
        let images = parse(&[batch("a", record(&[19, 99], 1))], DataKind::Cifar100).unwrap();
        assert_eq!(images.labels, [99]);
        assert_eq!(images.image(0)[0], 1);
    }

    #[test]
    fn a_file_of_the_other_version_is_refused() {
        let error = parse(&[batch("train.bin", record(&[9], 1))], DataKind::Cifar100);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("`train.bin`") && message.contains("`3074`"), "{message}");
    }

    #[test]
    fn a_batch_cut_between_records_is_refused() {
        let two = [record(&[1], 0), record(&[2], 0)].concat();
        let error = parse(&[batch("a", two), batch("b", record(&[3], 0))], DataKind::Cifar10);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("`b`: `1` images"), "{message}");
    }

    #[test]
    fn a_label_beyond_the_classes_is_refused() {
        let message =
            parse(&[batch("a", record(&[10], 0))], DataKind::Cifar10).unwrap_err().to_string();
        assert!(message.contains("label `10` of image `0`"), "{message}");
    }

    #[test]
    fn an_empty_file_is_refused() {
        assert!(parse(&[batch("a", Vec::new())], DataKind::Cifar10).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(seed: Vec<u8>, length in 0usize..10_000) {
            let bytes: Vec<u8> = seed.iter().chain(&[0]).copied().cycle().take(length).collect();
            for kind in [DataKind::Cifar10, DataKind::Cifar100] {
                let _ = parse(&[batch("a", bytes.clone())], kind);
            }
        }
    }
}
