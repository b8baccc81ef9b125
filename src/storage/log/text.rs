//! Rows of the replay log as text: one line each, 38 columns, one way to write a row.
//!
//! RFC 4180 quoting through the `csv` crate; numbers are the shortest that read back as the same;
//! a missing value is an empty field. No field ever holds CR, LF or NUL, so a line is a row and a
//! row is a line, and what a crash or a foreign program leaves in the file is told apart from
//! rows. A line that is not exactly what this program would write is refused.

use csv::{Terminator, WriterBuilder};

use crate::storage::log::row::Row;
use crate::storage::log::row_error::RowError;

/// The columns in the order of the file.
pub const COLUMNS: [&str; 38] = [
    "iteration",
    "event",
    "attempt",
    "round",
    "epsilon",
    "architecture",
    "of_iteration",
    "reward",
    "best_validation_accuracy",
    "best_epoch",
    "last_validation_accuracy",
    "epochs",
    "predicted_accuracy",
    "sigma",
    "y_best",
    "stop_probability",
    "threshold",
    "audit",
    "parameters",
    "macs",
    "layers",
    "learning_rate",
    "restarts",
    "train_seconds",
    "saved_seconds",
    "lost_seconds",
    "view",
    "reason",
    "device",
    "host",
    "job",
    "task",
    "started_at",
    "time",
    "expires_at",
    "repeat",
    "predictor",
    "strategy",
];

/// Returns the header line of the log, its newline included.
pub fn header() -> String {
    COLUMNS.join(",") + "\n"
}

impl Row {
    /// Returns the row as a line of the log, its newline included.
    ///
    /// # Errors
    /// Names a column whose text is empty or holds CR, LF or NUL, or whose number is not finite.
    pub fn to_line(&self) -> Result<Vec<u8>, RowError> {
        let mut lines = LineWriter::new();
        lines.push(self)?;
        Ok(lines.into_bytes())
    }

    fn check(&self) -> Result<(), RowError> {
        for (column, text) in self.texts() {
            let is_forbidden = |byte| matches!(byte, b'\r' | b'\n' | 0);
            if text.is_some_and(|text| text.is_empty() || text.bytes().any(is_forbidden)) {
                return Err(RowError::Forbidden { column });
            }
        }
        for (column, number) in self.numbers() {
            if number.is_some_and(|number| !number.is_finite()) {
                return Err(RowError::NotFinite { column });
            }
        }
        Ok(())
    }

    fn texts(&self) -> [(&'static str, Option<&String>); 7] {
        [
            ("architecture", self.architecture.as_ref()),
            ("reason", self.reason.as_ref()),
            ("device", self.device.as_ref()),
            ("host", self.host.as_ref()),
            ("job", self.job.as_ref()),
            ("task", self.task.as_ref()),
            ("strategy", self.strategy.as_ref()),
        ]
    }

    fn numbers(&self) -> [(&'static str, Option<f64>); 13] {
        [
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
        ]
    }
}

/// Rows gathered as bytes, to be appended to the log in one write.
pub struct LineWriter(csv::Writer<Vec<u8>>);

impl LineWriter {
    /// Returns a writer without rows.
    pub fn new() -> Self {
        let mut builder = WriterBuilder::new();
        builder.has_headers(false).terminator(Terminator::Any(b'\n'));
        Self(builder.from_writer(Vec::new()))
    }

    /// Adds the line of a row.
    ///
    /// # Errors
    /// Those of [`Row::to_line`]; nothing is added then.
    pub fn push(&mut self, row: &Row) -> Result<(), RowError> {
        row.check()?;
        self.0.serialize(row).expect("a row of plain fields is written to memory");
        Ok(())
    }

    /// Returns the lines.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes every byte")
    }

    /// Returns the lines so far.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.0.flush().expect("memory takes every byte");
        self.0.get_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fs::time::Time;
    use crate::storage::log::row::{Event, Iteration};
    use proptest::prelude::*;

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
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(full()).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        assert_eq!(text.lines().next().unwrap(), header().trim_end());
    }

    #[test]
    fn events_have_one_name() {
        for event in Event::ALL {
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
    }
}
