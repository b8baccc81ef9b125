//! A learning curve as the attempt writes it that owns it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::regular_file;
use crate::storage::attempt::curve_row::{COLUMNS, CurveRow};
use crate::storage::error::StorageError;
use crate::storage::fs::publish;

/// A curve that is being written, by its one owner.
#[derive(Debug)]
pub struct CurveWriter {
    path: PathBuf,
    file: File,
}

impl CurveWriter {
    /// Creates the curve at `path`, with the rows that an earlier attempt left behind it.
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
    /// has room again, or somebody has removed it with its folder.
    pub fn replace(path: &Path, rows: &[CurveRow]) -> Result<(), StorageError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(StorageError::io("create", folder)(error))
            }
            _ => publish::replace_file(path, &text(rows)),
        }
    }

    /// Appends a row, with a single write.
    pub fn append(&mut self, row: &CurveRow) -> Result<(), StorageError> {
        self.write(&line(row))
    }

    /// Brings the curve to the disk and closes it, written anew if its file no longer holds `rows`: scratch is purged.
    /// Only then may the result be recorded, so that no result is without its curve.
    pub fn finish(self, rows: &[CurveRow]) -> Result<(), StorageError> {
        self.file.sync_all().map_err(StorageError::io("sync", &self.path))?;
        let is_gone = match regular_file::read(&self.path, regular_file::MEDIUM) {
            Ok(bytes) => bytes != text(rows),
            // What cannot be read stands in its place: that costs the curve, not the result.
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if is_gone {
            return Self::replace(&self.path, rows);
        }
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
pub(crate) fn line(row: &CurveRow) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row.clone().with_finite_numbers()).expect("a row is flat and goes to memory");
    writer.into_inner().expect("nothing fails in memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::attempt::curve_csv::Curve;
    use crate::storage::attempt::curve_csv::tests::{read_back, row};

    #[test]
    fn rows_can_be_read_as_soon_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000123.1.csv");
        let mut writer = CurveWriter::create(path.clone(), &[]).unwrap();
        assert_eq!(read_back(&path), []);
        writer.append(&row(1, 1)).unwrap();
        assert_eq!(read_back(&path), [(1, 1)]);
        writer.append(&row(2, 1)).unwrap();
        writer.finish(&[row(1, 1), row(2, 1)]).unwrap();
        let curve = Curve::read(&path).unwrap();
        assert_eq!(curve.rows()[0], CurveRow { validation_loss: None, ..row(1, 1) });
        let text = std::fs::read_to_string(&path).unwrap();
        let cells = "1,1,0.001,1.5,,,0.30000000000000004,2.25,2026-03-01T12:00:00.250Z,,,,";
        assert_eq!(text.lines().nth(1), Some(cells));
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
    fn a_curve_that_was_removed_cut_or_lost_its_folder_is_written_anew_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("curves");
        let path = folder.join("1.1.csv");
        let damages: [fn(&Path); 3] = [
            |path| std::fs::remove_file(path).unwrap(),
            |path| std::fs::write(path, "epoch,start\n1,").unwrap(),
            |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
        ];
        for damage in damages {
            std::fs::create_dir_all(&folder).unwrap();
            let mut writer = CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
            damage(&path);
            writer.append(&row(1, 2)).unwrap();
            writer.finish(&[row(1, 1), row(1, 2)]).unwrap();
            assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
            std::fs::remove_file(&path).unwrap();
        }
        let writer = CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        writer.finish(&[row(1, 1)]).unwrap();
        assert!(path.is_dir());
    }

    #[test]
    fn no_attempt_writes_the_curve_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.csv");
        CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
        assert!(CurveWriter::create(path.clone(), &[]).is_err());
        assert_eq!(read_back(&path), [(1, 1)]);
    }
}
