//! The Q-table of a view as CSV: one row per state and action, in the columns of the published
//! `q_values.csv` (specification of MetaQNN, section 10.2), and the number of updates.
//!
//! States come in the order of [`StateKey`], actions in that of [`Space::legal_actions`]; numbers
//! read back exactly. So equal tables have equal bytes, on any machine.

use std::path::Path;

use csv::StringRecord;

use crate::q_learning::QTable;
use crate::space::{Action, PAIR_COLUMNS, Space, StateKey, StateTuple};
use crate::storage::error::{Result, StorageError};

const VALUES: [&str; 2] = ["utility", "updates"];
/// Columns of a state, and of an action.
const TUPLE: usize = 8;

fn columns() -> impl Iterator<Item = &'static str> {
    PAIR_COLUMNS.into_iter().chain(VALUES)
}

pub(crate) fn write_q_table(table: &QTable) -> Vec<u8> {
    let mut bytes = format!("{}\n", columns().collect::<Vec<_>>().join(",")).into_bytes();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    for (state, row) in table.rows() {
        let start = StateTuple::of_state(&state).cells();
        for (&(action, q_value), updates) in row.iter().zip(table.updates(&state)) {
            let end = StateTuple::of_action(&state, action).cells();
            let numbers = [format!("{q_value:?}"), updates.to_string()];
            let cells = end.iter().chain(&start).chain(&numbers);
            writer.write_record(cells).expect("a full row, written to memory");
        }
    }
    drop(writer);
    bytes
}

pub(crate) fn read_q_table(
    bytes: &[u8],
    space: Space,
    initial_q_value: f64,
    path: &Path,
) -> Result<QTable> {
    let failed = StorageError::csv(path);
    let mut reader = csv::Reader::from_reader(bytes);
    if !reader.headers().map_err(failed)?.iter().eq(columns()) {
        return Err(StorageError::line(path, 1, "it is not the header of a Q-table"));
    }
    let records = reader.into_records().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let of_state = |record: &StringRecord| tuple_of(record, TUPLE);
    let mut table = QTable::new(space, initial_q_value);
    for records in records.chunk_by(|one, next| of_state(one) == of_state(next)) {
        let line = line_of(&records[0]);
        let state = of_state(&records[0])
            .and_then(|tuple| tuple.state(table.space()))
            .ok_or_else(|| StorageError::line(path, line, "it names no state of the space"))?;
        let actions = table.space().legal_actions(&state);
        let (mut row, mut updates) = (Vec::new(), Vec::new());
        for (index, record) in records.iter().enumerate() {
            let action = actions.get(index).copied();
            let entry = action.and_then(|action| entry(record, &state, action));
            let (action, q_value, count) = entry.ok_or_else(|| {
                let reason = "it is not the Q-value of the state's next action";
                StorageError::line(path, line_of(record), reason)
            })?;
            row.push((action, q_value));
            updates.push(count);
        }
        table
            .insert_row(state, row, updates)
            .map_err(|error| StorageError::line(path, line, error))?;
    }
    Ok(table)
}

fn line_of(record: &StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

fn entry(record: &StringRecord, state: &StateKey, action: Action) -> Option<(Action, f64, u64)> {
    let is_same = tuple_of(record, 0)? == StateTuple::of_action(state, action);
    let mut values = record.iter().skip(2 * TUPLE);
    is_same.then(|| Some((action, values.next()?.parse().ok()?, values.next()?.parse().ok()?)))?
}

fn tuple_of(record: &StringRecord, first: usize) -> Option<StateTuple> {
    let cells: Vec<&str> = record.iter().skip(first).take(TUPLE).collect();
    StateTuple::parse(cells.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Accuracy;
    use crate::q_learning::{Epsilon, Learner, QLearningParams, sample_trajectory};
    use crate::seed::{Purpose, generator};
    use crate::space::{Bin, DataShape, LastLayer, SpaceParams};
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
            let mut rng = generator(1, Purpose::Replay, iteration, 0);
            learner.learn(&architecture, reward, &mut rng).unwrap();
        }
        learner.q_table().clone()
    }

    fn read(bytes: &[u8]) -> Result<QTable> {
        read_q_table(bytes, space(), 0.5, Path::new("q_table.csv"))
    }

    #[test]
    fn a_table_reads_back_exactly() {
        let table = learned(60);
        let bytes = write_q_table(&table);
        let back = read(&bytes).unwrap();
        assert_eq!(back, table);
        assert_eq!(write_q_table(&back), bytes);
        assert!(read(&write_q_table(&learned(0))).unwrap().rows().next().is_none());
    }

    #[test]
    fn a_person_can_read_it() {
        let mut table = QTable::new(space(), 0.5);
        let last = LastLayer::FullyConnected { index: 0, width: 128 };
        let fc = StateKey { depth: 3, last, bin: Bin::One };
        let actions = [Action::Softmax { classes: 10 }, Action::FullyConnected { width: 128 }];
        let row = vec![(actions[0], 0.1 + 0.2), (actions[1], 0.5)];
        table.insert_row(fc, row, vec![12, 0]).unwrap();
        assert_eq!(
            String::from_utf8(write_q_table(&table)).unwrap(),
            format!(
                "{}\n128,0,0,1,4,fc,0,1,128,0,0,1,3,fc,0,0,0.30000000000000004,12\n\
                 128,1,0,1,4,fc,0,0,128,0,0,1,3,fc,0,0,0.5,0\n",
                columns().collect::<Vec<_>>().join(",")
            )
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
        assert!(message(without(lines.len() - 1)).contains("not the legal ones"));
        assert!(message(whole.replacen(",0,start,", ",1,start,", 1)).contains("line 2"));
        assert!(message(whole.clone() + &whole[lines[0].len() + 1..]).contains("twice"));
        let state = lines[1].rsplitn(3, ',').last().unwrap();
        let nan = format!("{state},NaN,0\n");
        assert!(message(whole.replacen(&format!("{}\n", lines[1]), &nan, 1)).contains("finite"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&[columns().collect::<Vec<_>>().join(",").as_bytes(), b"\n", &bytes].concat());
        }

        #[test]
        fn any_state_is_read_or_refused(
            depth in prop_oneof![0u32..20, any::<u32>()],
            numbers in prop::collection::vec(prop_oneof![0u32..9, any::<u32>()], 4),
            layer in "start|conv|pool|fc|gap",
        ) {
            let cells = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let end = "0,1,0,8,1,start,0,1";
            let state = format!("{cells},{depth},{layer},1,0");
            let _ = read(format!("{}\n{end},{state},0.5,0\n", columns().collect::<Vec<_>>().join(",")).as_bytes());
        }
    }
}
