//! IDX: the format of MNIST and Fashion-MNIST, plain or gzip.
//!
//! Two zero bytes, the type of the numbers, how many dimensions; the dimensions (big-endian, 32
//! bits each, the count first), then the numbers, big-endian. Images are bytes (type 8), row by
//! row: count, rows, columns; with several channels these after the columns or after the count.
//! Labels are numbers of any type, or QMNIST's eight integers an image, the first one the class.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::ImageShape;
use super::bounded_read::{check_promise, expect_end, read_array, read_exactly};
use super::error::{WrongFile, problem};
use super::labels::{check_shape, numbers};
use super::sniff::{GZIP, idx_header, idx_in_words, sniff};

/// First the images, then the labels.
pub(super) fn parse(
    files: &[Vec<u8>],
    shape: ImageShape,
) -> Result<(Vec<u8>, Vec<f64>), (usize, WrongFile)> {
    let bytes = parse_images(&files[0], shape).map_err(|problem| (0, problem))?;
    let count = bytes.len() / shape.values();
    let labels = parse_labels(&files[1], count).map_err(|problem| (1, problem))?;
    Ok((bytes, labels))
}

fn parse_images(file: &[u8], shape: ImageShape) -> Result<Vec<u8>, WrongFile> {
    let Idx { mut reader, kind, sides } = open(file)?;
    if kind != "u1" || sides.len() < 3 {
        return Err(WrongFile::Unsuitable(format!(
            "{}; images are bytes, 3 dimensions, with colours 4 (save them so, or as integers of 8 \
             or 16 bits in an `.npz` file: `data.kind: npz`)",
            idx_in_words((kind, sides.len() as u8))
        )));
    }
    shape.channels_first(Vec::new(), 1, &sides[1..]).map_err(WrongFile::Unsuitable)?;
    if sides[0] == 0 {
        return Err(problem::NO_IMAGES.into());
    }
    // At most 2^32 images of 2^26 values: no overflow.
    let promised = sides[0] as u64 * shape.values() as u64;
    if is_packed(file) {
        check_promise(promised, file.len())?;
    }
    let bytes = read_exactly(&mut reader, promised)?;
    expect_end(&mut reader)?;
    Ok(shape.channels_first(bytes, 1, &sides[1..])?)
}

fn parse_labels(file: &[u8], images: usize) -> Result<Vec<f64>, WrongFile> {
    let Idx { mut reader, kind, sides } = open(file)?;
    let columns = if kind == "i4" && sides[1..] == [8] { 8 } else { 1 };
    let shape = if columns == 8 { &sides[..1] } else { &sides[..] };
    check_shape(shape, images).map_err(WrongFile::Unsuitable)?;
    let size = usize::from(kind.as_bytes()[1] - b'0');
    let mut bytes = read_exactly(&mut reader, (images * columns * size) as u64)?;
    expect_end(&mut reader)?;
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    Ok(numbers(kind, &bytes)?.into_iter().step_by(columns).collect())
}

struct Idx<'a> {
    reader: Box<dyn Read + 'a>,
    kind: &'static str,
    sides: Vec<usize>,
}

fn open(file: &[u8]) -> Result<Idx<'_>, WrongFile> {
    let mut reader: Box<dyn Read> =
        if is_packed(file) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let magic: [u8; 4] = read_array(&mut reader)?;
    let Some((kind, dimensions)) = idx_header(magic) else {
        let bytes = || format!("no IDX file: it begins with the bytes `{magic:02x?}`");
        return Err(WrongFile::Unsuitable(sniff(file).unwrap_or_else(bytes)));
    };
    let side = |_| Ok(u32::from_be_bytes(read_array(&mut reader)?) as usize);
    let sides = (0..dimensions).map(side).collect::<Result<_, String>>()?;
    Ok(Idx { reader, kind, sides })
}

/// By the bytes, not the name: a browser may have unpacked a file and kept its name.
fn is_packed(file: &[u8]) -> bool {
    file.starts_with(&GZIP)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    const SHAPE: ImageShape = ImageShape { channels: 1, size: 2 };

    pub(in crate::dataset) fn image_file(count: u32, size: u32, pixels: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, 3];
        for number in [count, size, size] {
            file.extend(number.to_be_bytes());
        }
        file.extend(pixels);
        file
    }

    pub(in crate::dataset) fn label_file(labels: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, 1];
        file.extend((labels.len() as u32).to_be_bytes());
        file.extend(labels);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_files_give_the_same_images() {
        let file = image_file(2, 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(parse_images(&file, SHAPE).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(parse_images(&gzip(&file), SHAPE), parse_images(&file, SHAPE));
        let labels = label_file(&[1, 0]);
        assert_eq!(parse_labels(&gzip(&labels), 2).unwrap(), [1.0, 0.0]);
    }

    fn idx(code: u8, sides: &[u32], values: &[u8]) -> Vec<u8> {
        let sides_in_bytes = sides.iter().flat_map(|side| side.to_be_bytes());
        [0, 0, code, sides.len() as u8]
            .into_iter()
            .chain(sides_in_bytes)
            .chain(values.to_vec())
            .collect()
    }

    #[test]
    fn images_of_another_type_are_named_in_words() {
        for (code, sides, what) in [
            (0x0d, &[1, 2, 2][..], "32-bit floats, 3 dimensions"),
            (0x0b, &[1, 2, 2], "signed 16-bit integers, 3 dimensions"),
            (0x09, &[1, 2, 2, 1], "signed 8-bit integers, 4 dimensions"),
            (0x08, &[20], "bytes, 1 dimension"),
        ] {
            let problem = parse_images(&idx(code, sides, &[0; 32]), SHAPE).unwrap_err();
            let named = problem.to_string().starts_with(&format!("an IDX file of {what}; images"));
            assert!(named && matches!(problem, WrongFile::Unsuitable(_)), "{problem}");
        }
        let problem = parse_images(&gzip(b"<html><title>Sign in</title>"), SHAPE).unwrap_err();
        assert!(problem.to_string().starts_with("packed with gzip: a web page"), "{problem}");
        let problem = parse_images(&[0xfe, 1, 2, 3], SHAPE).unwrap_err().to_string();
        assert_eq!(problem, "no IDX file: it begins with the bytes `[fe, 01, 02, 03]`");
    }

    #[test]
    fn labels_may_be_of_any_type_and_a_column() {
        let labels = |code, sides: &[u32], values: &[u8]| {
            parse_labels(&idx(code, sides, values), 2).map_err(|problem| problem.to_string())
        };
        for (code, values) in [
            (0x09, &[2, 0xff][..]),
            (0x0b, &[0, 2, 0xff, 0xff]),
            (0x0c, &[0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff]),
            (0x0d, &[0x40, 0, 0, 0, 0xbf, 0x80, 0, 0]),
        ] {
            for sides in [&[2][..], &[2, 1], &[1, 2]] {
                assert_eq!(labels(code, sides, values).unwrap(), [2.0, -1.0], "{code} {sides:?}");
            }
        }
        let qmnist: Vec<u8> = (0..16u32).flat_map(|value| (value % 15).to_be_bytes()).collect();
        assert_eq!(labels(0x0c, &[2, 8], &qmnist).unwrap(), [0.0, 8.0]);
        let problem = labels(0x08, &[2, 3], &[1, 0, 0, 0, 1, 0]).unwrap_err();
        assert!(problem.starts_with("labels of shape `2x3` (save one integer"), "{problem}");
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let problem = parse_images(&image_file(1, 3, &[0; 9]), SHAPE).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "images of `3x3` values, but `data` has `input_size: 2` and `channels: 1`"
        );
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let file = image_file(2, 2, &[7; 8]);
        for cut in 0..file.len() {
            let problem = parse_images(&file[..cut], SHAPE).unwrap_err();
            assert!(problem.to_string().starts_with("truncated"), "{cut}: {problem}");
        }
        let file = gzip(&file);
        for cut in 0..file.len() {
            assert!(parse_images(&file[..cut], SHAPE).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_lying_header_costs_only_the_file() {
        // 4,294,967,295 images of four bytes are promised, and eight bytes there.
        let file = image_file(u32::MAX, 2, &[7; 8]);
        let problem = problem::truncated(8, 4 * u64::from(u32::MAX));
        assert_eq!(parse_images(&file, SHAPE), Err(problem.into()));
    }

    #[test]
    fn a_gzip_file_that_promises_too_much_is_not_unpacked() {
        // 1,073,741,825 images of four bytes, four more than 4 GiB.
        let bomb = gzip(&image_file((1 << 30) + 1, 2, &[0; 1_000]));
        let problem = parse_images(&bomb, SHAPE).unwrap_err().to_string();
        assert!(problem.contains("packed bytes promise `4294967300`"), "{problem}");
    }

    #[test]
    fn a_gzip_file_that_unpacks_to_more_is_left_at_the_first_byte_too_many() {
        let bomb = gzip(&image_file(1, 2, &vec![0; 5_000_000]));
        assert_eq!(parse_images(&bomb, SHAPE), Err(problem::TRAILING_BYTES.into()));
    }

    #[test]
    fn a_changed_bit_in_a_gzip_file_is_noticed() {
        let mut file = gzip(&label_file(&[0; 100]));
        let checksum = file.len() - 8;
        file[checksum] ^= 1;
        assert_eq!(parse_labels(&file, 100), Err(problem::CORRUPT.into()));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(
            parse_images(&image_file(1, 2, &[0; 5]), SHAPE),
            Err(problem::TRAILING_BYTES.into())
        );
    }

    #[test]
    fn a_file_without_images_is_refused() {
        assert_eq!(parse_images(&image_file(0, 2, &[]), SHAPE), Err(problem::NO_IMAGES.into()));
    }

    #[test]
    fn counts_must_fit() {
        let counts = WrongFile::Unsuitable(problem::counts_differ(3, 2));
        assert_eq!(parse_labels(&label_file(&[0, 1]), 3), Err(counts));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, packed: bool, with_magic: bool) {
            let mut file = if with_magic { image_file(2, 2, &[]) } else { Vec::new() };
            file.extend(bytes);
            let file = if packed { gzip(&file) } else { file };
            if let Ok(pixels) = parse_images(&file, SHAPE) {
                prop_assert_eq!(pixels.len(), 8);
            }
            let _ = parse_labels(&file, 2);
        }

        #[test]
        fn what_is_written_is_read(pixels in proptest::collection::vec(any::<u8>(), 4..400)) {
            let count = pixels.len() / 4;
            let pixels = &pixels[..count * 4];
            let file = image_file(count as u32, 2, pixels);
            prop_assert_eq!(parse_images(&file, SHAPE).unwrap(), pixels);
        }
    }
}
