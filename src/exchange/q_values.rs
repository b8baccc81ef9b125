//! The reference's `q_values.csv` (specification, section 10.2), written and read.
//!
//! One row per state and action, both as [`StateTuple`]: the binned state under `start_*`, the action under
//! `end_*`, that is the layer to be added with the depth it will have.

use std::io::{Read, Write};
use std::path::Path;

use super::patient_csv::{Fields, Readable, Reason, read_rows, shown};
use crate::q_learning::QTable;
use crate::space::{Action, LayerType, Space, StateKey, StateTuple};
use crate::storage::error::StorageError;

/// The columns of `q_values.csv`, alphabetical as in the reference: that of the tuple's fields.
/// (Older files of the reference have four more, always 0; readers go by name.)
const COLUMNS: [&str; 17] = [
    "end_fc_size",
    "end_filter_depth",
    "end_filter_size",
    "end_image_size",
    "end_layer_depth",
    "end_layer_type",
    "end_stride",
    "end_terminate",
    "start_fc_size",
    "start_filter_depth",
    "start_filter_size",
    "start_image_size",
    "start_layer_depth",
    "start_layer_type",
    "start_stride",
    "start_terminate",
    "utility",
];

/// One row of `q_values.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedQValue {
    /// The state.
    pub state: StateKey,
    /// An action legal there.
    pub action: Action,
    /// `utility`.
    pub q_value: f64,
}

/// Reads `q_values.csv`; pairs that are not legal in `space` are set aside. `path` serves the messages.
///
/// The states may be those of the published code's sampler, which keeps the bin of the layer
/// before a fully connected one (`fc_bin_quirk`).
///
/// # Errors
/// A file that cannot be read, and a header that lacks a column.
pub fn read_q_values(
    reader: impl Read,
    space: &Space,
    path: &Path,
) -> Result<Readable<PublishedQValue>, StorageError> {
    let [end, start] = [0, 8].map(|first| {
        <[&str; 8]>::try_from(&COLUMNS[first..first + 8]).expect("a tuple has eight fields")
    });
    read_rows(reader, COLUMNS, path, |fields| {
        let (state, action) = (tuple(fields, start)?, tuple(fields, end)?);
        let q_value = fields.number("utility")?;
        let state = state.state(space).ok_or(Reason::Foreign)?;
        let action = action.action(&state, space).ok_or(Reason::Foreign)?;
        Ok(PublishedQValue { state, action, q_value })
    })
}

fn tuple(fields: &Fields, columns: [&'static str; 8]) -> Result<StateTuple, Reason> {
    let [fc_size, filter_depth, filter_size, image_size, depth, kind, stride, terminate] = columns;
    let name = fields.text(kind)?.trim();
    Ok(StateTuple {
        layer_type: LayerType::ALL
            .into_iter()
            .find(|layer_type| layer_type.name() == name)
            .ok_or_else(|| Reason::Value {
                column: kind,
                value: shown(name),
                expected: "start, conv, pool, fc or gap",
            })?,
        layer_depth: fields.count(depth)?,
        filter_depth: fields.count(filter_depth)?,
        filter_size: fields.count(filter_size)?,
        stride: fields.count(stride)?,
        image_size: fields.count(image_size)?,
        fc_size: fields.count(fc_size)?,
        terminate: fields.count(terminate)?,
    })
}

/// Writes `q_values.csv`: every enumerated state with its legal actions, in order, as the
/// reference's code would read it. What was never learned has the initial Q-value.
///
/// # Errors
/// A writer that fails; `path` names it.
pub fn write_q_values(writer: impl Write, table: &QTable, path: &Path) -> Result<(), StorageError> {
    let failed = StorageError::csv(path);
    // With `fc_bin_quirk` the table learns under keys that sampling, which enumerates, never uses.
    let mut states = table.space().states();
    states.extend(table.rows().map(|(state, _)| state));
    let mut writer = csv::Writer::from_writer(writer);
    writer.write_record(COLUMNS).map_err(failed)?;
    for state in states {
        let start = StateTuple::of_state(&state).fields();
        for (action, q_value) in table.values(&state).iter() {
            let end = StateTuple::of_action(&state, *action).fields();
            let utility = format!("{q_value:?}");
            writer.write_record(end.iter().chain(&start).chain([&utility])).map_err(failed)?;
        }
    }
    writer.flush().map_err(StorageError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::replay_database::tests::published;
    use super::*;
    use crate::space::LayerType;
    use crate::space::{Bin, ImageShape, LastLayer, Layer, SpaceParams};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn space(params: SpaceParams) -> Space {
        params.check(ImageShape { size: 32, channels: 3, classes: 10 }).unwrap()
    }

    fn read(text: &str, space: &Space) -> Readable<PublishedQValue> {
        read_q_values(text.as_bytes(), space, Path::new("q_values.csv")).unwrap()
    }

    fn written(table: &QTable) -> String {
        let mut bytes = Vec::new();
        write_q_values(&mut bytes, table, Path::new("out")).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_enumerated_state_is_written_and_read_back() {
        let space = space(SpaceParams::default());
        let mut table = QTable::new(space.clone(), 0.5);
        let start = space.key(&space.start());
        let learned = space.legal_actions(&start).into_iter().zip(1..);
        let learned: Vec<_> = learned.map(|(action, i)| (action, 0.1 * f64::from(i))).collect();
        table.insert_row(start, learned.clone()).unwrap();
        let text = written(&table);
        assert_eq!(text.lines().count(), 1 + 4_058);
        let read = read(&text, &space);
        assert_eq!(read.problems, []);
        let states: BTreeSet<_> = read.rows.iter().map(|row| row.state).collect();
        assert!(states == space.states());
        let of_start: Vec<_> =
            read.rows[..14].iter().map(|row| (row.action, row.q_value)).collect();
        assert_eq!(of_start, learned);
        assert!(read.rows[14..].iter().all(|row| row.q_value == 0.5));
    }

    #[test]
    fn with_the_bin_quirk_states_learned_and_never_sampled_are_written_too() {
        let space = space(SpaceParams { fc_bin_quirk: true, ..SpaceParams::default() });
        let gap = StateKey { depth: 1, last: LastLayer::GlobalAveragePool, bin: Bin::One };
        let mut table = QTable::new(space.clone(), 0.5);
        table.insert_row(gap, vec![(Layer::Softmax { classes: 10 }, 0.25)]).unwrap();
        let rows = read(&written(&table), &space).rows;
        assert_eq!(rows.iter().filter(|row| row.q_value != 0.5).count(), 1);
        let states: BTreeSet<_> = rows.iter().map(|row| row.state).collect();
        assert_eq!(states.len(), 410 + 1);
    }

    #[test]
    fn unknown_columns_are_passed_over_and_foreign_pairs_set_aside() {
        let space = space(SpaceParams { max_layers: 12, ..SpaceParams::default() });
        let header = "end_split_depth,".to_owned() + &COLUMNS.join(",");
        // GAP after the start; a convolution with a kernel as large as its bin; a state too deep.
        let text = format!(
            "{header}\n0,0,0,0,1,1,gap,0,0,0,1,0,8,0,start,0,0,0.25\n\
             0,0,64,5,4,3,conv,1,0,0,64,3,4,2,conv,1,0,0.5\n\
             0,0,0,0,1,4294967295,gap,0,1,0,0,0,1,4294967295,gap,0,0,0.5\n"
        );
        let table = read(&text, &space);
        let pair = table.rows[0];
        assert_eq!(pair.action, Layer::GlobalAveragePool { classes: 10 });
        assert_eq!((pair.state.depth, pair.q_value), (0, 0.25));
        let problems: Vec<_> = table.problems.into_iter().map(|p| (p.line, p.reason)).collect();
        assert_eq!(problems, [(3, Reason::Foreign), (4, Reason::Foreign)]);
    }

    #[test]
    fn the_published_table_has_our_states_and_their_actions_in_our_order() {
        let Some(path) = published("q_values.csv") else { return };
        // Made by the published sampler, whose fully connected states keep the bin before them.
        let space = space(SpaceParams { fc_bin_quirk: true, ..SpaceParams::default() });
        let table = read(&std::fs::read_to_string(path).unwrap(), &space);
        assert_eq!((table.rows.len(), table.problems.len()), (4_161, 0));
        let mut states = BTreeSet::new();
        for of_state in table.rows.chunk_by(|one, other| one.state == other.state) {
            let state = of_state[0].state;
            let actions: Vec<Action> = of_state.iter().map(|row| row.action).collect();
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
            kinds in prop::collection::vec(0usize..5, 2),
        ) {
            let mut cells: Vec<String> = numbers.iter().map(u32::to_string).collect();
            cells.insert(5, LayerType::ALL[kinds[0]].name().to_owned());
            cells.insert(13, LayerType::ALL[kinds[1]].name().to_owned());
            let text = format!("{}\n{},0.5\n", COLUMNS.join(","), cells.join(","));
            let table = read(&text, &space(SpaceParams::default()));
            prop_assert_eq!(table.rows.len() + table.problems.len(), 1);
        }
    }
}
