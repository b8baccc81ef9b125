//! Rows of the log as text: one line each, one way to write a row, and every other way refused.
//!
//! RFC 4180 quoting; numbers are the shortest that read back as the same; a missing value is an
//! empty field. No field holds CR, LF or NUL, so that a line is a row and a row is a line.

use std::sync::LazyLock;

use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};

use crate::outcome::NotAnAccuracy;
use crate::space::SpaceError;
use crate::storage::log::event::{Event, Iteration, Row};
use crate::storage::{fs::time::Time, search_state::Violation};

/// The columns in the order of the file: the fields of [`Row`], as serde names them.
pub static COLUMNS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(Row::default()).expect("a row of plain fields is written to memory");
    let text = String::from_utf8(writer.into_inner().expect("memory takes every byte"));
    let text = text.expect("names of fields are text");
    text.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect()
});

/// The header line of the log, its newline included.
pub fn header() -> String {
    COLUMNS.join(",") + "\n"
}

/// The number of the line after so many rows, the header being line 1.
pub(crate) const fn line_after(rows: u64) -> u64 {
    rows + 2
}

/// Why a line of the log is no row, a row cannot be a line, or a row cannot stand where it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// 0 when the line is no row at all.
    #[error("{found} columns instead of {}", COLUMNS.len())]
    Columns { found: usize },
    #[error("column `{column}` is unreadable: `{value}`")]
    Unreadable { column: &'static str, value: String },
    #[error("column `{column}` is not a finite number")]
    NotFinite { column: &'static str },
    /// Text that would break the line.
    #[error("column `{column}` is empty text, or holds a line break or NUL")]
    Forbidden { column: &'static str },
    /// `verify --repair` was killed while it blanked the row.
    #[error("the row was blanked in part")]
    HalfBlanked,
    #[error(
        "the row is not written as this program writes it (was the log saved by a spreadsheet?)"
    )]
    NotCanonical,
    #[error(transparent)]
    Rule(#[from] Violation),
    #[error(transparent)]
    Architecture(#[from] SpaceError),
    #[error("column `reward`: {0}")]
    Reward(#[from] NotAnAccuracy),
}

impl Row {
    pub fn to_line(&self) -> Result<Vec<u8>, RowError> {
        lines(std::slice::from_ref(self))
    }

    /// Reads a line of the log, given without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, RowError> {
        if line.contains(&b'\n') {
            return Err(RowError::Columns { found: 0 });
        }
        let terminated = [line, b"\n"].concat();
        let mut rows = parse_rows(&terminated).map_err(|(.., error)| error)?;
        Ok(rows.pop().expect("a line gives a row or an error"))
    }

    fn check(&self) -> Result<(), RowError> {
        let texts = [
            ("architecture", &self.architecture),
            ("reason", &self.reason),
            ("device", &self.device),
            ("host", &self.host),
            ("job", &self.job),
            ("task", &self.task),
            ("strategy", &self.strategy),
        ];
        for (column, text) in texts {
            let is_forbidden = |byte| matches!(byte, b'\r' | b'\n' | 0);
            if text.as_ref().is_some_and(|text| text.is_empty() || text.bytes().any(is_forbidden)) {
                return Err(RowError::Forbidden { column });
            }
        }
        let numbers = [
            ("epsilon", self.epsilon),
            ("reward", self.reward),
            ("best_validation_accuracy", self.best_validation_accuracy),
            ("last_validation_accuracy", self.last_validation_accuracy),
            ("predicted_accuracy", self.predicted_accuracy),
            ("sigma", self.sigma),
            ("y_best", self.y_best),
            ("stop_probability", self.stop_probability),
            ("threshold", self.threshold),
            ("learning_rate", self.learning_rate),
            ("train_seconds", self.train_seconds),
            ("saved_seconds", self.saved_seconds),
            ("lost_seconds", self.lost_seconds),
        ];
        match numbers.iter().find(|(_, number)| number.is_some_and(|number| !number.is_finite())) {
            Some((column, _)) => Err(RowError::NotFinite { column }),
            None => Ok(()),
        }
    }
}

type Printer = csv::Writer<Vec<u8>>;

fn printer() -> Printer {
    let mut builder = WriterBuilder::new();
    builder.has_headers(false).terminator(Terminator::Any(b'\n'));
    builder.from_writer(Vec::new())
}

fn print(row: &Row, printer: &mut Printer) -> Result<(), RowError> {
    row.check()?;
    printer.serialize(row).expect("a row of plain fields is written to memory");
    printer.flush().expect("memory takes every byte");
    Ok(())
}

/// The lines of rows, to be appended in one write.
pub fn lines(rows: &[Row]) -> Result<Vec<u8>, RowError> {
    let mut printer = printer();
    rows.iter().try_for_each(|row| print(row, &mut printer))?;
    Ok(printer.into_inner().expect("memory takes every byte"))
}

/// Of the first line that is refused: how many rows stand before it, and its first byte.
pub fn parse_rows(bytes: &[u8]) -> Result<Vec<Row>, (usize, usize, RowError)> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
    let mut reader = builder.from_reader(bytes);
    let (mut record, mut printer) = (ByteRecord::new(), printer());
    let (mut rows, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        reader.read_byte_record(&mut record).expect("memory gives every byte");
        let end = reader.position().byte() as usize;
        let row = read_row(&record, &bytes[at..end], &mut printer);
        rows.push(row.map_err(|error| (rows.len(), at, error))?);
        at = end;
    }
    Ok(rows)
}

fn read_row(record: &ByteRecord, line: &[u8], printer: &mut Printer) -> Result<Row, RowError> {
    // A blank line is skipped by the reader, and a quote left open swallows the lines after it.
    if line.iter().position(|&byte| byte == b'\n') != Some(line.len() - 1) {
        return Err(RowError::Columns { found: 0 });
    }
    if let Some(void) = void(record) {
        return Ok(void);
    }
    let row = row(record)?;
    let from = printer.get_ref().len();
    print(&row, printer)?;
    if printer.get_ref()[from..] == *line { Ok(row) } else { Err(RowError::NotCanonical) }
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
        // Text that is not UTF-8, an unknown event and a wrong time are reported without their
        // column.
        let is_wrong = |&index: &usize| {
            let Ok(text) = str::from_utf8(&record[index]) else { return true };
            match COLUMNS[index].as_str() {
                "event" => text.parse::<Event>().is_err(),
                "started_at" | "time" | "expires_at" => {
                    !text.is_empty() && text.parse::<Time>().is_err()
                }
                _ => false,
            }
        };
        let column = column
            .map(|index| index as usize)
            .or_else(|| (0..COLUMNS.len()).find(is_wrong))
            .unwrap_or(0);
        RowError::Unreadable {
            column: &COLUMNS[column],
            value: String::from_utf8_lossy(&record[column]).into_owned(),
        }
    })
}

/// A row that `verify --repair` blanked: `iteration,void,attempt` and anything after it, as far as
/// its length allowed; commas alone when it did not allow the event.
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
    use strum::VariantArray;

    fn full() -> Row {
        let time: Time = "2026-03-01T12:00:00.250Z".parse().unwrap();
        Row {
            iteration: Some(Iteration(12)),
            attempt: Some(1),
            epsilon: Some(0.1),
            architecture: Some("[C(64,3,1), SM(10)]".into()),
            reward: Some(0.5),
            audit: Some(true),
            reason: Some("said \"no\", twice".into()),
            time: Some(time),
            repeat: Some(1),
            ..Row::new(Event::Trained)
        }
    }

    const LINE: &str = "12,trained,1,,0.1,\"[C(64,3,1), SM(10)]\",,0.5,,,,,,,,,,true,,,,,,,,,,\
        \"said \"\"no\"\", twice\",,,,,,2026-03-01T12:00:00.250Z,,1,,\n";

    #[test]
    fn a_row_is_one_line_of_the_columns_in_their_order() {
        assert_eq!(String::from_utf8(full().to_line().unwrap()).unwrap(), LINE);
        assert_eq!(Row::parse(LINE.trim_end().as_bytes()).unwrap(), full());
    }

    #[test]
    fn the_header_names_the_fields_of_a_row() {
        let names = "iteration,event,attempt,round,epsilon,architecture,of_iteration,reward,\
            best_validation_accuracy,best_epoch,last_validation_accuracy,epochs,predicted_accuracy,\
            sigma,y_best,stop_probability,threshold,audit,parameters,macs,layers,learning_rate,\
            restarts,train_seconds,saved_seconds,lost_seconds,view,reason,device,host,job,task,\
            started_at,time,expires_at,repeat,predictor,strategy\n";
        assert_eq!(header(), names);
    }

    #[test]
    fn events_have_one_name() {
        for &event in Event::VARIANTS {
            let line = Row::new(event).to_line().unwrap();
            assert!(line.starts_with(format!(",{event},").as_bytes()));
            assert_eq!(Row::parse(&line[..line.len() - 1]).unwrap(), Row::new(event));
        }
    }

    #[test]
    fn text_that_would_break_the_line_is_refused() {
        for text in ["a\nb", "a\rb", "a\0b", ""] {
            let row = Row { host: Some(text.into()), ..full() };
            assert!(matches!(row.to_line(), Err(RowError::Forbidden { column: "host" })));
        }
        let row = Row { sigma: Some(f64::INFINITY), ..full() };
        assert!(matches!(row.to_line(), Err(RowError::NotFinite { column: "sigma" })));
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[^\r\n\0]{1,12}")
    }

    fn number() -> impl Strategy<Value = Option<f64>> {
        prop::option::of(any::<f64>().prop_filter("finite", |number| number.is_finite()))
    }
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
            assert!(matches!(Row::parse(line.as_bytes()), Err(RowError::NotCanonical)), "{line}");
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
        let (rows, byte, _) = parse_rows(text.as_bytes()).unwrap_err();
        assert_eq!((rows, byte), (1, LINE.len()));
        assert!(Row::parse(b"").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            counts in prop::collection::vec(prop::option::of(any::<u32>()), 5),
            large in prop::collection::vec(prop::option::of(any::<u64>()), 5),
            numbers in prop::collection::vec(number(), 4),
            texts in prop::collection::vec(text(), 7),
            milliseconds in prop::option::of(0i64..4_000_000_000_000),
        ) {
            let timestamp = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
            let row = Row {
                iteration: large[0].map(Iteration),
                attempt: counts[0],
                round: counts[1],
                epsilon: numbers[0],
                architecture: texts[0].clone(),
                of_iteration: large[1].map(Iteration),
                best_epoch: counts[2],
                predicted_accuracy: numbers[1],
                sigma: numbers[2],
                lost_seconds: numbers[3],
                macs: large[2],
                layers: counts[3],
                view: large[3],
                reason: texts[1].clone(),
                device: texts[2].clone(),
                host: texts[3].clone(),
                job: texts[4].clone(),
                task: texts[5].clone(),
                repeat: counts[4],
                predictor: large[4],
                strategy: texts[6].clone(),
                expires_at: milliseconds.map(|ms| Time::from(timestamp(ms))),
                ..Row::new(Event::Claimed)
            };
            let line = row.to_line().unwrap();
            prop_assert_eq!(Row::parse(&line[..line.len() - 1]).unwrap(), row);
        }
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Row::parse(&bytes);
            let mut lines = bytes;
            lines.push(b'\n');
            let _ = parse_rows(&lines);
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
