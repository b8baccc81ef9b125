//! A space of which some networks alone are legal, such as those that were recorded.

use std::collections::BTreeMap;

use super::layer::Layer;

/// Networks by their layers, as a tree: what may follow the layers so far.
#[derive(Debug, Default, PartialEq)]
pub struct Mask(BTreeMap<Layer, Self>);

impl Mask {
    pub(super) fn of<'a>(networks: impl Iterator<Item = &'a [Layer]>) -> Self {
        let mut mask = Self::default();
        for layers in networks {
            layers.iter().fold(&mut mask, |after, layer| after.0.entry(*layer).or_default());
        }
        mask
    }

    /// `None` where no network has the layer here.
    pub fn after(&self, layer: Layer) -> Option<&Self> {
        self.0.get(&layer)
    }

    /// The softmax ends a network, and nothing follows it.
    pub(super) fn count(&self) -> usize {
        if self.0.is_empty() { 1 } else { self.0.values().map(Self::count).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, Space, SpaceParams};
    use super::*;

    fn space() -> Space {
        let params = SpaceParams { max_layers: 3, filters: vec![8, 16], ..SpaceParams::default() };
        params.check(DataShape { size: 16, channels: 1, classes: 10 }).unwrap()
    }

    const NETWORKS: [&str; 3] =
        ["[SM(10)]", "[C(8,3,1), GAP(10), SM(10)]", "[C(8,3,1), C(16,1,1), D(1,1), SM(10)]"];

    fn restricted() -> Space {
        space().restricted_to(&NETWORKS.map(|text| space().parse(text).unwrap()))
    }

    #[test]
    fn the_networks_alone_are_legal_and_counted_and_listed() {
        let all = restricted().architectures();
        let names: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names, NETWORKS.map(str::to_owned).into());
        assert_eq!(restricted().count_architectures(), 3u32.into());
        assert!(NETWORKS.iter().all(|text| restricted().parse(text).is_ok()));
        // A beginning of one of them, and a layer that another one has elsewhere.
        let refused = restricted().parse("[C(8,3,1), SM(10)]").unwrap_err().to_string();
        assert_eq!(refused, "`SM(10)` cannot be layer 2 (no network that is recorded goes on so)");
        assert!(restricted().parse("[C(16,1,1), SM(10)]").is_err());
    }

    #[test]
    fn the_actions_are_those_of_the_networks_with_the_same_beginning() {
        let space = restricted();
        let start = space.start();
        let first = space.legal_actions_at(&start, space.mask());
        let conv = Layer::Conv { filters: 8, kernel: 3, stride: 1 };
        assert_eq!(first, [Layer::Softmax { classes: 10 }, conv]);
        let after = space.mask().unwrap().after(conv);
        let second = space.legal_actions_at(&space.next(&start, conv).unwrap(), after);
        let wide = Layer::Conv { filters: 16, kernel: 1, stride: 1 };
        assert_eq!(second, [wide, Layer::GlobalAveragePool { classes: 10 }]);
    }

    #[test]
    fn all_networks_need_no_mask() {
        assert_eq!(space().restricted_to(&space().architectures()), space());
        let built = space().buildable();
        assert!(built.restricted_to(&space().architectures()).mask().is_some());
    }
}
