//! The reference's `q_values.csv` (specification, section 10.2), written and read.
//!
//! One row per state and action. Both are 8-tuples in the same vocabulary (sections 1 and 2.3):
//! the binned state under `start_*`, the action under `end_*`, that is the layer to be added with
//! the depth it will have.

use std::io::{Read, Write};
use std::path::Path;

use serde::Serialize;

use super::error::StorageError;
use super::foreign_csv::{Fields, Readable, Reason, read_rows, shown};
use super::q_table_csv::may_occur;
use crate::q_learning::QTable;
use crate::space::{Action, Bin, LastLayer, Layer, Space, StateKey};

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

/// A state or an action as the reference writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReferenceTuple {
    /// Kind of the last layer; of the layer to be added in an action, but that termination keeps
    /// the kind of the layer it follows.
    pub layer_type: LayerType,
    /// Position of that layer, 0 at the start.
    pub layer_depth: u32,
    /// Filters of a convolution; for a fully connected layer how many of its kind precede it; 1 at the start.
    pub filter_depth: u32,
    /// Side of the kernel or window.
    pub filter_size: u32,
    /// Stride.
    pub stride: u32,
    /// Bin of the representation size: 8, 4 or 1. In an action, that of the state it leaves.
    pub image_size: u32,
    /// Neurons of a fully connected layer.
    pub fc_size: u32,
    /// 1 in the action that terminates.
    pub terminate: u32,
}

/// The reference's names for kinds of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum LayerType {
    Start,
    Conv,
    Pool,
    Fc,
    Gap,
}

impl LayerType {
    const ALL: [Self; 5] = [Self::Start, Self::Conv, Self::Pool, Self::Fc, Self::Gap];

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Conv => "conv",
            Self::Pool => "pool",
            Self::Fc => "fc",
            Self::Gap => "gap",
        }
    }
}

impl ReferenceTuple {
    /// Writes a state (specification, section 1).
    pub fn of_state(state: &StateKey) -> Self {
        let (layer_type, filter_depth, filter_size, stride, fc_size) = match state.last {
            LastLayer::Start => (LayerType::Start, 1, 0, 0, 0),
            LastLayer::Conv { filters, kernel, stride } => {
                (LayerType::Conv, filters, kernel, stride, 0)
            }
            LastLayer::Pool { kernel, stride } => (LayerType::Pool, 0, kernel, stride, 0),
            LastLayer::FullyConnected { index, width } => (LayerType::Fc, index, 0, 0, width),
            LastLayer::GlobalAveragePool => (LayerType::Gap, 0, 0, 0, 0),
        };
        Self {
            layer_type,
            layer_depth: state.depth,
            filter_depth,
            filter_size,
            stride,
            image_size: state.bin.size(),
            fc_size,
            terminate: 0,
        }
    }

    /// Writes an action taken in a state (specification, section 2.3).
    pub fn of_action(state: &StateKey, action: Action) -> Self {
        let index = match state.last {
            LastLayer::FullyConnected { index, .. } => index + 1,
            _ => 0,
        };
        let (last, bin) = match action {
            Layer::Softmax { .. } => (state.last, state.bin),
            Layer::Conv { filters, kernel, stride } => {
                (LastLayer::Conv { filters, kernel, stride }, state.bin)
            }
            Layer::Pool { kernel, stride } => (LastLayer::Pool { kernel, stride }, state.bin),
            Layer::FullyConnected { width } => {
                (LastLayer::FullyConnected { index, width }, Bin::One)
            }
            Layer::GlobalAveragePool { .. } => (LastLayer::GlobalAveragePool, Bin::One),
        };
        let terminate = u32::from(matches!(action, Layer::Softmax { .. }));
        Self { terminate, ..Self::of_state(&StateKey { depth: state.depth + 1, last, bin }) }
    }

    /// Returns the last layer that the tuple names.
    fn last_layer(&self) -> LastLayer {
        match self.layer_type {
            LayerType::Start => LastLayer::Start,
            LayerType::Conv => LastLayer::Conv {
                filters: self.filter_depth,
                kernel: self.filter_size,
                stride: self.stride,
            },
            LayerType::Pool => LastLayer::Pool { kernel: self.filter_size, stride: self.stride },
            LayerType::Fc => {
                LastLayer::FullyConnected { index: self.filter_depth, width: self.fc_size }
            }
            LayerType::Gap => LastLayer::GlobalAveragePool,
        }
    }

    /// Returns the state that the tuple writes, `None` when it writes none.
    fn state(&self, space: &Space) -> Option<StateKey> {
        let bin = [Bin::One, Bin::Four, Bin::Eight]
            .into_iter()
            .find(|bin| bin.size() == self.image_size)?;
        let state = StateKey { depth: self.layer_depth, last: self.last_layer(), bin };
        (may_occur(&state, space) && Self::of_state(&state) == *self).then_some(state)
    }

    /// Returns the action that the tuple writes, `None` when it is not legal in `state`.
    fn action(&self, state: &StateKey, space: &Space) -> Option<Action> {
        space
            .legal_actions(state)
            .into_iter()
            .find(|&action| Self::of_action(state, action) == *self)
    }

    fn of(fields: &Fields, columns: [&'static str; 8]) -> Result<Self, Reason> {
        let [fc_size, filter_depth, filter_size, image_size, depth, kind, stride, terminate] =
            columns;
        let name = fields.text(kind)?.trim();
        Ok(Self {
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

    /// Returns the cells in alphabetical order of their columns.
    fn fields(&self) -> [String; 8] {
        [
            self.fc_size.to_string(),
            self.filter_depth.to_string(),
            self.filter_size.to_string(),
            self.image_size.to_string(),
            self.layer_depth.to_string(),
            self.layer_type.name().to_owned(),
            self.stride.to_string(),
            self.terminate.to_string(),
        ]
    }
}

/// One row of `q_values.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceQValue {
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
) -> Result<Readable<ReferenceQValue>, StorageError> {
    let [end, start] = [0, 8].map(|first| {
        <[&str; 8]>::try_from(&COLUMNS[first..first + 8]).expect("a tuple has eight fields")
    });
    read_rows(reader, COLUMNS, path, |fields| {
        let (state, action) =
            (ReferenceTuple::of(fields, start)?, ReferenceTuple::of(fields, end)?);
        let q_value = fields.number("utility")?;
        let state = state.state(space).ok_or(Reason::Foreign)?;
        let action = action.action(&state, space).ok_or(Reason::Foreign)?;
        Ok(ReferenceQValue { state, action, q_value })
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
        let start = ReferenceTuple::of_state(&state).fields();
        for (action, q_value) in table.values(&state).iter() {
            let end = ReferenceTuple::of_action(&state, *action).fields();
            let utility = format!("{q_value:?}");
            writer.write_record(end.iter().chain(&start).chain([&utility])).map_err(failed)?;
        }
    }
    writer.flush().map_err(StorageError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::reference::tests::published;
    use super::*;
    use crate::space::{ImageShape, SpaceParams};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn space(params: SpaceParams) -> Space {
        params.check(ImageShape { size: 32, channels: 3, classes: 10 }).unwrap()
    }

    fn read(text: &str, space: &Space) -> Readable<ReferenceQValue> {
        read_q_values(text.as_bytes(), space, Path::new("q_values.csv")).unwrap()
    }

    fn written(table: &QTable) -> String {
        let mut bytes = Vec::new();
        write_q_values(&mut bytes, table, Path::new("out")).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn tuples_are_those_of_the_specification() {
        // fc(256) at depth 7, sampled from bin 4 by the published code; then fc(128).
        let last = LastLayer::FullyConnected { index: 0, width: 256 };
        let state = StateKey { depth: 7, last, bin: Bin::Four };
        assert_eq!(
            ReferenceTuple::of_state(&state).fields(),
            ["256", "0", "0", "4", "7", "fc", "0", "0"]
        );
        assert_eq!(
            ReferenceTuple::of_action(&state, Layer::FullyConnected { width: 128 }).fields(),
            ["128", "1", "0", "1", "8", "fc", "0", "0"]
        );
        assert_eq!(
            ReferenceTuple::of_action(&state, Layer::Softmax { classes: 10 }).fields(),
            ["256", "0", "0", "4", "8", "fc", "0", "1"]
        );
        let start = StateKey { depth: 0, last: LastLayer::Start, bin: Bin::Eight };
        assert_eq!(
            ReferenceTuple::of_action(&start, Layer::Softmax { classes: 10 }).fields(),
            ["0", "1", "0", "8", "1", "start", "0", "1"]
        );
        // A pooling's action keeps the bin it leaves.
        let last = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let conv = StateKey { depth: 1, last, bin: Bin::Eight };
        assert_eq!(
            ReferenceTuple::of_action(&conv, Layer::Pool { kernel: 5, stride: 3 }).fields(),
            ["0", "0", "5", "8", "2", "pool", "3", "0"]
        );
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
