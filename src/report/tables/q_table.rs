//! `q_table.csv`: the Q-values, one row per state and action.

use super::super::records::QValueRecord;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column};
use super::iterations::trainer;
use super::table::Table;
use crate::space::{LastLayer, Layer};

/// Returns the table ordered by state; the actions of a state stay in their given order.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, QValueRecord> {
    let mut rows = search.q_values.to_vec();
    rows.sort_by_key(|row| row.state);
    let mut columns = state_columns();
    columns.extend(action_columns());
    columns
        .push(column("q_value", Number, "Reward expected of the action", |row: &Row| row.q_value));
    columns.push(trainer(search.settings.trainer));
    Table { name: "q_table", columns, rows }
}

type Row = QValueRecord;

const STATE_LAYERS: &[&str] = &["start", "conv", "pool", "fc", "gap"];
const ACTION_LAYERS: &[&str] = &["conv", "pool", "fc", "gap", "softmax"];

/// A layer, with the sizes that its kind has.
#[derive(Default)]
struct Placed {
    kind: &'static str,
    filters: Option<u32>,
    kernel: Option<u32>,
    stride: Option<u32>,
    fc_width: Option<u32>,
}

impl Placed {
    fn last(row: &Row) -> Self {
        match row.state.last {
            LastLayer::Start => Self::of("start"),
            LastLayer::Conv { filters, kernel, stride } => Self::conv(filters, kernel, stride),
            LastLayer::Pool { kernel, stride } => Self::pool(kernel, stride),
            LastLayer::FullyConnected { width, .. } => Self::fc(width),
            LastLayer::GlobalAveragePool => Self::of("gap"),
        }
    }

    fn next(row: &Row) -> Self {
        match row.action {
            Layer::Conv { filters, kernel, stride } => Self::conv(filters, kernel, stride),
            Layer::Pool { kernel, stride } => Self::pool(kernel, stride),
            Layer::FullyConnected { width } => Self::fc(width),
            Layer::GlobalAveragePool { .. } => Self::of("gap"),
            Layer::Softmax { .. } => Self::of("softmax"),
        }
    }

    fn of(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    fn conv(filters: u32, kernel: u32, stride: u32) -> Self {
        Self { kind: "conv", filters: Some(filters), ..Self::pool(kernel, stride) }
    }

    fn pool(kernel: u32, stride: u32) -> Self {
        Self { kernel: Some(kernel), stride: Some(stride), ..Self::of("pool") }
    }

    fn fc(width: u32) -> Self {
        Self { fc_width: Some(width), ..Self::of("fc") }
    }
}

fn state_columns<'a>() -> Vec<Column<'a, Row>> {
    let [filters, kernel, stride, fc_width] = size_columns("state", "the last layer", Placed::last);
    vec![
        column("state_depth", AtLeast(0), "Number of layers placed so far", |row: &Row| {
            row.state.depth
        }),
        column(
            "state_layer",
            OneOf(STATE_LAYERS),
            "Kind of the last layer placed: convolution, max pooling, fully connected, global \
             average pooling, or none at the start",
            |row: &Row| Placed::last(row).kind,
        ),
        filters,
        kernel,
        stride,
        column(
            "state_fc_index",
            AtLeast(0),
            "Fully connected layers before the last layer, which is one itself",
            |row: &Row| match row.state.last {
                LastLayer::FullyConnected { index, .. } => Some(index),
                _ => None,
            },
        ),
        fc_width,
        column(
            "state_size_bin",
            Pixels,
            "Side of the representation, as the least of its bin: 8 and more, 4 to 7, at most 3",
            |row: &Row| row.state.bin.size(),
        ),
    ]
}

fn action_columns<'a>() -> Vec<Column<'a, Row>> {
    let mut columns = vec![
        column("action_depth", AtLeast(1), "Depth of the layer to be placed", |row: &Row| {
            row.state.depth + 1
        }),
        column(
            "action_layer",
            OneOf(ACTION_LAYERS),
            "Kind of the layer to be placed; the softmax ends the network",
            |row: &Row| Placed::next(row).kind,
        ),
    ];
    columns.extend(size_columns("action", "the layer to be placed", Placed::next));
    columns
}

/// The sizes of a layer: of which one, in the name and in words.
fn size_columns<'a>(of: &str, words: &str, layer: fn(&Row) -> Placed) -> [Column<'a, Row>; 4] {
    let name = |size| format!("{of}_{size}");
    [
        column(
            name("filters"),
            AtLeast(1),
            format!("Filters of {words}, a convolution"),
            move |row: &Row| layer(row).filters,
        ),
        column(
            name("kernel"),
            Pixels,
            format!("Side of the kernel or window of {words}"),
            move |row: &Row| layer(row).kernel,
        ),
        column(name("stride"), Pixels, format!("Stride of {words}"), move |row: &Row| {
            layer(row).stride
        }),
        column(
            name("fc_width"),
            AtLeast(1),
            format!("Neurons of {words}, a fully connected one"),
            move |row: &Row| layer(row).fc_width,
        ),
    ]
}
