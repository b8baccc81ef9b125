//! Claims for people: a text for terminals, and `reproduce.csv`.

use itertools::Itertools;

use super::{ClaimRow, ClaimState, ClaimValue};
use crate::report::search::IMPORTED;
use crate::report::tables::TableSet;
use crate::report::tables::table::*;
use crate::report::terminal::{bold, decimals, hanging, known, with_commas};

/// One entry a row, the state first; numbers under one another.
pub fn text(rows: &[ClaimRow]) -> String {
    let groups = rows.chunk_by(|a, b| a.source == b.source);
    groups
        .map(|of| bold(&of[0].source) + "\n" + &of.iter().map(entry).collect::<String>())
        .collect()
}

const STATE: usize = 15;
const WIDTH: usize = 79 - STATE;

fn entry(row: &ClaimRow) -> String {
    let is_of_numbers = row.values.iter().any(|it| it.published.is_some());
    let on = row.data.as_ref().filter(|_| is_of_numbers);
    let mut lines = vec![on.map_or(String::new(), |data| format!("{data}: ")) + &row.claim];
    lines.extend(if is_of_numbers { numbers(row) } else { compared(row) });
    if let (Some(experiment), Some(data)) = (&row.experiment, &row.data) {
        let whose = match row.trainer {
            Some(IMPORTED) => ", their search, our program",
            Some("recorded") => ", recorded trainings",
            _ => "",
        };
        let networks = with_commas(row.networks.unwrap_or(0));
        lines.push(format!("[{experiment}: {data}, {networks} networks{whose}]"));
    }
    if !row.missing.is_empty() {
        let missing = row.missing.join("; ");
        lines.push(match row.agrees {
            Some(true) => format!("missing: {missing}; what is here agrees"),
            Some(false) => format!("missing: {missing}; what is here differs"),
            None => format!("cannot be judged: {missing}"),
        });
    } else if row.state == ClaimState::NotRun {
        lines.push(match row.run.as_str() {
            "nothing" => "no command of this program computes it".to_owned(),
            run => format!("run: {run}"),
        });
    }
    hanging(&format!("{:<STATE$}", row.state.to_string()), &lines.join("\n")) + "\n"
}

fn compared(row: &ClaimRow) -> Vec<String> {
    let text = |value: &ClaimValue| {
        let ends = value.interval.map(|ends| ends.map(|end| decimals(end, 3)).join(" to "));
        let ends = ends.map_or(String::new(), |ends| format!(" (95 %: {ends})"));
        format!("{} {}{ends}", value.of, decimals(value.ours?, 3)).into()
    };
    row.values.iter().filter_map(text).collect()
}

/// Published and ours, in as many pairs of lines as they need.
fn numbers(row: &ClaimRow) -> Vec<String> {
    let digits_of = |number: f64| number.to_string().split('.').nth(1).map_or(0, str::len);
    let published = row.values.iter().filter_map(|value| value.published);
    let digits = row.digits.or_else(|| published.map(digits_of).max()).unwrap_or(0);
    let shown = |value: Option<f64>| known(value.map(|it| decimals(it, digits)));
    let cells = row
        .values
        .iter()
        .map(|value| [value.of.clone(), shown(value.published), shown(value.ours)]);
    let cells = cells.collect_vec();
    let width = cells.iter().flatten().map(|cell| cell.len() + 1).max().unwrap_or(1);
    let is_shown = |at: &usize| *at < 2 || row.state != ClaimState::NotRun;
    let line = |of: &[[String; 3]], at: usize| {
        let name = ["", "published", "ours"][at];
        format!("{name:<9}")
            + &of.iter().map(|it| format!("{:>width$}", it[at])).collect::<String>()
    };
    let parts = cells.chunks(((WIDTH - 9) / width).max(1));
    parts.flat_map(|of| (0..3).filter(is_shown).map(move |at| line(of, at))).collect()
}

/// `reproduce.csv`: a row for each value, of a claim without numbers one.
pub fn table(rows: &[ClaimRow]) -> TableSet {
    let rows = rows.iter().flat_map(|row| {
        let none = row.values.is_empty().then_some((row, None));
        row.values.iter().map(move |value| (row, Some(value))).chain(none)
    });
    let interval = |value: Option<&ClaimValue>, end: usize| Some(value?.interval?[end]);
    let columns = columns! { (&ClaimRow, Option<&ClaimValue>):
        source: TEXT, "Paper or talk, and its figure or table", |row| row.0.source.clone();
        claim: TEXT, "What is claimed", |row| row.0.claim.clone();
        state: one_of("reproduced | differs | partly | not run | holds here | does not hold | \
            not resolved"), "State of the claim, as `reproduce --help` defines it",
            |row| row.0.state.to_string();
        of: TEXT, "What the number is of", |row| row.1.map(|it| it.of.clone());
        published: NUMBER, "The published number; missing of a claim without", |row| row.1?.published;
        ours: NUMBER, "The same of the experiment", |row| row.1?.ours;
        lower: NUMBER, "Lower end of its 95 % interval, where it has one",
            |row| interval(row.1, 0);
        upper: NUMBER, "Upper end", |row| interval(row.1, 1);
        missing: TEXT, "What the experiment lacks of what the published number is of",
            |row| row.0.missing.join("; ");
        experiment: TEXT, "The experiment; missing where none says something of the claim",
            |row| row.0.experiment.clone();
        data: TEXT, "Its data set, or that of the published number", |row| row.0.data.clone();
        networks: COUNT, "Networks with a result", |row| row.0.networks;
        trainer: TRAINER, WHO_TRAINED, |row| row.0.trainer;
        run: TEXT, "The command that computes it, or `nothing`", |row| row.0.run.clone();
    };
    let mut set = TableSet::default();
    set.add("reproduce", &columns, &rows.collect_vec());
    set.add_dictionary();
    set
}
