//! The reference's 8-tuples: a state, or an action in it (specification, sections 1 and 2.3).

use serde::Serialize;

use super::{Action, Bin, LastLayer, Layer, Space, StateKey};

/// A state or an action as the reference writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct StateTuple {
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
pub(crate) enum LayerType {
    Start,
    Conv,
    Pool,
    Fc,
    Gap,
}

impl LayerType {
    pub(crate) const ALL: [Self; 5] = [Self::Start, Self::Conv, Self::Pool, Self::Fc, Self::Gap];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Conv => "conv",
            Self::Pool => "pool",
            Self::Fc => "fc",
            Self::Gap => "gap",
        }
    }
}

impl StateTuple {
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
    pub(crate) fn state(&self, space: &Space) -> Option<StateKey> {
        let bin = [Bin::One, Bin::Four, Bin::Eight]
            .into_iter()
            .find(|bin| bin.size() == self.image_size)?;
        let state = StateKey { depth: self.layer_depth, last: self.last_layer(), bin };
        (may_occur(&state, space) && Self::of_state(&state) == *self).then_some(state)
    }

    /// Returns the action that the tuple writes, `None` when it is not legal in `state`.
    pub(crate) fn action(&self, state: &StateKey, space: &Space) -> Option<Action> {
        space
            .legal_actions(state)
            .into_iter()
            .find(|&action| Self::of_action(state, action) == *self)
    }

    /// Returns the cells in alphabetical order of their columns.
    pub(crate) fn fields(&self) -> [String; 8] {
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

/// Returns whether a state read from a file lies within the limits of the space, so that its legal
/// actions can be asked for.
pub(crate) fn may_occur(state: &StateKey, space: &Space) -> bool {
    let within = match state.last {
        LastLayer::Start => state.depth == 0,
        LastLayer::FullyConnected { index, .. } => index < state.depth,
        _ => state.depth > 0,
    };
    within && state.depth <= space.params().max_layers
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
            StateTuple::of_state(&state).fields(),
            ["256", "0", "0", "4", "7", "fc", "0", "0"]
        );
        assert_eq!(
            StateTuple::of_action(&state, Layer::FullyConnected { width: 128 }).fields(),
            ["128", "1", "0", "1", "8", "fc", "0", "0"]
        );
        assert_eq!(
            StateTuple::of_action(&state, Layer::Softmax { classes: 10 }).fields(),
            ["256", "0", "0", "4", "8", "fc", "0", "1"]
        );
        let start = StateKey { depth: 0, last: LastLayer::Start, bin: Bin::Eight };
        assert_eq!(
            StateTuple::of_action(&start, Layer::Softmax { classes: 10 }).fields(),
            ["0", "1", "0", "8", "1", "start", "0", "1"]
        );
        // A pooling's action keeps the bin it leaves.
        let last = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let conv = StateKey { depth: 1, last, bin: Bin::Eight };
        assert_eq!(
            StateTuple::of_action(&conv, Layer::Pool { kernel: 5, stride: 3 }).fields(),
            ["0", "0", "5", "8", "2", "pool", "3", "0"]
        );
    }
}
