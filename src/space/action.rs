//! Which layers may follow a state (section 4.1 of the paper, in the form the published results
//! were made with).

use super::architecture::SpaceError;
use super::layer::Layer;
use super::mask::Mask;
use super::params::{KernelRule, Legal, Pool, Space};
use super::state::{Bin, LastLayer, State, StateKey};

pub(super) const AFTER_GAP: &str = "only the softmax follows a global average pooling";
const MOST_DENSE: &str = "the network has its greatest number of fully connected layers";

/// The next layer; the softmax terminates the network.
pub type Action = Layer;

impl Space {
    /// In a fixed order: softmax, convolutions (filters outside, kernels inside), global average
    /// pooling, poolings, fully connected layers.
    pub fn legal_actions(&self, key: &StateKey) -> Vec<Action> {
        self.actions().filter(|&action| self.why_illegal(key, action).is_none()).collect()
    }

    /// Of the empty network; `None` where what is legal follows from the state alone.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_deref()
    }

    /// The legal actions in a state, `mask` being what is left of [`Space::mask`] there.
    pub fn legal_actions_at(&self, state: &State, mask: Option<&Mask>) -> Vec<Action> {
        let mut legal = self.legal_actions(&self.key(state));
        legal.retain(|&action| mask.is_none_or(|mask| mask.after(action).is_some()));
        legal
    }

    /// All that are legal anywhere, in that order.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        let classes = self.image.classes;
        let convs = self.filters.iter().flat_map(|&filters| {
            self.kernels.iter().map(move |&kernel| Layer::Conv { filters, kernel, stride: 1 })
        });
        let pools = self.pools.iter().map(|&Pool(kernel, stride)| Layer::Pool { kernel, stride });
        let widths = self.fc_widths.iter().filter(move |&&width| width >= classes);
        std::iter::once(Layer::Softmax { classes })
            .chain(convs)
            .chain(std::iter::once(Layer::GlobalAveragePool { classes }))
            .chain(pools)
            .chain(widths.map(|&width| Layer::FullyConnected { width }))
    }

    /// The rule that `action` breaks in a state.
    fn why_illegal(&self, key: &StateKey, action: Action) -> Option<&'static str> {
        match action {
            Layer::Softmax { .. } => None,
            _ if key.depth >= self.max_layers => {
                Some("the network has its greatest number of layers")
            }
            Layer::Conv { kernel, .. } => {
                self.why_not_spatial(key).or(self.why_too_large(key, kernel))
            }
            Layer::GlobalAveragePool { .. } => self.why_not_spatial(key),
            Layer::Pool { kernel, .. } => self
                .why_not_spatial(key)
                .or(self.why_no_pool(key))
                .or(self.why_too_large(key, kernel)),
            Layer::FullyConnected { width } => self.why_not_dense(key, width),
        }
    }

    fn why_not_spatial(&self, key: &StateKey) -> Option<&'static str> {
        match key.last {
            LastLayer::FullyConnected { .. } => Some("it follows a fully connected layer"),
            LastLayer::GlobalAveragePool => Some(AFTER_GAP),
            LastLayer::Start | LastLayer::Conv { .. } | LastLayer::Pool { .. } => None,
        }
    }

    fn why_no_pool(&self, key: &StateKey) -> Option<&'static str> {
        match key.last {
            LastLayer::Pool { .. } if !self.allow_consecutive_pooling => {
                Some("a pooling may not follow a pooling")
            }
            LastLayer::Start if !self.allow_initial_pooling => {
                Some("a network may not begin with a pooling")
            }
            _ => None,
        }
    }

    fn why_too_large(&self, key: &StateKey, kernel: u32) -> Option<&'static str> {
        let fits = match self.kernel_rule {
            KernelRule::StrictBin => kernel < key.bin.size(),
            KernelRule::LeBin => kernel <= key.bin.size(),
        };
        (!fits).then_some("its kernel is too large for the size of the representation")
    }

    fn why_not_dense(&self, key: &StateKey, width: u32) -> Option<&'static str> {
        let limit = self.max_fc_layers;
        match key.last {
            LastLayer::GlobalAveragePool => Some(AFTER_GAP),
            LastLayer::FullyConnected { index, .. } if index + 1 >= limit => Some(MOST_DENSE),
            LastLayer::FullyConnected { width: previous, .. } if width > previous => {
                Some("it is wider than the fully connected layer before it")
            }
            LastLayer::FullyConnected { .. } => None,
            _ if limit == 0 => Some(MOST_DENSE),
            _ if key.bin > Bin::Four => {
                Some("the representation is too large for a fully connected layer")
            }
            _ => None,
        }
    }

    pub fn check_action(&self, state: &State, action: Action) -> Result<(), SpaceError> {
        let why = match self.legal {
            Legal::Buildable => self.why_unbuildable(state, action),
            Legal::ByGrammar if self.actions().any(|known| known == action) => {
                self.why_illegal(&self.key(state), action)
            }
            Legal::ByGrammar => Some("the search space has no such layer"),
        };
        let illegal = |why| SpaceError::Illegal { layer: action, depth: state.depth + 1, why };
        why.map_or(Ok(()), |why| Err(illegal(why)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, SpaceParams};
    use super::*;

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams { max_layers: 18, ..SpaceParams::default() }.check(image).unwrap()
    }

    fn count(last: LastLayer, bin: Bin) -> usize {
        space().legal_actions(&StateKey { depth: 3, last, bin }).len()
    }

    #[test]
    fn the_lists_are_as_long_as_the_specification_counts() {
        let conv = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let pool = LastLayer::Pool { kernel: 2, stride: 2 };
        let fc = |index, width| LastLayer::FullyConnected { index, width };
        let start = space().key(&space().start());
        assert_eq!(space().legal_actions(&start).len(), 14);
        assert_eq!([Bin::Eight, Bin::Four, Bin::One].map(|bin| count(conv, bin)), [17, 15, 5]);
        assert_eq!([Bin::Eight, Bin::Four, Bin::One].map(|bin| count(pool, bin)), [14, 13, 5]);
        assert_eq!(count(fc(0, 512), Bin::One), 4);
        assert_eq!(count(fc(0, 128), Bin::One), 2);
        assert_eq!(count(fc(1, 512), Bin::One), 1);
        assert_eq!(count(LastLayer::GlobalAveragePool, Bin::One), 1);
    }

    #[test]
    fn the_order_is_that_of_the_reference() {
        let pool = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let key = StateKey { depth: 3, last: pool, bin: Bin::Four };
        let names: Vec<String> =
            space().legal_actions(&key).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "SM(10)", "C(64,1,1)", "C(64,3,1)", "C(128,1,1)", "C(128,3,1)", "C(256,1,1)",
                "C(256,3,1)", "C(512,1,1)", "C(512,3,1)", "GAP(10)", "P(3,2)", "P(2,2)", "FC(512)",
                "FC(256)", "FC(128)"
            ]
        );
    }

    #[test]
    fn at_the_depth_limit_only_the_softmax_is_left() {
        let last = LastLayer::Conv { filters: 64, kernel: 3, stride: 1 };
        let key = StateKey { depth: 18, last, bin: Bin::Eight };
        assert_eq!(space().legal_actions(&key), [Layer::Softmax { classes: 10 }]);
    }

    #[test]
    fn widths_below_the_number_of_classes_are_left_out() {
        let image = DataShape { size: 4, channels: 1, classes: 200 };
        let space = SpaceParams::default().check(image).unwrap();
        let actions = space.legal_actions(&space.key(&space.start()));
        assert!(!actions.contains(&Layer::FullyConnected { width: 128 }));
        assert!(actions.contains(&Layer::FullyConnected { width: 256 }));
    }
}
