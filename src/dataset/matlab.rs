//! MAT-files of level 5, as far as numeric arrays need them.
//!
//! After a header of 128 bytes come elements: a tag (type and size, 32 bits each, little-endian)
//! and as many bytes. An element is an array, or a zlib stream that unpacks to one. An array holds
//! elements, padded to 8 bytes: flags with the class, dimensions, name, values. One of up to four
//! bytes may be packed into its tag, the size in the upper half of the type. Values are stored in
//! the smallest type that holds them all. (Source: MathWorks, "MAT-File Format".)

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::bounded_read::{expect_end, read_array, read_exactly};
use super::error::{WrongFile, problem, quoted};
use super::labels::numbers;
use super::sniff::{in_words, sniff};

const NOT_MATLAB: &str = "no MATLAB file of level 5 (save it with `-v7`)";
const HEADER_BYTES: usize = 128;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const ALL_VALUES: &str = "values for all dimensions";
/// Classes double, single, and the eight integers.
const NUMERIC_CLASSES: std::ops::RangeInclusive<u32> = 6..=15;
const COMPLEX_FLAG: u32 = 0x0800;

/// An array whose values are still to be read.
pub(super) struct Variable<'a> {
    name: &'a str,
    /// The first runs fastest in the values.
    pub(super) dimensions: Vec<u32>,
    reader: Box<dyn Read + 'a>,
}

pub(super) fn open<'a>(file: &'a [u8], name: &'a str) -> Result<Variable<'a>, WrongFile> {
    let mut others = Vec::new();
    for (kind, body) in elements(file)? {
        let mut reader: Box<dyn Read + 'a> = match kind {
            MATRIX => Box::new(body),
            COMPRESSED => unpacked(body)?,
            found => return Err(unexpected("a variable", found).into()),
        };
        // No array has more than 64 dimensions, no name more than 255 bytes.
        let (_, flags) = read_element(&mut reader, "array flags", 8)?;
        let (_, dimensions) = read_element(&mut reader, "dimensions", 256)?;
        let found = read_element(&mut reader, "a name", 255)?.1;
        if found == name.as_bytes() {
            check_class(name, &flags)?;
            let dimensions = dimensions.chunks_exact(4).map(|bytes| u32_at(bytes, 0)).collect();
            return Ok(Variable { name, dimensions, reader });
        }
        others.push(String::from_utf8_lossy(&found).escape_debug().to_string());
    }
    let others = quoted(&others, ", ");
    Err(WrongFile::Unsuitable(format!("no variable `{name}` among {others} (rename it in MATLAB)")))
}

/// Type and bytes of each element of the file.
fn elements(file: &[u8]) -> Result<Vec<(u32, &[u8])>, WrongFile> {
    let mut rest = after_header(file).map_err(WrongFile::Unsuitable)?;
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let Some((tag, following)) = rest.split_at_checked(8) else {
            return Err(problem::TRAILING_BYTES.into());
        };
        let (kind, bytes) = (u32_at(tag, 0), u32_at(tag, 4));
        let Some(body) = following.get(..bytes as usize) else {
            return Err(problem::truncated(following.len() as u64, bytes.into()).into());
        };
        elements.push((kind, body));
        let padded = if kind == COMPRESSED { body.len() } else { body.len().next_multiple_of(8) };
        rest = &following[padded.min(following.len())..];
    }
    Ok(elements)
}

fn after_header(file: &[u8]) -> Result<&[u8], String> {
    Err(match file.get(124..HEADER_BYTES) {
        Some([0, 1, b'I', b'M']) => return Ok(&file[HEADER_BYTES..]),
        Some([0, 2, b'I', b'M']) => "a MATLAB file of version 7.3 (save it with `-v7`)".into(),
        Some([_, _, b'M', b'I']) => {
            "a MATLAB file of a big-endian machine (save it again on another)".into()
        }
        _ => sniff(file).unwrap_or_else(|| NOT_MATLAB.into()),
    })
}

fn unpacked(body: &[u8]) -> Result<Box<dyn Read + '_>, String> {
    let mut reader = ZlibDecoder::new(body);
    let tag: [u8; 8] = read_array(&mut reader)?;
    let (kind, bytes) = (u32_at(&tag, 0), u32_at(&tag, 4));
    if kind != MATRIX {
        return Err(unexpected("an array", kind));
    }
    // One more, by which the end of the stream and its checksum are looked at.
    Ok(Box::new(reader.take(u64::from(bytes) + 1)))
}

fn check_class(name: &str, flags: &[u8]) -> Result<(), WrongFile> {
    if flags.len() != 8 {
        return Err(wrong_size("array flags", flags.len() as u32).into());
    }
    let flags = u32_at(flags, 0);
    let class = flags & 0xff;
    if NUMERIC_CLASSES.contains(&class) && flags & COMPLEX_FLAG == 0 {
        return Ok(());
    }
    let problem = "is text, cells or the like, not an array of real numbers (save one)";
    Err(WrongFile::Unsuitable(format!("variable `{name}` {problem}")))
}

impl Variable<'_> {
    /// Values that are stored as bytes.
    pub(super) fn read_bytes(mut self) -> Result<Vec<u8>, WrongFile> {
        let (kind, values) = self.read_values()?;
        if kind != "u1" {
            let (name, kind) = (self.name, in_words(kind));
            return Err(WrongFile::Unsuitable(format!(
                "variable `{name}` holds {kind}, not bytes (save it as bytes: `{name} = \
                 uint8({name})`)"
            )));
        }
        Ok(values)
    }

    /// Values of any numeric type.
    pub(super) fn read_numbers(mut self) -> Result<Vec<f64>, String> {
        let (kind, values) = self.read_values()?;
        numbers(kind, &values)
    }

    /// Their type as numpy names it, and their bytes.
    fn read_values(&mut self) -> Result<(&'static str, Vec<u8>), String> {
        // Numbers of 8 bytes are the largest: no more is unpacked than the dimensions promise.
        let mut dimensions = self.dimensions.iter();
        let most = dimensions.try_fold(8_u32, |all, &n| all.checked_mul(n)).unwrap_or(u32::MAX);
        let (kind, values) = read_element(&mut self.reader, ALL_VALUES, most)?;
        expect_end(&mut self.reader)?;
        let kinds = ["", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "", "f8", "", "", "i8", "u8"];
        let kind = kinds.get(kind as usize).filter(|name| !name.is_empty());
        let kind = *kind.ok_or_else(|| "values that are no numbers".to_owned())?;
        let bytes_each = u64::from(kind.as_bytes()[1] - b'0');
        let mut dimensions = self.dimensions.iter();
        let promised = dimensions.try_fold(bytes_each, |all, &n| all.checked_mul(n.into()));
        if promised != Some(values.len() as u64) {
            return Err(wrong_size(ALL_VALUES, values.len() as u32));
        }
        Ok((kind, values))
    }
}

fn read_element(
    reader: &mut impl Read,
    expected: &str,
    max_bytes: u32,
) -> Result<(u32, Vec<u8>), String> {
    let tag: [u8; 8] = read_array(reader)?;
    let (first, second) = (u32_at(&tag, 0), u32_at(&tag, 4));
    let packed = first >> 16;
    let bytes = if packed == 0 { second } else { packed };
    if packed > 4 {
        return Err(wrong_size("up to 4 bytes", packed));
    }
    if bytes > max_bytes {
        return Err(wrong_size(expected, bytes));
    }
    if packed > 0 {
        return Ok((first & 0xffff, tag[4..][..bytes as usize].to_vec()));
    }
    let bytes = u64::from(bytes);
    let body = read_exactly(reader, bytes)?;
    read_exactly(reader, bytes.next_multiple_of(8) - bytes)?;
    Ok((first, body))
}

fn unexpected(expected: &str, found: u32) -> String {
    format!("MATLAB element of type `{found}` where {expected} belongs")
}

fn wrong_size(expected: &str, bytes: u32) -> String {
    format!("MATLAB element of `{bytes}` bytes where {expected} belongs")
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let four = bytes[offset..offset + 4].try_into().expect("the slice has four bytes");
    u32::from_le_bytes(four)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    pub(in crate::dataset) const CLASS_DOUBLE: u32 = 6;
    pub(in crate::dataset) const CLASS_U8: u32 = 9;
    pub(in crate::dataset) const DOUBLES: u32 = 9;
    pub(in crate::dataset) const BYTES: u32 = 2;

    /// Writes an element, packed into its tag where it fits, as MATLAB does.
    fn element(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut element = Vec::new();
        if (1..=4).contains(&body.len()) {
            element.extend((kind | (body.len() as u32) << 16).to_le_bytes());
        } else {
            element.extend(kind.to_le_bytes());
            element.extend((body.len() as u32).to_le_bytes());
        }
        element.extend(body);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    /// Writes an array of the given class whose values are stored as the given type.
    pub(in crate::dataset) fn array(
        name: &str,
        class: u32,
        dimensions: &[u32],
        (stored_as, values): (u32, &[u8]),
    ) -> Vec<u8> {
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        let dimensions: Vec<u8> = dimensions.iter().flat_map(|n| n.to_le_bytes()).collect();
        let parts = [
            element(6, &flags),
            element(5, &dimensions),
            element(1, name.as_bytes()),
            element(stored_as, values),
        ];
        element(MATRIX, &parts.concat())
    }

    pub(in crate::dataset) fn compressed(array: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(array).unwrap();
        let body = encoder.finish().unwrap();
        [&COMPRESSED.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &body].concat()
    }

    pub(in crate::dataset) fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![b' '; 124];
        file.extend([0, 1]);
        file.extend(b"IM");
        file.extend(elements.concat());
        file
    }

    fn two_variables() -> Vec<u8> {
        let doubles: Vec<u8> = [1.0, 10.0].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
        file(&[
            compressed(&array("X", CLASS_U8, &[3, 2], (BYTES, &[1, 2, 3, 4, 5, 6]))),
            array("y", CLASS_DOUBLE, &[2, 1], (DOUBLES, &doubles)),
        ])
    }

    #[test]
    fn arrays_are_found_by_name_compressed_or_not() {
        let file = two_variables();
        let x = open(&file, "X").unwrap();
        assert_eq!(x.dimensions, [3, 2]);
        assert_eq!(x.read_bytes().unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(open(&file, "y").unwrap().read_numbers().unwrap(), [1.0, 10.0]);
        let problem = open(&file, "z").err().unwrap().to_string();
        assert!(problem.starts_with("no variable `z` among `X`, `y` ("), "{problem}");
    }

    #[test]
    fn numbers_may_be_stored_smaller_than_their_class() {
        let values = |stored_as, bytes: &[u8]| {
            let file = file(&[compressed(&array("y", CLASS_DOUBLE, &[2], (stored_as, bytes)))]);
            open(&file, "y").unwrap().read_numbers().unwrap()
        };
        assert_eq!(values(1, &[0xff, 5]), [-1.0, 5.0]);
        assert_eq!(values(BYTES, &[0xff, 5]), [255.0, 5.0]);
        assert_eq!(values(4, &[0, 1, 5, 0]), [256.0, 5.0]);
        assert_eq!(values(7, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]), [1.0, 2.0]);
    }

    #[test]
    fn other_versions_are_named() {
        let mut file = two_variables();
        file[125] = 2;
        let problem = |file: &[u8]| open(file, "X").err().unwrap().to_string();
        assert!(problem(&file).contains("version 7.3"));
        file[126..128].copy_from_slice(b"MI");
        assert!(problem(&file).contains("big-endian"));
        assert!(problem(b"# Created by Octave 7.3.0").starts_with("text of Octave (save it"));
        assert_eq!(problem(b"\x01\0\0"), NOT_MATLAB);
    }

    #[test]
    fn text_is_no_array_of_numbers() {
        let file = file(&[array("y", 4, &[1, 2], (4, &[65, 0, 66, 0]))]);
        let problem = open(&file, "y").err().unwrap().to_string();
        assert!(problem.starts_with("variable `y` is text, cells or"), "{problem}");
    }

    #[test]
    fn values_must_be_as_many_as_the_dimensions_promise() {
        // 2^16 * 2^16 * 2^16 * 2^16 = 2^64 overflows; 65,535^4 does not, and is more than six.
        for dimensions in [[1 << 16; 4], [65_535; 4]] {
            let file = file(&[compressed(&array("X", CLASS_U8, &dimensions, (BYTES, &[0; 6])))]);
            let problem = open(&file, "X").unwrap().read_bytes().unwrap_err();
            assert_eq!(problem, wrong_size(ALL_VALUES, 6).into());
        }
    }

    #[test]
    fn a_lying_size_costs_only_the_file() {
        let mut array = array("X", CLASS_U8, &[u32::MAX], (BYTES, &[0; 6]));
        let size = array.len() - 12;
        array[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let file = file(&[compressed(&array)]);
        let problem = open(&file, "X").unwrap().read_bytes().unwrap_err().to_string();
        assert!(problem.starts_with("truncated"), "{problem}");
    }

    #[test]
    fn a_changed_checksum_is_noticed() {
        let mut packed = compressed(&array("X", CLASS_U8, &[100_000], (BYTES, &[7; 100_000])));
        *packed.last_mut().unwrap() ^= 1;
        let file = file(&[packed]);
        assert_eq!(open(&file, "X").unwrap().read_bytes(), Err(problem::CORRUPT.into()));
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let file = two_variables();
        for cut in (0..file.len()).filter(|&cut| cut != HEADER_BYTES) {
            let first_ends = file.len() - array("y", 6, &[2, 1], (DOUBLES, &[0; 16])).len();
            if cut != first_ends {
                assert!(open(&file[..cut], "X").is_err(), "{cut}");
            }
            assert!(open(&file[..cut], "y").is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, packed: bool) {
            let tail = if packed { compressed(&element(MATRIX, &bytes)) } else { bytes };
            if let Ok(variable) = open(&file(&[tail]), "X") {
                let _ = variable.read_bytes();
            }
        }

        #[test]
        fn a_changed_byte_is_read_or_refused(at in 0usize..200, value: u8) {
            let mut file = two_variables();
            let at = HEADER_BYTES + at % (file.len() - HEADER_BYTES);
            file[at] = value;
            if let Ok(variable) = open(&file, "X") {
                let _ = variable.read_bytes();
            }
            if let Ok(variable) = open(&file, "y") {
                let _ = variable.read_numbers();
            }
        }
    }
}
