//! Lines of the replay log read back, each exactly as [`crate::storage::log::text`] writes it.

use csv::{ByteRecord, ReaderBuilder, Terminator};

use crate::storage::fs::time::Time;
use crate::storage::log::row::{Event, Iteration, Row};
use crate::storage::log::row_error::RowError;
use crate::storage::log::text::{COLUMNS, LineWriter};

impl Row {
    /// Reads a line of the log, given without its newline.
    ///
    /// # Errors
    /// Names the column that cannot be read, or says what is wrong with the line as a whole.
    pub fn parse(line: &[u8]) -> Result<Self, RowError> {
        if line.contains(&b'\n') {
            return Err(RowError::Columns { found: 0 });
        }
        let terminated = [line, b"\n"].concat();
        RowReader::new(&terminated).next().expect("a line gives a row or an error")
    }
}

/// Reads the rows of whole lines, one after the other; ends after the first that is refused.
pub struct RowReader<'a> {
    bytes: &'a [u8],
    /// Where the next line begins: after an error, where the refused one begins.
    at: usize,
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
    printed: LineWriter,
    refused: bool,
}

impl<'a> RowReader<'a> {
    /// Reads from `bytes`, which begin with a line and end with a newline.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
        Self {
            bytes,
            at: 0,
            reader: builder.from_reader(bytes),
            record: ByteRecord::new(),
            printed: LineWriter::new(),
            refused: false,
        }
    }

    /// Returns where the next line begins; after an error, where the refused line begins.
    pub const fn byte(&self) -> usize {
        self.at
    }

    fn read(&mut self) -> Result<Row, RowError> {
        self.reader.read_byte_record(&mut self.record).expect("memory gives every byte");
        let end = self.reader.position().byte() as usize;
        let line = &self.bytes[self.at..end];
        // A blank line is skipped by the reader, and a quote left open swallows the lines after it.
        if line.iter().position(|&byte| byte == b'\n') != Some(line.len() - 1) {
            return Err(RowError::Columns { found: 0 });
        }
        let row = match void(&self.record) {
            Some(void) => void,
            None => {
                let row = row(&self.record)?;
                let from = self.printed.bytes().len();
                self.printed.push(&row)?;
                if self.printed.bytes()[from..] != *line {
                    return Err(RowError::Foreign);
                }
                row
            }
        };
        self.at = end;
        Ok(row)
    }
}

impl Iterator for RowReader<'_> {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.refused || self.at == self.bytes.len() {
            return None;
        }
        let row = self.read();
        self.refused = row.is_err();
        Some(row)
    }
}

fn row(record: &ByteRecord) -> Result<Row, RowError> {
    if record.len() != COLUMNS.len() {
        return Err(RowError::Columns { found: record.len() });
    }
    record.deserialize(None).map_err(|error| {
        let column = match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.field(),
            _ => None,
        };
        // Text that is not UTF-8, an unknown event and a wrong time are reported without their column.
        let is_wrong = |&index: &usize| match (COLUMNS[index], str::from_utf8(&record[index])) {
            (_, Err(_)) => true,
            ("event", Ok(text)) => Event::ALL.iter().all(|event| event.name() != text),
            ("started_at" | "time" | "expires_at", Ok(text)) => text.parse::<Time>().is_err(),
            _ => false,
        };
        let column = column
            .map(|index| index as usize)
            .or_else(|| {
                (0..COLUMNS.len()).filter(|&index| !record[index].is_empty()).find(is_wrong)
            })
            .unwrap_or(0);
        RowError::Unreadable {
            column: COLUMNS[column],
            value: String::from_utf8_lossy(&record[column]).into_owned(),
        }
    })
}

/// Reads a row that `verify --repair` blanked: `iteration,void,attempt` and anything after it, as
/// far as the length of the damaged row allowed; commas alone when it did not allow the event.
fn void(record: &ByteRecord) -> Option<Row> {
    let number = |field: usize| str::from_utf8(record.get(field)?).ok()?.parse().ok();
    let is_short = (2..=",void".len()).contains(&record.len());
    if !(is_short && record.iter().all(<[u8]>::is_empty)) && record.get(1) != Some(b"void") {
        return None;
    }
    let attempt = number(2).and_then(|attempt| u32::try_from(attempt).ok());
    Some(Row { iteration: number(0).map(Iteration), attempt, ..Row::new(Event::Void) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "12,trained,1,,0.1,\"[C(64,3,1), SM(10)]\",,0.5,,,,,,,,,,true,,,,,,,,,,\
        \"said \"\"no\"\", twice\",,,,,,2026-03-01T12:00:00.250Z,,1,,\n";

    #[test]
    fn errors_name_the_column() {
        let message =
            |from, to| Row::parse(LINE.trim_end().replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(message("12,", "x,").to_string(), "column `iteration` is unreadable: `x`");
        assert!(message("0.5", "NaN").to_string().contains("`reward`"));
        assert!(message("true", "yes").to_string().contains("`audit`"));
        assert!(message("2026-03", "2026-3").to_string().contains("`time`"));
        assert!(message("trained", "hired").to_string().contains("`event`"));
        assert!(matches!(message("12,", "12,,"), RowError::Columns { found: 39 }));
    }

    #[test]
    fn one_row_has_one_way_to_be_written() {
        for (from, to) in [("0.5", "0.50"), ("12,", "\"12\","), (".250Z", ".25Z"), ("0.5", "5e-1")]
        {
            let line = LINE.trim_end().replace(from, to);
            assert!(matches!(Row::parse(line.as_bytes()), Err(RowError::Foreign)), "{line}");
        }
        assert!(Row::parse(LINE.replace('\n', "\r").as_bytes()).is_err());
    }

    #[test]
    fn a_blanked_row_keeps_what_it_could() {
        let void = |line: &str| {
            let row = Row::parse(line.as_bytes()).unwrap();
            assert_eq!(row.event, Event::Void);
            (row.iteration.map(|iteration| iteration.0), row.attempt)
        };
        assert_eq!(void("12,void,2,      "), (Some(12), Some(2)));
        assert_eq!(void("12,void"), (Some(12), None));
        assert_eq!(void(",void"), (None, None));
        assert_eq!(void(",,,"), (None, None));
        for blanks in [" ", "   ", "          ", ",,,,,"] {
            assert!(Row::parse(blanks.as_bytes()).is_err(), "`{blanks}` is no row");
        }
    }

    #[test]
    fn an_open_quote_is_an_error_at_its_own_line() {
        let text = format!("{LINE}{}{LINE}", LINE.replace(", SM(10)]\"", ""));
        let mut rows = RowReader::new(text.as_bytes());
        assert!(rows.next().unwrap().is_ok());
        assert!(rows.next().unwrap().is_err());
        assert_eq!(rows.byte(), LINE.len());
        assert!(rows.next().is_none());
        assert!(Row::parse(b"").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Row::parse(&bytes);
            let mut lines = bytes;
            lines.push(b'\n');
            let _ = RowReader::new(&lines).count();
        }

        #[test]
        fn a_line_with_one_byte_changed_is_read_or_refused(at in 0usize..140, byte in any::<u8>()) {
            let mut line = LINE.trim_end().as_bytes().to_vec();
            let index = at % line.len();
            line[index] = byte;
            if let Ok(row) = Row::parse(&line)
                && row.event != Event::Void
            {
                line.push(b'\n');
                prop_assert_eq!(row.to_line().unwrap(), line);
            }
        }
    }
}
