//! The cropped digits of SVHN (format 2): one MAT-file with the arrays `X` and `y`.
//!
//! `X` is `[H, W, C, N] = [32, 32, 3, N]`, the first dimension running fastest; `y` has N numbers,
//! the digit of each image, with 10 for the digit 0.

use itertools::Itertools;

use super::error::problem;
use super::matlab;
use super::{ImageShape, Images};

const SHAPE: ImageShape = ImageShape { channels: 3, size: 32 };
const CLASSES: usize = 10;

/// The digit 1 becomes class 0, the digit 0 class 9.
pub(super) fn parse(file: &[u8]) -> Result<Images, String> {
    let labels = parse_labels(file)?;
    let variable = matlab::open(file, "X")?;
    let images = match *variable.dimensions {
        [32, 32, 3, images] => images as usize,
        _ => return Err(wrong_shape("X", &variable, "`32x32x3xN`")),
    };
    if images != labels.len() {
        return Err(problem::counts_differ(images, labels.len()));
    }
    let mut bytes = variable.read_bytes()?;
    transpose_planes(&mut bytes);
    Ok(Images::new(SHAPE, CLASSES, bytes, labels))
}

fn parse_labels(file: &[u8]) -> Result<Vec<u8>, String> {
    let variable = matlab::open(file, "y")?;
    match *variable.dimensions {
        [0, _] | [_, 0] => return Err(problem::NO_IMAGES.into()),
        [_, 1] | [1, _] => {}
        _ => return Err(wrong_shape("y", &variable, "`Nx1`")),
    }
    let digits = variable.read_numbers()?;
    let class = |(index, &digit): (usize, &f64)| {
        let is_digit = (1.0..=10.0).contains(&digit) && digit.fract() == 0.0;
        is_digit.then(|| digit as u8 - 1).ok_or_else(|| problem::no_class(digit, index, CLASSES))
    };
    digits.iter().enumerate().map(class).collect()
}

/// Turns each plane from column by column to row by row: `[N, C, H, W]`.
fn transpose_planes(bytes: &mut [u8]) {
    let size = SHAPE.size;
    let mut columns = [0; SHAPE.pixels()];
    for plane in bytes.chunks_exact_mut(SHAPE.pixels()) {
        columns.copy_from_slice(plane);
        for (row, values) in plane.chunks_exact_mut(size).enumerate() {
            for (column, value) in values.iter_mut().enumerate() {
                *value = columns[column * size + row];
            }
        }
    }
}

fn wrong_shape(name: &str, variable: &matlab::Variable<'_>, expected: &str) -> String {
    let found = variable.dimensions.iter().join("x");
    format!("variable `{name}` has the shape `{found}`, must be {expected}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::matlab::tests::{
        BYTES, CLASS_DOUBLE, CLASS_U8, DOUBLES, array, compressed, file,
    };
    use super::*;

    /// The value of a pixel in the files of these tests.
    fn pixel(row: usize, column: usize, channel: usize, image: usize) -> u8 {
        (row * 7 + column * 3 + channel * 50 + image) as u8
    }

    /// Writes images of the given digits as MATLAB would.
    pub(in crate::dataset) fn svhn_file(digits: &[f64]) -> Vec<u8> {
        let mut x = Vec::new();
        for image in 0..digits.len() {
            for channel in 0..3 {
                for column in 0..32 {
                    x.extend((0..32).map(|row| pixel(row, column, channel, image)));
                }
            }
        }
        let n = digits.len() as u32;
        let y: Vec<u8> = digits.iter().flat_map(|digit| digit.to_le_bytes()).collect();
        file(&[
            compressed(&array("X", CLASS_U8, &[32, 32, 3, n], (BYTES, &x))),
            compressed(&array("y", CLASS_DOUBLE, &[n, 1], (DOUBLES, &y))),
        ])
    }

    fn assert_pixels(images: &Images) {
        for index in 0..images.count() {
            let image = images.image(index);
            for (channel, row, column) in
                [(0, 0, 0), (0, 0, 31), (0, 31, 0), (2, 5, 17), (1, 30, 2)]
            {
                let value = image[(channel * 32 + row) * 32 + column];
                assert_eq!(value, pixel(row, column, channel, index));
            }
        }
    }

    #[test]
    fn pixels_are_row_by_row_and_digits_are_classes() {
        let images = parse(&svhn_file(&[1.0, 10.0, 9.0])).unwrap();
        assert_eq!(images.labels, [0, 9, 8]);
        assert_pixels(&images);
    }

    #[test]
    fn a_file_written_by_scipy_is_read() {
        // scipy 1.17.1, savemat(..., do_compression=True): the pixels of `pixel`, digits 1 to 10 as
        // bytes.
        let images = parse(include_bytes!("../../tests/fixtures/svhn_scipy.mat")).unwrap();
        assert_eq!(images.labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_pixels(&images);
    }

    #[test]
    fn a_label_that_is_no_digit_is_refused() {
        for bad in [0.0, 11.0, 2.5, f64::NAN] {
            let problem = parse(&svhn_file(&[1.0, bad])).unwrap_err();
            assert!(problem.contains("of image `1` is outside the `10` classes"), "{problem}");
        }
    }

    #[test]
    fn images_and_labels_must_be_equally_many() {
        let x = array("X", CLASS_U8, &[32, 32, 3, 2], (BYTES, &[0; 6144]));
        let y = array("y", CLASS_U8, &[3, 1], (BYTES, &[1, 2, 3]));
        let problem = parse(&file(&[x, y])).unwrap_err();
        assert_eq!(problem, "`3` labels for `2` images");
    }

    #[test]
    fn other_shapes_are_refused() {
        let x = array("X", CLASS_U8, &[2, 28, 28], (BYTES, &[0; 1568]));
        let y = array("y", CLASS_U8, &[2, 1], (BYTES, &[1, 2]));
        let message = parse(&file(&[x, y])).unwrap_err();
        assert!(message.contains("`X`") && message.contains("`2x28x28`"), "{message}");
    }
}
