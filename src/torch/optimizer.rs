//! Adam, by hand, since libtorch's own through tch can neither be saved nor resumed.
//!
//! It works on the flat tensors of [`super::parameters`]: eight passes over all parameters,
//! whatever their number. State and scratch are allocated once, so that a step allocates nothing
//! and cannot run out of memory half-way.

use metaqnn::maths::pow;
use metaqnn::training::Recipe;
use tch::{TchError, Tensor};

/// Adam (Kingma and Ba, 2015, algorithm 1) with an L2 penalty in the gradient.
///
/// With g = gradient + `weight_decay` * p and t the step from 1:
/// m = `beta1` m + (1 - `beta1`) g; v = `beta2` v + (1 - `beta2`) g^2;
/// p = p - rate * (m / (1 - `beta1`^t)) / (sqrt(v / (1 - `beta2`^t)) + `epsilon`).
///
/// The penalty enters the gradient, biases included, as in the published code: not the decoupled
/// decay of "AdamW".
#[derive(Debug)]
pub struct Adam {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    /// 0-dimensional, since libtorch's fused multiply-add takes tensors only.
    weight_decay: Tensor,
    pub steps: i64,
    /// Decayed means `[total]` of the gradients and of their squares.
    mean: Tensor,
    mean_square: Tensor,
    scratch: Tensor,
}

impl Adam {
    pub fn new(recipe: &Recipe, parameters: &Tensor) -> Result<Self, TchError> {
        let zeros = || parameters.f_zeros_like();
        Ok(Self {
            beta1: recipe.beta1,
            beta2: recipe.beta2,
            epsilon: recipe.adam_epsilon,
            weight_decay: Tensor::f_full(
                [0_i64; 0],
                recipe.weight_decay,
                (parameters.kind(), parameters.device()),
            )?,
            steps: 0,
            mean: zeros()?,
            mean_square: zeros()?,
            scratch: zeros()?,
        })
    }

    pub fn reset(&mut self) -> Result<(), TchError> {
        self.steps = 0;
        let _ = self.mean.f_zero_()?;
        let _ = self.mean_square.f_zero_()?;
        Ok(())
    }

    /// Its means by name, in memory shared with its own; with [`Self::steps`] they are its state.
    pub fn tensors(&self) -> [(String, Tensor); 2] {
        [("adam.mean", &self.mean), ("adam.mean_square", &self.mean_square)]
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
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
        let correction = |beta: f64| 1.0 - pow(beta, self.steps as f64);
        let (correction1, correction2) = (correction(self.beta1), correction(self.beta2));

        let _ = gradient.f_addcmul_(parameters, &self.weight_decay)?;
        let _ = self.mean.f_lerp_(gradient, 1.0 - self.beta1)?;
        let square = gradient.f_mul_out(&self.scratch, gradient)?;
        let _ = self.mean_square.f_lerp_(&square, 1.0 - self.beta2)?;
        // p -= factor * m / (sqrt(v) + epsilon * sqrt(correction2)), the formula above with its
        // fraction expanded by sqrt(correction2); the factor goes into the denominator.
        let factor = learning_rate * correction2.sqrt() / correction1;
        let mut denominator = self.mean_square.f_sqrt_out(&self.scratch)?;
        let _ = denominator.f_add_scalar_(self.epsilon * correction2.sqrt())?;
        let _ = denominator.f_mul_scalar_(-1.0 / factor)?;
        let _ = parameters.f_addcdiv_(&self.mean, &denominator)?;
        Ok(())
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
        let mut adam = Adam::new(&recipe, &parameters).unwrap();
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
    fn a_value_without_gradient_and_penalty_stays_zero() {
        let mut parameters = Tensor::from_slice(&[0.0_f32]);
        let mut adam = Adam::new(&Recipe::default(), &parameters).unwrap();
        for _ in 0..3 {
            adam.step(&mut parameters, &mut Tensor::from_slice(&[0.0_f32]), 0.001).unwrap();
        }
        assert_eq!(values(&parameters), [0.0]);
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_had_happened() {
        let recipe = Recipe::default();
        let mut parameters = Tensor::from_slice(&[0.3_f32, -0.7]);
        let mut adam = Adam::new(&recipe, &parameters).unwrap();
        let gradient = || Tensor::from_slice(&[0.2_f32, 0.1]);
        adam.step(&mut parameters, &mut gradient(), 0.001).unwrap();
        let mut copy = parameters.copy();
        let mut resumed = Adam::new(&recipe, &copy).unwrap();
        for ((_, mut own), (_, saved)) in resumed.tensors().into_iter().zip(adam.tensors()) {
            own.copy_(&saved);
        }
        resumed.steps = adam.steps;
        adam.step(&mut parameters, &mut gradient(), 0.001).unwrap();
        resumed.step(&mut copy, &mut gradient(), 0.001).unwrap();
        assert_eq!(values(&parameters), values(&copy));
    }
}
