//! `q_table.csv`: the Q-values, one row per state and action.

use super::column::Domain::*;
use super::column::{Column, column, columns, trainer};
use super::table::Table;
use crate::report::search::SearchData;
use crate::space::{Action, LastLayer, Layer, StateKey};

type QValue = (StateKey, Action, f64);

pub(super) fn table(search: &SearchData) -> Table<'_, QValue> {
    let mut columns = state_columns();
    columns.extend(action_columns());
    columns.extend(columns! { QValue:
        q_value: Number, "Reward expected of the action", |row| row.2;
    });
    columns.push(trainer(|_| search.trainer));
    Table { name: "q_table", columns, rows: search.q_values.clone() }
}

/// A layer, with the sizes that its kind has.
#[derive(Default)]
struct LayerSizes {
    kind: &'static str,
    filters: Option<u32>,
    kernel: Option<u32>,
    stride: Option<u32>,
    fc_width: Option<u32>,
}

impl LayerSizes {
    /// Of the last layer placed.
    fn last((state, ..): &QValue) -> Self {
        match state.last {
            LastLayer::Start => Self::of("start"),
            LastLayer::Conv { filters, kernel, stride } => Self::conv(filters, kernel, stride),
            LastLayer::Pool { kernel, stride } => Self::pool(kernel, stride),
            LastLayer::FullyConnected { width, .. } => Self::fc(width),
            LastLayer::GlobalAveragePool => Self::of("gap"),
        }
    }

    /// Of the layer to be placed.
    fn next((_, action, _): &QValue) -> Self {
        match *action {
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

fn state_columns<'a>() -> Vec<Column<'a, QValue>> {
    let mut columns = columns! { QValue:
        state_depth: AtLeast(0), "Number of layers placed so far", |row| row.0.depth;
        state_layer: OneOf("start | conv | pool | fc | gap"),
            "Kind of the last layer placed: convolution, max pooling, fully connected, global \
             average pooling, or none at the start",
            |row| LayerSizes::last(row).kind;
        state_fc_index: AtLeast(0),
            "Fully connected layers before the last layer, which is one itself",
            |row| match row.0.last {
                LastLayer::FullyConnected { index, .. } => Some(index),
                _ => None,
            };
        state_size_bin: Pixels,
            "Side of the representation, as the least of its bin: 8 and more, 4 to 7, at most 3",
            |row| row.0.bin.size();
    };
    let [filters, kernel, stride, fc_width] =
        size_columns("state", "the last layer", LayerSizes::last);
    columns.splice(2..2, [filters, kernel, stride]);
    columns.insert(6, fc_width);
    columns
}

fn action_columns<'a>() -> Vec<Column<'a, QValue>> {
    let mut columns = columns! { QValue:
        action_depth: AtLeast(1), "Depth of the layer to be placed", |row| row.0.depth + 1;
        action_layer: OneOf("conv | pool | fc | gap | softmax"),
            "Kind of the layer to be placed; the softmax ends the network",
            |row| LayerSizes::next(row).kind;
    };
    columns.extend(size_columns("action", "the layer to be placed", LayerSizes::next));
    columns
}

/// The sizes of a layer: of which one, in the name and in words.
fn size_columns<'a>(
    of: &str,
    words: &str,
    layer: fn(&QValue) -> LayerSizes,
) -> [Column<'a, QValue>; 4] {
    type Size = fn(LayerSizes) -> Option<u32>;
    let size = |name, domain, meaning: String, size: Size| {
        column(format!("{of}_{name}"), domain, meaning, move |row: &QValue| size(layer(row)))
    };
    [
        size("filters", AtLeast(1), format!("Filters of {words}, a convolution"), |of| of.filters),
        size("kernel", Pixels, format!("Side of the kernel or window of {words}"), |of| of.kernel),
        size("stride", Pixels, format!("Stride of {words}"), |of| of.stride),
        size("fc_width", AtLeast(1), format!("Neurons of {words}, a fully connected one"), |of| {
            of.fc_width
        }),
    ]
}
