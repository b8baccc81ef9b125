//! The tables as they lie on disk, checked against the rules that stand in `src/report/tables`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use spreadsheet::{is_computed, is_guessed};

use crate::support::{Experiment, SMALL};

#[path = "../../src/report/tables/spreadsheet.rs"]
mod spreadsheet;

#[test]
fn the_tables_of_a_search_keep_the_rules() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    assert_eq!(broken_rules(&experiment.path("tables")), [""; 0]);
}

#[test]
fn the_accepted_tables_keep_the_rules() {
    for tables in ["tables", "finals"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(tables);
        assert_eq!(broken_rules(&golden), [""; 0]);
    }
}

/// Returns every rule that the tables in a folder break, each with its file and line.
pub fn broken_rules(folder: &Path) -> Vec<String> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    let files = fs::read_dir(folder).unwrap().map(read);
    let files: Vec<_> = files.filter(|(name, _)| !name.starts_with('.')).collect();
    let problems = lint_tables(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    problems.iter().map(|(file, problem)| format!("{file}: {problem}")).collect()
}

const MOST_ROWS: usize = 1_000_000;

/// A rule that a table breaks.
struct Violation {
    /// Line of the table, the header being 1; 0 for the file as a whole.
    line: usize,
    /// Name of the column, empty for the line as a whole.
    column: String,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column `{}`: {}", self.line, self.column, self.what)
    }
}

fn violation(line: usize, column: &str, what: impl Into<String>) -> Violation {
    Violation { line, column: column.to_owned(), what: what.into() }
}

/// A table as read.
struct ParsedTable {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Returns every rule that the bytes of a table break.
fn lint_table(bytes: &[u8]) -> Vec<Violation> {
    match read(bytes) {
        Ok(table) => lint_header(&table).into_iter().chain(lint_cells(&table)).collect(),
        Err(problem) => vec![problem],
    }
}

/// Returns every rule that the tables of a search break, each with the name of its file: the
/// rules of each table by itself, and what `columns.csv` says of them.
fn lint_tables<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Vec<(String, Violation)> {
    let files: BTreeMap<&str, &[u8]> = files.into_iter().collect();
    let mut problems = Vec::new();
    let mut tables = BTreeMap::new();
    for (&name, bytes) in &files {
        problems.extend(lint_table(bytes).into_iter().map(|found| (name.to_owned(), found)));
        if let Ok(table) = read(bytes) {
            tables.insert(name, table);
        }
    }
    let dictionary = tables.get("columns.csv").map(entries).unwrap_or_default();
    for (name, entries) in &dictionary {
        if !files.contains_key(name.as_str()) {
            let what = format!("`columns.csv` describes {} columns of no file", entries.len());
            problems.push((name.clone(), violation(0, "", what)));
        }
    }
    for (name, table) in &tables {
        let entries = dictionary.get(*name).map_or(&[][..], Vec::as_slice);
        problems.extend(lint_meaning(table, entries).into_iter().map(|p| ((*name).to_owned(), p)));
    }
    problems
}

fn read(bytes: &[u8]) -> Result<ParsedTable, Violation> {
    let text = std::str::from_utf8(bytes).map_err(|_| violation(0, "", "is not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(violation(0, "", "begins with a byte order mark"));
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut records = Vec::new();
    for (index, record) in reader.records().enumerate() {
        records.push(record.map_err(|error| violation(index + 1, "", error.to_string()))?);
    }
    // Whatever departs from the one way of quoting is written differently from what was read.
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in &records {
        writer.write_record(record).expect("writing into memory does not fail");
    }
    if writer.into_inner().expect("writing into memory does not fail") != bytes {
        return Err(violation(0, "", "is not quoted after RFC 4180, as little as possible"));
    }
    let mut rows = records.iter().map(|record| record.iter().map(str::to_owned).collect());
    let header = rows.next().ok_or_else(|| violation(0, "", "has no header"))?;
    Ok(ParsedTable { header, rows: rows.collect() })
}

fn lint_header(table: &ParsedTable) -> Vec<Violation> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for name in &table.header {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            problems.push(violation(1, name, "is no name of lower-case letters, digits and `_`"));
        }
        if !known.insert(name) {
            problems.push(violation(1, name, "stands twice"));
        }
    }
    if table.rows.len() > MOST_ROWS {
        let what = format!("has {} rows, more than {MOST_ROWS}", table.rows.len());
        problems.push(violation(0, "", what));
    }
    problems
}

fn lint_cells(table: &ParsedTable) -> Vec<Violation> {
    let mut problems = Vec::new();
    let mut kinds: Vec<Option<CellKind>> = vec![None; table.header.len()];
    for (index, row) in table.rows.iter().enumerate() {
        if row.iter().all(String::is_empty) {
            problems.push(violation(index + 2, "", "is empty"));
        }
        for ((cell, name), kind) in row.iter().zip(&table.header).zip(&mut kinds) {
            let mut found = |what: String| problems.push(violation(index + 2, name, what));
            if cell.chars().any(char::is_control) {
                found(format!("{cell:?} has a control character or a line break"));
            }
            if has_absolute_path(cell) {
                found(format!("`{cell}` has an absolute path"));
            }
            match kind_of(cell) {
                CellKind::Empty => continue,
                CellKind::Formula => found(format!("`{cell}` would be computed")),
                CellKind::Guess => found(format!("`{cell}` may be taken for a number or a date")),
                CellKind::Number if significant_digits(cell) > 15 => {
                    found(format!("`{cell}` has more digits than a spreadsheet keeps"));
                }
                read => match kind.get_or_insert(read) {
                    first if *first == read => {}
                    first => found(format!("`{cell}` in a column that began as {first:?}")),
                },
            }
        }
    }
    problems
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellKind {
    Empty,
    Number,
    Boolean,
    Time,
    Text,
    Formula,
    Guess,
}

fn kind_of(cell: &str) -> CellKind {
    if cell.is_empty() {
        CellKind::Empty
    } else if is_number(cell) {
        CellKind::Number
    } else if cell == "true" || cell == "false" {
        CellKind::Boolean
    } else if is_utc_time(cell) {
        CellKind::Time
    } else if is_computed(cell) {
        CellKind::Formula
    } else if is_guessed(cell) {
        CellKind::Guess
    } else {
        CellKind::Text
    }
}

/// `-12`, `0.5` or the like.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits(whole) && !leading_zero && digits(fraction)
}

/// `2026-03-01T12:00:00.250Z` or the like.
fn is_utc_time(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(found, wanted)| match wanted {
            b'd' => found.is_ascii_digit(),
            _ => found == wanted,
        })
}

/// A slash at the beginning of a word, before a name.
fn has_absolute_path(cell: &str) -> bool {
    let ends = |c: char| !c.is_alphanumeric() && !"._-~/".contains(c);
    cell.split(ends).any(|word| word.len() > 1 && word.starts_with('/'))
}

fn significant_digits(number: &str) -> usize {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    if number.contains('.') { digits.len() } else { digits.trim_end_matches('0').len() }
}

/// What the dictionary says of a column.
struct Entry {
    column: String,
    type_name: String,
    allowed_values: String,
}

fn entries(dictionary: &ParsedTable) -> BTreeMap<String, Vec<Entry>> {
    let place = |name: &str| dictionary.header.iter().position(|column| column == name);
    let mut entries = BTreeMap::<String, Vec<Entry>>::new();
    let (Some(file), Some(column), Some(type_name), Some(allowed)) =
        (place("file"), place("column"), place("type"), place("allowed_values"))
    else {
        return entries;
    };
    for row in &dictionary.rows {
        entries.entry(row[file].clone()).or_default().push(Entry {
            column: row[column].clone(),
            type_name: row[type_name].clone(),
            allowed_values: row[allowed].clone(),
        });
    }
    entries
}

fn lint_meaning(table: &ParsedTable, entries: &[Entry]) -> Vec<Violation> {
    let described: Vec<&String> = entries.iter().map(|entry| &entry.column).collect();
    if described != table.header.iter().collect::<Vec<_>>() {
        return vec![violation(1, "", "the header is not what `columns.csv` describes")];
    }
    let mut problems = Vec::new();
    for (index, row) in table.rows.iter().enumerate() {
        for (cell, entry) in row.iter().zip(entries) {
            if !cell.is_empty() && !is_allowed(cell, entry) {
                let what = format!("`{cell}` is no {}: {}", entry.type_name, entry.allowed_values);
                problems.push(violation(index + 2, &entry.column, what));
            }
        }
    }
    problems
}

fn is_allowed(cell: &str, entry: &Entry) -> bool {
    let of_type = match entry.type_name.as_str() {
        "integer" => cell.bytes().all(|byte| byte.is_ascii_digit()),
        "number" => kind_of(cell) == CellKind::Number,
        "boolean" => kind_of(cell) == CellKind::Boolean,
        "time" => kind_of(cell) == CellKind::Time,
        "word" => entry.allowed_values.split(" | ").any(|word| word == cell),
        "architecture" => cell.starts_with('[') && cell.ends_with(']'),
        "text" => kind_of(cell) == CellKind::Text,
        _ => false,
    };
    let number = || cell.parse::<f64>();
    let in_range = if entry.allowed_values == "between 0 and 1" {
        number().is_ok_and(|number| (0.0..=1.0).contains(&number))
    } else if let Some(least) = entry.allowed_values.strip_prefix("at least ") {
        matches!((number(), least.parse::<f64>()), (Ok(number), Ok(least)) if number >= least)
    } else {
        true
    };
    of_type && in_range
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn what(bytes: &[u8]) -> Vec<String> {
        lint_table(bytes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_table_has_no_problem() {
        let text = "iteration,architecture,audit,host\n\
            1,\"[C(64,3,1), SM(10)]\",true,gpu-07\n2,,,'may12\n";
        assert!(what(text.as_bytes()).is_empty());
    }

    #[test]
    fn each_broken_rule_is_named() {
        let is = |text: &[u8], problem: &str| assert_eq!(what(text), [problem], "{text:?}");
        is(b"a\n\xff\n", "line 0, column ``: is not UTF-8");
        is("\u{feff}a\n1\n".as_bytes(), "line 0, column ``: begins with a byte order mark");
        is(b"", "line 0, column ``: has no header");
        is(b"a,b\n1,2", "line 0, column ``: is not quoted after RFC 4180, as little as possible");
        is(
            b"a,b\n\"1\",2\n",
            "line 0, column ``: is not quoted after RFC 4180, as little as possible",
        );
        is(b"a,a\n1,2\n", "line 1, column `a`: stands twice");
        is(
            b"Best Accuracy,b\n1,2\n",
            "line 1, column `Best Accuracy`: is no name of lower-case letters, digits and `_`",
        );
        is(b"a,b\n,\n", "line 2, column ``: is empty");
        is(b"a,b\n=1+1,2\n", "line 2, column `a`: `=1+1` would be computed");
        is(b"a,b\n-x,2\n", "line 2, column `a`: `-x` would be computed");
        is(b"a,b\nMAR1,2\n", "line 2, column `a`: `MAR1` may be taken for a number or a date");
        is(b"a,b\n1-2,2\n", "line 2, column `a`: `1-2` may be taken for a number or a date");
        is(b"a,b\n\"0,5\",2\n", "line 2, column `a`: `0,5` may be taken for a number or a date");
        is(b"a,b\nin /tmp/x,2\n", "line 2, column `a`: `in /tmp/x` has an absolute path");
        is(b"a,b\nx,2\n1,2\n", "line 3, column `a`: `1` in a column that began as Text");
        is(
            b"a,b\n\"x\ny\",2\n",
            "line 2, column `a`: \"x\\ny\" has a control character or a line break",
        );
        is(
            b"a,b\n0.30000000000000004,2\n",
            "line 2, column `a`: `0.30000000000000004` has more digits than a spreadsheet keeps",
        );
        assert!(what(b"a,b\n1\n")[0].starts_with("line 2, column ``: CSV error"));
    }

    #[test]
    fn the_dictionary_binds() {
        let columns = "file,column,type,unit,meaning,allowed_values\n\
            t.csv,n,integer,,a,at least 1\nt.csv,w,word,,b,yes | no\nu.csv,x,text,,c,any\n\
            columns.csv,file,text,,f,any\ncolumns.csv,column,text,,f,any\n\
            columns.csv,type,text,,f,any\ncolumns.csv,unit,text,,f,any\n\
            columns.csv,meaning,text,,f,any\ncolumns.csv,allowed_values,text,,f,any\n";
        let problems = lint_tables([
            ("t.csv", "n,w\n0,yes\n2,maybe\n".as_bytes()),
            ("v.csv", b"x\ny\n"),
            ("columns.csv", columns.as_bytes()),
        ]);
        let found: Vec<String> = problems.iter().map(|(file, p)| format!("{file}: {p}")).collect();
        assert_eq!(
            found,
            [
                "u.csv: line 0, column ``: `columns.csv` describes 1 columns of no file",
                "t.csv: line 2, column `n`: `0` is no integer: at least 1",
                "t.csv: line 3, column `w`: `maybe` is no word: yes | no",
                "v.csv: line 1, column ``: the header is not what `columns.csv` describes",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in any::<Vec<u8>>()) {
            let _ = lint_table(&bytes);
        }
    }
}
