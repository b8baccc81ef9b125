//! The learning curve of one attempt: `curves/000123.1.csv`, one row per epoch.
//!
//! The attempt in its name appends to it while it trains; all others read what is there: a last
//! line without its newline is being written, or was when the machine died, and is passed over.
//!
//! Training may restart within an attempt, with a smaller learning rate, when the first epoch is no
//! better than chance. Such starts are numbered; the last one is the learning curve.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::outcome::Accuracy;
use crate::predictor::{Prediction, StoppingRule, Verdict};
use crate::regular_file::{self, MEDIUM};
use crate::storage::{
    error::Result, error::StorageError, fs::publish, fs::time::Time, log::event::CurveSummary,
};

const HEADER: &str = "epoch,start,learning_rate,training_loss,training_accuracy,validation_loss,\
    validation_accuracy,seconds,time,predicted_accuracy,sigma,stop_probability,y_best\n";

/// What is known after one epoch; what the trainer does not report is `None`. A loss or prediction
/// that is not finite (a network that diverges) is written as an empty cell, too: a spreadsheet
/// would take `NaN` for text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// Within its start, from 1.
    pub epoch: u32,
    /// From 1.
    pub start: u32,
    pub learning_rate: Option<f64>,
    pub training_loss: Option<f64>,
    pub training_accuracy: Option<Accuracy>,
    pub validation_loss: Option<f64>,
    pub validation_accuracy: Accuracy,
    /// Its evaluation included.
    pub seconds: Option<f64>,
    pub time: Time,
    /// Of the last epoch: a mean, may lie outside [0, 1].
    pub predicted_accuracy: Option<f64>,
    pub sigma: Option<f64>,
    /// Probability that the last epoch stays below the best network so far.
    pub stop_probability: Option<f64>,
    /// The accuracy to beat when that was asked.
    pub y_best: Option<f64>,
}

impl CurveRow {
    /// Has the stopping rule judge a prediction made after this epoch, and keeps the numbers.
    pub fn judge(
        &mut self,
        rule: StoppingRule,
        prediction: Prediction,
        y_best: Option<f64>,
    ) -> Verdict {
        let verdict = rule.judge(Some(prediction), y_best);
        self.predicted_accuracy = Some(prediction.mean);
        self.sigma = Some(prediction.sigma);
        self.y_best = y_best;
        self.stop_probability = verdict.stop_probability();
        verdict
    }

    /// Whether the rule says to stop after this epoch, asked again with the numbers that were kept.
    pub fn is_stop(&self, rule: StoppingRule) -> bool {
        let (Some(mean), Some(sigma)) = (self.predicted_accuracy, self.sigma) else { return false };
        rule.judge(Some(Prediction { mean, sigma }), self.y_best).is_stop()
    }

    pub(crate) const fn position(&self) -> (u32, u32) {
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

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    pub rows: Vec<CurveRow>,
}

impl Curve {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = regular_file::read(path, MEDIUM).map_err(StorageError::io("read", path))?;
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
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

    /// The rows of the last start: the learning curve.
    pub fn last_start(&self) -> &[CurveRow] {
        let last = self.rows.last().map_or(0, |row| row.start);
        &self.rows[self.rows.partition_point(|row| row.start < last)..]
    }

    /// The accuracies of the learning curve; `None` without an epoch.
    pub fn summary(&self) -> Option<CurveSummary> {
        let rows = self.last_start();
        let (mut best, last) = (rows.first()?, rows.last()?);
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

    pub fn seconds(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.seconds).fold(0.0, |sum, more| sum + more)
    }

    /// The rows before an epoch of a start, from which a later attempt resumes. `None` when the
    /// epoch before is missing, as after a power cut that spared the checkpoint alone: such an
    /// attempt could not say how good its network was.
    pub fn before(&self, start: u32, epoch: u32) -> Option<Self> {
        let end = self.rows.partition_point(|row| row.position() < (start, epoch));
        let rows = &self.rows[..end];
        let last = rows.last().map(CurveRow::position);
        (epoch == 1 || last == Some((start, epoch - 1))).then(|| Self { rows: rows.to_vec() })
    }
}

#[derive(Debug)]
pub struct CurveWriter {
    path: PathBuf,
    file: File,
}

impl CurveWriter {
    /// With the rows that an earlier attempt left. A curve that exists is an error: no attempt
    /// writes that of another.
    pub fn create(path: PathBuf, earlier: &[CurveRow]) -> Result<Self> {
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = created.map_err(StorageError::io("create", &path))?;
        let mut curve = Self { path, file };
        curve.write(&text(earlier))?;
        Ok(curve)
    }

    /// Writes the whole curve in place of what is there: a disk that was full has room again, or
    /// the file was removed with its folder.
    pub fn replace(path: &Path, rows: &[CurveRow]) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(StorageError::io("create", folder)(error))
            }
            _ => publish::replace_file(path, &text(rows)),
        }
    }

    pub fn append(&mut self, row: &CurveRow) -> Result<()> {
        self.write(&line(row))
    }

    /// Syncs and closes the curve, written anew if its file no longer holds `rows`: scratch is
    /// purged. Only then may the result be recorded, so that no result is without its curve.
    pub fn finish(self, rows: &[CurveRow]) -> Result<()> {
        self.file.sync_all().map_err(StorageError::io("sync", &self.path))?;
        let is_gone = match regular_file::read(&self.path, MEDIUM) {
            Ok(bytes) => bytes != text(rows),
            // What cannot be read stands in its place: that costs the curve, not the result.
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if is_gone {
            return Self::replace(&self.path, rows);
        }

        publish::sync_folder(self.path.parent().unwrap_or(Path::new("")))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(StorageError::io("append to", &self.path))
    }
}

fn text(rows: &[CurveRow]) -> Vec<u8> {
    HEADER.bytes().chain(rows.iter().flat_map(line)).collect()
}

fn line(row: &CurveRow) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row.clone().with_finite_numbers()).expect("a row is flat and goes to memory");
    writer.into_inner().expect("nothing fails in memory")
}

#[cfg(test)]
mod tests;
