//! Rows of the log as text: one line each, one way to write a row, and every other way refused.
//!
//! RFC 4180 quoting; numbers are the shortest that read back as the same; a missing value is an
//! empty field. No field holds CR, LF or NUL, so that a line is a row and a row is a line.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use crate::outcome::NotAnAccuracy;
use crate::space::SpaceError;
use crate::storage::log::event::{Event, Iteration, Row};
use crate::storage::{fs::time::Time, search_state::Violation};

/// Takes the columns in the order of the file: the fields of [`Row`], all of them.
macro_rules! columns {
    ($($column:ident)*) => {
        pub const COLUMNS: &[&str] = &[$(stringify!($column)),*];

        fn values(row: &mut Row) -> [&mut dyn ColumnValue; COLUMNS.len()] {
            let Row { $($column),* } = row;
            [$($column),*]
        }
    };
}

columns! {
    iteration event attempt round epsilon architecture of_iteration reward
    best_validation_accuracy best_epoch last_validation_accuracy epochs predicted_accuracy sigma
    y_best stop_probability threshold audit parameters macs layers learning_rate restarts
    train_seconds saved_seconds lost_seconds view reason device host job task started_at time
    expires_at repeat predictor strategy
}

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
    /// 0 when the line has no end.
    #[error("{found} columns instead of {}", COLUMNS.len())]
    Columns { found: usize },
    #[error("column `{column}` is unreadable: `{value}`")]
    Unreadable { column: &'static str, value: String },
    #[error(
        "column `{column}` is NaN or infinite, or is text that is empty or holds CR, LF or NUL"
    )]
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

/// What stands in a column of a row.
trait ColumnValue {
    /// Reads a field, given without its quotes. Returns whether the text is certain to be what is
    /// printed of the value, as it is of most rows; `None` when it is no value of the column.
    fn parse(&mut self, text: &str) -> Option<bool>;
    /// Returns whether a line can hold the value.
    fn print(&self, line: &mut Vec<u8>) -> bool;
}

impl<T: Value> ColumnValue for Option<T> {
    fn parse(&mut self, text: &str) -> Option<bool> {
        *self = if text.is_empty() { None } else { Some(text.parse().ok()?) };
        Some(self.as_ref().is_none_or(|value| value.is_plain(text)))
    }

    fn print(&self, line: &mut Vec<u8>) -> bool {
        self.as_ref().is_none_or(|value| value.print(line))
    }
}

impl ColumnValue for Event {
    fn parse(&mut self, text: &str) -> Option<bool> {
        text.parse().map(|event| *self = event).is_ok().then_some(true)
    }

    fn print(&self, line: &mut Vec<u8>) -> bool {
        line.write_all(<&str>::from(self).as_bytes()).is_ok()
    }
}

impl ColumnValue for Option<Arc<str>> {
    fn parse(&mut self, text: &str) -> Option<bool> {
        // Most are those of the row before, which are shared.
        if self.as_deref() != Some(text) {
            *self = (!text.is_empty()).then(|| text.into());
        }
        // No byte ends the search, so that many are compared at once.
        let is_odd = |byte| matches!(byte, b'"' | b'\r' | b'\n' | 0);
        Some(!text.bytes().fold(false, |found, byte| found | is_odd(byte)))
    }

    fn print(&self, line: &mut Vec<u8>) -> bool {
        let Some(text) = self.as_deref() else { return true };
        let printed = match text.contains([',', '"']) {
            true => write!(line, "\"{}\"", text.replace('"', "\"\"")),
            false => line.write_all(text.as_bytes()),
        };
        printed.is_ok() && !text.is_empty() && !text.contains(['\r', '\n', '\0'])
    }
}

trait Value: FromStr + Display {
    /// Whether the text that was read is certain to be what is printed: here of words and whole
    /// numbers.
    fn is_plain(&self, text: &str) -> bool {
        text == "0" || !text.starts_with(['+', '0'])
    }

    fn print(&self, line: &mut Vec<u8>) -> bool {
        write!(line, "{self}").is_ok()
    }
}

impl Value for bool {}
impl Value for u32 {}
impl Value for u64 {}
impl Value for Iteration {}

impl Value for Time {
    /// A leap second is read as the second before.
    fn is_plain(&self, text: &str) -> bool {
        let shape = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        shape.eq(*b"0000-00-00T00:00:00.000Z") && &text[17..19] != "60"
    }
}

impl Value for f64 {
    fn is_plain(&self, text: &str) -> bool {
        self.is_finite() && ryu::Buffer::new().format_finite(*self) == text
    }

    fn print(&self, line: &mut Vec<u8>) -> bool {
        line.extend_from_slice(ryu::Buffer::new().format(*self).as_bytes());
        self.is_finite()
    }
}

impl Row {
    pub fn to_line(&self) -> Result<Vec<u8>, RowError> {
        lines(std::slice::from_ref(self))
    }

    /// Reads a line of the log, given without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, RowError> {
        Self::default().replaced_by(line)
    }

    /// Reads the line after this row, whose texts it may share.
    fn replaced_by(mut self, line: &[u8]) -> Result<Self, RowError> {
        let text = str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::from);
        let fields = fields(&text);
        if let Some(void) = void(&fields) {
            return Ok(void);
        }
        if fields.len() != COLUMNS.len() {
            return Err(RowError::Columns { found: fields.len() });
        }
        let (is_utf8, mut is_plain) = (matches!(text, Cow::Borrowed(_)), true);
        for ((value, column), field) in values(&mut self).into_iter().zip(COLUMNS).zip(fields) {
            let text = unquoted(field);
            let is_text = is_utf8 || !text.contains(char::REPLACEMENT_CHARACTER);
            let Some(is_printed) = value.parse(&text).filter(|_| is_text) else {
                return Err(RowError::Unreadable { column, value: text.into_owned() });
            };
            is_plain &= is_printed && (field.len() == text.len() || text.contains(','));
        }
        if is_plain {
            return Ok(self);
        }
        let mut printed = Vec::with_capacity(line.len() + 1);
        print(&mut self, &mut printed)?;
        if printed[..printed.len() - 1] == *line { Ok(self) } else { Err(RowError::NotCanonical) }
    }
}

pub fn lines(rows: &[Row]) -> Result<Vec<u8>, RowError> {
    let mut lines = Vec::new();
    rows.iter().try_for_each(|row| print(&mut row.clone(), &mut lines))?;
    Ok(lines)
}

fn print(row: &mut Row, line: &mut Vec<u8>) -> Result<(), RowError> {
    for (value, column) in values(row).into_iter().zip(COLUMNS) {
        if !value.print(line) {
            return Err(RowError::Forbidden { column });
        }
        line.push(b',');
    }
    *line.last_mut().expect("a row has columns") = b'\n';
    Ok(())
}

/// Of the first line that is refused: how many rows stand before it, and its first byte.
pub fn parse_rows(bytes: &[u8]) -> Result<Vec<Row>, (usize, usize, RowError)> {
    let mut rows = Vec::<Row>::with_capacity(memchr::memchr_iter(b'\n', bytes).count());
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let row = rows.last().cloned().unwrap_or_default().replaced_by(&bytes[at..end]);
        rows.push(row.map_err(|error| (rows.len(), at, error))?);
        at = end + 1;
    }
    let no_end = (rows.len(), at, RowError::Columns { found: 0 });
    if at == bytes.len() { Ok(rows) } else { Err(no_end) }
}

/// The fields of a line, with their quotes.
fn fields(mut line: &str) -> Vec<&str> {
    let mut fields = Vec::with_capacity(COLUMNS.len());
    loop {
        let quotes = end_of_quotes(line);
        let comma = line.as_bytes()[quotes..].iter().position(|&byte| byte == b',');
        let end = quotes + comma.unwrap_or(line.len() - quotes);
        fields.push(&line[..end]);
        let Some(rest) = line.get(end + 1..) else { return fields };
        line = rest;
    }
}

fn unquoted(field: &str) -> Cow<'_, str> {
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    inner.map_or(field.into(), |inner| match inner.contains('"') {
        true => inner.replace("\"\"", "\"").into(),
        false => inner.into(),
    })
}

/// The length of the quoted text that a line begins with; after its end no quote begins another.
fn end_of_quotes(line: &str) -> usize {
    let Some(mut rest) = line.strip_prefix('"') else { return 0 };
    loop {
        let Some((_, after)) = rest.split_once('"') else { return line.len() };
        let Some(inside) = after.strip_prefix('"') else { return line.len() - after.len() };
        rest = inside;
    }
}

/// A row that `verify --repair` blanked: `iteration,void,attempt` and anything after it, as far as
/// its length allowed; commas alone when it did not allow the event.
fn void(fields: &[&str]) -> Option<Row> {
    let is_short = (2..=",void".len()).contains(&fields.len());
    let is_void = fields.get(1).is_some_and(|event| *event == "void");
    let is_blank = is_short && fields.iter().all(|field| field.is_empty());
    // A quote that is left open may hide the lines after it.
    if !(is_void || is_blank) || fields.iter().any(|field| field.starts_with('"')) {
        return None;
    }
    let iteration = fields[0].parse().ok();
    let attempt = fields.get(2).and_then(|field| field.parse().ok());
    Some(Row { iteration, attempt, ..Row::new(Event::Void) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use strum::VariantArray;

    fn fields_of(line: &str) -> Vec<Cow<'_, str>> {
        fields(line).into_iter().map(unquoted).collect()
    }

    #[test]
    fn quotes_that_have_ended_do_not_begin_again() {
        assert_eq!(fields_of(r#"1,"[C(8,3,1), SM(10)]",2"#), ["1", "[C(8,3,1), SM(10)]", "2"]);
        assert_eq!(fields_of(r#"1,"a ""b"", c",2"#), ["1", r#"a "b", c"#, "2"]);
        assert_eq!(fields_of(r#"1,"[SM(1")]",2"#).len(), 3);
        assert_eq!(fields_of(r#"1,"[SM(1",2,3"#).len(), 4);
        assert_eq!(fields_of(r#"1,"open,2"#), ["1", r#""open,2"#]);
        assert!(Row::parse(br#"12,void,2,""#).is_err());
    }

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
        assert!(matches!(row.to_line(), Err(RowError::Forbidden { column: "sigma" })));
    }

    fn text() -> impl Strategy<Value = Option<Arc<str>>> {
        prop::option::of("[^\r\n\0]{1,12}".prop_map(Arc::from))
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
        fn a_line_is_a_row_when_it_is_what_is_printed_of_it(
            column in 0..COLUMNS.len(),
            odd in prop_oneof![
                "[+-]?(0{0,2}[0-9]{1,3}|18446744073709551615|4294967296)",
                "-?[0-9]{1,2}(\\.[0-9]{0,2}0{0,17}[0-9]{0,2})?([eE][+-]?0?[0-9]{1,2})?",
                "(20|00)[0-9]{2}-[01][0-9]-(0[1-9]|3[01])[Tt ](2[0-4]|[01][0-9]):[0-6][0-9]:\
                    ([0-5][0-9]|60)([.,][0-9]{1,4})?(Z|z|\\+00:00|\\+01:00)",
                "true|false|True|void|reused|NaN|inf|-0|-0\\.0|\u{fffd}",
                "[a,\" \r\0]{0,6}",
            ],
            is_quoted in any::<bool>(),
        ) {
            let odd = if is_quoted { format!("\"{odd}\"") } else { odd };
            let line = LINE.trim_end();
            let mut line = fields(line);
            line[column] = &odd;
            let line = line.join(",");
            let parsed = Row::parse(line.as_bytes());
            let after = parse_rows(format!("{LINE}{line}\n").as_bytes());
            match parsed {
                Ok(row) => {
                    let printed = row.to_line().unwrap();
                    let is_own = printed[..printed.len() - 1] == *line.as_bytes();
                    prop_assert!(is_own || row.event == Event::Void, "{line}");
                    prop_assert_eq!(after.unwrap().pop().unwrap(), row);
                }
                Err(error) => prop_assert_eq!(after.unwrap_err(), (1, LINE.len(), error)),
            }
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
