//! The optimizers, by hand, since libtorch's own through tch can neither be saved nor resumed.
//!
//! They work on the flat tensors of [`super::parameters`]: a few passes over all parameters,
//! whatever their number. State and scratch are allocated once, so that a step allocates nothing
//! and cannot run out of memory half-way.

use metaqnn::maths::pow;
use metaqnn::training::{OptimizerKind, Recipe};
use tch::{TchError, Tensor};

/// An L2 penalty enters the gradient, biases included, as in the published code (not the decoupled
/// decay of "AdamW"): g = gradient + `weight_decay` * p.
#[derive(Debug)]
pub struct Optimizer {
    /// 0-dimensional, since libtorch's fused multiply-add takes tensors only.
    weight_decay: Tensor,
    pub steps: i64,
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// Adam (Kingma and Ba, 2015, algorithm 1): with t the step from 1,
    /// m = `beta1` m + (1 - `beta1`) g; v = `beta2` v + (1 - `beta2`) g^2;
    /// p = p - rate * (m / (1 - `beta1`^t)) / (sqrt(v / (1 - `beta2`^t)) + `epsilon`).
    Adam { betas: [f64; 2], epsilon: f64, mean: Tensor, mean_square: Tensor, scratch: Tensor },
    /// Stochastic gradient descent as PyTorch has it: v = `momentum` v + g; p = p - rate * v.
    ///
    /// Caffe, with which the paper's networks were trained, has the rate inside the velocity, v =
    /// `momentum` v + rate * g. The two differ in the steps after a change of the rate alone: there
    /// an old gradient still counts with its old rate (for ten steps or so, at 0.9).
    Sgd { momentum: f64, velocity: Tensor },
}

impl Optimizer {
    pub fn new(recipe: &Recipe, parameters: &Tensor) -> Result<Self, TchError> {
        let zeros = || parameters.f_zeros_like();
        let options = (parameters.kind(), parameters.device());
        let method = match recipe.optimizer {
            OptimizerKind::Adam => Method::Adam {
                betas: [recipe.beta1, recipe.beta2],
                epsilon: recipe.adam_epsilon,
                mean: zeros()?,
                mean_square: zeros()?,
                scratch: zeros()?,
            },
            OptimizerKind::Sgd => Method::Sgd { momentum: recipe.momentum, velocity: zeros()? },
        };
        let weight_decay = Tensor::f_full([0_i64; 0], recipe.weight_decay, options)?;
        Ok(Self { weight_decay, steps: 0, method })
    }

    pub fn reset(&mut self) -> Result<(), TchError> {
        self.steps = 0;
        self.tensors().into_iter().try_for_each(|(_, mut tensor)| tensor.f_zero_().map(drop))
    }

    /// By name, in memory shared with its own; with [`Self::steps`] they are its state.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let tensors = match &self.method {
            Method::Adam { mean, mean_square, .. } => {
                vec![("adam.mean", mean), ("adam.mean_square", mean_square)]
            }
            Method::Sgd { velocity, .. } => vec![("sgd.velocity", velocity)],
        };
        let shared = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.shallow_clone());
        tensors.into_iter().map(shared).collect()
    }

    /// Changes `parameters` by one step along `gradient`, which it uses up.
    pub fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &mut Tensor,
        learning_rate: f64,
    ) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let _ = gradient.f_addcmul_(parameters, &self.weight_decay)?;
        match &mut self.method {
            Method::Adam { betas, epsilon, mean, mean_square, scratch } => {
                let [correction1, correction2] = betas.map(|b| 1.0 - pow(b, self.steps as f64));
                let _ = mean.f_lerp_(gradient, 1.0 - betas[0])?;
                let square = gradient.f_mul_out(scratch, gradient)?;
                let _ = mean_square.f_lerp_(&square, 1.0 - betas[1])?;
                // p -= factor * m / (sqrt(v) + epsilon * sqrt(correction2)), the formula above with
                // its fraction expanded by sqrt(correction2); the factor goes into the denominator.
                let factor = learning_rate * correction2.sqrt() / correction1;
                let mut denominator = mean_square.f_sqrt_out(scratch)?;
                let _ = denominator.f_add_scalar_(*epsilon * correction2.sqrt())?;
                let _ = denominator.f_mul_scalar_(-1.0 / factor)?;
                parameters.f_addcdiv_(mean, &denominator).map(drop)
            }
            Method::Sgd { momentum, velocity } => {
                let velocity = velocity.f_mul_scalar_(*momentum)?.f_add_(gradient)?;
                // The gradient is used up: it has room for the step.
                let step = velocity.f_mul_scalar_out(gradient, learning_rate)?;
                parameters.f_sub_(&step).map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(tch::Kind::Double)).unwrap()
    }

    #[test]
    fn two_steps_by_hand() {
        let recipe = Recipe::default();
        let mut parameters = Tensor::from_slice(&[1.0_f64, -2.0]);
        let mut adam = Optimizer::new(&recipe, &parameters).unwrap();
        // Step 1: g = 0.5 + 0.0005 * 1 = 0.5005. Both corrections cancel: m^ = g, v^ = g^2, so
        // the step is 0.001 * g / (|g| + 1e-8) = 0.001 * (1 - 2e-8), away from the sign of g.
        // For the second, g = -1 + 0.0005 * -2 = -1.001.
        adam.step(&mut parameters, &mut Tensor::from_slice(&[0.5, -1.0]), 0.001).unwrap();
        let found = values(&parameters);
        assert!((found[0] - (1.0 - 0.001 * (1.0 - 1e-8 / 0.5005))).abs() < 1e-14);
        assert!((found[1] - (-2.0 + 0.001 * (1.0 - 1e-8 / 1.001))).abs() < 1e-14);
        // Step 2 with gradient 0.1: g = 0.1 + 0.0005 * 0.99900000002 = 0.10049950000001. m = 0.9 *
        // 0.05005 + 0.1 * g = 0.045045 + 0.01004995 = 0.05509495; m^ = m / 0.19 = 0.28997342. v =
        // 0.999 * 0.00025050025 + 0.001 * g^2 = 0.00025024975 + 0.00001010015 = 0.0002603499; v^ =
        // v / 0.001999 = 0.13024007; step = 0.0002 * 0.28997342 / (0.36088789 + 1e-8) =
        // 0.000160699996.
        adam.step(&mut parameters, &mut Tensor::from_slice(&[0.1, 0.0]), 0.0002).unwrap();
        assert!((values(&parameters)[0] - (0.99900000002 - 0.000160699996)).abs() < 1e-10);
        assert_eq!(adam.steps, 2);
    }

    #[test]
    fn momentum_and_penalty_are_those_of_pytorch() {
        let (optimizer, weight_decay) = (OptimizerKind::Sgd, 0.01);
        let recipe = Recipe { optimizer, weight_decay, ..Recipe::default() };
        let mut parameters = Tensor::from_slice(&[1.0_f64, -2.0]);
        let mut sgd = Optimizer::new(&recipe, &parameters).unwrap();
        // PyTorch 2.11: SGD(lr=.., momentum=0.9, weight_decay=0.01). By hand, the first value: v =
        // 0.5 + 0.01 = 0.51, p = 1 - 0.051; v = 0.9 * 0.51 + 0.1 + 0.00949 = 0.56849, p = 0.949 -
        // 0.056849.
        for (gradient, rate, expected) in [
            ([0.5, -1.0], 0.1, [0.949, -1.898]),
            ([0.1, 0.0], 0.1, [0.892_151, -1.804_302]),
            ([-0.3, 0.7], 0.02, [0.887_739_749_8, -1.801_075_499_6]),
        ] {
            sgd.step(&mut parameters, &mut Tensor::from_slice(&gradient), rate).unwrap();
            let found = values(&parameters);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        }
    }

    #[test]
    fn a_value_without_gradient_and_penalty_stays_zero() {
        let mut parameters = Tensor::from_slice(&[0.0_f32]);
        let mut adam = Optimizer::new(&Recipe::default(), &parameters).unwrap();
        for _ in 0..3 {
            adam.step(&mut parameters, &mut Tensor::from_slice(&[0.0_f32]), 0.001).unwrap();
        }
        assert_eq!(values(&parameters), [0.0]);
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_had_happened() {
        for optimizer in [OptimizerKind::Adam, OptimizerKind::Sgd] {
            let recipe = Recipe { optimizer, ..Recipe::default() };
            let mut parameters = Tensor::from_slice(&[0.3_f32, -0.7]);
            let mut whole = Optimizer::new(&recipe, &parameters).unwrap();
            let gradient = || Tensor::from_slice(&[0.2_f32, 0.1]);
            whole.step(&mut parameters, &mut gradient(), 0.001).unwrap();
            let mut copy = parameters.copy();
            let mut resumed = Optimizer::new(&recipe, &copy).unwrap();
            for ((_, mut own), (_, saved)) in resumed.tensors().into_iter().zip(whole.tensors()) {
                own.copy_(&saved);
            }
            resumed.steps = whole.steps;
            whole.step(&mut parameters, &mut gradient(), 0.001).unwrap();
            resumed.step(&mut copy, &mut gradient(), 0.001).unwrap();
            assert_eq!(values(&parameters), values(&copy));
            whole.reset().unwrap();
            assert!(whole.tensors().iter().all(|(_, tensor)| values(tensor) == [0.0, 0.0]));
        }
    }
}
