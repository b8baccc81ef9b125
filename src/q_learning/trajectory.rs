//! The way from the empty network to the softmax.

use crate::space::{Action, Architecture, Space, StateKey};

/// One action taken in one state. Its reward, known when the network has been trained, is no part
/// of it: it is 0 but for the last transition of a trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    pub state: StateKey,
    pub action: Action,
    /// The state it leads to, `None` after the softmax.
    pub next: Option<StateKey>,
}

/// The transitions that place the layers of an architecture, the last one terminating it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trajectory(Vec<Transition>);

impl Trajectory {
    /// Under the keys by which the Q-table learns.
    pub fn of(space: &Space, architecture: &Architecture) -> Self {
        let keys: Vec<StateKey> =
            space.states_of(architecture).iter().map(|state| space.key(state)).collect();
        let following = keys.iter().skip(1).copied().map(Some).chain([None]);
        let actions = architecture.layers().iter().copied();
        let steps = keys.iter().copied().zip(actions).zip(following);
        Self(steps.map(|((state, action), next)| Transition { state, action, next }).collect())
    }

    /// From the start on; there is at least one.
    pub fn transitions(&self) -> &[Transition] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::q_learning::{Epsilon, QTable, sample_trajectory};
    use crate::space::{Bin, DataShape, LastLayer, Layer, SpaceParams};

    const IMAGE: DataShape = DataShape { size: 32, channels: 3, classes: 10 };

    fn space(params: SpaceParams) -> Space {
        params.check(IMAGE).unwrap()
    }

    #[test]
    fn a_trajectory_goes_from_the_start_to_the_softmax() {
        let space = space(SpaceParams::default());
        let architecture = space.parse("[C(64,3,1), P(5,3), SM(10)]").unwrap();
        let conv = Layer::Conv { filters: 64, kernel: 3, stride: 1 };
        let pool = Layer::Pool { kernel: 5, stride: 3 };
        let start = StateKey { depth: 0, last: LastLayer::Start, bin: Bin::Eight };
        let one = StateKey {
            depth: 1,
            last: LastLayer::Conv { filters: 64, kernel: 3, stride: 1 },
            bin: Bin::Eight,
        };
        // (32 - 5) / 3 + 1 = 10 pixels.
        let two =
            StateKey { depth: 2, last: LastLayer::Pool { kernel: 5, stride: 3 }, bin: Bin::Eight };
        assert_eq!(
            Trajectory::of(&space, &architecture).transitions(),
            [
                Transition { state: start, action: conv, next: Some(one) },
                Transition { state: one, action: pool, next: Some(two) },
                Transition { state: two, action: Layer::Softmax { classes: 10 }, next: None },
            ]
        );
    }

    #[test]
    fn the_softmax_alone_is_one_transition() {
        let space = space(SpaceParams::default());
        let architecture = space.parse("[SM(10)]").unwrap();
        let trajectory = Trajectory::of(&space, &architecture);
        assert_eq!(trajectory.transitions().len(), 1);
        assert_eq!(trajectory.transitions()[0].next, None);
    }

    /// A table that wants `FC(512)` after the start and `SM` after any dense layer in the smallest
    /// bin.
    fn table_of_dense_layers(fc_bin_quirk: bool) -> QTable {
        let image = DataShape { size: 4, ..IMAGE };
        let params = SpaceParams { fc_bin_quirk, ..SpaceParams::default() };
        let mut table = QTable::new(params.check(image).unwrap(), 0.5);
        let start = table.space().key(&table.space().start());
        let last = LastLayer::FullyConnected { index: 0, width: 512 };
        let dense = StateKey { depth: 1, last, bin: Bin::One };
        for (key, best) in
            [(start, Layer::FullyConnected { width: 512 }), (dense, Layer::Softmax { classes: 10 })]
        {
            let mut row = table.values(&key).into_owned();
            row.iter_mut().find(|(action, _)| *action == best).unwrap().1 = 0.9;
            let updates = vec![0; row.len()];
            table.insert_row(key, row, updates).unwrap();
        }
        table
    }

    #[test]
    fn the_quirk_of_the_code_hides_what_was_learned_of_dense_layers() {
        let names = |fc_bin_quirk| {
            let table = table_of_dense_layers(fc_bin_quirk);
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let greedy = Epsilon::new(0.0).unwrap();
            let mut sample = || sample_trajectory(&table, greedy, &mut rng).to_string();
            (0..50).map(|_| sample()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(false).into_iter().collect::<Vec<_>>(), ["[FC(512), D(1,2), SM(10)]"]);
        assert!(names(true).len() > 1);
    }

    #[test]
    fn a_restricted_space_has_its_own_networks_alone_and_a_whole_one_stays_as_it_is() {
        let whole = space(SpaceParams { max_layers: 2, ..SpaceParams::default() });
        let all = whole.architectures();
        let draws = |space: &Space, epsilon| {
            let (table, mut rng) = (QTable::new(space.clone(), 0.5), ChaCha8Rng::seed_from_u64(4));
            let epsilon = Epsilon::new(epsilon).unwrap();
            (0..400).map(|_| sample_trajectory(&table, epsilon, &mut rng)).collect::<Vec<_>>()
        };
        for epsilon in [0.0, 0.5, 1.0] {
            let some: Vec<_> = all.iter().step_by(40).cloned().collect();
            let drawn = draws(&whole.clone().restricted_to(&some), epsilon);
            assert!(some.iter().all(|network| drawn.contains(network)), "{epsilon}");
            assert!(drawn.iter().all(|network| some.contains(network)), "{epsilon}");
            let restricted = whole.clone().restricted_to(&all);
            assert_eq!(draws(&restricted, epsilon), draws(&whole, epsilon));
        }
    }

    #[test]
    fn sampling_takes_two_draws_a_layer() {
        let table = QTable::new(space(SpaceParams::default()), 0.5);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let architecture = sample_trajectory(&table, Epsilon::RANDOM, &mut rng);
        // Three words: see `policy`.
        assert_eq!(rng.get_word_pos(), 3 * architecture.layers().len() as u128);
    }

    proptest! {
        #[test]
        fn what_is_sampled_is_legal_and_what_the_seed_says(
            seed: u64, epsilon in 0.0..=1.0, fc_bin_quirk: bool, max_layers in 1u32..20,
        ) {
            let params = SpaceParams { fc_bin_quirk, max_layers, ..SpaceParams::default() };
            let table = QTable::new(space(params), 0.5);
            let sample = || {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                sample_trajectory(&table, Epsilon::new(epsilon).unwrap(), &mut rng)
            };
            let architecture = sample();
            prop_assert_eq!(&architecture, &sample());
            prop_assert!(architecture.depth() <= max_layers as usize);
            let trajectory = Trajectory::of(table.space(), &architecture);
            let actions = trajectory.transitions().iter().map(|transition| transition.action);
            prop_assert!(actions.eq(architecture.layers().iter().copied()));
            for pair in trajectory.transitions().windows(2) {
                prop_assert_eq!(pair[0].next, Some(pair[1].state));
            }
        }
    }
}
