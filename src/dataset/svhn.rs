//! The cropped digits of SVHN (format 2): one MAT-file with the arrays `X` and `y`.
//!
//! `X` is `[H, W, C, N] = [32, 32, 3, N]`, the first dimension running fastest; `y` has N numbers,
//! the digit of each image, with 10 for the digit 0.

use itertools::Itertools;

use super::ImageShape;
use super::error::{WrongFile, problem};
use super::labels::check_shape;
use super::matlab;

const SHAPE: ImageShape = ImageShape { channels: 3, size: 32 };

/// Pixels, and digits as they are written.
pub(super) fn parse(file: &[u8]) -> Result<(Vec<u8>, Vec<f64>), WrongFile> {
    let variable = matlab::open(file, "X")?;
    let images = match *variable.dimensions {
        [32, 32, 3, 0] => return Err(problem::NO_IMAGES.into()),
        [32, 32, 3, images] => images as usize,
        _ => {
            let found = variable.dimensions.iter().join("x");
            let problem = format!("variable `X` has the shape `{found}`, must be `32x32x3xN`");
            return Err(WrongFile::Unsuitable(problem));
        }
    };
    let labels = matlab::open(file, "y")?;
    let sides: Vec<usize> = labels.dimensions.iter().map(|&side| side as usize).collect();
    check_shape(&sides, images)
        .map_err(|problem| WrongFile::Unsuitable(format!("variable `y`: {problem}")))?;
    let labels = labels.read_numbers()?;
    let mut bytes = variable.read_bytes()?;
    transpose_planes(&mut bytes);
    Ok((bytes, labels))
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

    fn assert_pixels(images: &[u8]) {
        for (index, image) in images.chunks_exact(SHAPE.values()).enumerate() {
            for (channel, row, column) in
                [(0, 0, 0), (0, 0, 31), (0, 31, 0), (2, 5, 17), (1, 30, 2)]
            {
                let value = image[(channel * 32 + row) * 32 + column];
                assert_eq!(value, pixel(row, column, channel, index));
            }
        }
    }

    #[test]
    fn pixels_are_row_by_row() {
        let (images, digits) = parse(&svhn_file(&[1.0, 10.0, 9.0])).unwrap();
        assert_eq!(digits, [1.0, 10.0, 9.0]);
        assert_pixels(&images);
    }

    #[test]
    fn a_file_written_by_scipy_is_read() {
        // scipy 1.17.1, savemat(..., do_compression=True): the pixels of `pixel`, digits 1 to 10 as
        // bytes.
        let (images, digits) =
            parse(include_bytes!("../../tests/fixtures/svhn_scipy.mat")).unwrap();
        assert_eq!(digits, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
        assert_pixels(&images);
    }

    #[test]
    fn labels_may_have_one_dimension_and_pixels_must_be_bytes() {
        let x = array("X", CLASS_U8, &[32, 32, 3, 2], (BYTES, &[7; 6144]));
        let y = array("y", CLASS_U8, &[2], (BYTES, &[1, 0]));
        assert_eq!(parse(&file(&[x, y.clone()])).unwrap().1, [1.0, 0.0]);
        let x = array("X", CLASS_DOUBLE, &[32, 32, 3, 2], (DOUBLES, &[0; 8 * 6144]));
        let problem = parse(&file(&[x, y])).unwrap_err().to_string();
        assert!(problem.ends_with("64-bit floats, not bytes (save it as bytes: `X = uint8(X)`)"));
    }

    #[test]
    fn images_and_labels_must_be_equally_many() {
        let x = array("X", CLASS_U8, &[32, 32, 3, 2], (BYTES, &[0; 6144]));
        let y = array("y", CLASS_U8, &[3, 1], (BYTES, &[1, 2, 3]));
        let problem = parse(&file(&[x, y])).unwrap_err();
        assert_eq!(problem.to_string(), "variable `y`: `3` labels for `2` images");
    }

    #[test]
    fn other_shapes_are_refused() {
        let x = array("X", CLASS_U8, &[2, 28, 28], (BYTES, &[0; 1568]));
        let y = array("y", CLASS_U8, &[2, 1], (BYTES, &[1, 2]));
        let message = parse(&file(&[x, y])).unwrap_err().to_string();
        assert!(message.contains("`X`") && message.contains("`2x28x28`"), "{message}");
    }
}
