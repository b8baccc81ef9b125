//! Rows of CSV files of other people, of bounded length.
//!
//! A file without a line end, or with a quote that is never closed, is one row as long as itself: a hole of a
//! terabyte, or a device. Such a file is refused before it fills the memory.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;

use csv::ByteRecord;

/// Bytes of the longest row, give or take what is read ahead. A row of the widest files has some thousand cells.
const LONGEST_ROW: u64 = 1 << 20;

/// The rows of a file.
pub(crate) struct ForeignRecords<R> {
    reader: csv::Reader<Rationed<R>>,
    ration: Rc<Cell<u64>>,
}

impl<R: Read> ForeignRecords<R> {
    /// Takes the source of the bytes; nothing is read yet.
    pub fn new(source: R) -> Self {
        let ration = Rc::new(Cell::new(0));
        let source = Rationed { source, left: Rc::clone(&ration), is_after_return: false };
        let reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        Self { reader, ration }
    }

    /// Reads the first row.
    ///
    /// # Errors
    /// The source fails, or the row is too long.
    pub fn header(&mut self) -> Result<ByteRecord, csv::Error> {
        self.ration.set(LONGEST_ROW);
        let header = self.reader.byte_headers().cloned();
        header.map_err(|error| self.explained(error))
    }

    /// Reads the next row after the header; returns whether there is one.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn read(&mut self, record: &mut ByteRecord) -> Result<bool, csv::Error> {
        self.ration.set(LONGEST_ROW);
        self.reader.read_byte_record(record).map_err(|error| self.explained(error))
    }

    fn explained(&self, error: csv::Error) -> csv::Error {
        if self.ration.get() > 0 {
            return error;
        }
        let line = self.reader.position().line();
        let problem = format!(
            "the row at line {line} has more than a mebibyte (is it the right file? is a quote not closed?)"
        );
        io::Error::new(ErrorKind::InvalidData, problem).into()
    }
}

/// A source that fails once a row has had its ration, and ends its lines by a line feed alone, however the file does:
/// the reader counts line feeds, and would name the line before a row of a file of another system.
struct Rationed<R> {
    source: R,
    left: Rc<Cell<u64>>,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    is_after_return: bool,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(ErrorKind::InvalidData.into());
        }
        loop {
            let bytes = self.source.read(buffer)?;
            self.left.set(self.left.get().saturating_sub(bytes as u64));
            let kept = self.end_lines_alike(&mut buffer[..bytes]);
            // Nothing is left of a line feed that belongs to a carriage return; the source has not ended.
            if kept > 0 || bytes == 0 {
                return Ok(kept);
            }
        }
    }
}

impl<R> Rationed<R> {
    /// Makes a line feed of each end of a line, in place; returns how many bytes are left.
    fn end_lines_alike(&mut self, bytes: &mut [u8]) -> usize {
        let mut kept = 0;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if byte != b'\n' || !self.is_after_return {
                bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
            self.is_after_return = byte == b'\r';
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads to the end; returns the number of rows after the header.
    fn rows(source: impl Read) -> Result<usize, String> {
        let mut records = ForeignRecords::new(source);
        records.header().map_err(|error| error.to_string())?;
        let (mut record, mut rows) = (ByteRecord::new(), 0);
        while records.read(&mut record).map_err(|error| error.to_string())? {
            rows += 1;
        }
        Ok(rows)
    }

    /// A source that gives its bytes one by one.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn a_row_is_on_the_same_line_however_the_lines_of_its_file_end() {
        let text = "a,b\n1,2\n\"x\ny\",4\n5,6";
        let lines = |source: &mut dyn Read| {
            let (mut records, mut record) = (ForeignRecords::new(source), ByteRecord::new());
            records.header().unwrap();
            let mut lines = Vec::new();
            while records.read(&mut record).unwrap() {
                lines.push((record.position().unwrap().line(), record[1].to_vec()));
            }
            lines
        };
        let wanted = [(2, b"2".to_vec()), (3, b"4".to_vec()), (5, b"6".to_vec())];
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            assert_eq!(lines(&mut text.as_bytes()), wanted, "{end:?}");
            assert_eq!(lines(&mut Drops(text.as_bytes())), wanted, "{end:?}");
        }
    }

    #[test]
    fn a_file_without_an_end_of_line_is_refused() {
        let refused = rows(io::repeat(0)).unwrap_err();
        assert!(refused.starts_with("the row at line 1 has more than a mebibyte"), "{refused}");
        let refused = rows((&b"a,b\n1,2\n3,"[..]).chain(io::repeat(b'7'))).unwrap_err();
        assert!(refused.starts_with("the row at line 3 has more than a mebibyte"), "{refused}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused() {
        let text = "a,b\n1,\"2\n".to_owned() + &"3,4\n".repeat(1 << 19);
        assert!(rows(text.as_bytes()).unwrap_err().contains("is a quote not closed?"));
    }

    #[test]
    fn a_long_file_of_long_rows_is_read() {
        let row = "0.5,".repeat(100_000) + "1\n";
        assert_eq!(rows(("a\n".to_owned() + &row.repeat(10)).as_bytes()), Ok(10));
    }
}
