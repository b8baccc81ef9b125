//! `q_table.csv`: the Q-values, one row per state and action.

use std::num::NonZeroU32;

use super::table::*;
use crate::report::search::{IMPORTED, QValue, SearchData};
use crate::space::StateTuple;

/// The published tuples have 0 for a size that the kind of layer lacks.
pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    add_one(set, "q_table", &search.q_values, search.trainer);
    if !search.imported_q_values.is_empty() {
        add_one(set, "imported_q_table", &search.imported_q_values, IMPORTED);
    }
}

fn add_one(set: &mut TableSet, name: &str, values: &[QValue], trainer: &'static str) {
    let columns = columns! { QValue:
        state_depth: COUNT, "Number of layers placed so far", |row| row.state.depth;
        state_layer: one_of("start | conv | pool | fc | gap"), "Kind of the last layer placed: \
            convolution, max pooling, fully connected, global average pooling, or none at the \
            start", |row| last(row).layer_type;
        state_filters: POSITIVE, "Filters of the last layer, a convolution",
            |row| of_kind("conv", last(row));
        state_kernel: PIXELS, "Side of the kernel or window of the last layer",
            |row| NonZeroU32::new(last(row).filter_size);
        state_stride: PIXELS, "Stride of the last layer", |row| NonZeroU32::new(last(row).stride);
        state_fc_index: COUNT, "Fully connected layers before the last layer, which is one itself",
            |row| of_kind("fc", last(row));
        state_fc_width: POSITIVE, "Neurons of the last layer, a fully connected one",
            |row| NonZeroU32::new(last(row).fc_size);
        state_size_bin: PIXELS,
            "Side of the representation, as the least of its bin: 8 and more, 4 to 7, at most 3",
            |row| row.state.bin.size();
        action_depth: POSITIVE, "Depth of the layer to be placed", |row| row.state.depth + 1;
        action_layer: one_of("conv | pool | fc | gap | softmax"),
            "Kind of the layer to be placed; the softmax ends the network",
            |row| next(row).layer_type;
        action_filters: POSITIVE, "Filters of the layer to be placed, a convolution",
            |row| of_kind("conv", next(row));
        action_kernel: PIXELS, "Side of the kernel or window of the layer to be placed",
            |row| NonZeroU32::new(next(row).filter_size);
        action_stride: PIXELS, "Stride of the layer to be placed",
            |row| NonZeroU32::new(next(row).stride);
        action_fc_width: POSITIVE, "Neurons of the layer to be placed, a fully connected one",
            |row| NonZeroU32::new(next(row).fc_size);
        q_value: NUMBER, "Reward expected of the action", |row| row.value;
        trainer: TRAINER, WHO_TRAINED, |_| trainer;
        updates: COUNT, "How often it was updated; missing where it was imported";
    };
    set.add(name, &columns, values);
}

fn last(of: &QValue) -> StateTuple {
    StateTuple::of_state(&of.state)
}

/// The layer to be placed; the tuple of a termination still has the sizes of the last layer.
pub(super) fn next(of: &QValue) -> StateTuple {
    match StateTuple::of_action(&of.state, of.action) {
        placed @ StateTuple { terminate: 0, .. } => placed,
        end => StateTuple { layer_type: "softmax", filter_size: 0, stride: 0, fc_size: 0, ..end },
    }
}

fn of_kind(kind: &str, layer: StateTuple) -> Option<u32> {
    (layer.layer_type == kind).then_some(layer.filter_depth)
}
