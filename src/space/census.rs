//! How large the space is: its states, its state-action pairs, its architectures.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use num_bigint::BigUint;

use super::architecture::Architecture;
use super::mask::Mask;
use super::params::{Legal, Space};
use super::state::{Bin, LastLayer, State, StateKey};

impl Space {
    /// Every reachable non-terminal state under its sampling key, the start included.
    pub fn states(&self) -> BTreeSet<StateKey> {
        let classes = self.reachable_classes();
        let next = classes.iter().flat_map(|class| self.successors(class)).flatten();
        next.chain([self.start()]).map(|state| self.sampling_key(&state)).collect()
    }

    pub fn count_state_action_pairs(&self) -> usize {
        let mut actions: HashMap<StateKey, usize> = HashMap::new();
        let count = |key: StateKey| {
            let class = StateKey { last: class_of(key.last), ..key };
            *actions.entry(class).or_insert_with(|| self.legal_actions(&class).len())
        };
        self.states().into_iter().map(count).sum()
    }

    pub fn count_architectures(&self) -> BigUint {
        if let Some(mask) = self.mask() {
            return mask.count().into();
        }
        let mut completions: HashMap<State, BigUint> = HashMap::new();
        // The deepest first: states are ordered by their depth.
        for state in self.reachable_classes().into_iter().rev() {
            let count = |next: Option<State>| match next {
                None => BigUint::from(1u32),
                Some(next) => completions[&class(next)].clone(),
            };
            let total = self.successors(&state).map(count).sum();
            completions.insert(state, total);
        }
        completions.remove(&self.start()).expect("the start is reachable")
    }

    /// The space of these of its networks alone. When they are all there are, it stays as it is.
    pub fn restricted_to(mut self, networks: &[Architecture]) -> Self {
        let is_whole = self.legal == Legal::ByGrammar
            && self.count_architectures() == BigUint::from(networks.len());
        let mask = || Arc::new(Mask::of(networks.iter().map(Architecture::layers)));
        self.mask = (!is_whole).then(mask);
        self
    }

    /// Every architecture, in the order of a walk that takes the legal actions in their order.
    pub fn architectures(&self) -> Vec<Architecture> {
        let mut all = Vec::new();
        let mut open = vec![(Some(self.start()), self.mask(), Vec::new())];
        while let Some((here, mask, layers)) = open.pop() {
            let Some(here) = here else {
                all.push(self.architecture(layers).expect("only legal layers"));
                continue;
            };
            // The last in is the first out.
            for action in self.legal_actions_at(&here, mask).into_iter().rev() {
                let layers = [&layers[..], &[action]].concat();
                open.push((self.next(&here, action), mask.and_then(|it| it.after(action)), layers));
            }
        }
        all
    }

    fn reachable_classes(&self) -> BTreeSet<State> {
        let mut found = BTreeSet::new();
        let mut depth = BTreeSet::from([self.start()]);
        while !depth.is_empty() {
            let next = depth.iter().flat_map(|state| self.successors(state)).flatten();
            let next = next.map(class).collect();
            found.append(&mut depth);
            depth = next;
        }
        found
    }

    /// What each legal action leads to: `None` for the softmax.
    fn successors(&self, state: &State) -> impl Iterator<Item = Option<State>> {
        let actions = self.legal_actions(&self.key(state)).into_iter();
        actions.map(move |action| self.next(state, action))
    }
}

/// Stands for all states with the same future: neither filters nor window of the last layer decide
/// what may follow it, nor does the true size once flattened. So the work grows with the layers
/// that a configuration offers, not with their square.
const fn class(state: State) -> State {
    let size = if state.last.is_flat() { Bin::of(state.size).size() } else { state.size };
    State { last: class_of(state.last), size, ..state }
}

const fn class_of(last: LastLayer) -> LastLayer {
    match last {
        LastLayer::Conv { .. } => LastLayer::Conv { filters: 0, kernel: 0, stride: 0 },
        LastLayer::Pool { .. } => LastLayer::Pool { kernel: 0, stride: 0 },
        LastLayer::Start | LastLayer::FullyConnected { .. } | LastLayer::GlobalAveragePool => last,
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, KernelRule, SpaceParams};
    use super::*;

    fn space(size: u32, params: SpaceParams) -> Space {
        params.check(DataShape { size, channels: 3, classes: 10 }).unwrap()
    }

    fn params(max_layers: u32) -> SpaceParams {
        SpaceParams { max_layers, ..SpaceParams::default() }
    }

    #[test]
    fn the_spaces_of_the_paper_have_their_sizes() {
        for (size, layers, states, pairs, architectures) in [
            (28, 12, 351, 4_068, "53501710400882"),
            (32, 12, 349, 4_058, "57869407275938"),
            (32, 18, 565, 6_656, "282710031500590500770"),
        ] {
            let space = space(size, params(layers));
            assert_eq!(space.states().len(), states);
            assert_eq!(space.count_state_action_pairs(), pairs);
            assert_eq!(space.count_architectures().to_string(), architectures);
        }
    }

    #[test]
    fn every_architecture_is_listed_once() {
        for image in [4, 8, 20] {
            let space = space(image, params(3));
            let all: BTreeSet<_> = space.architectures().into_iter().collect();
            assert_eq!(BigUint::from(all.len()), space.count_architectures());
            assert_eq!(all.len(), space.architectures().len());
        }
    }

    #[test]
    fn the_papers_kernel_rule_adds_1x1_convolutions_in_the_smallest_bin() {
        for (size, layers, states, architectures) in [
            (28, 12, 383, "54806543382194"),
            (32, 12, 381, "58696148936546"),
            (32, 18, 621, "289172459552993535842"),
        ] {
            let space =
                space(size, SpaceParams { kernel_rule: KernelRule::LeBin, ..params(layers) });
            assert_eq!(space.states().len(), states);
            assert_eq!(space.count_architectures().to_string(), architectures);
        }
    }

    #[test]
    fn states_of_one_class_have_the_same_future() {
        // The definition, walked without classes: every exact state and all that follows it.
        for quirk in [false, true] {
            let space = space(20, SpaceParams { fc_bin_quirk: quirk, ..params(4) });
            let mut found = BTreeSet::from([space.start()]);
            let mut open = vec![space.start()];
            while let Some(state) = open.pop() {
                for action in space.legal_actions(&space.key(&state)) {
                    open.extend(space.next(&state, action).filter(|&next| found.insert(next)));
                }
            }
            let keys: BTreeSet<StateKey> =
                found.iter().map(|state| space.sampling_key(state)).collect();
            assert_eq!(space.states(), keys);
            let pairs: usize = keys.iter().map(|key| space.legal_actions(key).len()).sum();
            assert_eq!(space.count_state_action_pairs(), pairs);
        }
    }

    #[test]
    fn the_codes_bins_after_dense_layers_add_states() {
        for (size, layers, states) in [(28, 12, 412), (32, 12, 410), (32, 18, 674)] {
            let space = space(size, SpaceParams { fc_bin_quirk: true, ..params(layers) });
            assert_eq!(space.states().len(), states);
        }
    }
}
