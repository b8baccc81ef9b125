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
    /// `None` where no images are for validation.
    pub validation_accuracy: Option<Accuracy>,
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
            best_epoch: best.validation_accuracy.map(|_| best.epoch),
            last: last.validation_accuracy,
            epochs: rows.len() as u32,
        })
    }

    pub fn seconds(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.seconds).fold(0.0, |sum, more| sum + more)
    }

    /// Estimates the seconds of the epochs that a whole training of `epochs` has more: each as long
    /// as the mean of the last start, or of all epochs in `spent` seconds where the trainer reports
    /// no times.
    pub fn seconds_left(&self, epochs: u32, spent: f64) -> f64 {
        let start = self.last_start();
        let known: Vec<f64> = start.iter().filter_map(|row| row.seconds).collect();
        let mean = if known.is_empty() {
            spent / self.rows.len().max(1) as f64
        } else {
            known.iter().sum::<f64>() / known.len() as f64
        };
        mean * f64::from(epochs.saturating_sub(start.len() as u32))
    }

    /// Writes the whole curve in place of what is there: a disk that was full has room again, or
    /// the file was removed with its folder.
    pub fn replace(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(StorageError::io("create", folder)(error))
            }
            _ => publish::replace_file(path, &text(&self.rows)).map(drop),
        }
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

/// The learning curve of an attempt while it grows: in memory whole, on disk as far as there is
/// room. Its file begins with the first epoch, which decides how much of an earlier attempt's curve
/// still stands.
#[derive(Debug)]
pub struct CurveInProgress {
    path: PathBuf,
    /// That of an earlier attempt.
    earlier: Curve,
    pub curve: Curve,
    /// Seconds of the earlier epochs that this curve begins with.
    pub kept_seconds: f64,
    /// Open from the first epoch on, while every row could be written.
    file: Option<File>,
    /// Whether a row could not be written.
    is_behind: bool,
}

impl CurveInProgress {
    pub const fn new(path: PathBuf, earlier: Curve) -> Self {
        let curve = Curve { rows: Vec::new() };
        Self { path, earlier, curve, kept_seconds: 0.0, file: None, is_behind: false }
    }

    /// Appends an epoch, to which `judge` may add a prediction. Returns false when an epoch before
    /// it is missing: the checkpoint that the trainer goes on from is ahead of the curve.
    /// A file that cannot be written ends no training, since [`Self::finish`] writes it anew; one
    /// that is there already is that of another attempt, and an error.
    pub fn append(&mut self, row: CurveRow, judge: impl FnOnce(&mut Curve)) -> Result<bool> {
        if self.curve.rows.is_empty() {
            let Some(kept) = self.earlier.before(row.start, row.epoch) else { return Ok(false) };
            self.keep(kept);
        }
        self.curve.rows.push(row);
        judge(&mut self.curve);
        match self.write_newest() {
            Err(error) if error.is_taken() => return Err(error),
            Err(error) => {
                log::warn!("the training goes on, its curve is written later: {error}");
                (self.file, self.is_behind) = (None, true);
            }
            Ok(()) => {}
        }
        Ok(true)
    }

    fn write_newest(&mut self) -> Result<()> {
        let rows = &self.curve.rows;
        let (file, bytes) = match &mut self.file {
            _ if self.is_behind => return Ok(()),
            Some(file) => (file, line(&rows[rows.len() - 1])),
            none => {
                let created = OpenOptions::new().write(true).create_new(true).open(&self.path);
                let file = created.map_err(StorageError::io("create", &self.path))?;
                (none.insert(file), text(rows))
            }
        };
        file.write_all(&bytes).map_err(StorageError::io("append to", &self.path))
    }

    /// Takes the earlier attempt's curve for this one's, after a trainer that had nothing left to
    /// train. Returns false when it does not reach the last of `epochs`.
    pub fn keep_earlier(&mut self, epochs: u32) -> bool {
        let reaches = self.earlier.rows.last().is_some_and(|last| last.epoch >= epochs);
        if reaches {
            self.keep(self.earlier.clone());
            self.is_behind = true;
        }
        reaches
    }

    fn keep(&mut self, kept: Curve) {
        self.kept_seconds = kept.seconds();
        self.curve = kept;
    }

    /// Syncs and closes the curve, written anew if its file lacks rows (scratch is purged); to be
    /// called again after an error. Only then, and once its folder is synced, may the result be
    /// recorded, so that no result is without its curve. A training without an epoch has no file.
    pub fn finish(&mut self) -> Result<()> {
        if let Some(file) = self.file.take() {
            self.is_behind = true;
            file.sync_all().map_err(StorageError::io("sync", &self.path))?;
            let is_whole = match regular_file::read(&self.path, MEDIUM) {
                Ok(bytes) => bytes == text(&self.curve.rows),
                // What cannot be read stands in its place: that costs the curve, not the result.
                Err(error) => error.kind() != ErrorKind::NotFound,
            };
            self.is_behind = !is_whole;
        }
        if self.is_behind {
            self.curve.replace(&self.path)?;
            self.is_behind = false;
        }
        Ok(())
    }

    /// Seconds of earlier epochs that this attempt trains again.
    pub fn lost_seconds(&self) -> f64 {
        self.earlier.seconds() - self.kept_seconds
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
