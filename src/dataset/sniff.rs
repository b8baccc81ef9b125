//! What a file is, in words, by its first bytes: said of those that are not what is wanted.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use itertools::Itertools;
use rustix::fs::OFlags;

use crate::regular_file;

/// So many bytes tell what a file is.
const HEAD: usize = 4_096;
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

const STARTS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive (unpack it; an `.npz` file is `data.kind: npz`)"),
    (b"Rar!", "a rar archive (unpack it)"),
    (b"7z\xbc\xaf", "a 7z archive (unpack it)"),
    (b"BZh", "packed with bzip2 (unpack it: `bunzip2`)"),
    (b"\xfd7zXZ", "packed with xz (unpack it: `unxz`)"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd (unpack it: `unzstd`)"),
    (b"\x1f\x9d", "packed with compress (unpack it: `uncompress`)"),
    (b"\x93NUMPY", "one array of numpy (put all into one file with `numpy.savez`: kind `npz`)"),
    (b"\x89HDF", "an HDF5 file (save it with `numpy.savez`: kind `npz`; in MATLAB with `-v7`)"),
    (b"MATLAB", "a MATLAB file (if it is not SVHN's, save it with `numpy.savez`: kind `npz`)"),
    (b"PAR1", "a Parquet table (save its arrays with `numpy.savez`: kind `npz`)"),
    (b"\x89PNG", "a picture (a folder of pictures is `data.kind: images`)"),
    (b"\xff\xd8\xff", "a picture (a folder of pictures is `data.kind: images`)"),
    (b"GIF8", "a picture (a folder of pictures is `data.kind: images`)"),
    (b"%PDF", "a PDF document (fetch the data themselves)"),
    (b"version https://git-lfs", "a pointer of Git LFS, no data (fetch them: `git lfs pull`)"),
    (b"/annex/objects/", "a pointer of git-annex, no data (fetch them: `git annex get`)"),
    (b"# Created by Octave", "text of Octave (save it in binary form: `save -v7`)"),
];
const PICKLE: &str = "a pickle of Python (CIFAR's binary version is wanted, from \
                      https://www.cs.toronto.edu/~kriz/cifar.html, not the one for Python; save \
                      arrays of your own with `numpy.savez`: `data.kind: npz`)";

pub(super) fn sniff_file(path: &Path) -> Option<String> {
    let file = regular_file::open(path, File::options().read(true), OFlags::empty()).ok()?;
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    sniff(&head)
}

/// None for bytes that say nothing.
pub(super) fn sniff(file: &[u8]) -> Option<String> {
    let head = &file[..file.len().min(HEAD)];
    let start = STARTS.iter().find(|(start, _)| head.starts_with(start));
    let what = match *head {
        _ if start.is_some() => start?.1,
        [] => "an empty file (fetch it again)",
        [0x1f, 0x8b, ..] => {
            let mut unpacked = Vec::new();
            // Ends in an error where the head does, after what it holds.
            let _ = MultiGzDecoder::new(head).take(HEAD as u64).read_to_end(&mut unpacked);
            if !unpacked.starts_with(&GZIP) {
                let what = if unpacked.is_empty() { None } else { sniff(&unpacked) };
                return what.map(|what| format!("packed with gzip: {what}"));
            }
            "packed twice with gzip (unpack it once: `gunzip`)"
        }
        [0x80, 2..=5, ..] => PICKLE,
        _ if head.get(257..262) == Some(b"ustar") => "a tar archive (unpack it: `tar -xf`)",
        [0, 0, ..] if head.iter().all(|&byte| byte == 0) => {
            "zeros in the place of data (fetch it again)"
        }
        [a, b, c, d, ..] if idx_header([a, b, c, d]).is_some() => {
            return idx_header([a, b, c, d]).map(idx_in_words);
        }
        _ => return text(head),
    };
    Some(what.to_owned())
}

fn text(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let words = text.trim_start_matches('\u{feff}').split_whitespace().join(" ");
    let begin: String = words.chars().take(60).collect();
    let is_text = |char: char| !char.is_control() && char != char::REPLACEMENT_CHARACTER;
    let what = if begin.starts_with('<') { "a web page" } else { "text" };
    let remedy = "fetch it again, and look at what its address answers";
    (!begin.is_empty() && begin.chars().all(is_text))
        .then(|| format!("{what} in the place of data, `{begin}` ({remedy})"))
}

/// The numbers in an IDX file, as numpy names their type, and how many dimensions they have.
pub(super) fn idx_header(magic: [u8; 4]) -> Option<(&'static str, u8)> {
    let kind = match magic[2] {
        0x08 => "u1",
        0x09 => "i1",
        0x0b => "i2",
        0x0c => "i4",
        0x0d => "f4",
        0x0e => "f8",
        _ => return None,
    };
    (magic[..2] == [0, 0] && magic[3] > 0).then_some((kind, magic[3]))
}

pub(super) fn idx_in_words((kind, dimensions): (&str, u8)) -> String {
    let plural = if dimensions == 1 { "" } else { "s" };
    format!("an IDX file of {}, {dimensions} dimension{plural}", in_words(kind))
}

/// Such as `32-bit floats`, of a type as numpy names it.
pub(super) fn in_words(kind: &str) -> String {
    let (class, bytes) = kind.split_at_checked(1).unwrap_or((kind, ""));
    match (class, bytes.parse::<u32>().map_or(0, |bytes| bytes.saturating_mul(8))) {
        ("u", 8) => "bytes".to_owned(),
        ("u", bits) => format!("unsigned {bits}-bit integers"),
        ("i", bits) => format!("signed {bits}-bit integers"),
        ("f", bits) => format!("{bits}-bit floats"),
        _ => format!("type `{kind}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, read::GzEncoder};

    #[test]
    fn files_are_named_by_their_first_bytes() {
        let gzip = |bytes: &[u8]| {
            let mut packed = Vec::new();
            GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut packed).unwrap();
            packed
        };
        let tar = [&[b'a'; 257][..], b"ustar\0", &[7; 20_000]].concat();
        for (file, what) in [
            (gzip(&gzip(b"x")), "packed twice with gzip (unpack it once: `gunzip`)"),
            (gzip(&tar), "packed with gzip: a tar archive (unpack it: `tar -xf`)"),
            (gzip(&tar)[..100].to_vec(), "packed with gzip: a tar archive (unpack it: `tar -xf`)"),
            (vec![0; 9_000], "zeros in the place of data (fetch it again)"),
            (b"\0\0\x0e\x02".to_vec(), "an IDX file of 64-bit floats, 2 dimensions"),
        ] {
            assert_eq!(sniff(&file).unwrap(), what);
        }
        let answer = sniff("\u{feff}{\"error\": \"ümlaut\"}\n".as_bytes()).unwrap();
        assert!(answer.starts_with("text in the place of data, `{\"error\": \"ümlaut\"}` ("));
        assert_eq!(sniff(b"\x05\x06\x07binary"), None);
    }
}
