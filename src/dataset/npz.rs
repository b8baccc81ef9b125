//! Arrays as numpy saves them: `.npz`, a zip archive of `.npy` files.
//!
//! An `.npy` file: `\x93NUMPY`, the version (two bytes), the length of the header (two bytes, from
//! version 2 on four, little-endian), the header as a Python dictionary with `descr`,
//! `fortran_order` and `shape`, and the values. (Source: numpy, "lib.format".)

use std::fs::File;
use std::io::{BufReader, Seek, Write};
use std::path::Path;

use itertools::Itertools;
use rustix::fs::OFlags;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::ValidDataParams;
use super::bounded_read::{check_promise, expect_end, read_exactly};
use super::error::{DatasetError, Result, problem, quoted};
use super::images::{ImageShape, Images, Part, Pixels};
use super::labels::{self, check_shape};
use super::sniff::{in_words, sniff_file};
use crate::regular_file;

const MAGIC: &[u8] = b"\x93NUMPY";
const NO_ARRAY: &str = "no array of numbers (save it with `numpy.savez`)";

/// Values row by row, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// As numpy writes it, without the order of the bytes: `u1`, `i8`, ..
    kind: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    pub fn new(kind: &str, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        Self { kind: kind.to_owned(), shape, bytes }
    }

    pub(super) fn is_in(file: &[u8]) -> bool {
        file.starts_with(MAGIC)
    }

    pub(super) fn parse(file: &[u8]) -> Result<Self, String> {
        let (length, rest) = match file.strip_prefix(MAGIC).ok_or(NO_ARRAY)? {
            [1, _, a, b, rest @ ..] => (u32::from_le_bytes([*a, *b, 0, 0]), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
            _ => return Err(NO_ARRAY.into()),
        };
        let (header, values) = rest.split_at_checked(length as usize).ok_or(NO_ARRAY)?;
        let header = str::from_utf8(header).map_err(|_| NO_ARRAY)?;
        // What stands in the dictionary between the name's colon and the end.
        let between = |name: &str, begin: &str, end: char| {
            let after = header.split_once(&format!("'{name}':"))?.1.trim_start();
            after.strip_prefix(begin)?.split(end).next()
        };
        let descr = between("descr", "'", '\'').ok_or(NO_ARRAY)?;
        let (byte_order, kind) = descr.split_at_checked(1).ok_or(NO_ARRAY)?;
        if kind.starts_with('O') {
            let problem = "Python objects, whose reading could run a program (save integers)";
            return Err(problem.into());
        }
        let shape = between("shape", "(", ')').ok_or(NO_ARRAY)?.split(',').map(str::trim);
        let shape = shape.filter(|side| !side.is_empty()).map(str::parse);
        let shape: Vec<usize> = shape.try_collect().map_err(|_| NO_ARRAY)?;
        let size = kind.get(1..).and_then(|size| size.parse().ok()).filter(|&size| size > 0);
        let size: usize = size.ok_or(NO_ARRAY)?;
        let expected = shape.iter().try_fold(size, |all, &side| all.checked_mul(side));
        let expected = expected.map_or(u64::MAX, |bytes| bytes as u64);
        if expected != values.len() as u64 {
            return Err(problem::truncated(values.len() as u64, expected));
        }
        let mut bytes = values.to_vec();
        if byte_order == ">" {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        if between("fortran_order", "", ',') == Some("True") {
            bytes = row_by_row(&bytes, &shape, size);
        }
        Ok(Self::new(kind, shape, bytes))
    }

    pub fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        let order = if self.kind.ends_with('1') { '|' } else { '<' };
        let header = format!(
            "{{'descr': '{order}{}', 'fortran_order': False, 'shape': ({},), }}",
            self.kind,
            self.shape.iter().join(", ")
        );
        // Values begin at a multiple of 64, after a line feed.
        let width = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 5;
        writer.write_all(MAGIC)?;
        writer.write_all(&[1, 0])?;
        writer.write_all(&(width as u16 + 1).to_le_bytes())?;
        writeln!(writer, "{header:width$}")?;
        writer.write_all(&self.bytes)
    }

    /// The values, if they are 32-bit numbers.
    pub fn numbers(&self) -> Option<Vec<f32>> {
        let numbers = self.bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes);
        (self.kind == "f4").then(|| numbers.collect())
    }

    /// The values, if they are 64-bit integers.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let integers = self.bytes.as_chunks().0.iter().copied().map(i64::from_le_bytes);
        (self.kind == "i8").then(|| integers.collect())
    }

    pub(super) fn pixels(self, shape: ImageShape) -> Result<Pixels, String> {
        let sides = self.shape.get(1..).unwrap_or_default();
        match self.kind.as_str() {
            "u1" => shape.channels_first(self.bytes, 1, sides).map(Pixels::Bytes),
            "u2" => {
                let bytes = shape.channels_first(self.bytes, 2, sides)?;
                let words = bytes.as_chunks().0.iter().map(|&word| u16::from_le_bytes(word));
                Ok(Pixels::Words(words.collect()))
            }
            kind => Err(format!(
                "pixels that are {} (save them as `uint8` or `uint16`)",
                in_words(kind)
            )),
        }
    }

    fn labels(&self, images: usize) -> Result<Vec<f64>, String> {
        check_shape(&self.shape, images)?;
        labels::numbers(&self.kind, &self.bytes)
    }
}

/// Orders values whose first index runs fastest.
fn row_by_row(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    for mut index in 0..bytes.len() / size {
        let (mut at, mut stride) = (0, bytes.len() / size);
        for &side in shape.iter().rev() {
            stride /= side;
            at += index % side * stride;
            index /= side;
        }
        ordered.extend_from_slice(&bytes[at * size..(at + 1) * size]);
    }
    ordered
}

/// Usual names of images and labels, in the order in which they are looked for.
const fn usual_names(part: Part) -> &'static [[&'static str; 2]] {
    match part {
        Part::Training => &[
            ["training_images", "training_labels"],
            ["train_images", "train_labels"],
            ["x_train", "y_train"],
            ["X_train", "y_train"],
            ["images", "labels"],
            ["x", "y"],
            ["X", "y"],
        ],
        Part::Validation => &[
            ["validation_images", "validation_labels"],
            ["val_images", "val_labels"],
            ["x_val", "y_val"],
            ["X_val", "y_val"],
            ["x_valid", "y_valid"],
            ["X_valid", "y_valid"],
        ],
        Part::Test => &[["test_images", "test_labels"], ["x_test", "y_test"], ["X_test", "y_test"]],
        Part::Extra => &[],
    }
}

pub(super) struct Archive<'a> {
    path: &'a Path,
    data: &'a ValidDataParams,
    zip: Zip,
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path, data: &'a ValidDataParams) -> Result<Self> {
        Ok(Self { path, data, zip: open(path)? })
    }

    /// None where the archive has no arrays of this part.
    pub(super) fn images(&mut self, part: Part) -> Result<Option<Images>> {
        let named = self.data.arrays.as_ref().map_or(0, Vec::len);
        let [images, labels] = match self.names(part) {
            Some(names) => names,
            None if part != Part::Training && named <= 2 * part as usize => return Ok(None),
            None => {
                let names = self.zip.file_names().filter_map(Result::ok);
                let names: Vec<_> = names.map(|name| name.replace(".npy", "")).collect();
                let problem = format!(
                    "found no {part} images and labels among the arrays {} (name them: \
                     `data.arrays`)",
                    quoted(&names, ", ")
                );
                return Err(DatasetError::damaged(self.path, problem));
            }
        };
        let shape = self.data.shape();
        let of = |name: &str, problem| {
            DatasetError::damaged(self.path, format!("array `{name}`: {problem}"))
        };
        let pixels = array(&mut self.zip, &images).and_then(|array| array.pixels(shape));
        let pixels = pixels.map_err(|problem| of(&images, problem))?;
        let count = pixels.iter().len() / shape.values();
        if count == 0 {
            return Err(of(&images, problem::NO_IMAGES.to_owned()));
        }
        let found = array(&mut self.zip, &labels)
            .and_then(|array| array.labels(count))
            .map_err(|problem| of(&labels, problem))?;
        let labelled = labels::labelled(pixels, &found, part, self.data);
        let labelled = labelled.map_err(|problem| {
            DatasetError::unsuitable(self.path, format!("array `{labels}`: {problem}"))
        });
        labelled.map(Some)
    }

    /// Of images and labels, where both are there.
    pub(super) fn names(&self, part: Part) -> Option<[String; 2]> {
        let is_there = |name: &String| self.zip.index_for_name(&format!("{name}.npy")).is_some();
        let are_there = |names: &[String; 2]| names.iter().all(is_there);
        let given = |names: &Vec<String>| names.as_chunks().0.get(part as usize).cloned();
        match &self.data.arrays {
            Some(names) => given(names).filter(are_there),
            None => usual_names(part).iter().map(|names| names.map(str::to_owned)).find(are_there),
        }
    }
}

type Zip = ZipArchive<BufReader<File>>;

fn open(path: &Path) -> Result<Zip> {
    let file = regular_file::open(path, File::options().read(true), OFlags::empty())
        .map_err(DatasetError::unreadable(path))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| match sniff_file(path) {
        Some(what) if !what.starts_with("a zip") => {
            DatasetError::unsuitable(path, format!("no `.npz` archive, but {what}"))
        }
        _ => {
            let problem = format!("no `.npz` archive: {error} (save it with `numpy.savez`)");
            DatasetError::damaged(path, problem)
        }
    })
}

fn array(zip: &mut Zip, name: &str) -> Result<Array, String> {
    let member = zip.by_name(&format!("{name}.npy"));
    let mut member = member.map_err(|error| error.to_string())?;
    let size = member.size();
    check_promise(size, member.compressed_size() as usize)?;
    let bytes = read_exactly(&mut member, size)?;
    expect_end(&mut member)?;
    Array::parse(&bytes)
}

/// Reads one array of an `.npz` file.
pub fn read(path: &Path, name: &str) -> Result<Array> {
    let of = |problem| DatasetError::damaged(path, format!("array `{name}`: {problem}"));
    array(&mut open(path)?, name).map_err(of)
}

/// Not packed: read at the speed of the disk, and equal bytes for equal arrays.
pub fn write(writer: impl Write + Seek, arrays: &[(String, Array)]) -> zip::result::ZipResult<()> {
    let mut zip = ZipWriter::new(writer);
    for (name, array) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(array.bytes.len() > 1 << 31);
        zip.start_file(format!("{name}.npy"), options)?;
        array.write(&mut zip)?;
    }
    zip.finish().map(drop)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dataset::load::tests::params;
    use crate::dataset::{load_test_images, load_training_images};
    use proptest::prelude::*;
    use std::fs;

    const SMALL: &str = "{kind: npz, path: x, classes: 3, input_size: 2, channels: 3}";

    pub(in crate::dataset) fn array(kind: &str, shape: &[usize], bytes: &[u8]) -> Array {
        Array::new(kind, shape.to_vec(), bytes.to_vec())
    }

    fn read(bytes: &[u8], yaml: &str) -> Result<Images> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        load_training_images(&params(file.path(), yaml))
    }

    fn archive(arrays: &[(&str, Array)]) -> Vec<u8> {
        let arrays: Vec<_> =
            arrays.iter().map(|(name, array)| ((*name).to_owned(), array.clone())).collect();
        let mut bytes = std::io::Cursor::new(Vec::new());
        write(&mut bytes, &arrays).unwrap();
        bytes.into_inner()
    }

    /// By numpy 2: `x_train` of 16 bits [5, 2, 2, 3] in Fortran order, values 0, 1000, ..;
    /// `y_train` [5, 1] big-endian; `X_test`, its first two; `y_test`; `objects`; `floats`.
    const NUMPY: &[u8] = include_bytes!("../../tests/fixtures/arrays.npz");

    #[test]
    fn what_numpy_wrote_is_read() {
        let images = read(NUMPY, SMALL).unwrap();
        assert_eq!(images.labels, [0, 1, 2, 1, 0]);
        let Pixels::Words(words) = &images.pixels else { panic!("{images:?}") };
        // Red, green and blue of the four pixels lie 3 apart in the file.
        let first = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11].map(|value| value * 1_000);
        assert_eq!(words[..12], first);
        assert_eq!(words[12..24], first.map(|value| value + 12_000));

        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), NUMPY).unwrap();
        let test = load_test_images(&params(file.path(), SMALL)).unwrap();
        assert_eq!((test.count(), test.labels), (2, vec![2, 0]));
    }

    #[test]
    fn a_pixel_that_changed_on_the_disk_is_noticed() {
        let yaml = "{kind: npz, path: x, classes: 2, input_size: 1, channels: 1}";
        let arrays = [("x", array("u1", &[2, 1, 1], &[77; 2])), ("y", array("u1", &[2], &[0, 1]))];
        let mut file = archive(&arrays);
        assert_eq!(read(&file, yaml).unwrap().count(), 2);
        let pixel = file.windows(2).position(|pixels| pixels == [77; 2]).unwrap();
        file[pixel] = 78;
        let message = read(&file, yaml).unwrap_err().to_string();
        assert!(message.contains("array `x`: damaged"), "{message}");
    }

    #[test]
    fn python_objects_are_refused_and_whole_floats_are_labels() {
        let with = |labels: &str| {
            read(NUMPY, &SMALL.replace('}', &format!(", arrays: [x_train, {labels}]}}")))
        };
        let message = with("objects").unwrap_err().to_string();
        assert!(message.contains("array `objects`: Python objects, whose reading could run a"));
        assert_eq!(with("floats").unwrap().labels, [0, 1, 2, 1, 0]);
        let yaml = SMALL.replace('}', ", arrays: [x_train, none]}");
        let message = read(NUMPY, &yaml).unwrap_err().to_string();
        assert!(message.contains("found no training images and labels among"), "{message}");
    }

    #[test]
    fn channels_may_come_first_and_given_validation_images_are_the_last() {
        let yaml = "{kind: npz, path: x, classes: 2, input_size: 1, channels: 2}";
        let file = archive(&[
            ("images", array("u1", &[2, 2, 1, 1], &[1, 2, 3, 4])),
            ("labels", array("i8", &[2], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            ("val_images", array("u1", &[1, 2, 1, 1], &[5, 6])),
            ("val_labels", array("u1", &[1], &[1])),
        ]);
        let images = read(&file, yaml).unwrap();
        assert_eq!((images.labels.as_slice(), images.given_validation), (&[1, 0, 1][..], 1));
        assert_eq!(images.pixels, Pixels::Bytes(vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let yaml = "{kind: npz, path: x, classes: 2, input_size: 1, channels: 1}";
        let images = || array("u1", &[2, 1, 1], &[1, 2]);
        let refusal = |images, labels| {
            read(&archive(&[("x", images), ("y", labels)]), yaml).unwrap_err().to_string()
        };
        for (images, labels, problem) in [
            (array("u1", &[1, 2, 1], &[1, 2]), images(), "images of `2x1` values, but `data`"),
            (array("f4", &[1, 1, 1], &[0; 4]), images(), "pixels that are 32-bit floats ("),
            (images(), array("i1", &[2], &[0, 255]), "label `-1` of image `1`"),
            (images(), array("u2", &[2], &[0, 0, 0, 1]), "label `256` of image `1`"),
            (images(), array("u1", &[3], &[0; 3]), "`3` labels for `2` images"),
        ] {
            let message = refusal(images, labels);
            assert!(message.contains(problem), "{message}");
        }
        let message = read(&archive(&[("pictures", images())]), yaml).unwrap_err().to_string();
        assert!(
            message.contains("among the arrays `pictures` (name them: `data.arrays`"),
            "{message}"
        );
        assert!(read(b"no archive", yaml).unwrap_err().to_string().contains("no `.npz` archive"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0..NUMPY.len()) {
            let mut file = NUMPY.to_vec();
            file.splice(at..(at + bytes.len()).min(NUMPY.len()), bytes.iter().copied());
            let _ = read(&file, SMALL);
            let _ = Array::parse(&[MAGIC, &bytes].concat());
        }
    }
}
