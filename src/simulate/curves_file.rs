//! Learning curves recorded by any program: one network a row, one column an epoch.
//!
//! ```text
//! id,layers,learning_rate,acc_1,acc_2,acc_3
//! a,4,-3,0.31,0.42,0.47
//! ```
//!
//! The first column names the network. A cell that cannot be used is an error.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use csv::ByteRecord;

use crate::exchange::csv_rows::{line, read_csv, shown};
use crate::maths::ln;
use crate::ops::Refusal;
use crate::predictor::{Example, Features, LearningCurve, PredictorError};
use crate::regular_file::{self, LARGE};
use crate::storage::StorageError;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct CurveOptions {
    /// What the names of the curve's columns begin with, when there are several curves
    #[arg(long, value_name = "PREFIX")]
    pub curve: Option<String>,
    /// Feature columns (empty for none) [default: all other columns of numbers]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub features: Option<Vec<String>>,
    /// Lower is better
    #[arg(long)]
    pub loss: bool,
    /// Take the logarithm of the curves: for losses that can diverge
    #[arg(long)]
    pub log: bool,
    /// Leave out networks whose curves or features are not whole: empty cells, NA, nan, short rows
    #[arg(long)]
    pub skip_incomplete: bool,
}

impl CurveOptions {
    /// First the natural logarithm, if asked for, then the sign so that higher is better.
    pub(super) fn learning_curve(&self, values: Vec<f64>) -> Result<LearningCurve, PredictorError> {
        let mut values: Vec<f64> = LearningCurve::try_from(values)?.values().to_vec();
        if self.log {
            if let Some((epoch, value)) = (1..).zip(&values).find(|(_, value)| **value <= 0.0) {
                return Err(PredictorError::Unusable(format!(
                    "learning curve has `{value}` at epoch {epoch}, which has no logarithm (must \
                     be above 0)"
                )));
            }
            values.iter_mut().for_each(|value| *value = ln(*value));
        }
        if self.loss {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        LearningCurve::try_from(values)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Names and curves, in the order of the file; at least one.
    pub networks: Vec<(String, Example)>,
    pub read_as: String,
    pub warnings: Vec<String>,
}

pub fn read_recorded(path: &Path, options: &CurveOptions) -> anyhow::Result<Recording> {
    let refused = || format!("`{}` cannot be replayed", path.display());
    let bytes = match regular_file::read_input(path, LARGE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Refusal::Usage("there is no such file".to_owned())).with_context(refused)
        }
        read => Ok(read.map_err(StorageError::io("read", path))?),
    }?;
    let file = CurvesFile::parse(bytes).map_err(StorageError::csv(path))?;
    file.recording(options).with_context(refused)
}

struct CurvesFile {
    header: Vec<String>,
    rows: Vec<ByteRecord>,
}

impl CurvesFile {
    fn parse(bytes: Vec<u8>) -> Result<Self, csv::Error> {
        let (header, rows) = read_csv(bytes)?;
        let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_owned();
        Ok(Self { header: header.iter().map(name).collect(), rows })
    }

    fn recording(&self, options: &CurveOptions) -> anyhow::Result<Recording> {
        let (prefix, epochs) = find_curve(&self.header, options.curve.as_deref())?;
        let columns = self.header.len();
        let is_other = |row: &&ByteRecord| match options.skip_incomplete {
            true => row.len() > columns,
            false => row.len() != columns,
        };
        if let Some(row) = self.rows.iter().find(is_other) {
            let (line, cells) = (line(row), row.len());
            let problem = format!("line {line} has {cells} cells where the header has {columns}");
            let remedy =
                if cells < columns { " (`--skip-incomplete` leaves such rows out)" } else { "" };
            bail!(Refusal::Damage(problem + remedy));
        }
        ensure!(!self.rows.is_empty(), Refusal::Damage("no networks".to_owned()));
        let (features, left_out) = match &options.features {
            Some(names) => (named_features(&self.header, &epochs, names)?, Vec::new()),
            None => (1..columns)
                .filter(|place| !epochs.contains(place))
                .partition(|&place| self.is_numeric(place)),
        };
        let is_whole = |row: &&ByteRecord| {
            let mut cells = epochs.iter().chain(&features).map(|&place| cell(row, place));
            !options.skip_incomplete || !cells.any(is_missing)
        };
        let rows: Vec<_> = self.rows.iter().filter(is_whole).collect();
        ensure!(!rows.is_empty(), Refusal::Damage("no network has a whole curve".to_owned()));
        let left_out_rows = self.rows.len() - rows.len();
        let network = |row: &&ByteRecord| {
            let refused = |error| Refusal::Damage(format!("line {}: {error}", line(row)));
            let features = Features::try_from(self.numbers(row, &features)?).map_err(refused)?;
            let values = self.numbers(row, &epochs)?;
            let curve = options.learning_curve(values).map_err(refused)?;
            Ok((String::from_utf8_lossy(&row[0]).into_owned(), Example { features, curve }))
        };
        let names = |places: &[usize]| {
            places.iter().map(|&place| &*self.header[place]).collect::<Vec<_>>().join(", ")
        };
        let used = if features.is_empty() { "none".to_owned() } else { names(&features) };
        let every = match &epochs_of(&self.header, &prefix)[..] {
            [first, second, ..] if second - first > 1 => {
                format!(", one of {} epochs", second - first)
            }
            _ => String::new(),
        };
        let mut read_as = format!("curve `{prefix}`{every}, features: {used}");
        if !left_out.is_empty() {
            read_as += &format!("; left out, since not all numbers: {}", names(&left_out));
        }
        let mut others = groups(&self.header);
        others.retain(|_, group| {
            group.len() >= FEWEST && group.iter().all(|(_, place)| features.contains(place))
        });
        let warning = format!(
            "the features hold another curve whole, which a network in training has only the \
             start of: {} (name the features with `--features`)",
            others.keys().copied().collect::<Vec<_>>().join(", ")
        );
        let mut warnings = if others.is_empty() { Vec::new() } else { vec![warning] };
        if left_out_rows > 0 {
            warnings.push(format!(
                "{left_out_rows} of {} networks are left out: their curves are not whole, so that \
                 poor ones may be rarer here than in a search",
                self.rows.len()
            ));
        }
        let networks: Vec<_> = rows.iter().map(network).collect::<Result<_, Refusal>>()?;
        warnings.extend(doubt_of_direction(&prefix, &networks, options));
        Ok(Recording { networks, read_as, warnings })
    }

    /// Not all cells may be empty; an empty one among numbers is refused later, by its line.
    fn is_numeric(&self, place: usize) -> bool {
        let mut cells = self.rows.iter().map(|row| cell(row, place));
        cells.clone().any(|cell| !cell.is_empty())
            && cells.all(|cell| cell.is_empty() || number(cell).is_some())
    }

    fn numbers(&self, row: &ByteRecord, places: &[usize]) -> Result<Vec<f64>, Refusal> {
        let read = |&place: &usize| {
            number(&row[place]).filter(|number| number.is_finite()).ok_or_else(|| {
                let (line, column) = (line(row), &self.header[place]);
                let value = shown(&String::from_utf8_lossy(&row[place]));
                Refusal::Damage(format!(
                    "line {line}, column `{column}` is `{value}` (must be a finite number{})",
                    if is_missing(cell(row, place)) {
                        "; `--skip-incomplete` leaves such rows out"
                    } else {
                        ""
                    }
                ))
            })
        };
        places.iter().map(read).collect()
    }
}

/// Nothing, where a row is short.
fn cell(row: &ByteRecord, place: usize) -> &[u8] {
    row.get(place).unwrap_or_default().trim_ascii()
}

fn is_missing(cell: &[u8]) -> bool {
    const WORDS: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "-", "?"];
    WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()))
}

/// Says so where names or curves look as if they were taken the wrong way round.
fn doubt_of_direction(
    prefix: &str,
    networks: &[(String, Example)],
    options: &CurveOptions,
) -> Option<String> {
    const LOSSES: [&str; 8] = ["loss", "err", "nll", "perplexity", "ppl", "mse", "mae", "rmse"];
    let name = prefix.to_lowercase();
    let is_loss = !options.loss && LOSSES.iter().any(|word| name.contains(word));
    // As they are compared: higher is better.
    let is_worse =
        |(_, example): &&(String, Example)| example.curve.last() < example.curve.values()[0];
    let worse = networks.iter().filter(is_worse).count();
    if !is_loss && 3 * worse <= 2 * networks.len() {
        return None;
    }
    let (taken, remedy) = match options.loss {
        true => ("lower", "leave `--loss` out where higher is better"),
        false => ("higher", "`--loss` where lower is better"),
    };
    Some(format!(
        "{taken} values of the curve `{prefix}` are taken for better, and {worse} of {} networks \
         end with worse ones than they begin with ({remedy})",
        networks.len()
    ))
}

/// `nan` and `inf` are numbers.
fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell.trim_ascii()).ok()?.parse().ok()
}

/// Numbers and places of columns that share a prefix, in the order of the numbers.
type Group = Vec<(u32, usize)>;

/// Columns of one curve: what they have in common is no accident from two on.
const FEWEST: usize = 2;

/// Returns the prefix of the curve's columns, and their places in the order of the epochs.
fn find_curve(header: &[String], wanted: Option<&str>) -> Result<(String, Vec<usize>), Refusal> {
    let mut groups = groups(header);
    let listed = |groups: &BTreeMap<&str, Group>| {
        groups.keys().map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>().join(", ")
    };
    let all = if groups.is_empty() { "none".to_owned() } else { listed(&groups) };
    let is_curve = |prefix: &str, group: &Group| match wanted {
        Some(wanted) => prefix == wanted,
        None => group.len() >= FEWEST,
    };
    groups.retain(|prefix, group| is_curve(prefix, group));
    if groups.len() > 1 {
        let prefixes = listed(&groups);
        return Err(Refusal::Usage(format!(
            "columns of several curves: {prefixes} (choose one with `--curve`)"
        )));
    }
    let (prefix, group) = groups.pop_first().ok_or_else(|| {
        Refusal::Usage(match wanted {
            Some(prefix) => format!("no columns `{prefix}1`, `{prefix}2`, .. (there are: {all})"),
            None => "no columns of a learning curve (they share a name and end in the number of \
                     the epoch: `y1`, `y2`, ..)"
                .to_owned(),
        })
    })?;
    if numbered(&header[0]).is_some_and(|(of, _)| of == prefix) {
        return Err(Refusal::Usage(format!(
            "its first column, `{}`, is one of the curve (begin with a column that names the \
             networks)",
            header[0]
        )));
    }
    match gap(&group) {
        Some(how) => Err(Refusal::Damage(format!("columns of the curve `{prefix}` {how}"))),
        None => Ok((prefix.to_owned(), group.iter().map(|(_, place)| *place).collect())),
    }
}

fn named_features(
    header: &[String],
    epochs: &[usize],
    names: &[String],
) -> Result<Vec<usize>, Refusal> {
    let place = |name: &str| match header.iter().position(|column| column == name) {
        None => Err(Refusal::Usage(format!("no column `{name}` to be a feature"))),
        Some(place) if place == 0 || epochs.contains(&place) => Err(Refusal::Usage(format!(
            "column `{name}` cannot be a feature (it is the id or part of the curve)"
        ))),
        Some(place) => Ok(place),
    };
    names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).map(place).collect()
}

fn groups(header: &[String]) -> BTreeMap<&str, Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (place, name) in header.iter().enumerate().skip(1) {
        if let Some((prefix, number)) = numbered(name) {
            groups.entry(prefix).or_default().push((number, place));
        }
    }
    groups.values_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Takes a name apart: `acc_07` is `acc_` and 7.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((prefix, name[prefix.len()..].parse().ok()?))
}

/// The numbers of a curve's columns, which are sorted.
fn epochs_of(header: &[String], prefix: &str) -> Vec<u32> {
    groups(header).remove(prefix).unwrap_or_default().into_iter().map(|(epoch, _)| epoch).collect()
}

/// How sorted numbers do not go up one by one from 0 or 1, or by k from at most k.
fn gap(group: &[(u32, usize)]) -> Option<String> {
    let first = group[0].0;
    let numbers = group.iter().map(|(number, _)| *number);
    // Two columns show no step.
    let steps = numbers.clone().zip(numbers.clone().skip(1)).map(|(one, next)| next - one);
    let step = if group.len() < 3 { 1 } else { steps.min().unwrap_or(1).max(1) };
    if first > step {
        return Some(format!("begin with number {first} (must be 0 or {step})"));
    }
    let due = (0..).map(|place| first + place * step);
    let (number, due) = numbers.zip(due).find(|(number, due)| number != due)?;
    Some(match number < due {
        true => format!("have number {number} twice"),
        false => format!("lack number {due}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_by(text: &[u8], options: &CurveOptions) -> Result<Recording, String> {
        let file = CurvesFile::parse(text.to_vec()).map_err(|error| error.to_string())?;
        file.recording(options).map_err(|error| error.to_string())
    }

    fn read(text: &str) -> Result<Recording, String> {
        read_by(text.as_bytes(), &CurveOptions::default())
    }

    #[test]
    fn a_file_is_read_by_its_header() {
        let found =
            read("\u{feff}id,kind,a,y1,y2,b\nfirst,rnn,4, 0.5 ,0.75,1e1\nsecond,cnn,5,.1,.2,-1\n")
                .unwrap();
        let read_as = "curve `y`, features: a, b; left out, since not all numbers: kind";
        assert_eq!(found.read_as, read_as);
        let (id, example) = &found.networks[0];
        assert_eq!((id.as_str(), example.features.values()), ("first", &[4.0, 10.0][..]));
        assert_eq!(example.curve.values(), [0.5, 0.75]);
    }

    #[test]
    fn losses_are_turned_round() {
        let options = CurveOptions { loss: true, log: true, ..CurveOptions::default() };
        let found = read_by(b"id,y1,y2\na,2,1\n", &options).unwrap();
        assert_eq!(found.networks[0].1.curve.values(), [-std::f64::consts::LN_2, -0.0]);
        let refused = read_by(b"id,y1,y2\na,1,0\n", &options).unwrap_err();
        assert!(refused.contains("`0` at epoch 2, which has no logarithm"), "{refused}");
    }

    #[test]
    fn named_features_come_in_the_order_of_their_names() {
        let features = Some(vec!["b ".into(), "a".into()]);
        let columns = CurveOptions { features, ..CurveOptions::default() };
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

    fn header(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn find(text: &str, wanted: Option<&str>) -> Result<(String, Vec<usize>), String> {
        find_curve(&header(text), wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_curve_is_the_group_with_numbers_whatever_its_name() {
        assert_eq!(find("id,depth,y1,y2,y3", None), Ok(("y".into(), vec![2, 3, 4])));
        assert_eq!(find("id,acc_02,acc_01,a", None), Ok(("acc_".into(), vec![2, 1])));
        assert_eq!(find("id,1,2", None), Ok((String::new(), vec![1, 2])));
        assert_eq!(find("id,e0,e1", None), Ok(("e".into(), vec![1, 2])));
    }

    #[test]
    fn a_curve_that_begins_in_the_place_of_the_id_is_refused() {
        // Taken for the id, an epoch would be missing without a word.
        for text in ["y0,y1,y2", "y1,y2,y3", "0,1,2"] {
            assert!(find(text, None).unwrap_err().contains("its first column"), "{text}");
        }
        assert_eq!(find("id0,y1,y2", None), Ok(("y".into(), vec![1, 2])));
    }

    #[test]
    fn a_single_numbered_column_is_a_curve_only_when_it_is_named() {
        assert_eq!(find("id,fc1,y1,y2", None), Ok(("y".into(), vec![2, 3])));
        assert_eq!(find("id,fc1,y1,y2", Some("fc")), Ok(("fc".into(), vec![1])));
    }

    #[test]
    fn of_two_groups_one_must_be_named() {
        let text = "id,acc_1,acc_2,loss_1,loss_2";
        let refused = find(text, None).unwrap_err();
        assert!(refused.contains("`acc_`, `loss_`") && refused.contains("--curve"), "{refused}");
        assert_eq!(find(text, Some("loss_")), Ok(("loss_".into(), vec![3, 4])));
        assert!(find(text, Some("y")).unwrap_err().contains("`acc_`, `loss_`"));
        assert!(find("id,a,b", None).is_err() && find("id", None).is_err());
    }

    #[test]
    fn every_kth_epoch_is_a_curve_and_said_so() {
        for header in ["y5,y10,y15", "y0,y5,y10", "y1,y6,y11"] {
            let found = read(&format!("id,{header}\na,0.1,0.2,0.3\n")).unwrap();
            assert_eq!(found.read_as, "curve `y`, one of 5 epochs, features: none");
        }
        assert!(find("id,y5,y10,y20", None).unwrap_err().contains("lack number 15"));
        assert!(find("id,y6,y8,y10", None).unwrap_err().contains("must be 0 or 2"));
    }

    #[test]
    fn networks_that_are_not_whole_are_left_out_on_request() {
        let text =
            "id,f,y1,y2\na,1,0.1,0.2\nb,1,0.1,\nc,1,NA,0.2\nd,1,0.1\ne,,0.1,nan\nf,2,0.3,0.4\n";
        let refused = read("id,y1,y2\na,0.1,NA\n").unwrap_err();
        assert!(refused.ends_with("a finite number; `--skip-incomplete` leaves such rows out)"));
        let options = CurveOptions { skip_incomplete: true, ..CurveOptions::default() };
        let found = read_by(text.as_bytes(), &options).unwrap();
        let ids: Vec<_> = found.networks.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "f"]);
        assert!(found.warnings[0].starts_with("4 of 6 networks are left out"), "{found:?}");
        assert!(read_by(b"id,y1,y2\na,0.1,x\n", &options).unwrap_err().contains("is `x`"));
        assert!(read_by(b"id,y1,y2\na,0.1,\n", &options).unwrap_err().contains("whole curve"));
        assert!(read_by(b"id,y1,y2\na,0,1,2\n", &options).unwrap_err().contains("has 4 cells"));
    }

    #[test]
    fn a_curve_taken_the_wrong_way_round_is_told() {
        let warnings = |text: &str, loss| {
            let options = CurveOptions { loss, ..CurveOptions::default() };
            read_by(text.as_bytes(), &options).unwrap().warnings
        };
        let falls = |name: &str| format!("id,{name}1,{name}2\na,2,1\nb,3,1\nc,3,2\n");
        for text in [falls("val_loss_"), falls("y")] {
            assert!(warnings(&text, false)[0].contains("`--loss` where lower is better"), "{text}");
            assert_eq!(warnings(&text, true), [] as [&str; 0], "{text}");
        }
        let rises = falls("acc_").replace("2,1", "1,2").replace("3,1", "1,3").replace("3,2", "2,3");
        assert_eq!(warnings(&rises, false), [] as [&str; 0]);
        assert!(warnings(&rises, true)[0].contains("leave `--loss` out"));
        let name = falls("Test_Error_").replace("2,1", "1,2").replace("3,1", "1,3");
        assert!(warnings(&name, false)[0].contains("higher values of the curve"));
    }

    #[test]
    fn epochs_go_up_one_by_one_from_0_or_1() {
        assert!(find("id,y1,y2,y4", None).unwrap_err().contains("lack number 3"));
        assert!(find("id,y1,y2,y02", None).unwrap_err().contains("number 2 twice"));
        assert!(find("id,y5,y6", None).unwrap_err().contains("begin with number 5"));
        // Too great for an epoch, and so no number.
        assert!(find("id,y99999999998,y99999999999", None).is_err());
    }

    #[test]
    fn features_are_neither_the_id_nor_the_curve() {
        let header = header("id,a,y1,y2,b");
        let (_, epochs) = find_curve(&header, None).unwrap();
        let features = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            named_features(&header, &epochs, &names).map_err(|error| error.to_string())
        };
        assert_eq!(features(&["b", "a"]), Ok(vec![4, 1]));
        assert_eq!(features(&[]), Ok(vec![]));
        assert!(features(&["c"]).unwrap_err().contains("no column `c`"));
        assert!(features(&["id"]).is_err() && features(&["y2"]).is_err());
    }

    #[test]
    fn features_that_look_like_another_curve_are_named() {
        let options = CurveOptions { curve: Some("y".into()), ..CurveOptions::default() };
        let warnings = |train_2: &str| {
            let text = format!("id,a,y1,y2,train_1,train_2,fc1\nx,1,0,0,1,{train_2},1\n");
            read_by(text.as_bytes(), &options).unwrap().warnings
        };
        assert!(warnings("1")[0].contains("start of: train_ (name the features"));
        assert!(warnings("none").is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_by(&bytes, &CurveOptions::default());
        }

        #[test]
        fn no_damage_makes_it_panic(
            at in 0_usize..60, put in proptest::collection::vec(any::<u8>(), 0..6),
            named in proptest::option::of("[a-z]{0,2}"),
        ) {
            let mut bytes = b"id,f,y1,y2\na,1,0.25,0.5\n\"b\nc\",2,1e-3,7\nd,-0,0,1e9\n".to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + put.len()).min(bytes.len()), put);
            let _ = read_by(&bytes, &CurveOptions { curve: named, ..CurveOptions::default() });
            let features = Some(vec!["f".to_owned()]);
            let _ = read_by(&bytes, &CurveOptions { features, ..CurveOptions::default() });
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
                .map(|(_, example)| example.curve.values().to_vec()).collect();
            prop_assert_eq!(found, curves.iter().map(|curve| curve.to_vec()).collect::<Vec<_>>());
        }
    }
}
