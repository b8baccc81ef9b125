//! The state of the network so far: exact while sampling, binned in the Q-table.

use super::layer::Layer;
use super::params::Space;

/// The last layer placed. Fully connected layers are numbered, since their number is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LastLayer {
    /// No layer yet.
    Start,
    /// A convolution.
    Conv {
        /// Number of filters.
        filters: u32,
        /// Side of the kernel.
        kernel: u32,
        /// Stride.
        stride: u32,
    },
    /// A max pooling.
    Pool {
        /// Side of the window.
        kernel: u32,
        /// Stride.
        stride: u32,
    },
    /// A fully connected layer.
    FullyConnected {
        /// How many fully connected layers precede it.
        index: u32,
        /// Number of neurons.
        width: u32,
    },
    /// A global average pooling.
    GlobalAveragePool,
}

/// The representation size, discretised: the smallest size of its bin.
///
/// The paper prints the bins as (inf, 8], (8, 4] and (4, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bin {
    /// At most 3.
    One,
    /// 4 to 7.
    Four,
    /// 8 and more.
    Eight,
}

impl Bin {
    /// Returns the bin of a true size.
    pub const fn of(size: u32) -> Self {
        match size {
            8.. => Self::Eight,
            4..=7 => Self::Four,
            _ => Self::One,
        }
    }

    /// Returns the size that stands for the bin when legality is decided.
    pub const fn size(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Four => 4,
            Self::One => 1,
        }
    }
}

/// A non-terminal state with the true size of its representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// Number of layers placed, 0 at the start.
    pub depth: u32,
    /// The last of them.
    pub last: LastLayer,
    /// True side of the representation in pixels; after a fully connected layer or a global
    /// average pooling, the side of what went into it.
    pub size: u32,
}

/// A non-terminal state as the Q-table sees it.
///
/// Ordered by depth, then kind of layer: the order of the rows in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// Number of layers placed, 0 at the start.
    pub depth: u32,
    /// The last of them.
    pub last: LastLayer,
    /// Bin of the representation size.
    pub bin: Bin,
}

impl State {
    /// Returns the state after one more layer, which is not the softmax.
    pub(super) fn after(&self, layer: Layer, space: &Space) -> Option<Self> {
        let last = match layer {
            Layer::Conv { filters, kernel, stride } => LastLayer::Conv { filters, kernel, stride },
            Layer::Pool { kernel, stride } => LastLayer::Pool { kernel, stride },
            Layer::FullyConnected { width } => {
                let index = match self.last {
                    LastLayer::FullyConnected { index, .. } => index + 1,
                    _ => 0,
                };
                LastLayer::FullyConnected { index, width }
            }
            Layer::GlobalAveragePool { .. } => LastLayer::GlobalAveragePool,
            Layer::Softmax { .. } => return None,
        };
        Some(Self { depth: self.depth + 1, last, size: space.output_size(self.size, layer) })
    }
}

impl Space {
    /// Returns the state before the first layer.
    pub fn start(&self) -> State {
        State { depth: 0, last: LastLayer::Start, size: self.image().size }
    }

    /// Returns the state that `action` leads to, `None` when it terminates the network.
    pub fn next(&self, state: &State, action: Layer) -> Option<State> {
        state.after(action, self)
    }

    /// Returns the key of a state in the Q-table. After a fully connected layer or a global
    /// average pooling there is no spatial size, so the bin is always the smallest.
    pub fn key(&self, state: &State) -> StateKey {
        let bin = match state.last {
            LastLayer::FullyConnected { .. } | LastLayer::GlobalAveragePool => Bin::One,
            _ => Bin::of(state.size),
        };
        StateKey { depth: state.depth, last: state.last, bin }
    }

    /// Returns the key under which the agent looks a state up while it samples.
    ///
    /// The same as [`Space::key`], unless `fc_bin_quirk` reproduces the published code, which
    /// keeps the previous layer's bin while sampling and so looks where no update ever arrives.
    pub fn sampling_key(&self, state: &State) -> StateKey {
        if self.fc_bin_quirk {
            StateKey { depth: state.depth, last: state.last, bin: Bin::of(state.size) }
        } else {
            self.key(state)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_those_of_the_paper() {
        let bins: Vec<u32> = [32, 8, 7, 4, 3, 1, 0].map(|size| Bin::of(size).size()).into();
        assert_eq!(bins, [8, 8, 4, 4, 1, 1, 1]);
    }
}
