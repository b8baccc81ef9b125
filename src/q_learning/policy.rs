//! The epsilon-greedy policy, layer by layer.

use rand::Rng;

use super::epsilon::Epsilon;
use super::q_table::QTable;
use crate::space::{Action, Architecture, StateKey};

/// One layer of a walk: where it was chosen, from which Q-values, and how.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    pub state: StateKey,
    pub values: &'a [(Action, f64)],
    /// Whether any of them was drawn, not one of the greatest.
    pub explores: bool,
    pub action: Action,
}

/// Chooses one of the legal actions: with probability `epsilon` any of them, else one of those
/// with the greatest Q-value, in either case each with equal chance (MetaQNN, section 3). Returns
/// with it whether any of them was drawn.
///
/// Always takes two draws from `rng`: a number in [0, 1), compared with epsilon, and an index, even
/// of a single candidate. So what one layer draws does not shift what the next one draws.
pub fn choose_action(
    values: &[(Action, f64)],
    epsilon: Epsilon,
    rng: &mut impl Rng,
) -> (Action, bool) {
    // `<` as in the published code: epsilon 0 never explores, epsilon 1 always does.
    let explores = rng.random::<f64>() < epsilon.value();
    let best = values.iter().map(|&(_, value)| value).fold(f64::NEG_INFINITY, f64::max);
    let candidates = values.iter().filter(|&&(_, value)| explores || value == best);
    let candidates: Vec<Action> = candidates.map(|&(action, _)| action).collect();
    // 32 bits, so that the stream does not depend on the width of `usize`.
    let index = rng.random_range(0..candidates.len() as u32);
    (candidates[index as usize], explores)
}

pub fn sample_trajectory(q_table: &QTable, epsilon: Epsilon, rng: &mut impl Rng) -> Architecture {
    walk(q_table, epsilon, rng, |_| {})
}

/// Takes the two draws of [`choose_action`] for each layer, the softmax included, and nothing else
/// from `rng`. Of the legal actions the space's mask leaves those after which a network goes on.
/// States are looked up by [`crate::space::Space::sampling_key`]: `fc_bin_quirk` acts.
pub fn walk(
    q_table: &QTable,
    epsilon: Epsilon,
    rng: &mut impl Rng,
    mut on_choice: impl FnMut(Choice<'_>),
) -> Architecture {
    let space = q_table.space();
    let mut layers = Vec::new();
    let (mut here, mut mask) = (Some(space.start()), space.mask());
    while let Some(at) = here {
        let state = space.sampling_key(&at);
        let mut values = q_table.values(&state);
        if let Some(mask) = mask {
            values.to_mut().retain(|(action, _)| mask.after(*action).is_some());
        }
        let (action, explores) = choose_action(&values, epsilon, rng);
        on_choice(Choice { state, values: &values, explores, action });
        mask = mask.and_then(|mask| mask.after(action));
        layers.push(action);
        here = space.next(&at, action);
    }
    space.architecture(layers).expect("only legal actions were chosen")
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::space::Layer;

    /// Actions named by their place in the list.
    fn with_values<const N: usize>(values: [f64; N]) -> [(Action, f64); N] {
        let mut width = 0;
        values.map(|value| {
            width += 1;
            (Layer::FullyConnected { width }, value)
        })
    }

    fn frequencies<const N: usize>(values: [f64; N], epsilon: f64, draws: u32) -> [u32; N] {
        let values = with_values(values);
        let epsilon = Epsilon::new(epsilon).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut counts = [0; N];
        for _ in 0..draws {
            let (chosen, _) = choose_action(&values, epsilon, &mut rng);
            counts[values.iter().position(|(action, _)| *action == chosen).unwrap()] += 1;
        }
        counts
    }

    /// Sum of (observed - expected)^2 / expected.
    fn chi_square(counts: &[u32], expected: f64) -> f64 {
        let square = |x: f64| x * x;
        counts.iter().map(|&count| square(f64::from(count) - expected) / expected).sum()
    }

    #[test]
    fn ties_are_broken_evenly_among_all_of_the_greatest() {
        let [a, below, b, lowest, c] = frequencies([0.7, 0.6, 0.7, 0.1, 0.7], 0.0, 30_000);
        assert_eq!((below, lowest), (0, 0));
        // Two degrees of freedom: above 13.8 once in a thousand times.
        assert!(chi_square(&[a, b, c], 10_000.0) < 13.8);
    }

    #[test]
    fn exploring_is_even_over_all_actions() {
        // Four degrees of freedom: above 18.5 once in a thousand times.
        let counts = frequencies([0.7, 0.6, 0.7, 0.1, 0.7], 1.0, 50_000);
        assert!(chi_square(&counts, 10_000.0) < 18.5);
    }

    #[test]
    fn epsilon_is_the_share_of_random_actions() {
        // The best of 4 is taken with probability 0.6 + 0.4 / 4 = 0.7; the deviation of the
        // count is sqrt(40,000 x 0.7 x 0.3) = 92.
        let [best, ..] = frequencies([0.9, 0.5, 0.5, 0.5], 0.4, 40_000);
        assert!(best.abs_diff(28_000) < 4 * 92, "{best}");
    }

    #[test]
    fn every_choice_takes_the_same_draws() {
        // A double takes two of the generator's words, an index one.
        let words = |values: &[(Action, f64)], epsilon| {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            choose_action(values, Epsilon::new(epsilon).unwrap(), &mut rng);
            rng.get_word_pos()
        };
        for epsilon in [0.0, 0.5, 1.0] {
            assert_eq!(words(&with_values([0.5]), epsilon), 3);
            assert_eq!(words(&with_values([0.5, 0.6, 0.6]), epsilon), 3);
        }
    }
}
