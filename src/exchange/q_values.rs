//! The published `q_values.csv`: one row per state and action.
//!
//! The binned state stands under `start_*`, the action under `end_*`: the layer to be added, with
//! the depth it will have.

use std::path::Path;
use std::slice;

use super::csv_rows::{Cells, UsableRows, read_rows, refusal};
use crate::q_learning::QTable;
use crate::space::{Action, PAIR_COLUMNS, Space, StateKey, StateTuple};
use crate::storage::error::StorageError;

const UTILITY: &str = "utility";

/// Sets aside pairs that are not legal in `space`. The states may be those of the published code's
/// sampler (`fc_bin_quirk`).
pub fn read_q_values(
    bytes: Vec<u8>,
    space: &Space,
    path: &Path,
) -> Result<UsableRows<(StateKey, Action, f64)>, StorageError> {
    let outside = || "its state and action are not in the search space".to_owned();
    let columns: Vec<_> = PAIR_COLUMNS.iter().chain([&UTILITY]).map(slice::from_ref).collect();
    read_rows(bytes, &columns, path, |cells| {
        let (end, start) = PAIR_COLUMNS.split_at(8);
        let (start, end) = (tuple(cells, start)?, tuple(cells, end)?);
        let q_value = cells.number(UTILITY)?;
        let state = start.state(space).ok_or_else(outside)?;
        let action = end.action(&state, space).ok_or_else(outside)?;
        Ok((state, action, q_value))
    })
}

fn tuple(cells: &Cells, columns: &[&str]) -> Result<StateTuple, String> {
    let mut tuple = [""; 8];
    for (cell, column) in tuple.iter_mut().zip(columns) {
        *cell = cells.text(column)?;
    }
    StateTuple::parse(tuple)
        .map_err(|(place, expected)| refusal(columns[place], tuple[place], expected))
}

/// Writes every enumerated state; what was never learned has the initial Q-value.
pub fn write_q_values(table: &QTable) -> Vec<u8> {
    // With `fc_bin_quirk` the table learns under keys that sampling, which enumerates, never uses.
    let mut states = table.space().states();
    states.extend(table.rows().map(|(state, _)| state));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(PAIR_COLUMNS.iter().chain([&UTILITY])).expect("written to memory");
    for state in states {
        let start = StateTuple::of_state(&state).cells();
        for (action, q_value) in table.values(&state).iter() {
            let end = StateTuple::of_action(&state, *action).cells();
            let utility = format!("{q_value:?}");
            let cells = end.iter().chain(&start).chain([&utility]);
            writer.write_record(cells).expect("written to memory");
        }
    }
    writer.into_inner().expect("written to memory")
}

#[cfg(test)]
mod tests {
    use super::super::replay_database::tests::published;
    use super::*;
    use crate::space::{Bin, DataShape, LastLayer, Layer, SpaceParams};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn space(params: SpaceParams) -> Space {
        params.check(DataShape { size: 32, channels: 3, classes: 10 }).unwrap()
    }

    fn read(text: &str, space: &Space) -> UsableRows<(StateKey, Action, f64)> {
        read_q_values(text.into(), space, Path::new("q_values.csv")).unwrap()
    }

    fn written(table: &QTable) -> String {
        String::from_utf8(write_q_values(table)).unwrap()
    }

    #[test]
    fn every_enumerated_state_is_written_and_read_back() {
        let space = space(SpaceParams::default());
        let mut table = QTable::new(space.clone(), 0.5);
        let start = space.key(&space.start());
        let learned = space.legal_actions(&start).into_iter().zip(1..);
        let learned: Vec<_> = learned.map(|(action, i)| (action, 0.1 * f64::from(i))).collect();
        table.insert_row(start, learned.clone(), vec![0; learned.len()]).unwrap();
        let text = written(&table);
        assert_eq!(text.lines().count(), 1 + 4_058);
        let read = read(&text, &space);
        assert_eq!(read.set_aside, [] as [String; 0]);
        let states: BTreeSet<_> = read.rows.iter().map(|row| row.0).collect();
        assert!(states == space.states());
        let of_start: Vec<_> = read.rows[..14].iter().map(|row| (row.1, row.2)).collect();
        assert_eq!(of_start, learned);
        assert!(read.rows[14..].iter().all(|row| row.2 == 0.5));
    }

    #[test]
    fn with_the_bin_quirk_states_learned_and_never_sampled_are_written_too() {
        let space = space(SpaceParams { fc_bin_quirk: true, ..SpaceParams::default() });
        let gap = StateKey { depth: 1, last: LastLayer::GlobalAveragePool, bin: Bin::One };
        let mut table = QTable::new(space.clone(), 0.5);
        table.insert_row(gap, vec![(Layer::Softmax { classes: 10 }, 0.25)], vec![1]).unwrap();
        let rows = read(&written(&table), &space).rows;
        assert_eq!(rows.iter().filter(|row| row.2 != 0.5).count(), 1);
        let states: BTreeSet<_> = rows.iter().map(|row| row.0).collect();
        assert_eq!(states.len(), 410 + 1);
    }

    #[test]
    fn unknown_columns_are_passed_over_and_pairs_outside_the_space_set_aside() {
        let space = space(SpaceParams { max_layers: 12, ..SpaceParams::default() });
        let header = format!("end_split_depth,{},utility", PAIR_COLUMNS.join(","));
        // GAP after the start; a convolution with a kernel as large as its bin; a state too deep.
        let text = format!(
            "{header}\n0,0,0,0,1,1,gap,0,0,0,1,0,8,0,start,0,0,0.25\n\
             0,0,64,5,4,3,conv,1,0,0,64,3,4,2,conv,1,0,0.5\n\
             0,0,0,0,1,4294967295,gap,0,1,0,0,0,1,4294967295,gap,0,0,0.5\n"
        );
        let table = read(&text, &space);
        let pair = table.rows[0];
        assert_eq!(pair.1, Layer::GlobalAveragePool { classes: 10 });
        assert_eq!((pair.0.depth, pair.2), (0, 0.25));
        let reason = "its state and action are not in the search space";
        assert_eq!(table.set_aside, [3, 4].map(|line| format!("line {line}: {reason}")));
    }

    #[test]
    fn the_published_table_has_our_states_and_their_actions_in_our_order() {
        let Some(path) = published("q_values.csv") else { return };
        // Made by the published sampler, whose fully connected states keep the bin before them.
        let space = space(SpaceParams { fc_bin_quirk: true, ..SpaceParams::default() });
        let table = read(&std::fs::read_to_string(path).unwrap(), &space);
        assert_eq!((table.rows.len(), table.set_aside.len()), (4_161, 0));
        let mut states = BTreeSet::new();
        for of_state in table.rows.chunk_by(|one, other| one.0 == other.0) {
            let state = of_state[0].0;
            let actions: Vec<Action> = of_state.iter().map(|row| row.1).collect();
            assert!(actions == space.legal_actions(&state), "{state:?}");
            assert!(states.insert(state), "{state:?} stands in two places");
        }
        assert_eq!(states.len(), 410);
        // A state stands in the file if it was met: while sampling, with the bin before it, or
        // while a network was replayed, with bin 1.
        let replayed = self::space(SpaceParams::default()).states();
        let met: BTreeSet<StateKey> = space.states().union(&replayed).copied().collect();
        assert!(states.is_subset(&met));
    }

    proptest! {
        #[test]
        fn any_numbers_are_read_or_set_aside(
            numbers in prop::collection::vec(prop_oneof![0u32..9, any::<u32>()], 14),
            kinds in prop::collection::vec("start|conv|pool|fc|gap", 2),
        ) {
            let mut cells: Vec<String> = numbers.iter().map(u32::to_string).collect();
            cells.insert(5, kinds[0].clone());
            cells.insert(13, kinds[1].clone());
            let text = format!("{},utility\n{},0.5\n", PAIR_COLUMNS.join(","), cells.join(","));
            let table = read(&text, &space(SpaceParams::default()));
            prop_assert_eq!(table.rows.len() + table.set_aside.len(), 1);
        }
    }
}
