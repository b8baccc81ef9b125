//! Learning curves recorded by any program: one network a row, one column an epoch.
//!
//! ```text
//! id,layers,learning_rate,acc_1,acc_2,acc_3
//! a,4,-3,0.31,0.42,0.47
//! ```
//!
//! The first column names the network. Unlike the files of the published program, a cell that
//! cannot be used is an error: a simulation over what is left would say something else.

use std::io;
use std::path::Path;

use csv::ByteRecord;

use super::columns::{CurveColumns, RecordedColumns, named_features, other_curves};
use super::error::{CurvesFileError, RecordedError};
use crate::exchange::csv_rows::{line, read_csv, shown};
use crate::predictor::{Better, Example, Features, LearningCurve, MetricScale, PredictorError};
use crate::regular_file::{self, LARGE};
use crate::storage::error::StorageError;

/// The networks of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Names and curves, in the order of the file; at least one.
    pub networks: Vec<(String, Example)>,
    /// What the names of the curve's columns begin with.
    pub curve: String,
    /// Names of the feature columns, in the order of the features.
    pub features: Vec<String>,
    /// Columns left out because some cell is no number.
    pub left_out: Vec<String>,
    /// Prefixes of feature columns that look like another curve, which a network that is still
    /// being trained does not have.
    pub other_curves: Vec<String>,
}

/// Reads the file at `path`.
///
/// # Errors
/// The file cannot be read; its header tells no curve, several, or lacks a feature; a row has
/// another number of cells than the header; a cell of the curve or of a feature is no finite number.
/// Messages name line and column.
pub fn read_recorded(
    path: &Path,
    columns: &RecordedColumns,
    better: Better,
    scale: MetricScale,
) -> anyhow::Result<Recording> {
    let refuse = |source| CurvesFileError { path: path.to_owned(), source };
    let bytes = regular_file::read_input(path, LARGE).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refuse(RecordedError::Missing).into(),
        _ => anyhow::Error::from(StorageError::io("read", path)(error)),
    })?;
    let table = Table::read(bytes).map_err(StorageError::csv(path))?;
    Ok(table.recording(columns, better, scale).map_err(refuse)?)
}

/// Header and rows as text.
struct Table {
    header: Vec<String>,
    rows: Vec<ByteRecord>,
}

impl Table {
    fn read(bytes: Vec<u8>) -> Result<Self, csv::Error> {
        let (header, rows) = read_csv(bytes)?;
        let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_owned();
        Ok(Self { header: header.iter().map(name).collect(), rows })
    }

    fn recording(
        &self,
        columns: &RecordedColumns,
        better: Better,
        scale: MetricScale,
    ) -> Result<Recording, RecordedError> {
        let curve = CurveColumns::find(&self.header, columns.curve.as_deref())?;
        for row in &self.rows {
            if row.len() != self.header.len() {
                let (found, wanted) = (row.len(), self.header.len());
                return Err(RecordedError::Ragged { line: line(row), found, wanted });
            }
        }
        if self.rows.is_empty() {
            return Err(RecordedError::Empty);
        }
        let (features, left_out) = match &columns.features {
            Some(names) => (named_features(&self.header, &curve, names)?, Vec::new()),
            None => (1..self.header.len())
                .filter(|place| !curve.places.contains(place))
                .partition(|&place| self.is_numeric(place)),
        };
        let network = |row: &ByteRecord| {
            let refuse =
                |source: PredictorError| RecordedError::Network { line: line(row), source };
            let features = Features::new(self.numbers(row, &features)?).map_err(refuse)?;
            let values = self.numbers(row, &curve.places)?;
            let curve = LearningCurve::recorded(values, better, scale).map_err(refuse)?;
            Ok((String::from_utf8_lossy(&row[0]).into_owned(), Example { features, curve }))
        };
        let names = |places: &[usize]| places.iter().map(|&p| self.header[p].clone()).collect();
        Ok(Recording {
            networks: self.rows.iter().map(network).collect::<Result<_, _>>()?,
            features: names(&features),
            left_out: names(&left_out),
            other_curves: other_curves(&self.header, &features),
            curve: curve.prefix,
        })
    }

    /// Whether a column is one of numbers: every cell is a number or empty, and not all are empty.
    /// An empty cell among numbers is refused later, by its line.
    fn is_numeric(&self, place: usize) -> bool {
        let mut cells = self.rows.iter().map(|row| row[place].trim_ascii()).peekable();
        cells.clone().any(|cell| !cell.is_empty())
            && cells.all(|cell| cell.is_empty() || number(cell).is_some())
    }

    fn numbers(&self, row: &ByteRecord, places: &[usize]) -> Result<Vec<f64>, RecordedError> {
        let cell = |&place: &usize| {
            number(&row[place]).filter(|number| number.is_finite()).ok_or_else(|| {
                RecordedError::Cell {
                    line: line(row),
                    column: self.header[place].clone(),
                    value: shown(&String::from_utf8_lossy(&row[place])),
                }
            })
        };
        places.iter().map(cell).collect()
    }
}

/// Returns the number in a cell; `nan` and `inf` are numbers.
fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_by(text: &[u8], columns: &RecordedColumns) -> Result<Recording, String> {
        let table = Table::read(text.to_vec()).map_err(|error| error.to_string())?;
        let recording = table.recording(columns, Better::Higher, MetricScale::Linear);
        recording.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }

    fn read(text: &str) -> Result<Recording, String> {
        read_by(text.as_bytes(), &RecordedColumns::default())
    }

    #[test]
    fn a_file_is_read_by_its_header() {
        let found =
            read("\u{feff}id,kind,a,y1,y2,b\nfirst,rnn,4, 0.5 ,0.75,1e1\nsecond,cnn,5,.1,.2,-1\n")
                .unwrap();
        assert_eq!((found.curve.as_str(), found.features.join(" ")), ("y", "a b".to_owned()));
        assert_eq!(found.left_out, ["kind"]);
        let (id, example) = &found.networks[0];
        assert_eq!((id.as_str(), example.features.values()), ("first", &[4.0, 10.0][..]));
        assert_eq!(example.curve.values(), [0.5, 0.75]);
    }

    #[test]
    fn losses_are_turned_round() {
        let table = Table::read(b"id,y1,y2\na,2,1\n".to_vec()).unwrap();
        let columns = RecordedColumns::default();
        let found = table.recording(&columns, Better::Lower, MetricScale::Logarithmic).unwrap();
        assert_eq!(found.networks[0].1.curve.values(), [-std::f64::consts::LN_2, 0.0]);
    }

    #[test]
    fn named_features_come_in_the_order_of_their_names() {
        let columns = RecordedColumns { curve: None, features: Some(vec!["b".into(), "a".into()]) };
        let found = read_by(b"id,a,y1,y2,b\nx,1,0,0,2\n", &columns).unwrap();
        assert_eq!(found.networks[0].1.features.values(), [2.0, 1.0]);
        let found = read_by(b"id,a,y1,y2,b\nx,1,0,0,z\n", &columns);
        assert!(found.unwrap_err().contains("line 2, column `b` is `z`"));
    }

    #[test]
    fn what_cannot_be_used_is_named_by_line_and_column() {
        for (text, message) in [
            ("id,y1,y2\na,0.1,0.2\nb,NaN,0.2\n", "line 3, column `y1` is `NaN`"),
            ("id,y1,y2\na,0.1,inf\n", "line 2, column `y2` is `inf`"),
            ("id,y1,y2\na,0.1,\n", "line 2, column `y2` is ``"),
            ("id,y1,y2\na,0.1,x\n", "line 2, column `y2` is `x`"),
            ("id,y1,y2\na,0.1,1e200\n", "line 2: learning curve has"),
            ("id,f,y1,y2\na,1,0,0\nb,,0,0\n", "line 3, column `f` is ``"),
            ("id,f,y1,y2\na,nan,0,0\n", "line 2, column `f` is `nan`"),
            ("id,y1,y2\na,0.1,0.2\nb,0.1\n", "line 3 has 2 cells where the header has 3"),
            ("id,y1,y2\n", "no networks"),
            ("", "no columns of a learning curve"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(message), "{text:?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_by(&bytes, &RecordedColumns::default());
        }

        #[test]
        fn no_damage_makes_it_panic(
            at in 0_usize..60, put in proptest::collection::vec(any::<u8>(), 0..6),
            named in proptest::option::of("[a-z]{0,2}"),
        ) {
            let mut bytes = b"id,f,y1,y2\na,1,0.25,0.5\n\"b\nc\",2,1e-3,7\nd,-0,0,1e9\n".to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + put.len()).min(bytes.len()), put);
            let _ = read_by(&bytes, &RecordedColumns { curve: named, features: None });
            let features = Some(vec!["f".to_owned()]);
            let _ = read_by(&bytes, &RecordedColumns { curve: None, features });
        }

        #[test]
        fn what_is_written_is_read(
            curves in proptest::collection::vec(proptest::array::uniform3(-1e9..1e9), 1..9),
        ) {
            let mut text = "id,y1,y2,y3\n".to_owned();
            for [a, b, c] in &curves {
                text.push_str(&format!("x,{a},{b},{c}\n"));
            }
            let found: Vec<Vec<f64>> = read(&text).unwrap().networks.into_iter()
                .map(|(_, example)| example.curve.into()).collect();
            prop_assert_eq!(found, curves.iter().map(|curve| curve.to_vec()).collect::<Vec<_>>());
        }
    }
}
