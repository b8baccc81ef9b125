//! One random legal edit of a network: the mutation of evolution, and a step away from a good one.

use rand::Rng;

use super::{Draw, SearchHistory};
use crate::space::{Architecture, Candidate, Layer, Space};

/// Edits of one network without a wanted one after which another draw is made.
const MOST_EDITS: u32 = 100;

/// A network that differs from `parent` by one layer, and the edit in words. Whether a layer is
/// added, removed or altered is drawn first, then where, then the layer that is put there, each
/// evenly; that layer from those alone with which the network is legal. `None` when there are none.
pub fn edit(
    space: &Space,
    parent: &Architecture,
    rng: &mut impl Rng,
) -> Option<(Architecture, String)> {
    let mut index = |count: usize| rng.random_range(0..count);
    let (adds, removes) = [(true, false), (false, true), (false, false)][index(3)];
    // Before the softmax, too, a layer can be added.
    let places = parent.depth() + usize::from(adds);
    let at = (places > 0).then(|| index(places))?;
    let (before, after) = parent.layers().split_at(at);
    let (old, after) = after.split_at(usize::from(!adds));
    let (old, number) = (old.first(), at + 1);
    let with = |layer: Option<Layer>| {
        let layers = before.iter().copied().chain(layer).chain(after.iter().copied());
        space.architecture(layers.collect()).ok()
    };
    if removes {
        let words = format!("layer {number}, {}, removed", old?);
        return with(None).map(|architecture| (architecture, words));
    }
    let here = space.walk(before).ok()?.1?;
    let mask = before.iter().fold(space.mask(), |mask, &layer| mask?.after(layer));
    let mut layers = space.legal_actions_at(&here, mask);
    layers.retain(|layer| Some(layer) != old);
    while !layers.is_empty() {
        let layer = layers.swap_remove(index(layers.len()));
        if let Some(architecture) = with(Some(layer)) {
            let words = match old {
                Some(old) => format!("layer {number} from {old} to {layer}"),
                None => format!("{layer} added as layer {number}"),
            };
            return Some((architecture, words));
        }
    }
    None
}

/// The first wanted of [`MOST_EDITS`] edits of a result, with the reason.
pub fn edit_of_result(
    history: &SearchHistory<'_>,
    parent: &str,
    rng: &mut impl Rng,
    is_wanted: impl Fn(&Candidate) -> bool,
) -> Option<Draw> {
    let number = history.state.known.get(&Candidate::once(parent))?.iteration;
    let parent = history.space().parse(parent).ok()?;
    (0..MOST_EDITS).find_map(|_| {
        let (architecture, words) = edit(history.space(), &parent, rng)?;
        let candidate = Candidate::once(architecture.to_string());
        is_wanted(&candidate).then(|| (candidate, Some(format!("edit of {number}: {words}"))))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::q_learning::{Epsilon, QTable, sample_trajectory};
    use crate::space::{DataShape, Pool, SpaceParams};

    const IMAGE: DataShape = DataShape { size: 16, channels: 1, classes: 10 };

    fn space() -> Space {
        let params = SpaceParams {
            max_layers: 2,
            filters: vec![8],
            kernels: vec![3, 5],
            pools: vec![Pool(2, 2)],
            fc_widths: vec![],
            ..SpaceParams::default()
        };
        params.check(IMAGE).unwrap()
    }

    #[test]
    fn every_edit_is_drawn_as_often_as_its_kind_place_and_layer_say() {
        let space = space();
        let parent = space.parse("[C(8,3,1), SM(10)]").unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut found = BTreeMap::new();
        for _ in 0..36_000 {
            let (architecture, words) = edit(&space, &parent, &mut rng).unwrap();
            let drawn = format!("{architecture} {words}");
            *found.entry(drawn).or_insert(0) += 1;
        }
        // Added first, a layer must be a convolution (a pooling would be the first, nothing follows
        // a global average pooling); added second, there are these four.
        let expected = [
            ("[C(8,3,1), C(8,3,1), D(1,1), SM(10)] C(8,3,1) added as layer 1", 3_000),
            ("[C(8,5,1), C(8,3,1), D(1,1), SM(10)] C(8,5,1) added as layer 1", 3_000),
            ("[C(8,3,1), C(8,3,1), D(1,1), SM(10)] C(8,3,1) added as layer 2", 1_500),
            ("[C(8,3,1), C(8,5,1), D(1,1), SM(10)] C(8,5,1) added as layer 2", 1_500),
            ("[C(8,3,1), GAP(10), SM(10)] GAP(10) added as layer 2", 1_500),
            ("[C(8,3,1), P(2,2), D(1,1), SM(10)] P(2,2) added as layer 2", 1_500),
            ("[SM(10)] layer 1, C(8,3,1), removed", 12_000),
            ("[C(8,5,1), SM(10)] layer 1 from C(8,3,1) to C(8,5,1)", 6_000),
            ("[GAP(10), SM(10)] layer 1 from C(8,3,1) to GAP(10)", 6_000),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (drawn, times) in expected {
            // The deviation of the count is below sqrt(times).
            let deviations = f64::from(found[drawn] - times) / f64::from(times).sqrt();
            assert!(deviations.abs() < 4.0, "{drawn}: {}", found[drawn]);
        }
    }

    #[test]
    fn what_allows_no_legal_edit_gives_none() {
        let space = space();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut edits = |text: &str| {
            let parent = space.parse(text).unwrap();
            (0..200).filter_map(|_| edit(&space, &parent, &mut rng)).collect::<Vec<_>>()
        };
        // Nothing to remove or alter: about a third.
        let of_nothing = edits("[SM(10)]").len();
        assert!((40..95).contains(&of_nothing), "{of_nothing}");
        let full = edits("[C(8,3,1), P(2,2), SM(10)]");
        assert!(full.iter().all(|(it, _)| it.depth() < 3), "as deep as the space");
        // Without its convolution it would begin with a pooling.
        assert!(full.iter().all(|(_, words)| words != "layer 1, C(8,3,1), removed"));
        assert!(full.iter().any(|(_, words)| words == "layer 2, P(2,2), removed"));
    }

    proptest! {
        #[test]
        fn an_edit_is_legal_and_one_layer_away(
            seed: u64, max_layers in 1u32..9, size in 4u32..40,
            allow_initial_pooling: bool, allow_consecutive_pooling: bool,
        ) {
            let params = SpaceParams {
                max_layers, allow_initial_pooling, allow_consecutive_pooling,
                ..SpaceParams::default()
            };
            let space = params.check(DataShape { size, ..IMAGE }).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let table = QTable::new(space.clone(), 0.5);
            let parent = sample_trajectory(&table, Epsilon::RANDOM, &mut rng);
            for _ in 0..20 {
                let Some((new, _)) = edit(&space, &parent, &mut rng) else { continue };
                prop_assert_eq!(&space.parse(&new.to_string()).unwrap(), &new);
                prop_assert_ne!(&new, &parent);
                let (a, b) = (parent.layers(), new.layers());
                let same = |(a, b): &(&Layer, &Layer)| a == b;
                let first = a.iter().zip(b).take_while(same).count();
                let last = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
                prop_assert!(first + last + 1 >= a.len().max(b.len()), "{} to {}", parent, new);
            }
        }
    }
}
