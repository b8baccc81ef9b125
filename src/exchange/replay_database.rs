//! The reference's `replay_database.csv` (specification, section 10.1), read and written.
//!
//! Its Q-values are in `q_values.rs`; how unusable rows are set aside, in
//! `patient_csv.rs`.

use std::io::{Read, Write};
use std::path::Path;

use super::patient_csv::{Fields, Readable, Reason, read_rows};
use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::space::{Architecture, Space};
use crate::storage::error::StorageError;
use crate::storage::fs::time::Time;

/// The columns of `replay_database.csv`, in the reference's order.
const COLUMNS: [&str; 11] = [
    "net",
    "accuracy_best_val",
    "iter_best_val",
    "accuracy_last_val",
    "iter_last_val",
    "accuracy_best_test",
    "accuracy_last_test",
    "ix_q_value_update",
    "epsilon",
    "time_finished",
    "machine_run_on",
];
/// Never read, and written as -1 by the reference: it keeps the test images out of the search.
const UNUSED: [&str; 2] = ["accuracy_best_test", "accuracy_last_test"];

/// One row of `replay_database.csv`: a sampled network and its accuracies.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayRow {
    /// `net`. A network that was sampled again has a row each time.
    pub architecture: Architecture,
    /// `accuracy_best_val`: the reward; chance for a network that failed.
    pub best_validation_accuracy: Accuracy,
    /// `iter_best_val`: optimizer steps after which it was reached; 0 for a network that failed.
    pub best_step: u64,
    /// `accuracy_last_val`: after the last evaluation.
    pub last_validation_accuracy: Accuracy,
    /// `iter_last_val`: optimizer steps of the last evaluation.
    pub last_step: u64,
    /// `ix_q_value_update`: the iteration. No key: many rows may carry the same number.
    pub iteration: u64,
    /// `epsilon`: in force when the network was sampled.
    pub epsilon: Epsilon,
    /// `time_finished`, in Unix seconds in the file; 0 there means that nobody wrote it down.
    pub finished: Option<Time>,
    /// `machine_run_on`: the worker.
    pub machine: String,
}

/// Reads `replay_database.csv`. Accuracies outside [0, 1] and networks outside `space` are set
/// aside, dropout marks other than those of the layers included. `path` serves the messages.
///
/// # Errors
/// A file that cannot be read, and a header that lacks a column.
pub fn read_replay_database(
    reader: impl Read,
    space: &Space,
    path: &Path,
) -> Result<Readable<ReplayRow>, StorageError> {
    let columns = COLUMNS.into_iter().filter(|column| !UNUSED.contains(column));
    read_rows(reader, columns, path, |fields| ReplayRow::of(fields, space))
}

/// Writes `replay_database.csv` as the reference's code would read it.
///
/// # Errors
/// A writer that fails; `path` names it.
pub fn write_replay_database<'a>(
    writer: impl Write,
    rows: impl IntoIterator<Item = &'a ReplayRow>,
    path: &Path,
) -> Result<(), StorageError> {
    let failed = StorageError::csv(path);
    let mut writer = csv::Writer::from_writer(writer);
    writer.write_record(COLUMNS).map_err(failed)?;
    for row in rows {
        writer.write_record(row.fields()).map_err(failed)?;
    }
    writer.flush().map_err(StorageError::io("write", path))
}

impl ReplayRow {
    fn of(fields: &Fields, space: &Space) -> Result<Self, Reason> {
        Ok(Self {
            best_validation_accuracy: Accuracy::new(fields.number("accuracy_best_val")?)?,
            last_validation_accuracy: Accuracy::new(fields.number("accuracy_last_val")?)?,
            architecture: space.parse(fields.text("net")?)?,
            best_step: fields.count("iter_best_val")?,
            last_step: fields.count("iter_last_val")?,
            iteration: fields.count("ix_q_value_update")?,
            epsilon: fields.epsilon("epsilon")?,
            finished: fields.time("time_finished")?,
            machine: fields.line("machine_run_on")?,
        })
    }

    /// Returns the cells in the order of [`COLUMNS`]; numbers as Python prints them, all floats.
    fn fields(&self) -> [String; COLUMNS.len()] {
        let seconds =
            self.finished.map_or(0.0, |time| time.timestamp().as_millisecond() as f64 / 1e3);
        let float = |value: f64| format!("{value:?}");
        [
            self.architecture.to_string(),
            float(self.best_validation_accuracy.value()),
            float(self.best_step as f64),
            float(self.last_validation_accuracy.value()),
            float(self.last_step as f64),
            float(-1.0),
            float(-1.0),
            float(self.iteration as f64),
            self.epsilon.to_string(),
            float(seconds),
            self.machine.clone(),
        ]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::outcome::NotAnAccuracy;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use crate::space::{ImageShape, SpaceParams};
    use proptest::prelude::*;

    const HEADER: &str = "net,accuracy_best_val,iter_best_val,accuracy_last_val,iter_last_val,\
        accuracy_best_test,accuracy_last_test,ix_q_value_update,epsilon,time_finished,machine_run_on\n";

    fn space() -> Space {
        let image = ImageShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    /// Returns a file of the authors' SVHN run, which lies beside the project where it is at hand.
    pub(in super::super) fn published(file: &str) -> Option<PathBuf> {
        let beside = Path::new("shared/data/metaqnn-svhn").join(file);
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let found = folders.map(|folder| folder.join(&beside)).find(|path| path.exists());
        if found.is_none() {
            // Past the capture of the test harness, so that a skipped check is always seen.
            let skipped = format!("SKIPPED: no `{}` beside the project\n", beside.display());
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        }
        found
    }

    fn read(text: &str) -> Readable<ReplayRow> {
        read_replay_database(text.as_bytes(), &space(), Path::new("replay_database.csv")).unwrap()
    }

    fn written(rows: &[ReplayRow]) -> String {
        let mut bytes = Vec::new();
        write_replay_database(&mut bytes, rows, Path::new("out")).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn usable_rows_are_written_as_they_were_read() {
        let text = format!(
            "{HEADER}{}{}",
            "\"[C(64,3,1), GAP(10), SM(10)]\",0.1,0.0,0.1,0.0,-1.0,-1.0,1.0,1.0,0.0,unknown\n",
            "\"[C(64,3,1), C(64,3,1), D(1,1), SM(10)]\",0.6832,533.0,0.68,10660.0,-1.0,-1.0,7.0,0.9,1475869775.73,luna\n",
        );
        let database = read(&text);
        assert_eq!(database.problems, []);
        assert_eq!(database.rows[0].finished, None);
        let second = &database.rows[1];
        assert_eq!(second.best_validation_accuracy.value(), 0.6832);
        assert_eq!((second.best_step, second.last_step, second.iteration), (533, 10_660, 7));
        assert_eq!(second.finished.unwrap().to_string(), "2016-10-07T19:49:35.730Z");
        assert_eq!((second.epsilon.value(), second.machine.as_str()), (0.9, "luna"));
        assert_eq!(written(&database.rows), text);
    }

    #[test]
    fn columns_go_by_name_and_whole_numbers_need_no_point() {
        let text = "epsilon,extra,machine_run_on,time_finished,ix_q_value_update,iter_last_val,\
            accuracy_last_val,iter_best_val,accuracy_best_val,net\n1,x,luna,0,3,20,1,10,0,[SM(10)]\n";
        let row = &read(text).rows[0];
        assert_eq!(
            (row.epsilon.value(), row.iteration, row.best_step, row.last_step),
            (1.0, 3, 10, 20)
        );
        assert_eq!(row.best_validation_accuracy.value(), 0.0);
    }

    #[test]
    fn each_unusable_row_is_reported_with_its_line() {
        let row = |net: &str, best: &str, iteration: &str, epsilon: &str, machine: &str| {
            format!("\"{net}\",{best},0.0,0.1,0.0,-1.0,-1.0,{iteration},{epsilon},0.0,{machine}\n")
        };
        let text = [
            HEADER,
            &row("[SM(10)]", "86.0", "4.0", "0.7", "luna"),
            &row("[C(64,3,1), D(1,1), SM(10)]", "0.1", "4.0", "0.7", "luna"),
            &row("[C(64,3,1), SM(9)]", "0.1", "4.0", "0.7", "luna"),
            &row("[SM(10)]", "0.1", "4.5", "0.7", "luna"),
            &row("[SM(10)]", "0.1", "4.0", "70", "luna"),
            &row("[SM(10)]", "0.1", "4.0", "0.7", "\"lu\nna\""),
            "[SM(10)],0.1\n",
            &row("[SM(10)]", "0.1", "4.0", "0.7", "luna"),
        ]
        .concat();
        let database = read(&text);
        assert_eq!(database.rows.len(), 1);
        let problems: Vec<_> =
            database.problems.iter().map(|p| format!("{}: {}", p.line, p.reason)).collect();
        assert_eq!(
            problems,
            [
                "2: accuracy `86` is outside [0, 1]",
                "3: the dropout marks are not those of the layers, which are `[C(64,3,1), SM(10)]`",
                "4: `SM(9)` cannot be layer 2 (the search space has no such layer)",
                "5: `ix_q_value_update` is `4.5` (must be a whole number of at least 0)",
                "6: `epsilon` is `70` (must be 0 to 1)",
                "7: `machine_run_on` is `lu\\nna` (must be one line of text)",
                "9: `accuracy_last_val` is missing",
            ]
        );
    }

    #[test]
    fn a_header_without_a_column_is_refused() {
        let error = read_replay_database("net\n".as_bytes(), &space(), Path::new("a.csv"));
        assert!(matches!(error, Err(StorageError::NoColumn { column: "accuracy_best_val", .. })));
    }

    #[test]
    fn the_published_replay_database_is_read_and_written_back() {
        let Some(path) = published("replay_database.csv") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let database = read(&text);
        assert_eq!((database.rows.len(), database.problems.len()), (1_910, 73));
        let percent = Reason::Accuracy(NotAnAccuracy(86.0));
        assert!(database.problems.iter().all(|problem| problem.reason == percent));
        let networks: BTreeSet<_> = database.rows.iter().map(|row| &row.architecture).collect();
        assert_eq!(networks.len(), 1_789);

        let set_aside: BTreeSet<u64> = database.problems.iter().map(|p| p.line).collect();
        let kept = text.lines().zip(1u64..).filter(|(_, line)| !set_aside.contains(line));
        let kept: String = kept.map(|(text, _)| format!("{text}\n")).collect();
        assert_eq!(written(&database.rows), kept);
    }

    #[test]
    fn every_published_network_is_legal_and_has_the_marks_that_follow_from_its_layers() {
        let Some(path) = published("replay_database.csv") else { return };
        let mut reader = csv::Reader::from_path(path).unwrap();
        let networks: BTreeSet<String> =
            reader.records().map(|record| record.unwrap()[0].to_owned()).collect();
        assert_eq!(networks.len(), 1_843);
        for network in networks {
            assert_eq!(space().parse(&network).unwrap().to_string(), network);
        }
    }

    #[test]
    fn the_published_mean_accuracy_of_random_networks_is_found_again() {
        let Some(path) = published("replay_database.csv") else { return };
        let rows = read(&std::fs::read_to_string(path).unwrap()).rows;
        let random = rows.iter().filter(|row| row.epsilon == Epsilon::RANDOM);
        let accuracies: Vec<f64> = random.map(|row| row.best_validation_accuracy.value()).collect();
        assert_eq!(accuracies.len(), 1_615);
        let mean = accuracies.iter().sum::<f64>() / 1_615.0;
        assert_eq!(format!("{mean:.6}"), "0.522514");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = [HEADER.as_bytes(), &bytes].concat();
            let _ = read_replay_database(&bytes[..], &space(), Path::new("any"));
            let database = read_replay_database(&whole[..], &space(), Path::new("any")).unwrap();
            prop_assert!(database.rows.is_empty());
        }

        #[test]
        fn any_cells_are_read_or_set_aside(cells in prop::collection::vec("[-0-9.einfNa]{0,8}", 10)) {
            let text = format!("{HEADER}[SM(10)],{}\n", cells.join(","));
            let database = read(&text);
            prop_assert_eq!(database.rows.len() + database.problems.len(), 1);
        }
    }
}
