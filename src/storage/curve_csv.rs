//! The learning curve of one attempt: `curves/000123.1.csv`, one row per epoch.
//!
//! A curve has one owner, the attempt in its name, which appends to it while it trains
//! ([`CurveWriter`]). Everybody else reads what is there ([`Curve::read`]): a last line without
//! its newline is still being written, or was when the machine died, and is passed over.
//!
//! Training may begin anew within an attempt, with a smaller learning rate, when the first epoch
//! is no better than chance. Such starts are numbered; the last one is the learning curve.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StorageError;
use super::publish;
use super::replay_event::CurveSummary;
use super::replay_event::StopNumbers;
use super::time::Time;
use crate::outcome::Accuracy;

/// The columns, in the order of the fields of [`CurveRow`].
const COLUMNS: [&str; 13] = [
    "epoch",
    "start",
    "learning_rate",
    "training_loss",
    "training_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "time",
    "predicted_accuracy",
    "sigma",
    "stop_probability",
    "y_best",
];

/// What is known after one epoch. A number that the trainer does not tell is `None`.
///
/// A loss or a prediction that is not finite (a network that diverges) is written like one that is
/// not told, as an empty cell: a spreadsheet would take `NaN` for text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// Number of the epoch within its start, from 1.
    pub epoch: u32,
    /// Number of the start, from 1.
    pub start: u32,
    /// Learning rate of the optimizer.
    pub learning_rate: Option<f64>,
    /// Mean loss over the training images.
    pub training_loss: Option<f64>,
    /// Accuracy on the training images.
    pub training_accuracy: Option<Accuracy>,
    /// Mean loss over the validation images.
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation images.
    pub validation_accuracy: Accuracy,
    /// What the epoch took, its evaluation included.
    pub seconds: Option<f64>,
    /// When it ended, in UTC.
    pub time: Time,
    /// Mean of the prediction of the last epoch's accuracy; may lie outside [0, 1].
    pub predicted_accuracy: Option<f64>,
    /// Standard deviation of the prediction.
    pub sigma: Option<f64>,
    /// Probability that the last epoch stays below the best network so far.
    pub stop_probability: Option<f64>,
    /// The accuracy to beat when that was asked.
    #[serde(default)]
    pub y_best: Option<f64>,
}

/// What the stopping rule was told after an epoch, and what it said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Predicted last-epoch accuracy; may lie outside [0, 1].
    pub predicted_accuracy: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// The accuracy to beat, once enough networks are trained to the end.
    pub y_best: Option<f64>,
    /// Probability that the network does not beat it.
    pub stop_probability: Option<f64>,
}

impl Forecast {
    /// Returns the numbers of a verdict to stop, if it is one at this threshold.
    pub fn stop(&self, threshold: f64) -> Option<StopNumbers> {
        let stop_probability = self.stop_probability.filter(|&found| found >= threshold)?;
        Some(StopNumbers {
            predicted_accuracy: self.predicted_accuracy,
            sigma: self.sigma,
            y_best: self.y_best?,
            stop_probability,
            threshold,
        })
    }
}

impl CurveRow {
    /// Returns the row with a forecast.
    #[must_use]
    pub fn with_forecast(self, forecast: &Forecast) -> Self {
        Self {
            predicted_accuracy: Some(forecast.predicted_accuracy),
            sigma: Some(forecast.sigma),
            stop_probability: forecast.stop_probability,
            y_best: forecast.y_best,
            ..self
        }
    }

    /// Returns the forecast after this epoch, if there was one.
    pub fn forecast(&self) -> Option<Forecast> {
        Some(Forecast {
            predicted_accuracy: self.predicted_accuracy?,
            sigma: self.sigma?,
            y_best: self.y_best,
            stop_probability: self.stop_probability,
        })
    }

    /// Orders the rows of a file: by start, then epoch.
    const fn position(&self) -> (u32, u32) {
        (self.start, self.epoch)
    }

    fn with_finite_numbers(mut self) -> Self {
        for number in [
            &mut self.learning_rate,
            &mut self.training_loss,
            &mut self.validation_loss,
            &mut self.seconds,
            &mut self.predicted_accuracy,
            &mut self.sigma,
            &mut self.stop_probability,
            &mut self.y_best,
        ] {
            *number = number.filter(|number| number.is_finite());
        }
        self
    }
}

/// The rows of a curve file, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    rows: Vec<CurveRow>,
}

impl Curve {
    /// Reads the curve at `path`, up to its last whole line.
    ///
    /// # Errors
    /// A file that cannot be read; a line that is no row or not later than the one before it.
    pub fn read(path: &Path) -> Result<Self, StorageError> {
        let bytes = std::fs::read(path).map_err(StorageError::io("read", path))?;
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, StorageError> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let failed = StorageError::csv(path);
        let mut reader = csv::Reader::from_reader(&bytes[..whole]);
        let header = reader.headers().map_err(failed)?.clone();
        let mut rows: Vec<CurveRow> = Vec::new();
        for record in reader.into_records() {
            let record = record.map_err(failed)?;
            let row: CurveRow = record.deserialize(Some(&header)).map_err(failed)?;
            if rows.last().is_some_and(|last| last.position() >= row.position()) {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(StorageError::line(path, line, "epoch and start do not grow"));
            }
            rows.push(row.with_finite_numbers());
        }
        Ok(Self { rows })
    }

    /// Returns the rows of all starts.
    pub fn rows(&self) -> &[CurveRow] {
        &self.rows
    }

    /// Returns the rows of the last start: the learning curve.
    pub fn last_start(&self) -> &[CurveRow] {
        let last = self.rows.last().map_or(0, |row| row.start);
        &self.rows[self.rows.partition_point(|row| row.start < last)..]
    }

    /// Sums the learning curve up; `None` without an epoch.
    pub fn summary(&self) -> Option<CurveSummary> {
        let rows = self.last_start();
        let last = rows.last()?;
        let mut best = rows.first()?;
        for row in rows {
            // Of equal epochs the first, as the published code has it.
            if row.validation_accuracy > best.validation_accuracy {
                best = row;
            }
        }
        Some(CurveSummary {
            best: best.validation_accuracy,
            best_epoch: best.epoch,
            last: last.validation_accuracy,
            epochs: rows.len() as u32,
        })
    }

    /// Returns the seconds that its epochs took, as far as they are known.
    pub fn seconds(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.seconds).fold(0.0, |sum, more| sum + more)
    }

    /// Returns what the curve of a later attempt begins with that goes on with an epoch of a start:
    /// the rows before it. `None` when the epoch before that is missing, as after a power cut that
    /// spared the checkpoint and not the curve: such an attempt could not say how good its network was.
    pub fn before(&self, start: u32, epoch: u32) -> Option<Self> {
        let end = self.rows.partition_point(|row| row.position() < (start, epoch));
        let rows = &self.rows[..end];
        let last = rows.last().map(CurveRow::position);
        (epoch == 1 || last == Some((start, epoch - 1))).then(|| Self { rows: rows.to_vec() })
    }

    /// Takes in the row of the next epoch.
    pub fn push(&mut self, row: CurveRow) {
        self.rows.push(row);
    }
}

/// A curve that is being written, by its one owner.
#[derive(Debug)]
pub struct CurveWriter {
    path: PathBuf,
    file: File,
}

impl CurveWriter {
    /// Creates the curve at `path`, with the rows that an earlier attempt left behind it.
    ///
    /// # Errors
    /// A file that cannot be written, or that exists: no attempt writes the curve of another.
    pub fn create(path: PathBuf, earlier: &[CurveRow]) -> Result<Self, StorageError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StorageError::io("create", &path))?;
        let mut curve = Self { path, file };
        curve.write(&text(earlier))?;
        Ok(curve)
    }

    /// Writes the whole curve in place of what its owner could write before: a disk that was full
    /// has room again.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn replace(path: &Path, rows: &[CurveRow]) -> Result<(), StorageError> {
        publish::replace_file(path, &text(rows))
    }

    /// Appends a row, with a single write.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, row: &CurveRow) -> Result<(), StorageError> {
        self.write(&line(row))
    }

    /// Brings the curve to the disk and closes it. Only then may the result be recorded, so that
    /// no result is without its curve.
    ///
    /// # Errors
    /// A file or folder that cannot be synced.
    pub fn finish(self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(StorageError::io("sync", &self.path))?;
        publish::sync_folder(self.path.parent().unwrap_or(Path::new("")))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(StorageError::io("append to", &self.path))
    }
}

/// Writes header and rows.
fn text(rows: &[CurveRow]) -> Vec<u8> {
    let mut bytes = format!("{}\n", COLUMNS.join(",")).into_bytes();
    bytes.extend(rows.iter().flat_map(line));
    bytes
}

/// Writes a row as a line of the file.
fn line(row: &CurveRow) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row.clone().with_finite_numbers()).expect("a row is flat and goes to memory");
    writer.into_inner().expect("nothing fails in memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(start: u32, epoch: u32) -> CurveRow {
        CurveRow {
            epoch,
            start,
            learning_rate: Some(0.001),
            training_loss: Some(1.5),
            training_accuracy: None,
            validation_loss: Some(f64::NAN),
            validation_accuracy: Accuracy::new(0.1 + 0.2).unwrap(),
            seconds: Some(2.25),
            time: "2026-03-01T12:00:00.250Z".parse().unwrap(),
            predicted_accuracy: None,
            sigma: None,
            stop_probability: None,
            y_best: None,
        }
    }

    fn read_back(path: &Path) -> Vec<(u32, u32)> {
        Curve::read(path).unwrap().rows().iter().map(CurveRow::position).collect()
    }

    #[test]
    fn rows_can_be_read_as_soon_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000123.1.csv");
        let mut writer = CurveWriter::create(path.clone(), &[]).unwrap();
        assert_eq!(read_back(&path), []);
        writer.append(&row(1, 1)).unwrap();
        assert_eq!(read_back(&path), [(1, 1)]);
        writer.append(&row(2, 1)).unwrap();
        writer.finish().unwrap();
        let curve = Curve::read(&path).unwrap();
        assert_eq!(curve.rows()[0], CurveRow { validation_loss: None, ..row(1, 1) });
        let text = std::fs::read_to_string(&path).unwrap();
        let cells = "1,1,0.001,1.5,,,0.30000000000000004,2.25,2026-03-01T12:00:00.250Z,,,,";
        assert_eq!(text.lines().nth(1), Some(cells));
    }

    #[test]
    fn the_last_start_is_the_curve_and_a_later_attempt_goes_on_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.1.csv"), folder.path().join("1.2.csv"));
        let rows = [row(1, 1), row(2, 1), row(2, 2), row(2, 3)];
        CurveWriter::create(first.clone(), &rows).unwrap().finish().unwrap();
        let earlier = Curve::read(&first).unwrap();
        assert_eq!(earlier.last_start().len(), 3);
        // Resumed from a checkpoint of the second epoch: the third is trained again.
        let kept = earlier.before(2, 3).unwrap();
        let mut writer = CurveWriter::create(second.clone(), kept.rows()).unwrap();
        writer.append(&row(2, 3)).unwrap();
        assert_eq!(read_back(&second), [(1, 1), (2, 1), (2, 2), (2, 3)]);
        assert!(Curve::default().last_start().is_empty());
    }

    #[test]
    fn nobody_goes_on_with_an_epoch_whose_forerunner_is_missing() {
        let curve = Curve { rows: vec![row(1, 1), row(2, 1), row(2, 2)] };
        let rows = |start, epoch| curve.before(start, epoch).map(|before| before.rows.len());
        assert_eq!(rows(2, 3), Some(3));
        assert_eq!(rows(2, 2), Some(2));
        assert_eq!(rows(2, 4), None, "the third epoch is missing");
        assert_eq!(rows(3, 2), None);
        // The first epoch of a start needs no other.
        assert_eq!(
            (rows(1, 1), rows(3, 1), Curve::default().before(1, 1)),
            (Some(0), Some(3), Some(Curve::default()))
        );
        assert_eq!(Curve::default().before(1, 2), None);
    }

    #[test]
    fn a_curve_is_written_whole_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.csv");
        std::fs::write(&path, "epoch,start\n1,").unwrap();
        CurveWriter::replace(&path, &[row(1, 1), row(1, 2)]).unwrap();
        assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
    }

    #[test]
    fn no_attempt_writes_the_curve_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.csv");
        CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
        assert!(CurveWriter::create(path.clone(), &[]).is_err());
        assert_eq!(read_back(&path), [(1, 1)]);
    }

    #[test]
    fn a_curve_cut_at_any_byte_keeps_its_whole_rows() {
        let whole =
            [COLUMNS.join(",").into_bytes(), b"\n".to_vec(), line(&row(1, 1)), line(&row(1, 2))]
                .concat();
        for cut in 0..=whole.len() {
            let rows = Curve::parse(&whole[..cut], Path::new("cut")).unwrap().rows;
            let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(rows.len(), lines.saturating_sub(1));
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let message = |rows: &[Vec<u8>]| {
            let bytes = [format!("{}\n", COLUMNS.join(",")).into_bytes(), rows.concat()].concat();
            let error = Curve::parse(&bytes, Path::new("c.csv")).unwrap_err();
            format!(
                "{error}: {}",
                std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
            )
        };
        assert!(message(&[line(&row(1, 2)), line(&row(1, 2))]).contains("line 3"));
        assert!(message(&[line(&row(1, 1)), b"1,x\n".to_vec()]).contains("line: 3"));
        let loud = String::from_utf8(line(&row(1, 1))).unwrap().replace("0.30", "3.30");
        assert!(message(&[loud.into_bytes()]).contains("outside [0, 1]"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200), with_header in any::<bool>(),
        ) {
            let header = if with_header { COLUMNS.join(",") + "\n" } else { String::new() };
            let _ = Curve::parse(&[header.as_bytes(), &bytes, b"\n"].concat(), Path::new("any"));
        }
    }
}
