//! Labels as they stand in a file, numbers of any type, become classes.

use itertools::Itertools;

use super::error::problem;
use super::images::{Images, Part, Pixels};
use super::sniff::in_words;
use super::{DataKind, ValidDataParams};

/// Little-endian numbers of a type as numpy names it.
pub(super) fn numbers(kind: &str, bytes: &[u8]) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().copied().map(number).collect()
    }
    Ok(match kind {
        "u1" | "b1" => each(bytes, |it| f64::from(u8::from_le_bytes(it))),
        "i1" => each(bytes, |it| f64::from(i8::from_le_bytes(it))),
        "u2" => each(bytes, |it| f64::from(u16::from_le_bytes(it))),
        "i2" => each(bytes, |it| f64::from(i16::from_le_bytes(it))),
        "u4" => each(bytes, |it| f64::from(u32::from_le_bytes(it))),
        "i4" => each(bytes, |it| f64::from(i32::from_le_bytes(it))),
        "u8" => each(bytes, |it| u64::from_le_bytes(it) as f64),
        "i8" => each(bytes, |it| i64::from_le_bytes(it) as f64),
        "f4" => each(bytes, |it| f64::from(f32::from_le_bytes(it))),
        "f8" => each(bytes, f64::from_le_bytes),
        _ => return Err(format!("labels of {} (save one integer for each image)", in_words(kind))),
    })
}

/// Checks that there is one label for each image: `N`, `Nx1` or `1xN` numbers.
pub(super) fn check_shape(shape: &[usize], images: usize) -> Result<(), String> {
    if shape.iter().filter(|&&side| side != 1).count() > 1 {
        let remedy = "save one integer for each image, of one-hot labels the column of the 1: \
                      `labels.argmax(axis=1)`";
        return Err(format!("labels of shape `{}` ({remedy})", shape.iter().join("x")));
    }
    let labels = shape.iter().product();
    if labels == images { Ok(()) } else { Err(problem::counts_differ(images, labels)) }
}

/// Labels begin at `data.first_label`; where it is null at 0 (SVHN: 1), or, if training labels lie
/// elsewhere and can have no other meaning, at the least of them. SVHN's class 9 is the digit 0,
/// written as 10 or, in files that begin at 0, as 0.
pub(super) fn labelled(
    pixels: impl Into<Pixels>,
    labels: &[f64],
    part: Part,
    params: &ValidDataParams,
) -> Result<Images, String> {
    let is_svhn = params.kind == Some(DataKind::Svhn);
    let (classes, usual) = (f64::from(params.classes), f64::from(u8::from(is_svhn)));
    let low = labels.iter().copied().fold(f64::INFINITY, f64::min);
    let high = labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_found = part == Part::Training
        && (low < usual || high >= usual + classes)
        && high - low + 1.0 == classes
        && (0.0..=if is_svhn { 1.0 } else { 65_535.0 }).contains(&low);
    let first = params.first_label.map_or(if is_found { low } else { usual }, f64::from);
    let class = |(index, &label): (usize, &f64)| {
        let class = if is_svhn { (label + 9.0) % 10.0 } else { label - first };
        let is_class = (0.0..classes).contains(&(label - first)) && class.fract() == 0.0;
        is_class.then_some(class as u8).ok_or_else(|| {
            let different = labels.iter().map(|label| label.to_bits()).unique().count();
            format!(
                "{}, which begin at `{first}` ({different} different labels are there, from {low} \
                 to {high}: set `data.classes` or `data.first_label`, or number them anew)",
                problem::no_class(label, index, params.classes)
            )
        })
    };
    let labels = labels.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    let images = Images::new(params.shape(), params.classes as usize, pixels, labels);
    Ok(Images { first_label: first as u32, ..images })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DataParams;

    fn read(labels: &[f64], part: Part, yaml: &str) -> Result<(Vec<u8>, u32), String> {
        let params: DataParams = serde_yaml::from_str(&format!("{{path: x, {yaml}}}")).unwrap();
        let params = params.check().unwrap();
        let pixels = vec![0; labels.len() * params.shape().values()];
        let images = labelled(pixels, labels, part, &params)?;
        Ok((images.labels, images.first_label))
    }

    const SMALL: &str = "kind: idx, classes: 3, input_size: 1, channels: 1";
    const SVHN: &str = "kind: svhn, classes: 10, input_size: 32, channels: 3";

    #[test]
    fn training_labels_begin_where_they_can_only_begin() {
        let training = |labels: &[f64]| read(labels, Part::Training, SMALL);
        assert_eq!(training(&[1.0, 2.0, 0.0]), Ok((vec![1, 2, 0], 0)));
        assert_eq!(training(&[1.0, 2.0, 3.0]), Ok((vec![0, 1, 2], 1)));
        assert_eq!(training(&[7.0, 6.0, 8.0]), Ok((vec![1, 0, 2], 6)));
        // May be classes 1 and 2 of three.
        assert_eq!(training(&[1.0, 2.0, 1.0]), Ok((vec![1, 2, 1], 0)));
        let problem = training(&[2.0, 5.0, 7.0]).unwrap_err();
        assert_eq!(
            problem,
            "label `5` of image `1` is outside the `3` classes, which begin at `0` (3 different \
             labels are there, from 2 to 7: set `data.classes` or `data.first_label`, or number \
             them anew)"
        );
        for bad in [-1.0, 0.5, f64::NAN] {
            let problem = training(&[0.0, bad]).unwrap_err();
            assert!(problem.starts_with(&format!("label `{bad}` of image `1` is")), "{problem}");
        }
    }

    #[test]
    fn a_first_label_that_is_given_holds_for_every_part() {
        let given = format!("{SMALL}, first_label: 1");
        for part in [Part::Training, Part::Test] {
            assert_eq!(read(&[1.0, 2.0, 1.0], part, &given), Ok((vec![0, 1, 0], 1)));
            assert!(read(&[0.0, 1.0, 2.0], part, &given).unwrap_err().contains("begin at `1`"));
        }
        // The least label of a part may be missing there.
        assert!(read(&[1.0, 2.0, 3.0], Part::Test, SMALL).is_err());
    }

    #[test]
    fn the_digit_0_of_svhn_is_class_9_however_it_is_written() {
        let digits = |digits: std::ops::RangeInclusive<u8>| {
            let digits: Vec<f64> = digits.map(f64::from).collect();
            read(&digits, Part::Training, SVHN)
        };
        assert_eq!(digits(1..=10), Ok(((0..10).collect(), 1)));
        assert_eq!(digits(0..=9), Ok(([9].into_iter().chain(0..9).collect(), 0)));
        assert!(digits(0..=10).unwrap_err().contains("label `0` of image `0` is outside the `10`"));
        assert!(digits(2..=11).is_err());
    }
}
