//! The controller of the strategy `policy_gradient`: an LSTM over the layers of a network and a softmax
//! over the layers that may come next, trained by REINFORCE with Adam. The gradient is worked out by
//! hand, in f64, so that its bits are equal on every processor.

use std::iter;

use itertools::{Itertools, izip};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use crate::maths::{exp, ln, pow, square, tanh};
use crate::space::{Action, Space};

#[derive(Debug, Clone, Copy, PartialEq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyGradientParams {
    #[default = 32]
    pub units: u32,
    #[default = 0.01]
    pub learning_rate: f64,
    /// What the baseline keeps of its value at each result.
    #[default = 0.95]
    pub baseline_decay: f64,
}

/// Initial weights lie within so much of 0, as in the paper.
const INITIAL_WEIGHT: f64 = 0.08;

/// An LSTM over the layers of a network, and the softmax over those that may come next.
pub struct Controller {
    params: PolicyGradientParams,
    /// All layers of the space: what an input and an output stand for.
    actions: Vec<Action>,
    /// In the order of [`Self::parts`].
    weights: Vec<f64>,
    /// Moving averages of the gradient and its square (Adam).
    moments: [Vec<f64>; 2],
    updates: i32,
    /// Moving average of the rewards.
    baseline: Option<f64>,
}

/// What a step of the LSTM has computed, kept for the gradient.
struct ControllerStep {
    input: usize,
    /// The four gates after their nonlinearity.
    gates: Vec<f64>,
    cell: Vec<f64>,
    /// The units' output.
    hidden: Vec<f64>,
    /// The legal actions by number, each with its probability.
    policy: Vec<(usize, f64)>,
    /// The one of them that was taken.
    chosen: usize,
}

impl Controller {
    pub fn new(space: &Space, params: PolicyGradientParams, rng: &mut ChaCha8Rng) -> Self {
        let actions: Vec<_> = space.actions().collect();
        let mut controller = Self {
            params,
            actions,
            weights: Vec::new(),
            moments: [Vec::new(), Vec::new()],
            updates: 0,
            baseline: None,
        };
        let [.., end] = controller.parts();
        let draw = || rng.random_range(-INITIAL_WEIGHT..INITIAL_WEIGHT);
        controller.weights = iter::repeat_with(draw).take(end).collect();
        controller.moments = [vec![0.0; end], vec![0.0; end]];
        controller
    }

    /// Results that it has learned from.
    pub const fn updates(&self) -> i32 {
        self.updates
    }

    /// What it has learned: updates, baseline, weights and both moments.
    pub fn state(&self) -> Vec<f64> {
        let first = [f64::from(self.updates), self.baseline.unwrap_or_default()];
        [&first[..], &self.weights, &self.moments[0], &self.moments[1]].concat()
    }

    /// With that [`Self::state`]; `None` where it is one of another space or size.
    pub fn resumed(self, state: &[f64]) -> Option<Self> {
        let (&[updates, baseline], numbers) = state.split_first_chunk()?;
        let count = self.weights.len();
        let [weights, means, variances] = numbers.chunks(count.max(1)).collect_array()?;
        (variances.len() == count).then(|| Self {
            weights: weights.to_vec(),
            moments: [means, variances].map(<[f64]>::to_vec),
            updates: updates as i32,
            baseline: (updates > 0.0).then_some(baseline),
            ..self
        })
    }

    fn units(&self) -> usize {
        self.params.units as usize
    }

    /// Where the weights lie: first, of the gates (input, forget, output, candidate; each of all
    /// units) for each input, of which the start is the last; from here on for each unit before,
    /// their bias, of the outputs for each unit, and their bias; and where they end.
    fn parts(&self) -> [usize; 5] {
        let (units, actions) = (self.units(), self.actions.len());
        let recurrent = 4 * units * (actions + 1);
        let bias = recurrent + 4 * units * units;
        let output = bias + 4 * units;
        let output_bias = output + actions * units;
        [recurrent, bias, output, output_bias, output_bias + actions]
    }

    fn step(
        &self,
        before: Option<&ControllerStep>,
        legal: &[Action],
        choose: impl FnOnce(&[(usize, f64)]) -> usize,
    ) -> ControllerStep {
        let (units, [recurrent, bias, output, output_bias, _]) = (self.units(), self.parts());
        let input = before.map_or(self.actions.len(), |before| before.chosen);
        let mut gates = self.weights[bias..output].to_vec();
        add(&mut gates, 1.0, &self.weights[4 * units * input..]);
        for (unit, &hidden) in before.iter().flat_map(|before| before.hidden.iter().enumerate()) {
            add(&mut gates, hidden, &self.weights[recurrent + 4 * units * unit..]);
        }
        gates[..3 * units].iter_mut().for_each(|gate| *gate = 1.0 / (1.0 + exp(-*gate)));
        gates[3 * units..].iter_mut().for_each(|gate| *gate = tanh(*gate));
        let mut cell = vec![0.0; units];
        let mut hidden = vec![0.0; units];
        for unit in 0..units {
            let gate = |gate: usize| gates[gate * units + unit];
            let [input_gate, forget_gate, output_gate, candidate] = [0, 1, 2, 3].map(gate);
            let cell_before = before.map_or(0.0, |before| before.cell[unit]);
            cell[unit] = input_gate * candidate + forget_gate * cell_before;
            hidden[unit] = output_gate * tanh(cell[unit]);
        }
        let mut logits = self.weights[output_bias..].to_vec();
        for (unit, &hidden) in hidden.iter().enumerate() {
            add(&mut logits, hidden, &self.weights[output + self.actions.len() * unit..]);
        }
        let number = |action: &Action| self.actions.iter().position(|other| other == action);
        let legal = legal.iter().filter_map(number);
        let mut policy: Vec<_> = legal.map(|action| (action, logits[action])).collect();
        let most = policy.iter().map(|&(_, logit)| logit).fold(f64::NEG_INFINITY, f64::max);
        policy.iter_mut().for_each(|(_, logit)| *logit = exp(*logit - most));
        let sum: f64 = policy.iter().map(|&(_, weight)| weight).sum();
        policy.iter_mut().for_each(|(_, weight)| *weight /= sum);
        let chosen = choose(&policy);
        ControllerStep { input, gates, cell, hidden, policy, chosen }
    }

    /// The steps of a network whose next layer `choose` names, from the policy of a step.
    fn walk(
        &self,
        space: &Space,
        mut choose: impl FnMut(&[(usize, f64)]) -> usize,
    ) -> Vec<ControllerStep> {
        let mut steps: Vec<ControllerStep> = Vec::new();
        let (mut here, mut mask) = (Some(space.start()), space.mask());
        while let Some(state) = here {
            let legal = space.legal_actions_at(&state, mask);
            let step = self.step(steps.last(), &legal, &mut choose);
            let layer = self.actions[step.chosen];
            here = space.next(&state, layer);
            mask = mask.and_then(|mask| mask.after(layer));
            steps.push(step);
        }
        steps
    }

    /// The layers of a network, and its probability.
    pub fn sample(&self, space: &Space, rng: &mut ChaCha8Rng) -> (Vec<Action>, f64) {
        let steps = self.walk(space, |policy| {
            let mut left = rng.random::<f64>();
            let drawn = policy.iter().find(|(_, probability)| {
                left -= probability;
                left < 0.0
            });
            // Rounding may leave a little after the last.
            drawn.or(policy.last()).expect("some action is always legal").0
        });
        let layers = steps.iter().map(|step| self.actions[step.chosen]).collect();
        (layers, exp(log_probability(&steps)))
    }

    fn replay(&self, space: &Space, layers: &[Action]) -> Vec<ControllerStep> {
        let mut layers = layers.iter();
        self.walk(space, |_| {
            let layer = layers.next().expect("a network ends with the softmax");
            self.actions.iter().position(|action| action == layer).expect("of the space")
        })
    }

    /// One step of Adam along the gradient of log probability times advantage.
    pub fn learn(&mut self, space: &Space, layers: &[Action], reward: f64) {
        const DECAYS: [f64; 2] = [0.9, 0.999];
        let baseline = self.baseline.unwrap_or(reward);
        let decay = self.params.baseline_decay;
        self.baseline = Some(decay * baseline + (1.0 - decay) * reward);
        let gradient = self.gradient(&self.replay(space, layers));
        self.updates += 1;
        let unbiased = DECAYS.map(|decay| 1.0 - pow(decay, f64::from(self.updates)));
        let ([means, variances], rate) = (&mut self.moments, self.params.learning_rate);
        for (weight, slope, mean, variance) in izip!(&mut self.weights, gradient, means, variances)
        {
            let slope = (reward - baseline) * slope;
            *mean = DECAYS[0] * *mean + (1.0 - DECAYS[0]) * slope;
            *variance = DECAYS[1] * *variance + (1.0 - DECAYS[1]) * square(slope);
            let deviation = (*variance / unbiased[1]).sqrt();
            *weight += rate * (*mean / unbiased[0]) / (deviation + 1e-8);
        }
    }

    /// Of the log probability of what was chosen, by each weight: back through the steps.
    fn gradient(&self, steps: &[ControllerStep]) -> Vec<f64> {
        let (units, [recurrent, bias, output, output_bias, end]) = (self.units(), self.parts());
        let mut gradient = vec![0.0; end];
        let mut of_hidden = vec![0.0; units];
        let mut of_cell = vec![0.0; units];
        for (number, step) in steps.iter().enumerate().rev() {
            // 0 for what is not legal.
            let mut of_logits = vec![0.0; self.actions.len()];
            for &(action, probability) in &step.policy {
                of_logits[action] = f64::from(u8::from(action == step.chosen)) - probability;
            }
            add(&mut gradient[output_bias..], 1.0, &of_logits);
            for (unit, of_hidden) in of_hidden.iter_mut().enumerate() {
                let row = output + of_logits.len() * unit;
                add(&mut gradient[row..], step.hidden[unit], &of_logits);
                *of_hidden += dot(&self.weights[row..], &of_logits);
            }
            let before = number.checked_sub(1).map(|before| &steps[before]);
            let mut of_sums = vec![0.0; 4 * units];
            for unit in 0..units {
                let gate = |gate: usize| step.gates[gate * units + unit];
                let [input_gate, forget_gate, output_gate, candidate] = [0, 1, 2, 3].map(gate);
                let squashed = tanh(step.cell[unit]);
                of_cell[unit] += of_hidden[unit] * output_gate * (1.0 - square(squashed));
                let cell_before = before.map_or(0.0, |before| before.cell[unit]);
                of_sums[unit] = of_cell[unit] * candidate * input_gate * (1.0 - input_gate);
                of_sums[units + unit] =
                    of_cell[unit] * cell_before * forget_gate * (1.0 - forget_gate);
                of_sums[2 * units + unit] =
                    of_hidden[unit] * squashed * output_gate * (1.0 - output_gate);
                of_sums[3 * units + unit] = of_cell[unit] * input_gate * (1.0 - square(candidate));
                of_cell[unit] *= forget_gate;
            }
            add(&mut gradient[bias..], 1.0, &of_sums);
            add(&mut gradient[4 * units * step.input..], 1.0, &of_sums);
            for (unit, &hidden) in before.iter().flat_map(|before| before.hidden.iter().enumerate())
            {
                let row = recurrent + 4 * units * unit;
                add(&mut gradient[row..], hidden, &of_sums);
                of_hidden[unit] = dot(&self.weights[row..], &of_sums);
            }
        }
        gradient
    }
}

fn log_probability(steps: &[ControllerStep]) -> f64 {
    let of = |step: &ControllerStep| {
        ln(step.policy.iter().find(|(action, _)| *action == step.chosen).expect("legal").1)
    };
    steps.iter().map(of).sum()
}

/// As many as the shorter has.
fn add(to: &mut [f64], factor: f64, values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += factor * value);
}

/// Of as many as the shorter has, summed in their order.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs::File;

    use flate2::read::GzDecoder;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::maths::mean;
    use crate::space::{DataShape, Layer, SpaceParams};

    fn space() -> Space {
        let params = SpaceParams {
            max_layers: 4,
            filters: vec![8, 16],
            fc_widths: vec![32],
            ..SpaceParams::default()
        };
        params.check(DataShape { size: 16, channels: 1, classes: 10 }).unwrap()
    }

    fn controller(params: PolicyGradientParams) -> Controller {
        Controller::new(&space(), params, &mut ChaCha8Rng::seed_from_u64(5))
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (space, mut rng) = (space(), ChaCha8Rng::seed_from_u64(6));
        let mut controller =
            controller(PolicyGradientParams { units: 3, ..PolicyGradientParams::default() });
        // Larger weights, so that the nonlinearities are seen.
        controller.weights.iter_mut().for_each(|weight| *weight *= 10.0);
        let drawn = iter::repeat_with(|| controller.sample(&space, &mut rng).0);
        let layers = drawn.take(100).max_by_key(Vec::len).unwrap();
        assert_eq!(layers.len(), 5);
        let gradient = controller.gradient(&controller.replay(&space, &layers));
        let step = 1e-5;
        for (place, slope) in gradient.into_iter().enumerate() {
            let mut moved = |by: f64| {
                controller.weights[place] += by;
                log_probability(&controller.replay(&space, &layers))
            };
            let difference = (moved(step) - moved(-2.0 * step)) / (2.0 * step);
            moved(step);
            assert!((difference - slope).abs() < 1e-7, "{place}: {difference} and {slope}");
        }
    }

    #[test]
    fn what_is_drawn_is_legal_and_as_likely_as_it_says() {
        let (space, mut rng) = (space(), ChaCha8Rng::seed_from_u64(7));
        let controller = controller(PolicyGradientParams::default());
        let draws = 20_000;
        let (mut times, mut probability) = (0.0, 0.0);
        for _ in 0..draws {
            let (layers, likely) = controller.sample(&space, &mut rng);
            assert!(space.architecture(layers.clone()).is_ok());
            if let [Layer::GlobalAveragePool { .. }, _] = layers[..] {
                (times, probability) = (times + 1.0, likely);
            }
        }
        let deviation = (probability * (1.0 - probability) / f64::from(draws)).sqrt();
        assert!((times / f64::from(draws) - probability).abs() < 4.0 * deviation);
    }

    /// Of 400 draws, repeats included, the mean of the first and last hundred: reward and surprise,
    /// whose mean is the entropy.
    fn learning(space: &Space, reward: impl Fn(&[Action]) -> f64) -> [[f64; 2]; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let params = PolicyGradientParams::default();
        let mut controller = Controller::new(space, params, &mut rng);
        let draws = (0..400).map(|_| {
            let (layers, probability) = controller.sample(space, &mut rng);
            controller.learn(space, &layers, reward(&layers));
            [reward(&layers), -ln(probability)]
        });
        let draws = draws.collect_vec();
        [0, 1].map(|which| {
            [0, 300].map(|from| mean(draws[from..from + 100].iter().map(|it| it[which])))
        })
    }

    #[test]
    fn rewards_rise_and_the_entropy_falls() {
        let is_large = |layer: &&Action| matches!(layer, Layer::Conv { filters: 16, .. });
        let [[early, late], [wide, narrow]] =
            learning(&space(), |layers| layers.iter().filter(is_large).count() as f64 / 4.0);
        assert!(late > early + 0.3, "{early} to {late}");
        assert!(narrow < 0.7 * wide, "{wide} to {narrow}");
    }

    /// The networks of `configs/fashion_grid.yaml`, with the accuracies that they really had.
    #[test]
    fn on_images_rewards_rise_and_the_entropy_falls() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fashion-grid.csv.gz");
        let mut rewards = HashMap::new();
        let text = GzDecoder::new(File::open(file).unwrap());
        for row in csv::Reader::from_reader(text).deserialize::<HashMap<String, String>>() {
            let row = row.unwrap();
            let accuracy = row["validation_accuracy"].parse().unwrap_or(0.1);
            let best = rewards.entry(row["architecture"].clone()).or_insert(0.1_f64);
            *best = best.max(accuracy);
        }
        let params: SpaceParams = serde_yaml::from_str(
            "{max_layers: 5, filters: [4, 8], kernels: [1, 3], pools: [[2, 2]], fc_widths: [32], \
             max_fc_layers: 1}",
        )
        .unwrap();
        let space = params.check(DataShape { size: 28, channels: 1, classes: 10 }).unwrap();
        let [[early, late], [wide, narrow]] = learning(&space, |layers| {
            rewards[&space.architecture(layers.to_vec()).unwrap().to_string()]
        });
        assert!(late > early + 0.05, "{early} to {late}");
        assert!(narrow < 0.7 * wide, "{wide} to {narrow}");
    }
}
