//! The learning curve of one attempt: `curves/000123.1.csv`, one row per epoch.
//!
//! A curve has one owner, the attempt in its name, which appends to it while it trains
//! ([`crate::storage::CurveWriter`]). Everybody else reads what is there ([`Curve::read`]): a last line without
//! its newline is still being written, or was when the machine died, and is passed over.
//!
//! Training may begin anew within an attempt, with a smaller learning rate, when the first epoch
//! is no better than chance. Such starts are numbered; the last one is the learning curve.

use std::path::Path;

use crate::regular_file::{self, MEDIUM};
use crate::storage::attempt::curve_row::CurveRow;
use crate::storage::error::StorageError;
use crate::storage::log::event::CurveSummary;

/// The rows of a curve file, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    rows: Vec<CurveRow>,
}

impl Curve {
    /// Reads the curve at `path`, up to its last whole line.
    pub fn read(path: &Path) -> Result<Self, StorageError> {
        let bytes = regular_file::read(path, MEDIUM).map_err(StorageError::io("read", path))?;
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

    /// Returns the row of the last epoch, to add what was predicted after it.
    pub fn last_mut(&mut self) -> Option<&mut CurveRow> {
        self.rows.last_mut()
    }

    /// Takes in the row of the next epoch.
    pub fn push(&mut self, row: CurveRow) {
        self.rows.push(row);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::outcome::Accuracy;
    use crate::storage::attempt::curve_row::COLUMNS;
    use crate::storage::attempt::curve_writer::{CurveWriter, line};
    use proptest::prelude::*;

    pub(in super::super) fn row(start: u32, epoch: u32) -> CurveRow {
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

    pub(in super::super) fn read_back(path: &Path) -> Vec<(u32, u32)> {
        Curve::read(path).unwrap().rows().iter().map(CurveRow::position).collect()
    }

    #[test]
    fn the_last_start_is_the_curve_and_a_later_attempt_goes_on_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.1.csv"), folder.path().join("1.2.csv"));
        let rows = [row(1, 1), row(2, 1), row(2, 2), row(2, 3)];
        CurveWriter::create(first.clone(), &rows).unwrap().finish(&rows).unwrap();
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
    fn of_equally_good_epochs_the_first_is_the_best() {
        let accuracies = [0.25, 0.75, 0.5, 0.75];
        let rows = (1..).zip(accuracies).map(|(epoch, accuracy)| CurveRow {
            validation_accuracy: Accuracy::new(accuracy).unwrap(),
            ..row(1, epoch)
        });
        let summary = Curve { rows: rows.collect() }.summary().unwrap();
        assert_eq!((summary.best_epoch, summary.best.value(), summary.epochs), (2, 0.75, 4));
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
