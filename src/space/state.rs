//! The state of the network so far: exact while sampling, binned in the Q-table.

use super::layer::Layer;
use super::params::Space;

/// The last layer placed; `index` fully connected ones precede one, since their number is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LastLayer {
    Start,
    Conv { filters: u32, kernel: u32, stride: u32 },
    Pool { kernel: u32, stride: u32 },
    FullyConnected { index: u32, width: u32 },
    GlobalAveragePool,
}

impl LastLayer {
    /// `None` after the softmax.
    pub(super) fn after(self, action: Layer) -> Option<Self> {
        let before = if let Self::FullyConnected { index, .. } = self { index + 1 } else { 0 };
        Some(match action {
            Layer::Conv { filters, kernel, stride } => Self::Conv { filters, kernel, stride },
            Layer::Pool { kernel, stride } => Self::Pool { kernel, stride },
            Layer::FullyConnected { width } => Self::FullyConnected { index: before, width },
            Layer::GlobalAveragePool { .. } => Self::GlobalAveragePool,
            Layer::Softmax { .. } => return None,
        })
    }

    /// After it there is no spatial size: a network flattens its maps here.
    pub(super) const fn is_flat(self) -> bool {
        matches!(self, Self::FullyConnected { .. } | Self::GlobalAveragePool)
    }
}

/// The representation size, discretised: (inf, 8], (8, 4] and (4, 1] in the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bin {
    One = 1,
    Four = 4,
    Eight = 8,
}

impl Bin {
    pub const fn of(size: u32) -> Self {
        match size {
            8.. => Self::Eight,
            4..=7 => Self::Four,
            _ => Self::One,
        }
    }

    /// The smallest in it: it stands for the bin when legality is decided.
    pub const fn size(self) -> u32 {
        self as u32
    }
}

/// A non-terminal state with the true size of its representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub depth: u32,
    pub last: LastLayer,
    /// True side of the representation in pixels; of what went into it after a layer that flattens.
    pub size: u32,
}

/// A non-terminal state as the Q-table sees it; its order is that of the rows in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    pub depth: u32,
    pub last: LastLayer,
    pub bin: Bin,
}

impl Space {
    pub fn start(&self) -> State {
        State { depth: 0, last: LastLayer::Start, size: self.image.size }
    }

    /// `None` after the softmax.
    pub fn next(&self, state: &State, action: Layer) -> Option<State> {
        let (depth, last) = (state.depth + 1, state.last.after(action)?);
        Some(State { depth, last, size: self.output_size(state.size, action) })
    }

    /// The key of a state in the Q-table; once flattened it is in the smallest bin.
    pub fn key(&self, state: &State) -> StateKey {
        let bin = if state.last.is_flat() { Bin::One } else { Bin::of(state.size) };
        StateKey { bin, depth: state.depth, last: state.last }
    }

    /// The key under which the agent looks a state up while it samples: [`Space::key`], unless
    /// `fc_bin_quirk` reproduces the published code, which keeps the previous layer's bin while
    /// sampling and so looks where no update ever arrives.
    pub fn sampling_key(&self, state: &State) -> StateKey {
        let key = self.key(state);
        if self.fc_bin_quirk { StateKey { bin: Bin::of(state.size), ..key } } else { key }
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
