//! The Q-table of a view as `q_table.csv`: one row per state and action.
//!
//! States come in the order of [`StateKey`], their actions in that of
//! [`Space::legal_actions`](crate::space::Space::legal_actions); numbers are printed so that they
//! read back exactly. So equal tables have equal bytes, on any machine.

use std::path::Path;

use csv::StringRecord;

use crate::q_learning::QTable;
use crate::space::{Action, Bin, LastLayer, Space, StateKey, may_occur};
use crate::storage::error::StorageError;

/// The state is its depth, its last layer (kind and numbers; empty where the kind has none) and
/// its bin; `index` counts the fully connected layers before a fully connected one.
const COLUMNS: [&str; 10] =
    ["depth", "layer", "filters", "kernel", "stride", "index", "width", "bin", "action", "q_value"];
/// How many columns name the state; the action and its Q-value follow.
const STATE: usize = 8;

/// Writes a Q-table.
pub(crate) fn write_q_table(table: &QTable) -> Vec<u8> {
    let mut bytes = format!("{}\n", COLUMNS.join(",")).into_bytes();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    for (state, row) in table.rows() {
        let state = state_cells(&state);
        for (action, q_value) in row {
            let cells = state.iter().cloned().chain([action.to_string(), format!("{q_value:?}")]);
            writer.write_record(cells).expect("ten cells a row, written to memory");
        }
    }
    drop(writer);
    bytes
}

/// Reads a Q-table back.
///
/// # Errors
/// A line that is no row of a Q-table over `space`; it is named.
pub(crate) fn read_q_table(
    bytes: &[u8],
    space: Space,
    initial_q_value: f64,
    path: &Path,
) -> Result<QTable, StorageError> {
    let failed = StorageError::csv(path);
    let mut reader = csv::Reader::from_reader(bytes);
    if reader.headers().map_err(failed)? != COLUMNS[..] {
        return Err(StorageError::line(path, 1, "it is not the header of a Q-table"));
    }
    let mut records = reader.records().map(|record| record.map_err(failed));
    let mut table = QTable::new(space, initial_q_value);
    while let Some(first) = records.next().transpose()? {
        let error = |reason: &str| StorageError::line(path, line_of(&first), reason);
        let state = state_of(&first, table.space())
            .ok_or_else(|| error("it names no state of the search space"))?;
        let mut of_state = std::iter::once(Ok(first.clone())).chain(&mut records);
        let mut row = Vec::new();
        for action in table.space().legal_actions(&state) {
            let record = of_state
                .next()
                .transpose()?
                .ok_or_else(|| error("the state beginning here lacks actions"))?;
            let q_value = q_value_of(&record, &first, action).ok_or_else(|| {
                let reason = format!("it is not the Q-value of `{action}` in the same state");
                StorageError::line(path, line_of(&record), reason)
            })?;
            row.push((action, q_value));
        }
        table.insert_row(state, row).map_err(|source| error(&source.to_string()))?;
    }
    Ok(table)
}

fn line_of(record: &StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// Returns the Q-value of `action`, which must be the one that the record names, in the same
/// state as `first`.
fn q_value_of(record: &StringRecord, first: &StringRecord, action: Action) -> Option<f64> {
    let same_state = record.iter().take(STATE).eq(first.iter().take(STATE));
    (same_state && record[STATE] == *action.to_string()).then(|| record[STATE + 1].parse().ok())?
}

/// Returns the state that a record names, `None` when it is none of the space's.
fn state_of(record: &StringRecord, space: &Space) -> Option<StateKey> {
    let number = |column: usize| record[column].parse::<u32>();
    let last = match &record[1] {
        "start" => LastLayer::Start,
        "conv" => LastLayer::Conv {
            filters: number(2).ok()?,
            kernel: number(3).ok()?,
            stride: number(4).ok()?,
        },
        "pool" => LastLayer::Pool { kernel: number(3).ok()?, stride: number(4).ok()? },
        "fc" => LastLayer::FullyConnected { index: number(5).ok()?, width: number(6).ok()? },
        "gap" => LastLayer::GlobalAveragePool,
        _ => return None,
    };
    let bins = [Bin::One, Bin::Four, Bin::Eight];
    let bin = bins.into_iter().find(|bin| Ok(bin.size()) == number(7))?;
    let state = StateKey { depth: number(0).ok()?, last, bin };
    (may_occur(&state, space) && record.iter().take(STATE).eq(state_cells(&state))).then_some(state)
}

/// Returns the cells that name a state, all but the last two of its row.
fn state_cells(state: &StateKey) -> [String; STATE] {
    let (layer, numbers) = match state.last {
        LastLayer::Start => ("start", [None; 5]),
        LastLayer::Conv { filters, kernel, stride } => {
            ("conv", [Some(filters), Some(kernel), Some(stride), None, None])
        }
        LastLayer::Pool { kernel, stride } => {
            ("pool", [None, Some(kernel), Some(stride), None, None])
        }
        LastLayer::FullyConnected { index, width } => {
            ("fc", [None, None, None, Some(index), Some(width)])
        }
        LastLayer::GlobalAveragePool => ("gap", [None; 5]),
    };
    let cell = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    let [filters, kernel, stride, index, width] = numbers.map(cell);
    let (depth, bin) = (state.depth.to_string(), state.bin.size().to_string());
    [depth, layer.to_owned(), filters, kernel, stride, index, width, bin]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Accuracy;
    use crate::q_learning::{Epsilon, Learner, QLearningParams, sample_trajectory};
    use crate::seed::{Purpose, generator};
    use crate::space::{DataShape, SpaceParams};
    use proptest::prelude::*;

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    /// Returns the table learned from some random networks, each given an uneven reward.
    fn learned(networks: u64) -> QTable {
        let mut learner = Learner::new(QLearningParams::default().check().unwrap(), space());
        for iteration in 1..=networks {
            let mut rng = generator(1, Purpose::Sample, iteration, 0);
            let architecture = sample_trajectory(learner.q_table(), Epsilon::RANDOM, &mut rng);
            let reward = Accuracy::clamped(1.0 / (iteration as f64 + 0.1));
            learner.learn(&architecture, reward, &mut generator(1, Purpose::Replay, iteration, 0));
        }
        learner.q_table().clone()
    }

    fn read(bytes: &[u8]) -> Result<QTable, StorageError> {
        read_q_table(bytes, space(), 0.5, Path::new("q_table.csv"))
    }

    #[test]
    fn a_table_reads_back_exactly() {
        let table = learned(60);
        let bytes = write_q_table(&table);
        let back = read(&bytes).unwrap();
        assert_eq!(back, table);
        assert_eq!(write_q_table(&back), bytes);
        assert!(read(&write_q_table(&learned(0))).unwrap().is_empty());
    }

    #[test]
    fn a_person_can_read_it() {
        let mut table = QTable::new(space(), 0.5);
        let last = LastLayer::FullyConnected { index: 0, width: 128 };
        let fc = StateKey { depth: 3, last, bin: Bin::One };
        let actions = [Action::Softmax { classes: 10 }, Action::FullyConnected { width: 128 }];
        table.insert_row(fc, vec![(actions[0], 0.1 + 0.2), (actions[1], 0.5)]).unwrap();
        assert_eq!(
            String::from_utf8(write_q_table(&table)).unwrap(),
            "depth,layer,filters,kernel,stride,index,width,bin,action,q_value\n\
             3,fc,,,,0,128,1,SM(10),0.30000000000000004\n\
             3,fc,,,,0,128,1,FC(128),0.5\n"
        );
    }

    #[test]
    fn a_damaged_line_is_named() {
        let whole = String::from_utf8(write_q_table(&learned(3))).unwrap();
        let message = |text: String| read(text.as_bytes()).unwrap_err().to_string();
        let lines: Vec<&str> = whole.lines().collect();
        let without = |index: usize| {
            let kept = lines.iter().enumerate().filter(|&(i, _)| i != index);
            kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
        };
        // The start has 14 actions, on lines 2 to 15.
        assert!(message(without(2)).contains("line 3"));
        assert!(message(without(0)).contains("line 1"));
        assert!(message(without(lines.len() - 1)).contains("lacks actions"));
        assert!(message(whole.replacen("0,start", "1,start", 1)).contains("line 2"));
        assert!(message(whole.clone() + &whole[lines[0].len() + 1..]).contains("twice"));
        let nan = format!("{}\n", lines[1].rsplit_once(',').unwrap().0.to_owned() + ",NaN");
        assert!(message(whole.replacen(&format!("{}\n", lines[1]), &nan, 1)).contains("finite"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&[COLUMNS.join(",").as_bytes(), b"\n", &bytes].concat());
        }

        #[test]
        fn any_state_is_read_or_refused(
            depth in prop_oneof![0u32..20, any::<u32>()],
            numbers in prop::collection::vec(prop_oneof![0u32..9, any::<u32>()], 5),
            layer in "start|conv|pool|fc|gap",
        ) {
            let cells: Vec<String> = numbers.iter().map(u32::to_string).collect();
            let _ = read(format!("{}\n{depth},{layer},{},8,SM(10),0.5\n", COLUMNS.join(","), cells.join(",")).as_bytes());
            let _ = read(format!("{}\n{depth},fc,,,,{},{},1,SM(10),0.5\n", COLUMNS.join(","), cells[0], cells[1]).as_bytes());
        }
    }
}
