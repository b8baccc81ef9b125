//! The rules of the tables, on those of a real search.

use std::fs;

use crate::support::{Experiment, SMALL};

#[test]
fn every_table_keeps_the_rules_of_spreadsheets() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let dictionary = experiment.text("tables/columns.csv");
    for entry in fs::read_dir(experiment.path("tables")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        for header in &headers {
            assert!(
                dictionary.contains(&format!("{name},{header},")),
                "`{header}` of `{name}` is not in the dictionary"
            );
        }
        for record in reader.records() {
            // Reading fails where a row has more or fewer cells than the header.
            for (header, cell) in headers.iter().zip(&record.unwrap()) {
                check_cell(&name, header, cell);
            }
        }
    }
}

fn check_cell(table: &str, column: &str, cell: &str) {
    let context = format!("`{cell}` in `{column}` of `{table}`");
    let is_number = cell.parse::<f64>().is_ok();
    assert!(!cell.starts_with(['=', '+', '@', '\t', '\r']), "a formula: {context}");
    assert!(!cell.starts_with('-') || is_number, "a formula: {context}");
    assert!(
        !["NaN", "nan", "inf", "-inf", "None", "null"].contains(&cell),
        "no missing value: {context}"
    );
    assert!(!cell.starts_with('/'), "an absolute path: {context}");
    assert!(!cell.contains(['\n', '\r']), "several lines: {context}");
    let is_date_like = cell.len() <= 10
        && cell.split(['-', '/']).count() > 1
        && cell
            .split(['-', '/'])
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    assert!(!is_date_like, "a date: {context}");
}
