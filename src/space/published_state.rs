//! The 8-tuples of the published code, columns of its `q_values.csv`: a state, or an action in it.

use serde::Serialize;

use super::{Action, Bin, LastLayer, Space, StateKey};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct StateTuple {
    /// One of [`KINDS`]: the last layer, in an action the one it adds; termination keeps the last.
    pub layer_type: &'static str,
    pub layer_depth: u32,
    /// Filters of a convolution; how many precede a fully connected layer; 1 at the start.
    pub filter_depth: u32,
    pub filter_size: u32,
    pub stride: u32,
    /// The bin: 8, 4 or 1. In an action, that of the state it leaves.
    pub image_size: u32,
    pub fc_size: u32,
    #[serde(skip)]
    pub terminate: u32,
}

/// The columns of an action, then of its state, in the order of [`StateTuple::cells`].
pub(crate) const PAIR_COLUMNS: [&str; 16] = [
    "end_fc_size", "end_filter_depth", "end_filter_size", "end_image_size", "end_layer_depth",
    "end_layer_type", "end_stride", "end_terminate", "start_fc_size", "start_filter_depth",
    "start_filter_size", "start_image_size", "start_layer_depth", "start_layer_type",
    "start_stride", "start_terminate",
];

const KINDS: [&str; 5] = ["start", "conv", "pool", "fc", "gap"];

impl StateTuple {
    pub fn of_state(state: &StateKey) -> Self {
        let (layer_type, filter_depth, filter_size, stride, fc_size) = match state.last {
            LastLayer::Start => ("start", 1, 0, 0, 0),
            LastLayer::Conv { filters, kernel, stride } => ("conv", filters, kernel, stride, 0),
            LastLayer::Pool { kernel, stride } => ("pool", 0, kernel, stride, 0),
            LastLayer::FullyConnected { index, width } => ("fc", index, 0, 0, width),
            LastLayer::GlobalAveragePool => ("gap", 0, 0, 0, 0),
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

    pub fn of_action(state: &StateKey, action: Action) -> Self {
        let last = state.last.after(action);
        let bin = if last.is_some_and(LastLayer::is_flat) { Bin::One } else { state.bin };
        let (depth, terminate) = (state.depth + 1, u32::from(last.is_none()));
        let last = last.unwrap_or(state.last);
        Self { terminate, ..Self::of_state(&StateKey { depth, last, bin }) }
    }

    pub fn state(&self, space: &Space) -> Option<StateKey> {
        let last = match self.layer_type {
            "conv" => LastLayer::Conv {
                filters: self.filter_depth,
                kernel: self.filter_size,
                stride: self.stride,
            },
            "pool" => LastLayer::Pool { kernel: self.filter_size, stride: self.stride },
            "fc" => LastLayer::FullyConnected { index: self.filter_depth, width: self.fc_size },
            "gap" => LastLayer::GlobalAveragePool,
            _ => LastLayer::Start,
        };
        let state = StateKey { depth: self.layer_depth, last, bin: Bin::of(self.image_size) };
        // Within these limits its legal actions can be asked for.
        let may_occur = match last {
            LastLayer::Start => state.depth == 0,
            LastLayer::FullyConnected { index, .. } => index < state.depth,
            _ => state.depth > 0,
        } && state.depth <= space.max_layers;
        (may_occur && Self::of_state(&state) == *self).then_some(state)
    }

    pub fn action(&self, state: &StateKey, space: &Space) -> Option<Action> {
        let legal = space.legal_actions(state);
        legal.into_iter().find(|&action| Self::of_action(state, action) == *self)
    }

    /// One half of [`PAIR_COLUMNS`].
    pub fn cells(&self) -> [String; 8] {
        [
            self.fc_size.to_string(),
            self.filter_depth.to_string(),
            self.filter_size.to_string(),
            self.image_size.to_string(),
            self.layer_depth.to_string(),
            self.layer_type.to_owned(),
            self.stride.to_string(),
            self.terminate.to_string(),
        ]
    }

    /// Reads one half of [`PAIR_COLUMNS`]; of a cell that is wrong its place, and what it must be.
    pub fn parse(cells: [&str; 8]) -> Result<Self, (usize, &'static str)> {
        let number =
            |at: usize| whole_number(cells[at]).ok_or((at, "a whole number of at least 0"));
        let kind = KINDS.into_iter().find(|kind| *kind == cells[5].trim());
        Ok(Self {
            layer_type: kind.ok_or((5, "start, conv, pool, fc or gap"))?,
            layer_depth: number(4)?,
            filter_depth: number(1)?,
            filter_size: number(2)?,
            stride: number(6)?,
            image_size: number(3)?,
            fc_size: number(0)?,
            terminate: number(7)?,
        })
    }
}

/// A whole number that a float holds exactly, also written as one: `3.0`.
pub(crate) fn whole_number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let number: f64 = text.trim().parse().ok()?;
    let whole = (0.0..=(1_u64 << 53) as f64).contains(&number) && number.fract() == 0.0;
    T::try_from(whole.then_some(number as u64)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_those_of_the_specification() {
        // fc(256) at depth 7, sampled from bin 4 by the published code; then fc(128).
        let last = LastLayer::FullyConnected { index: 0, width: 256 };
        let state = StateKey { depth: 7, last, bin: Bin::Four };
        assert_eq!(
            StateTuple::of_state(&state).cells(),
            ["256", "0", "0", "4", "7", "fc", "0", "0"]
        );
        assert_eq!(
            StateTuple::of_action(&state, Action::FullyConnected { width: 128 }).cells(),
            ["128", "1", "0", "1", "8", "fc", "0", "0"]
        );
        assert_eq!(
            StateTuple::of_action(&state, Action::Softmax { classes: 10 }).cells(),
            ["256", "0", "0", "4", "8", "fc", "0", "1"]
        );
        let start = StateKey { depth: 0, last: LastLayer::Start, bin: Bin::Eight };
        assert_eq!(
            StateTuple::of_action(&start, Action::Softmax { classes: 10 }).cells(),
            ["0", "1", "0", "8", "1", "start", "0", "1"]
        );
        // A pooling's action keeps the bin it leaves.
        let last = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let conv = StateKey { depth: 1, last, bin: Bin::Eight };
        assert_eq!(
            StateTuple::of_action(&conv, Action::Pool { kernel: 5, stride: 3 }).cells(),
            ["0", "0", "5", "8", "2", "pool", "3", "0"]
        );
    }
}
