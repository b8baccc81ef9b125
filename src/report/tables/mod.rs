//! The CSV tables of a search, for spreadsheets and statistics programs.
//!
//! Every table is a list of columns: name, unit, allowed values, meaning, and how a
//! cell is read from a row. The files and the data dictionary `columns.csv` are both made from
//! those lists, so that they cannot disagree.
//!
//! The rules: UTF-8; one header row; one fact per cell; a stable order of columns, new ones at
//! the end; a full stop as decimal point and at most 15 significant digits; quoting after RFC
//! 4180; a missing value is an empty cell; times in ISO 8601, UTC; no cell that a spreadsheet
//! would compute, take for a date or otherwise change; no absolute
//! path; a table of more than 1,000,000 rows is split. [`lint`] checks them.

mod cell;
mod column;
mod curves;
mod dictionary;
mod early_stopping;
mod epsilon_summary;
mod gpu_hours;
mod iterations;
pub mod lint;
mod models;
mod predictor_scores;
mod q_table;
mod spreadsheet;
mod table;
mod text;

pub use table::TableFile;
use table::{MOST_ROWS, Table};

use super::architectures::ArchitectureRecord;
use super::early_stopping::EarlyStopping;
use super::records::{CurveRecord, IterationRecord, QValueRecord};
use super::settings::SearchSettings;

/// What the tables are made from.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// What the configuration says.
    pub settings: &'a SearchSettings,
    /// The iterations, in any order.
    pub iterations: &'a [IterationRecord],
    /// The curves that count, and others if they are of interest, in any order.
    pub curves: &'a [CurveRecord],
    /// The Q-table, the actions of each state in the order of the search space.
    pub q_values: &'a [QValueRecord],
    /// The predictor and what its audits have shown.
    pub early_stopping: &'a EarlyStopping,
}

/// The tables as files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// The files, the data dictionary last.
    pub files: Vec<TableFile>,
    /// What a person should know: which tables were split.
    pub notices: Vec<String>,
}

impl Tables {
    /// Makes every table of a search.
    pub fn new(search: &Search) -> Self {
        Self::with_rows(search, MOST_ROWS)
    }

    fn with_rows(search: &Search, most_rows: usize) -> Self {
        let architectures = ArchitectureRecord::gather(search.iterations);
        let mut tables = Self::default();
        let mut entries = Vec::new();
        entries.extend(tables.add(&iterations::table(search), most_rows));
        entries.extend(tables.add(&models::table(search, &architectures), most_rows));
        entries.extend(tables.add(&models::top(search, &architectures), most_rows));
        entries.extend(tables.add(&epsilon_summary::table(search), most_rows));
        entries.extend(tables.add(&curves::long(search), most_rows));
        entries.extend(tables.add(&curves::wide(search), most_rows));
        entries.extend(tables.add(&q_table::table(search), most_rows));
        entries.extend(tables.add(&gpu_hours::table(search), most_rows));
        entries.extend(tables.add(&early_stopping::table(search), most_rows));
        entries.extend(tables.add(&predictor_scores::table(search), most_rows));
        tables.files.extend(dictionary::table(entries).files(MOST_ROWS));
        tables
    }

    /// Adds the files of a table and returns what the dictionary says of them.
    fn add<R>(&mut self, table: &Table<R>, most_rows: usize) -> Vec<dictionary::Entry> {
        let files = table.files(most_rows);
        let entries = table.entries(&files);
        if let [first, .., last] = files.as_slice() {
            self.notices.push(format!(
                "`{}` has {} rows, more than a spreadsheet opens: it is split into {} files, up to `{}`",
                first.name,
                table.rows.len(),
                files.len(),
                last.name
            ));
        }
        self.files.extend(files);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::assert_golden;
    use super::super::records::{IterationRecord, Status};
    use super::super::sample;
    use super::super::settings::TrainedBy;
    use super::*;
    use proptest::prelude::*;

    fn of_sample(most_rows: usize) -> Tables {
        Tables::with_rows(
            &Search {
                settings: &sample::settings(TrainedBy::Torch),
                iterations: &sample::iterations(),
                curves: &sample::curves(),
                q_values: &sample::q_values(),
                early_stopping: &sample::early_stopping(),
            },
            most_rows,
        )
    }

    fn problems(tables: &Tables) -> Vec<String> {
        let files = tables.files.iter().map(|file| (file.name.as_str(), file.text.as_bytes()));
        lint::lint_tables(files)
            .iter()
            .map(|(file, problem)| format!("{file}: {problem}"))
            .collect()
    }

    #[test]
    fn the_tables_are_the_accepted_ones() {
        for file in of_sample(MOST_ROWS).files {
            assert_golden(&format!("tables/{}", file.name), &file.text);
        }
    }

    #[test]
    fn the_tables_keep_their_own_rules() {
        assert_eq!(problems(&of_sample(MOST_ROWS)), [""; 0]);
    }

    #[test]
    fn the_order_of_what_is_given_does_not_show() {
        let (mut iterations, mut curves) = (sample::iterations(), sample::curves());
        iterations.reverse();
        curves.reverse();
        let tables = Tables::new(&Search {
            settings: &sample::settings(TrainedBy::Torch),
            iterations: &iterations,
            curves: &curves,
            q_values: &sample::q_values(),
            early_stopping: &sample::early_stopping(),
        });
        assert_eq!(tables, of_sample(MOST_ROWS));
    }

    #[test]
    fn a_search_that_has_not_begun_has_tables_of_headers() {
        let settings =
            SearchSettings { schedule: Vec::new(), ..sample::settings(TrainedBy::Torch) };
        let search = Search {
            settings: &settings,
            iterations: &[],
            curves: &[],
            q_values: &[],
            early_stopping: &EarlyStopping::default(),
        };
        let tables = Tables::new(&search);
        assert_eq!(problems(&tables), [""; 0]);
        for file in tables.files.iter().filter(|file| file.name != "columns.csv") {
            assert_eq!((file.rows, file.text.lines().count()), (0, 1), "{}", file.name);
        }
    }

    #[test]
    fn a_long_table_is_split_and_says_so() {
        let tables = of_sample(4);
        let rows: Vec<(&str, usize)> = tables
            .files
            .iter()
            .filter(|file| file.name.starts_with("curves_long"))
            .map(|file| (file.name.as_str(), file.rows))
            .collect();
        assert_eq!(rows, [("curves_long.csv", 4), ("curves_long_2.csv", 1)]);
        assert!(
            tables.notices.contains(
                &"`curves_long.csv` has 5 rows, more than a spreadsheet opens: it is split into 2 \
              files, up to `curves_long_2.csv`"
                    .to_owned()
            )
        );
        assert_eq!(problems(&tables), [""; 0]);
        assert!(of_sample(MOST_ROWS).notices.is_empty());
    }

    #[test]
    fn a_synthetic_trainer_is_marked_in_every_row() {
        let settings = sample::settings(TrainedBy::Synthetic);
        let tables = Tables::new(&Search {
            settings: &settings,
            iterations: &sample::iterations(),
            curves: &sample::curves(),
            q_values: &sample::q_values(),
            early_stopping: &sample::early_stopping(),
        });
        for file in tables.files.iter().filter(|file| file.name != "columns.csv") {
            // The sample has one imported network, in three of the tables.
            let marks = ["synthetic", "imported"];
            let is_marked = |line: &&str| marks.iter().any(|mark| line.contains(mark));
            let marked = file.text.lines().skip(1).filter(is_marked).count();
            assert!(file.rows > 0 && marked == file.rows, "{}", file.name);
            let is_both = |line: &str| marks.iter().all(|mark| line.contains(mark));
            assert!(!file.text.lines().skip(1).any(is_both), "{}", file.name);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_people_write_the_rules_are_kept(
            texts in prop::collection::vec(prop_oneof![any::<String>(), r"\[[ -~]{0,20}\]"], 4),
            numbers in prop::collection::vec(prop::num::f64::ANY, 3),
        ) {
            let record = IterationRecord {
                architecture: Some(texts[0].clone()),
                reason: Some(texts[1].clone()),
                device: Some(texts[2].clone()),
                host: Some(texts[3].clone()),
                predicted_accuracy: Some(numbers[0]),
                sigma: Some(numbers[1].abs()),
                train_seconds: Some(numbers[2].abs()),
                ..IterationRecord::new(1, Status::Lost)
            };
            let settings = sample::settings(TrainedBy::Command);
            let search = Search {
                settings: &settings,
                iterations: &[record],
                curves: &[],
                q_values: &[],
                early_stopping: &EarlyStopping::default(),
            };
            for file in Tables::new(&search).files {
                prop_assert_eq!(lint::lint_table(file.text.as_bytes()), [], "{}", file.text);
            }
        }
    }
}
