//! IDX: the format of MNIST and Fashion-MNIST, plain or gzip.
//!
//! Images: `0x00000803`, count, rows, columns (big-endian, 32 bits each), then one byte a pixel,
//! row by row. With several channels `0x00000804`, the channels after the columns or after the
//! count. Labels: `0x00000801`, count, then one byte each.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use itertools::Itertools;

use super::bounded_read::{check_promise, expect_end, read_array, read_exactly};
use super::error::problem;
use super::images::check_labels;
use super::{ImageShape, Images};

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// First the images, then the labels.
pub(super) fn parse(
    files: &[Vec<u8>],
    shape: ImageShape,
    classes: usize,
) -> Result<Images, (usize, String)> {
    let bytes = parse_images(&files[0], shape).map_err(|problem| (0, problem))?;
    let count = bytes.len() / shape.values();
    let labels = parse_labels(&files[1], count, classes).map_err(|problem| (1, problem))?;
    Ok(Images::new(shape, classes, bytes, labels))
}

fn parse_images(file: &[u8], shape: ImageShape) -> Result<Vec<u8>, String> {
    let (mut reader, count) = open(file, "images", IMAGES_MAGIC + u32::from(shape.channels > 1))?;
    let sides = (0..2 + usize::from(shape.channels > 1)).map(|_| read_u32(&mut reader));
    let sides = sides.map_ok(|side| side as usize).collect::<Result<Vec<_>, _>>()?;
    shape.channels_first(Vec::new(), 1, &sides)?;
    if count == 0 {
        return Err(problem::NO_IMAGES.into());
    }
    // At most 2^32 images of 2^20 pixels: no overflow.
    let promised = u64::from(count) * shape.values() as u64;
    if is_packed(file) {
        check_promise(promised, file.len())?;
    }
    let bytes = read_exactly(&mut reader, promised)?;
    expect_end(&mut reader)?;
    shape.channels_first(bytes, 1, &sides)
}

fn parse_labels(file: &[u8], images: usize, classes: usize) -> Result<Vec<u8>, String> {
    let (mut reader, count) = open(file, "labels", LABELS_MAGIC)?;
    if count as usize != images {
        return Err(problem::counts_differ(images, count as usize));
    }
    let labels = read_exactly(&mut reader, u64::from(count))?;
    expect_end(&mut reader)?;
    check_labels(&labels, classes)?;
    Ok(labels)
}

fn open<'a>(file: &'a [u8], what: &str, magic: u32) -> Result<(Box<dyn Read + 'a>, u32), String> {
    let mut reader: Box<dyn Read + 'a> =
        if is_packed(file) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let found = read_u32(&mut reader)?;
    if found != magic {
        return Err(format!(
            "starts with `{found:#010x}`, but IDX {what} start with `{magic:#010x}`"
        ));
    }
    let count = read_u32(&mut reader)?;
    Ok((reader, count))
}

/// By the bytes, not the name: a browser may have unpacked a file and kept its name.
fn is_packed(file: &[u8]) -> bool {
    file.starts_with(&GZIP_MAGIC)
}

fn read_u32(reader: &mut impl Read) -> Result<u32, String> {
    Ok(u32::from_be_bytes(read_array(reader)?))
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
        assert_eq!(parse_labels(&gzip(&labels), 2, 2).unwrap(), [1, 0]);
    }

    #[test]
    fn a_file_of_labels_is_no_file_of_images() {
        assert_eq!(
            parse_images(&label_file(&[0; 20]), SHAPE).unwrap_err(),
            "starts with `0x00000801`, but IDX images start with `0x00000803`"
        );
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let problem = parse_images(&image_file(1, 3, &[0; 9]), SHAPE).unwrap_err();
        assert_eq!(
            problem,
            "images of `3x3` values, but `data` has `input_size: 2` and `channels: 1`"
        );
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let file = image_file(2, 2, &[7; 8]);
        for cut in 0..file.len() {
            let problem = parse_images(&file[..cut], SHAPE).unwrap_err();
            assert!(problem.starts_with("truncated"), "{cut}: {problem}");
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
        assert_eq!(parse_images(&file, SHAPE), Err(problem));
    }

    #[test]
    fn a_gzip_file_that_promises_too_much_is_not_unpacked() {
        // 33,554,432 images of four equal bytes, 128 MiB: a thousandth of it packed.
        let bomb = gzip(&image_file(1 << 25, 2, &vec![0; 1 << 27]));
        let problem = parse_images(&bomb, SHAPE).unwrap_err();
        assert!(problem.contains("packed bytes promise `134217728`"), "{problem}");
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
        assert_eq!(parse_labels(&file, 100, 10), Err(problem::CORRUPT.into()));
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
    fn counts_and_labels_must_fit() {
        let counts = problem::counts_differ(3, 2);
        assert_eq!(parse_labels(&label_file(&[0, 1]), 3, 10), Err(counts));
        let label = problem::no_class(10, 1, 10);
        assert_eq!(parse_labels(&label_file(&[0, 10]), 2, 10), Err(label));
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
            let _ = parse_labels(&file, 2, 10);
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
