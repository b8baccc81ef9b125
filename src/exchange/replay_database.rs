//! The published `replay_database.csv`: the networks that were sampled, and their accuracies.

use std::path::Path;

use super::csv_rows::{Cells, UsableRows, read_rows};
use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::space::{Architecture, Space};
use crate::storage::error::StorageError;
use crate::storage::fs::time::Time;

const COLUMNS: [&str; 11] = [
    "net", "accuracy_best_val", "iter_best_val", "accuracy_last_val", "iter_last_val",
    "accuracy_best_test", "accuracy_last_test", "ix_q_value_update", "epsilon", "time_finished",
    "machine_run_on",
];

/// A sampled network. One that was sampled again has a row each time.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayRow {
    pub architecture: Architecture,
    /// The reward; chance for a network that failed.
    pub best_validation_accuracy: Accuracy,
    /// Optimizer steps after which it was reached; 0 for a network that failed.
    pub best_step: u64,
    pub last_validation_accuracy: Accuracy,
    /// Optimizer steps of the last evaluation.
    pub last_step: u64,
    /// `ix_q_value_update`. No key: many rows may carry the same number.
    pub iteration: u64,
    pub epsilon: Epsilon,
    pub finished: Option<Time>,
    pub machine: String,
}

/// The accuracy that is learned, as the published program and its forks name it.
const REWARD: [&str; 3] = ["accuracy_best_val", "reward", "hard_best_val"];

/// Needs networks, accuracies and epsilons; of what else is missing nothing is known. Sets aside
/// accuracies outside [0, 1] (some runs wrote percent) and networks outside `space`.
pub fn read_replay_database(
    bytes: Vec<u8>,
    space: &Space,
    path: &Path,
) -> Result<UsableRows<ReplayRow>, StorageError> {
    read_rows(bytes, &[&["net"], &REWARD, &["epsilon"]], path, |cells| {
        let accuracy = |cells: &Cells, column: &str| {
            Accuracy::new(cells.number(column)?).map_err(|error| error.to_string())
        };
        let best = accuracy(cells, cells.first(&REWARD))?;
        let count = |column| cells.optional(column, Cells::count).map(Option::unwrap_or_default);
        Ok(ReplayRow {
            best_validation_accuracy: best,
            last_validation_accuracy: cells
                .optional("accuracy_last_val", accuracy)?
                .unwrap_or(best),
            architecture: space.parse(cells.text("net")?).map_err(|error| error.to_string())?,
            best_step: count("iter_best_val")?,
            last_step: count("iter_last_val")?,
            iteration: count("ix_q_value_update")?,
            epsilon: cells.parsed("epsilon", "0 to 1", |text| text.parse().ok())?,
            finished: cells.optional("time_finished", Cells::time)?.flatten(),
            // As every field of the log must be.
            machine: cells
                .optional("machine_run_on", |cells, column| {
                    cells.parsed(column, "one line of text", |text| {
                        (!text.contains(char::is_control)).then(|| text.to_owned())
                    })
                })?
                .unwrap_or_else(|| "unknown".to_owned()),
        })
    })
}

/// Writes the file; numbers as Python prints them, all floats.
pub fn write_replay_database(rows: &[ReplayRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).expect("written to memory");
    let float = |value: f64| format!("{value:?}");
    for row in rows {
        let time = row.finished.map_or(0, |time| time.timestamp().as_millisecond());
        let cells = [
            row.architecture.to_string(),
            float(row.best_validation_accuracy.value()),
            float(row.best_step as f64),
            float(row.last_validation_accuracy.value()),
            float(row.last_step as f64),
            float(-1.0),
            float(-1.0),
            float(row.iteration as f64),
            row.epsilon.to_string(),
            float(time as f64 / 1e3),
            row.machine.clone(),
        ];
        writer.write_record(cells).expect("written to memory");
    }
    writer.into_inner().expect("written to memory")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::path::PathBuf;

    use crate::space::{DataShape, SpaceParams};
    use proptest::prelude::*;

    const HEADER: &str = "net,accuracy_best_val,iter_best_val,accuracy_last_val,iter_last_val,\
        accuracy_best_test,accuracy_last_test,ix_q_value_update,epsilon,time_finished,\
        machine_run_on\n";

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
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

    fn read(text: &str) -> UsableRows<ReplayRow> {
        read_replay_database(text.into(), &space(), Path::new("replay_database.csv")).unwrap()
    }

    fn written(rows: &[ReplayRow]) -> String {
        String::from_utf8(write_replay_database(rows)).unwrap()
    }

    #[test]
    fn usable_rows_are_written_as_they_were_read() {
        let text = format!(
            "{HEADER}{}{}",
            "\"[C(64,3,1), GAP(10), SM(10)]\",0.1,0.0,0.1,0.0,-1.0,-1.0,1.0,1.0,0.0,unknown\n",
            "\"[C(64,3,1), C(64,3,1), D(1,1), SM(10)]\",0.6832,533.0,0.68,10660.0,\
             -1.0,-1.0,7.0,0.9,1475869775.73,luna\n",
        );
        let database = read(&text);
        assert_eq!(database.set_aside, [] as [String; 0]);
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
            accuracy_last_val,iter_best_val,accuracy_best_val,net\n\
            1,x,luna,0,3,20,1,10,0,[SM(10)]\n";
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
        assert_eq!(
            database.set_aside,
            [
                "line 2: accuracy `86` is outside [0, 1]",
                "line 3: the dropout marks are not those of the layers, which are \
                 `[C(64,3,1), SM(10)]`",
                "line 4: `SM(9)` cannot be layer 2 (the search space has no such layer)",
                "line 5: `ix_q_value_update` is `4.5` (must be a whole number of at least 0)",
                "line 6: `epsilon` is `70` (must be 0 to 1)",
                "line 7: `machine_run_on` is `lu\\nna` (must be one line of text)",
                "line 9: `accuracy_last_val` is missing",
            ]
        );
    }

    #[test]
    fn columns_that_learning_does_not_need_may_be_missing_and_forks_have_other_names() {
        let older = "net,accuracy_best_val,epsilon\n\"[C(64,3,1), SM(10)]\",0.5,1.0\n";
        let fork = ",epsilon,net,reward,hard_best_val\n0,1.0,\"[C(64,3,1), SM(10)]\",0.5,51.0\n";
        let saved = "net;hard_best_val;epsilon;iter_best_val\n[C(64,3,1), SM(10)];0,5;1;\n";
        for text in [older, fork, saved] {
            let ReplayRow { best_validation_accuracy, last_validation_accuracy, .. } =
                read(text).rows[0];
            let row = &read(text).rows[0];
            assert_eq!(best_validation_accuracy.value(), 0.5, "{text}");
            assert_eq!(last_validation_accuracy.value(), 0.5, "{text}");
            assert_eq!((row.best_step, row.finished, &*row.machine), (0, None, "unknown"));
        }
    }

    #[test]
    fn a_header_without_a_column_is_refused() {
        let error = read_replay_database("net\n".into(), &space(), Path::new("a.csv"));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("lacks the column `accuracy_best_val`"), "{text}");
    }

    #[test]
    fn the_published_replay_database_is_read_and_written_back() {
        let Some(path) = published("replay_database.csv") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let database = read(&text);
        assert_eq!((database.rows.len(), database.set_aside.len()), (1_910, 73));
        let percent = "accuracy `86` is outside [0, 1]";
        assert!(database.set_aside.iter().all(|reason| reason.ends_with(percent)));
        let networks: BTreeSet<_> = database.rows.iter().map(|row| &row.architecture).collect();
        assert_eq!(networks.len(), 1_789);

        let is_kept = |line: u64| {
            !database.set_aside.iter().any(|row| row.starts_with(&format!("line {line}: ")))
        };
        let kept = text.lines().zip(1u64..).filter(|(_, line)| is_kept(*line));
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
            let _ = read_replay_database(bytes, &space(), Path::new("any"));
            let database = read_replay_database(whole, &space(), Path::new("any")).unwrap();
            prop_assert!(database.rows.is_empty());
        }

        #[test]
        fn any_cells_are_read_or_set_aside(
            cells in prop::collection::vec("[-0-9.einfNa]{0,8}", 10),
        ) {
            let text = format!("{HEADER}[SM(10)],{}\n", cells.join(","));
            let database = read(&text);
            prop_assert_eq!(database.rows.len() + database.set_aside.len(), 1);
        }
    }
}
