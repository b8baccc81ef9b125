//! The CSV tables of a search, for spreadsheets and statistics programs.
//!
//! A table is a list of columns, from which its files and the data dictionary `columns.csv` are
//! made, so that they cannot disagree. A new one is a file here and a line in [`add_all`].
//!
//! The rules, which `tests/suite/table_rules.rs` checks: UTF-8; one header row; one fact per cell;
//! a stable order of columns, new ones at the end; a full stop as decimal point and at most 15
//! significant digits; quoting after RFC 4180; a missing value is an empty cell; times in ISO 8601,
//! UTC; no cell that a spreadsheet would compute, take for a date or otherwise change; no absolute
//! path; a table of more than 1,000,000 rows is split.

mod accuracy_histogram;
mod benchmark;
mod cell;
mod curves;
mod decimal_comma;
mod early_stopping;
mod epsilon_summary;
mod finals;
mod gpu_hours;
mod iterations;
mod predictor_scores;
mod q_by_depth;
mod q_table;
mod spreadsheet;
pub(super) mod table;

use super::search::SearchData;
pub use accuracy_histogram::{BINS, add_histogram, histogram};
pub use benchmark::of_comparison;
pub(super) use cell::SIGNIFICANT_DIGITS;
pub use cell::without_absolute_paths;
pub use decimal_comma::with_decimal_commas;
pub use finals::{add_depths, depths, of_finals};
pub use q_by_depth::{ActionGroup, add_q_by_depth, mean_q_values};
pub use table::{Settled, TableSet};

pub fn add_all(set: &mut TableSet, search: &SearchData) {
    iterations::add(set, search);
    iterations::add_by_architecture(set, search);
    epsilon_summary::add(set, search);
    curves::add_long(set, search);
    curves::add_wide(set, search);
    q_table::add(set, search);
    add_q_by_depth(set, search, ActionGroup::LayerType);
    add_q_by_depth(set, search, ActionGroup::Kernel);
    add_histogram(set, search);
    gpu_hours::add(set, search);
    early_stopping::add(set, search);
    predictor_scores::add(set, search);
    set.add_dictionary();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::spreadsheet::{is_computed, is_guessed};
    use super::*;
    use crate::report::golden::assert_golden;
    use crate::report::sample::{self, iteration};
    use crate::storage::{Event, Row};

    fn of(search: &SearchData) -> TableSet {
        let mut set = TableSet::default();
        add_all(&mut set, search);
        set
    }

    fn of_sample(most_rows: usize) -> TableSet {
        let mut set = TableSet { most_rows, ..TableSet::default() };
        add_all(&mut set, &sample::search("torch"));
        set
    }

    #[test]
    fn the_tables_are_the_accepted_ones() {
        for file in of(&sample::search("torch")).files {
            assert_golden(&format!("tables/{}", file.name), &file.text);
        }
        for file in of_finals(&sample::finals()).files {
            assert_golden(&format!("finals/{}", file.name), &file.text);
        }
    }

    #[test]
    fn a_search_that_has_not_begun_has_tables_of_headers() {
        let tables = of(&SearchData::default());
        for file in tables.files.iter().filter(|file| file.name != "columns.csv") {
            assert_eq!(file.text.lines().count(), 1, "{}", file.name);
        }
    }

    #[test]
    fn a_long_table_is_split_and_says_so() {
        let tables = of_sample(4);
        let rows: Vec<(&str, usize)> = tables
            .files
            .iter()
            .filter(|file| file.name.starts_with("curves_long"))
            .map(|file| (file.name.as_str(), file.text.lines().count() - 1))
            .collect();
        assert_eq!(rows, [("curves_long.csv", 4), ("curves_long_2.csv", 1)]);
        let notice = "`curves_long.csv` has 5 rows, more than a spreadsheet opens: it is split \
            into 2 files, up to `curves_long_2.csv`";
        assert!(tables.notices.iter().any(|of| of == notice));
        let dictionary = &tables.files.last().unwrap().text;
        assert!(tables.files.iter().all(|file| dictionary.contains(&file.name)));
        assert!(of(&sample::search("torch")).notices.is_empty());
    }

    #[test]
    fn what_is_kept_and_what_is_added_are_the_whole_tables() {
        for before in [1, 8, 9, 12] {
            let set = |kept: Settled, before, of: &SearchData| {
                let settled = Settled { before, ..Settled::default() };
                let mut set = TableSet { kept, settled, ..TableSet::default() };
                add_all(&mut set, of);
                set
            };
            let mut search = sample::search("torch");
            let whole = set(Settled::default(), before, &search);
            search.curves.retain(|attempt, _| attempt.iteration.0 >= before);
            let added = set(whole.settled.clone(), 12, &search);
            for (file, whole) in added.files.iter().zip(&whole.files) {
                let kept = file.after.map_or("", |place| &whole.text[..place.byte as usize]);
                assert_eq!(format!("{kept}{}", file.text), whole.text, "{}", whole.name);
            }
            let all = set(Settled::default(), 12, &sample::search("torch")).settled;
            assert_eq!(added.settled, all, "{before}");
        }
    }

    #[test]
    fn a_synthetic_trainer_is_marked_in_every_row() {
        let tables = of(&sample::search("synthetic"));
        for file in tables.files.iter().filter(|file| file.name != "columns.csv") {
            // The sample has one imported network, in three of the tables.
            let marks = ["synthetic", "imported"];
            let is_marked = |line: &&str| marks.iter().any(|mark| line.contains(mark));
            let rows = file.text.lines().skip(1);
            assert!(rows.clone().count() > 0 && rows.clone().all(|row| is_marked(&row)));
            let is_both = |line: &str| marks.iter().all(|mark| line.contains(mark));
            assert!(!rows.clone().any(is_both), "{}", file.name);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_people_write_no_cell_is_changed_by_a_spreadsheet(
            texts in prop::collection::vec(prop_oneof![any::<String>(), r"\[[ -~]{0,20}\]"], 4),
            numbers in prop::collection::vec(prop::num::f64::ANY, 3),
        ) {
            let row = Row {
                architecture: Some(texts[0].as_str().into()),
                reason: Some(texts[1].as_str().into()),
                device: Some(texts[2].as_str().into()),
                host: Some(texts[3].as_str().into()),
                predicted_accuracy: Some(numbers[0]),
                sigma: Some(numbers[1].abs()),
                train_seconds: Some(numbers[2].abs()),
                ..iteration(1, Event::Lost)
            };
            let search = SearchData { iterations: vec![row], ..SearchData::default() };
            for file in of(&search).files {
                for record in csv::Reader::from_reader(file.text.as_bytes()).records() {
                    for cell in &record.unwrap() {
                        let is_plain = cell.is_empty() || cell.parse::<f64>().is_ok();
                        let is_changed = !is_plain && (is_computed(cell) || is_guessed(cell));
                        prop_assert!(!is_changed && !cell.contains(char::is_control), "{cell}");
                    }
                }
            }
        }
    }
}
