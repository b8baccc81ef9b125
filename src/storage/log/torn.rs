//! What does not belong into the log: its unfinished end, and the marks of foreign programs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::storage::error::StorageError;
use crate::storage::format::FormatVersion;
use crate::storage::fs::publish;
use crate::storage::log::text::{COLUMNS, header};

/// Returns where the whole lines of `bytes` end, which begin with a line: after the last line that
/// is finished by a newline and followed by no other, lines with NULs and empty ones at the end left out. (After
/// a power cut a file can be as long as it was to be, and hold NULs where the data did not arrive; an editor or
/// an `echo` leaves a line feed.)
pub(crate) fn end_of_whole_lines(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.iter().rposition(|&byte| byte == b'\n')? + 1;
    loop {
        let begin = bytes[..end - 1].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        let line = &bytes[begin.unwrap_or(0)..end];
        if !line.contains(&0) && line != b"\n" {
            return Some(end);
        }
        end = begin?;
    }
}

/// Returns where the whole lines of a file end that has a header of `begin` bytes. Reads from the
/// end backwards, no more than needed.
pub(crate) fn find_end(file: &File, begin: u64, length: u64) -> io::Result<u64> {
    let mut window = 4096;
    loop {
        let from = length.saturating_sub(window).max(begin);
        let size = usize::try_from(length.saturating_sub(from)).expect("a file fits into memory");
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, from)?;
        // Unless the window begins with the first row, its first line is the end of one.
        let skipped = if from == begin { 0 } else { whole_line(&bytes) };
        match end_of_whole_lines(&bytes[skipped..]) {
            Some(end) => return Ok(from + (skipped + end) as u64),
            None if from == begin => return Ok(begin),
            None => window *= 4,
        }
    }
}

/// Returns where the first line begins that is in the window from its beginning.
fn whole_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |newline| newline + 1)
}

/// Saves bytes that are to be cut from the log, once each, and returns where.
///
/// # Errors
/// They cannot be saved.
pub(crate) fn save(folder: &Path, byte: u64, bytes: &[u8]) -> Result<PathBuf, StorageError> {
    fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
    let digest = format!("{:x}", Sha256::digest(bytes));
    let path = folder.join(format!("{byte:012}.{}", &digest[..16]));
    publish::file_once(&path, bytes)?;
    Ok(path)
}

/// Returns how the beginning of a log differs from the header, if it does.
pub(crate) fn foreign_header(begin: &[u8]) -> Option<String> {
    let header = header();
    if begin == header.as_bytes() {
        return None;
    }
    let line = begin.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let how = if begin.is_empty() {
        "it is empty"
    } else if begin.starts_with(b"\xef\xbb\xbf") {
        "it begins with a byte order mark"
    } else if line.contains(&b'\r') || header.trim_end().as_bytes().starts_with(line) {
        "its lines end in another way"
    } else if line.contains(&b';') || line.contains(&b'\t') {
        "its columns are separated in another way"
    } else if line.contains(&b'"') {
        "its columns are quoted"
    } else {
        "its first line is not the header"
    };
    Some(how.to_owned())
}

/// Refuses a log that begins as those of format version 1 did, which lacked the last three columns.
pub(crate) fn refuse_version_1(begin: &[u8], path: &Path) -> Result<(), StorageError> {
    let line = begin.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if line != COLUMNS[..COLUMNS.len() - 3].join(",").as_bytes() {
        return Ok(());
    }
    let (found, expected) = (FormatVersion(1), FormatVersion::CURRENT);
    Err(StorageError::OtherFormat { path: path.to_owned(), found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_before_what_is_unfinished_or_holds_nul() {
        let end = |text: &str| end_of_whole_lines(text.as_bytes());
        assert_eq!(end("a\nb\n"), Some(4));
        assert_eq!(end("a\nb"), Some(2));
        assert_eq!(end("a\n\0\0\0"), Some(2));
        assert_eq!(end("a\nb\0\n\0\n"), Some(2));
        assert_eq!(end("a\n\n\n"), Some(2));
        assert_eq!(end("a\n\nb\n\n"), Some(5));
        assert_eq!(end("\n"), None);
        assert_eq!(end("a\0\n"), None);
        assert_eq!(end("a"), None);
        assert_eq!(end("\0\nb\n"), Some(4));
    }

    proptest! {
        #[test]
        fn the_end_is_found_from_either_side(
            lines in prop::collection::vec("[ab\0]{0,3}|a{3000}|\0{6000}", 0..6),
            rest in "[ab\0]{0,3}",
        ) {
            let begin = 7;
            let body = lines.iter().map(|line| line.clone() + "\n").collect::<String>() + &rest;
            let text = "header\n".to_owned() + &body;
            let path = tempfile::NamedTempFile::new().unwrap();
            fs::write(path.path(), &text).unwrap();
            let found = find_end(path.as_file(), begin, text.len() as u64).unwrap();
            let expected = end_of_whole_lines(body.as_bytes()).unwrap_or(0) as u64;
            prop_assert_eq!(found, begin + expected);
        }
    }

    #[test]
    fn a_piece_is_saved_once() {
        let folder = tempfile::tempdir().unwrap();
        let torn = folder.path().join("torn");
        let first = save(&torn, 12, b"half a row").unwrap();
        assert_eq!(save(&torn, 12, b"half a row").unwrap(), first);
        assert_ne!(save(&torn, 12, b"half").unwrap(), first);
        assert_eq!(fs::read(first).unwrap(), b"half a row");
    }

    #[test]
    fn the_marks_of_a_spreadsheet_are_named() {
        let header = header();
        let how = |text: &str| {
            let begin = &text.as_bytes()[..text.len().min(header.len())];
            foreign_header(begin).unwrap()
        };
        assert_eq!(foreign_header(header.as_bytes()), None);
        assert_eq!(how(&header.replace('\n', "\r\n")), "its lines end in another way");
        assert_eq!(how(&format!("\u{feff}{header}")), "it begins with a byte order mark");
        assert_eq!(how(&header.replace(',', ";")), "its columns are separated in another way");
        assert_eq!(how(&header.replace("event", "\"event\"")), "its columns are quoted");
        assert_eq!(how(&header.replace("event", "Event")), "its first line is not the header");
        assert_eq!(how(""), "it is empty");
        let first = header.replace(",repeat,predictor,strategy", "") + "1,claimed,1,1,1.0,a";
        let refused = refuse_version_1(first.as_bytes(), Path::new("log"));
        assert!(matches!(refused, Err(StorageError::OtherFormat { .. })));
        assert!(refuse_version_1(header.as_bytes(), Path::new("log")).is_ok());
    }
}
