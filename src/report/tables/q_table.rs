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

fn state_columns<'a>() -> Vec<Column<'a, Row>> {
    vec![
        column("state_depth", AtLeast(0), "Number of layers placed so far", |row: &Row| {
            row.state.depth
        }),
        column(
            "state_layer",
            OneOf(STATE_LAYERS),
            "Kind of the last layer placed: convolution, max pooling, fully connected, global \
             average pooling, or none at the start",
            |row: &Row| match row.state.last {
                LastLayer::Start => "start",
                LastLayer::Conv { .. } => "conv",
                LastLayer::Pool { .. } => "pool",
                LastLayer::FullyConnected { .. } => "fc",
                LastLayer::GlobalAveragePool => "gap",
            },
        ),
        column(
            "state_filters",
            AtLeast(1),
            "Filters of the last layer, a convolution",
            |row: &Row| match row.state.last {
                LastLayer::Conv { filters, .. } => Some(filters),
                _ => None,
            },
        ),
        column(
            "state_kernel",
            AtLeast(1),
            "Side of the kernel or window of the last layer",
            |row: &Row| match row.state.last {
                LastLayer::Conv { kernel, .. } | LastLayer::Pool { kernel, .. } => Some(kernel),
                _ => None,
            },
        )
        .in_unit("pixels"),
        column("state_stride", AtLeast(1), "Stride of the last layer", |row: &Row| {
            match row.state.last {
                LastLayer::Conv { stride, .. } | LastLayer::Pool { stride, .. } => Some(stride),
                _ => None,
            }
        })
        .in_unit("pixels"),
        column(
            "state_fc_index",
            AtLeast(0),
            "Fully connected layers before the last layer, which is one itself",
            |row: &Row| match row.state.last {
                LastLayer::FullyConnected { index, .. } => Some(index),
                _ => None,
            },
        ),
        column(
            "state_fc_width",
            AtLeast(1),
            "Neurons of the last layer, a fully connected one",
            |row: &Row| match row.state.last {
                LastLayer::FullyConnected { width, .. } => Some(width),
                _ => None,
            },
        ),
        column(
            "state_size_bin",
            AtLeast(1),
            "Side of the representation, as the least of its bin: 8 and more, 4 to 7, at most 3",
            |row: &Row| row.state.bin.size(),
        )
        .in_unit("pixels"),
    ]
}

fn action_columns<'a>() -> Vec<Column<'a, Row>> {
    vec![
        column("action_depth", AtLeast(1), "Depth of the layer to be placed", |row: &Row| {
            row.state.depth + 1
        }),
        column(
            "action_layer",
            OneOf(ACTION_LAYERS),
            "Kind of the layer to be placed; the softmax ends the network",
            |row: &Row| match row.action {
                Layer::Conv { .. } => "conv",
                Layer::Pool { .. } => "pool",
                Layer::FullyConnected { .. } => "fc",
                Layer::GlobalAveragePool { .. } => "gap",
                Layer::Softmax { .. } => "softmax",
            },
        ),
        column(
            "action_filters",
            AtLeast(1),
            "Filters of the layer to be placed, a convolution",
            |row: &Row| match row.action {
                Layer::Conv { filters, .. } => Some(filters),
                _ => None,
            },
        ),
        column(
            "action_kernel",
            AtLeast(1),
            "Side of the kernel or window of the layer to be placed",
            |row: &Row| match row.action {
                Layer::Conv { kernel, .. } | Layer::Pool { kernel, .. } => Some(kernel),
                _ => None,
            },
        )
        .in_unit("pixels"),
        column("action_stride", AtLeast(1), "Stride of the layer to be placed", |row: &Row| {
            match row.action {
                Layer::Conv { stride, .. } | Layer::Pool { stride, .. } => Some(stride),
                _ => None,
            }
        })
        .in_unit("pixels"),
        column(
            "action_fc_width",
            AtLeast(1),
            "Neurons of the layer to be placed, a fully connected one",
            |row: &Row| match row.action {
                Layer::FullyConnected { width } => Some(width),
                _ => None,
            },
        ),
    ]
}
