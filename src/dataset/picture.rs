//! One picture from a file: decoded by its content, turned upright, made grey or coloured, small.
//!
//! PNG, BMP, TIFF, WebP and GIF are decoded to the bit as Pillow does. Decoders of JPEG differ by
//! up to 3 of 255 (small pictures in strong colours at half the resolution: 6, one value in 1,000
//! by more than 3). Of several frames the first is taken.

use std::io::Cursor;
use std::panic;
use std::path::Path;

use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use itertools::Itertools;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, options::DecoderOptions};

use super::ValidDataParams;
use super::images::Pixels;
use super::resize::Plane;
use super::sniff::sniff;
use crate::regular_file::{self, LARGE};

const MOST_PIXELS: u64 = 100_000_000;
/// A decoder's memory: 100 megapixels of four channels of 16 bits, and its own.
const MOST_MEMORY: u64 = 1 << 30;
const INSTEAD: &str = "save it as PNG";

pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    regular_file::read_linked(path, LARGE).map_err(|error| error.to_string())
}

/// Whether a file is meant as a picture, readable or not. Texts may begin as some formats do.
pub(super) fn is_meant(name: &str, bytes: &[u8]) -> bool {
    const OTHERS: [&str; 7] = ["heic", "heif", "jp2", "j2k", "jxl", "pcx", "psd"];
    let format = image::guess_format(bytes).ok();
    let is_surely = format.is_some_and(|it| !matches!(it, ImageFormat::Bmp | ImageFormat::Pnm));
    name.rsplit_once('.').map_or(format.is_some(), |(_, end)| {
        let end = end.to_ascii_lowercase();
        is_surely || ImageFormat::from_extension(&end).is_some() || OTHERS.contains(&end.as_str())
    })
}

/// Decodes a picture and turns it as its camera was held.
pub(super) fn open(bytes: &[u8]) -> Result<DynamicImage, String> {
    // A file may come from anywhere, and a decoder may have faults.
    let decoded = panic::catch_unwind(|| decode(bytes));
    decoded.unwrap_or_else(|_| Err(format!("its decoder gave up ({INSTEAD})")))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let broken = |error: image::ImageError| {
        // Some are of several lines.
        let problem = error.to_string().split_whitespace().join(" ");
        format!("{problem} (fetch it again, or {INSTEAD})")
    };
    if bytes.is_empty() {
        return Err("an empty file (remove it)".to_owned());
    }
    let format = match bytes.get(..4) {
        // TIFF of more than 4 GiB.
        Some(b"II+\0" | b"MM\0+") => ImageFormat::Tiff,
        _ => image::guess_format(bytes).map_err(|_| {
            let what = sniff(bytes).filter(|what| !what.starts_with("a picture"));
            what.unwrap_or_else(|| format!("no picture ({INSTEAD})"))
        })?,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!(
            "{width} x {height} pixels, more than 100 megapixels (make it smaller)"
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    if format == ImageFormat::Jpeg {
        // The decoder of `image` takes a file that was cut off, grey below.
        let options = DecoderOptions::default().set_strict_mode(true);
        let options = options.set_max_width(u16::MAX.into()).set_max_height(u16::MAX.into());
        let strict = JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode();
        strict.map_err(|error| format!("a broken JPEG: {error} (fetch it again, or {INSTEAD})"))?;
    }
    Ok(picture)
}

/// Whether an animation, or a stack, follows the picture in its file.
pub(super) fn has_more_frames(bytes: &[u8]) -> bool {
    // The chunk that announces it, before the first picture.
    let announces = |name: &[u8]| bytes.windows(4).take(1 << 16).any(|chunk| chunk == name);
    let number = |at: usize, bytes_each: usize| {
        let field = bytes.get(at..at + bytes_each)?.iter().map(|&byte| usize::from(byte));
        let larger = |number, byte| number << 8 | byte;
        Some(if bytes[0] == b'M' { field.fold(0, larger) } else { field.rev().fold(0, larger) })
    };
    match image::guess_format(bytes) {
        Ok(ImageFormat::WebP) => announces(b"ANIM"),
        Ok(ImageFormat::Png) => announces(b"acTL"),
        Ok(ImageFormat::Gif) => image::codecs::gif::GifDecoder::new(Cursor::new(bytes))
            .is_ok_and(|decoder| decoder.into_frames().nth(1).is_some()),
        // The place of the next directory stands after the entries of the first, 12 bytes each.
        Ok(ImageFormat::Tiff) => number(4, 4)
            .and_then(|at| number(at + 2 + 12 * number(at, 2)?, 4))
            .is_some_and(|next| next != 0),
        _ => false,
    }
}

/// What a network gets of the picture in a file.
pub(super) fn pixels(bytes: &[u8], params: &ValidDataParams) -> Result<Pixels, String> {
    open(bytes).and_then(|picture| prepare(&picture, params))
}

fn prepare(picture: &DynamicImage, params: &ValidDataParams) -> Result<Pixels, String> {
    let color = picture.color();
    let (values, greatest) = match color.bytes_per_pixel() / color.channel_count() {
        1 => (picture.to_rgba8().into_raw().into_iter().map(u16::from).collect(), 255),
        2 => (picture.to_rgba16().into_raw(), u16::MAX),
        _ => return Err(format!("pixels of 32 bits ({INSTEAD})")),
    };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let square = |values| {
        let plane = Plane { width, height, values };
        plane.square(params.resize, params.shape().size, greatest).values
    };
    let planes = channels(&values, params.shape().channels, greatest);
    let values = planes.into_iter().flat_map(square);
    Ok(match greatest {
        255 => Pixels::Bytes(values.map(|value| value as u8).collect()),
        _ => Pixels::Words(values.collect()),
    })
}

/// One or three channels of red, green, blue and alpha, which lets black through. Grey is Rec.
/// 601's `0.299 R + 0.587 G + 0.114 B`, as Pillow and torchvision have it.
fn channels(values: &[u16], wanted: usize, greatest: u16) -> Vec<Vec<u16>> {
    let all = u32::from(greatest);
    let mut planes = vec![Vec::with_capacity(values.len() / 4); wanted];
    for &[red, green, blue, alpha] in values.as_chunks().0 {
        let blended = |color| (u32::from(color) * u32::from(alpha) + all / 2) / all;
        let colors = [red, green, blue].map(blended);
        let grey = 19_595 * colors[0] + 38_470 * colors[1] + 7_471 * colors[2] + 32_768;
        let grey = [grey >> 16; 3];
        let chosen = if wanted == 1 { grey } else { colors };
        planes.iter_mut().zip(chosen).for_each(|(plane, value)| plane.push(value as u16));
    }
    planes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dataset::DataParams;
    use proptest::prelude::*;

    pub(in crate::dataset) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn params(size: u32, channels: u32) -> ValidDataParams {
        let yaml = format!(
            "{{kind: images, path: x, classes: 2, input_size: {size}, channels: {channels}}}"
        );
        serde_yaml::from_str::<DataParams>(&yaml).unwrap().check().unwrap()
    }

    fn pixels(bytes: &[u8], size: u32, channels: u32) -> Pixels {
        prepare(&open(bytes).unwrap(), &params(size, channels)).unwrap()
    }

    const TURNED: &[u8] = include_bytes!("../../tests/fixtures/pictures/turned.jpg");

    #[test]
    fn a_jpeg_is_turned_and_within_three_of_pillow() {
        // Pillow 12.3.0: ImageOps.exif_transpose(..).convert("RGB"), red to the left, green below.
        let picture = open(TURNED).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (16, 24));
        for (column, row, expected) in
            [(0, 0, [197, 1, 3]), (0, 23, [198, 255, 2]), (15, 0, [1, 0, 0]), (8, 12, [91, 132, 2])]
        {
            let found = picture.get_pixel(column, row).0;
            assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{found:?}");
        }
    }

    #[test]
    fn a_picture_that_was_cut_off_is_refused() {
        let png = encoded(&open(TURNED).unwrap(), ImageFormat::Png);
        for whole in [TURNED, &png] {
            for percent in [1, 40, 70, 95] {
                let problem = open(&whole[..whole.len() * percent / 100]).unwrap_err();
                assert!(problem.contains("save it as PNG"), "{percent}: {problem}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_named_with_the_remedy() {
        assert_eq!(open(b"").unwrap_err(), "an empty file (remove it)");
        assert!(open(b"\x01").unwrap_err().starts_with("no picture ("));
        assert!(
            open(b"<html>").unwrap_err().starts_with("a web page in the place of data, `<html>`")
        );
        let floats = DynamicImage::ImageRgb32F(image::ImageBuffer::new(2, 2));
        let problem = prepare(&floats, &params(2, 3)).unwrap_err();
        assert_eq!(problem, "pixels of 32 bits (save it as PNG)");
        for (name, is) in [("a.PNG", true), ("a.jp2", true), ("a.txt", false), ("a", false)] {
            assert_eq!(is_meant(name, b"x"), is, "{name}");
        }
        assert!(is_meant("photo", TURNED));
    }

    #[test]
    fn more_than_a_hundred_megapixels_are_refused_by_the_header() {
        // A bitmap of 20,000 x 20,000 pixels of 24 bits, without the pixels.
        let mut header = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        [20_000_u32, 20_000].iter().for_each(|side| header.extend(side.to_le_bytes()));
        header.extend([1, 0, 24, 0]);
        header.extend([0; 24]);
        let problem = open(&header).unwrap_err();
        assert!(problem.starts_with("20000 x 20000 pixels, more than 100"), "{problem}");
    }

    #[test]
    fn alpha_lets_black_through_and_grey_is_that_of_rec_601() {
        // (100 * 128 + 127) / 255 = 50.7, rounded down to 50; half of 255 is 128.
        assert_eq!(channels(&[100, 200, 255, 128], 3, 255), [[50], [100], [128]]);
        assert_eq!(channels(&[255, 255, 255, 0], 1, 255), [[0]]);
        // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
        assert_eq!(channels(&[10, 20, 30, 255], 1, 255), [[18]]);
        assert_eq!(channels(&[u16::MAX; 4], 1, u16::MAX), [[u16::MAX]]);
    }

    #[test]
    fn sixteen_bits_stay() {
        let depths = image::ImageBuffer::from_raw(2, 2, vec![500_u16, 1_500, 4_500, 60_000]);
        let png = encoded(&DynamicImage::ImageLuma16(depths.unwrap()), ImageFormat::Png);
        assert_eq!(pixels(&png, 2, 1), Pixels::Words(vec![500, 1_500, 4_500, 60_000]));
    }

    #[test]
    fn other_frames_are_noticed() {
        let frame = || image::Frame::new(image::RgbaImage::new(2, 2));
        for (frames, more) in [(vec![frame()], false), (vec![frame(), frame()], true)] {
            let mut bytes = Vec::new();
            image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
            assert_eq!(has_more_frames(&bytes), more);
        }
        let one = open(TURNED).unwrap();
        for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP] {
            assert!(!has_more_frames(&encoded(&one, format)), "{format:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes: Vec<u8>,
            at in 0usize..2_000,
            format in prop::sample::select(vec![ImageFormat::Png, ImageFormat::Tiff]),
        ) {
            let small = open(TURNED).unwrap().crop(0, 0, 5, 7);
            let mut file = encoded(&small, format);
            let at = at.min(file.len());
            file.splice(at..(at + bytes.len()).min(file.len()), bytes.iter().copied());
            let _ = open(&file);
            let _ = has_more_frames(&file);
            let mut jpeg = TURNED.to_vec();
            let at = at.min(jpeg.len());
            jpeg.splice(at..(at + bytes.len()).min(jpeg.len()), bytes);
            let _ = open(&jpeg);
        }
    }
}
