//! The known architectures of a view as `known.csv`: one row per architecture, its first result.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::StorageError;
use super::knowledge::Known;
use super::replay_row::Iteration;

/// One line; the order of the fields is that of the columns.
#[derive(Serialize, Deserialize)]
struct KnownRow<'a> {
    iteration: Iteration,
    epsilon: f64,
    reward: Option<f64>,
    best_validation_accuracy: Option<f64>,
    architecture: &'a str,
}

const HEADER: &str = "iteration,epsilon,reward,best_validation_accuracy,architecture\n";

/// Writes the known architectures in the order of their iterations.
pub(super) fn write_known(known: &BTreeMap<String, Known>) -> Vec<u8> {
    let mut rows: Vec<_> = known.iter().collect();
    rows.sort_by_key(|(_, known)| known.iteration);
    let mut bytes = HEADER.as_bytes().to_vec();
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(&mut bytes);
    for (architecture, known) in rows {
        let row = KnownRow {
            iteration: known.iteration,
            epsilon: known.epsilon,
            reward: known.reward,
            best_validation_accuracy: known.best_validation_accuracy,
            architecture,
        };
        writer.serialize(row).expect("a row is flat and goes to memory");
    }
    drop(writer);
    bytes
}

/// Reads the known architectures back.
///
/// # Errors
/// A line that is no row, or whose architecture stands above already; it is named.
pub(super) fn read_known(
    bytes: &[u8],
    path: &Path,
) -> Result<BTreeMap<String, Known>, StorageError> {
    let failed = StorageError::csv(path);
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(failed)?.clone();
    let mut known = BTreeMap::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(failed)? {
        let row: KnownRow = record.deserialize(Some(&header)).map_err(failed)?;
        let result = Known {
            iteration: row.iteration,
            epsilon: row.epsilon,
            reward: row.reward,
            best_validation_accuracy: row.best_validation_accuracy,
        };
        if known.insert(row.architecture.to_owned(), result).is_some() {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(StorageError::line(path, line, "its architecture stands above already"));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(iteration: u64, reward: Option<f64>) -> Known {
        Known {
            iteration: Iteration(iteration),
            epsilon: 0.9,
            reward,
            best_validation_accuracy: reward.map(|reward| reward / 3.0),
        }
    }

    fn read(bytes: &[u8]) -> Result<BTreeMap<String, Known>, StorageError> {
        read_known(bytes, Path::new("known.csv"))
    }

    #[test]
    fn results_are_written_in_the_order_of_their_iterations_and_read_back() {
        let results = BTreeMap::from([
            ("[C(64,3,1), SM(10)]".to_owned(), known(12, Some(0.1 + 0.2))),
            ("[SM(10)]".to_owned(), known(3, None)),
        ]);
        let bytes = write_known(&results);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "iteration,epsilon,reward,best_validation_accuracy,architecture\n\
             3,0.9,,,[SM(10)]\n\
             12,0.9,0.30000000000000004,0.10000000000000002,\"[C(64,3,1), SM(10)]\"\n"
        );
        assert_eq!(read(&bytes).unwrap(), results);
        assert!(read(&write_known(&BTreeMap::new())).unwrap().is_empty());
    }

    #[test]
    fn a_result_that_stands_twice_is_named() {
        let text = format!("{HEADER}3,0.9,,,[SM(10)]\n4,0.9,,,[SM(10)]\n");
        let error = read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, StorageError::WrongLine { line: 3, .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&[HEADER.as_bytes(), &bytes].concat());
        }
    }
}
