//! How large the space is: its states, its state-action pairs, its architectures.

use std::collections::{BTreeSet, HashMap};

use num_bigint::BigUint;

use super::params::Space;
use super::state::{State, StateKey};

impl Space {
    /// Returns every reachable non-terminal state as the agent sees it while sampling, the start included, in order.
    pub fn states(&self) -> BTreeSet<StateKey> {
        self.reachable().iter().map(|state| self.sampling_key(state)).collect()
    }

    /// Returns how many (state, action) pairs the Q-table can hold.
    pub fn count_state_action_pairs(&self) -> usize {
        self.states().iter().map(|key| self.legal_actions(key).len()).sum()
    }

    /// Returns how many distinct architectures there are, exactly.
    pub fn count_architectures(&self) -> BigUint {
        // What can follow a state depends on the state alone, so each is counted once, the deepest first.
        let mut reachable: Vec<State> = self.reachable().into_iter().collect();
        reachable.sort_by_key(|state| std::cmp::Reverse(state.depth));
        let mut completions: HashMap<State, BigUint> = HashMap::new();
        for state in reachable {
            let total = self
                .legal_actions(&self.key(&state))
                .into_iter()
                .map(|action| match self.next(&state, action) {
                    None => BigUint::from(1u32),
                    Some(next) => completions[&next].clone(),
                })
                .sum();
            completions.insert(state, total);
        }
        completions.remove(&self.start()).expect("the start is reachable")
    }

    fn reachable(&self) -> BTreeSet<State> {
        let mut found = BTreeSet::from([self.start()]);
        let mut open = vec![self.start()];
        while let Some(state) = open.pop() {
            for action in self.legal_actions(&self.key(&state)) {
                if let Some(next) = self.next(&state, action)
                    && found.insert(next)
                {
                    open.push(next);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{ImageShape, KernelRule, SpaceParams};
    use super::*;

    fn space(size: u32, params: SpaceParams) -> Space {
        params.check(ImageShape { size, channels: 3, classes: 10 }).unwrap()
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
    fn the_codes_bins_after_dense_layers_add_states() {
        for (size, layers, states) in [(28, 12, 412), (32, 12, 410), (32, 18, 674)] {
            let space = space(size, SpaceParams { fc_bin_quirk: true, ..params(layers) });
            assert_eq!(space.states().len(), states);
        }
    }
}
