//! Damage of the log. The unfinished end that a crash leaves is saved in `torn/` and cut by the
//! next writer. A file that another program saved and lines that are no rows stop all readers but
//! `verify`, which reads a [`RawLog`]; its repair saves a line and overwrites it with a `void` row
//! of the same length, so that no byte offset moves. A row that is void in part, of a repair that
//! was killed, is blanked again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::storage::log::event::{Event, Iteration, Row};
use crate::storage::log::text::{COLUMNS, RowError, header, line_after};
use crate::storage::{
    dir::number, error::Result, error::StorageError, fs::publish, log::position::LogPosition,
    log::position::crc32_on,
};

/// Where the whole lines of `bytes` end, without lines with NULs and empty ones at the end. (After
/// a power cut a file can be as long as it was to be, and hold NULs where the data did not arrive;
/// an editor or an `echo` leaves a line feed.)
pub(crate) fn end_of_whole_lines(bytes: &[u8]) -> Option<usize> {
    let is_newline = |byte: &u8| *byte == b'\n';
    let end = bytes.iter().rposition(is_newline)? + 1;
    let lines = bytes[..end].split_inclusive(is_newline).rev();
    let unfinished = lines.take_while(|line| line.contains(&0) || *line == b"\n");
    let end = end - unfinished.map(<[u8]>::len).sum::<usize>();
    (end > 0).then_some(end)
}

/// The same of a file with a header of `begin` bytes, read backwards, no more than needed.
pub(crate) fn find_end(file: &File, begin: u64, length: u64) -> io::Result<u64> {
    let mut window = 4096;
    loop {
        let from = length.saturating_sub(window).max(begin);
        let size = usize::try_from(length.saturating_sub(from)).expect("a file fits into memory");
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, from)?;
        // Unless the window begins with the first row, its first line is the end of one.
        let newline = bytes.iter().position(|&byte| byte == b'\n');
        let skipped = if from == begin { 0 } else { newline.map_or(size, |newline| newline + 1) };
        match end_of_whole_lines(&bytes[skipped..]) {
            Some(end) => return Ok(from + (skipped + end) as u64),
            None if from == begin => return Ok(begin),
            None => window *= 4,
        }
    }
}

/// Saves bytes that are to be cut from the log or overwritten, each piece once, and returns where.
pub(crate) fn save(folder: &Path, byte: u64, bytes: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
    let digest = format!("{:x}", Sha256::digest(bytes));
    let path = folder.join(format!("{byte:012}.{}", &digest[..16]));
    publish::file_once(&path, bytes)?;
    Ok(path)
}

/// How the beginning of a log differs from the header, if it does.
pub(crate) fn header_problem(begin: &[u8]) -> Option<&'static str> {
    let header = header();
    let line = begin.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let has = |byte| line.contains(&byte);
    let is_other = begin != header.as_bytes();
    let marks = [
        (begin.is_empty(), "it is empty"),
        (begin.starts_with(b"\xef\xbb\xbf"), "it begins with a byte order mark"),
        (has(b'\r'), "its lines end in another way"),
        (is_other && header.as_bytes().starts_with(line), "its header is cut"),
        (has(b';') || has(b'\t'), "its columns are separated in another way"),
        (has(b'"'), "its columns are quoted"),
        (is_other, "its first line is not the header"),
    ];
    marks.into_iter().find(|(is_there, _)| *is_there).map(|(_, how)| how)
}

impl Row {
    /// A blanked row: it keeps the numbers that are known.
    pub fn void(iteration: Option<Iteration>, attempt: Option<u32>) -> Self {
        Self { iteration, attempt, ..Self::new(Event::Void) }
    }
}

/// One line of the log after the header.
#[derive(Debug, Clone, PartialEq)]
pub struct RawLine {
    /// The header being 1.
    pub line: u64,
    /// Where it begins, from 0.
    pub byte: u64,
    /// Without the newline.
    pub bytes: Vec<u8>,
    pub row: Result<Row, RowError>,
}

impl RawLine {
    /// The `void` row of the numbers that can be read, of a damaged row, too.
    pub fn readable(&self) -> Row {
        let mut fields = self.bytes.split(|&byte| byte == b',');
        let number = |field| number(str::from_utf8(field).ok()?, 1);
        let iteration = fields.next().and_then(number).map(Iteration);
        let attempt = fields.nth(1).and_then(number);
        Row::void(iteration, attempt.and_then(|number| number.try_into().ok()))
    }
}

/// The whole log as it lies on disk, damage included.
#[derive(Debug, Clone, PartialEq)]
pub struct RawLog {
    bytes: Vec<u8>,
    /// How the beginning differs from the header, if it does; then there are no lines.
    pub header_problem: Option<&'static str>,
    pub lines: Vec<RawLine>,
    /// Where the whole lines end.
    end: usize,
}

impl RawLog {
    pub fn of(bytes: Vec<u8>) -> Self {
        let begin = header().len().min(bytes.len());
        let header_problem = header_problem(&bytes[..begin]);
        let (begin, end) = match header_problem {
            None => (begin, begin + end_of_whole_lines(&bytes[begin..]).unwrap_or(0)),
            Some(_) => (bytes.len(), bytes.len()),
        };
        let (mut lines, mut byte) = (Vec::new(), begin as u64);
        // Each by itself, so that a quote left open swallows no other.
        for text in bytes[begin..end].split_inclusive(|&byte| byte == b'\n') {
            let bytes = text.strip_suffix(b"\n").unwrap_or(text).to_vec();
            let row = Row::parse(&bytes).and_then(|row| match row.event {
                Event::Void if blanked(bytes.len(), &row) != bytes => Err(RowError::HalfBlanked),
                _ => Ok(row),
            });
            lines.push(RawLine { line: line_after(lines.len() as u64), byte, bytes, row });
            byte += text.len() as u64;
        }
        Self { bytes, header_problem, lines, end }
    }

    /// Where the bytes after the last whole line begin, and how many they are.
    pub fn torn_end(&self) -> Option<(u64, usize)> {
        let length = self.bytes.len() - self.end;
        (length > 0).then_some((self.end as u64, length))
    }

    /// Whether the log up to a position is what it was when a view was made of it.
    pub fn holds(&self, position: &LogPosition) -> bool {
        let Ok(byte) = usize::try_from(position.byte) else { return false };
        let Some(before) = self.bytes[..self.end].get(..byte) else { return false };
        let rows = self.lines.partition_point(|line| line.byte < position.byte) as u64;
        rows == position.rows && crc32_on(0, before) == position.crc32
    }
}

/// A `void` row of exactly `length` bytes: all columns when they fit, else `iteration,void,attempt`
/// or less, and commas alone where not even the event fits.
pub(crate) fn blanked(length: usize, void: &Row) -> Vec<u8> {
    let iteration = void.iteration.map(|number| number.to_string()).unwrap_or_default();
    let attempt = void.attempt.map(|number| format!(",{number}")).unwrap_or_default();
    let kept = [(&iteration[..], &attempt[..]), (&iteration, ""), ("", "")];
    // The longest first.
    let mut forms = kept.into_iter().flat_map(|(iteration, attempt)| {
        let row = format!("{iteration},void{attempt}");
        let missing = COLUMNS.len() - row.split(',').count();
        [row.clone() + &",".repeat(missing), row.clone() + ",", row]
    });
    // Spaces may follow a comma only: after a number or the event they would change it.
    let fits = |row: &String| row.len() == length || (row.len() < length && row.ends_with(','));
    let begin = forms.find(fits).unwrap_or_else(|| ",".repeat(length));
    format!("{begin:length$}").into_bytes()
}

#[cfg(test)]
mod tests;
