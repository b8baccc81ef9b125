//! How every parameter begins: nothing is left to a library's default.

use metaqnn::training::Initialisation;
use tch::TchError;

use super::parameters::{Parameters, Role};

/// Draws the weights, uniform in `[-bound, bound]`, from libtorch's generator, which the caller
/// seeds, in the order of the layers; biases become 0, scales 1. Caffe's "Xavier", which the
/// published code used, has variance `1 / fan_in`; Glorot and Bengio (2010, equation 16) are those
/// whom the paper cites.
pub fn initialise(parameters: &Parameters, form: Initialisation) -> Result<(), TchError> {
    let _guard = tch::no_grad_guard();
    for (shape, parameter) in parameters.iter() {
        let mut parameter = parameter.shallow_clone();
        let _ = match shape.role {
            Role::Weight => {
                let area: i64 = shape.size[2..].iter().product();
                let (fan_in, fan_out) = (shape.size[1] * area, shape.size[0] * area);
                let bound = match form {
                    Initialisation::CaffeXavier => (3.0 / fan_in as f64).sqrt(),
                    Initialisation::Glorot => (6.0 / (fan_in + fan_out) as f64).sqrt(),
                };
                parameter.f_uniform_(-bound, bound)?
            }
            Role::Bias => parameter.f_fill_(0.0)?,
            Role::Scale => parameter.f_fill_(1.0)?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::alone;
    use crate::parameters::ParameterShape;
    use tch::{Device, Kind};

    #[test]
    fn weights_fill_their_range_and_nothing_else_is_random() {
        let _alone = alone();
        let shape =
            |size: &[i64], role| ParameterShape { name: String::new(), size: size.to_vec(), role };
        let shapes = vec![
            shape(&[64, 3, 3, 3], Role::Weight),
            shape(&[64], Role::Bias),
            shape(&[64], Role::Scale),
            shape(&[10], Role::Bias),
        ];
        let parameters = Parameters::zeros(shapes, Device::Cpu).unwrap();
        // sqrt(3 / 27) = 1/3; sqrt(6 / 603) = 0.09975.
        for (form, bound) in
            [(Initialisation::CaffeXavier, 1.0 / 3.0), (Initialisation::Glorot, 0.09975)]
        {
            tch::manual_seed(1);
            initialise(&parameters, form).unwrap();
            let weight = parameters.view(0);
            let most = weight.abs().max().double_value(&[]);
            assert!(most < bound + 1e-4 && most > 0.98 * bound, "{most} for {bound}");
            // A uniform distribution's variance is bound^2 / 3.
            let variance = weight.var(false).double_value(&[]);
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.1);
        }
        assert_eq!(parameters.view(1).abs().max().double_value(&[]), 0.0);
        assert_eq!(parameters.view(2).min().double_value(&[]), 1.0);
        // The padding between the parts stays 0: 64 * 27 + 64 + 64 values are no padding.
        let rest = parameters.flat().narrow(0, 64 * 29, 64).sum(Kind::Float).double_value(&[]);
        assert_eq!(rest, 0.0);
    }
}
