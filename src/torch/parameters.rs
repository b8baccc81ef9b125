//! The parameters of a network: one flat tensor, and for every weight a view of its part.
//! An optimizer step is then a handful of operations however many layers there are (on a GPU the
//! number of kernel launches counts, not the number of weights), and a checkpoint is a few tensors.

use tch::{Device, Kind, TchError, Tensor};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Weight,
    Bias,
    Scale,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterShape {
    /// Its name in PyTorch's `Sequential`.
    pub name: String,
    /// `[outputs, inputs, kernel, kernel]`, `[outputs, inputs]` or `[outputs]`.
    pub size: Vec<i64>,
    pub role: Role,
}

impl ParameterShape {
    fn count(&self) -> i64 {
        self.size.iter().product()
    }

    /// How many values its part of the flat tensor holds, padding included.
    fn padded(&self) -> i64 {
        (self.count() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
    }
}

/// Every view begins at a multiple of so many values (256 bytes, what an allocation of its own
/// would give): cuDNN's and oneDNN's fast paths ask for aligned weights.
const ALIGNMENT: i64 = 64;

#[derive(Debug)]
pub struct Parameters {
    /// Every value, padding included, which is 0 and stays so. No gradient is recorded on it.
    flat: Tensor,
    /// The gradient of the loss in the layout of `flat`.
    gradient: Tensor,
    /// Views of `flat` and leaves of the autograd graph.
    views: Vec<Tensor>,
    shapes: Vec<ParameterShape>,
    zeros: Tensor,
}

impl Parameters {
    /// Weights of convolutions lie channels last in memory, as the maps do.
    pub fn zeros(shapes: Vec<ParameterShape>, device: Device) -> Result<Self, TchError> {
        let _guard = tch::no_grad_guard();
        let total = shapes.iter().map(ParameterShape::padded).sum::<i64>();
        let flat = Tensor::f_zeros([total], (Kind::Float, device))?;
        let mut views = Vec::with_capacity(shapes.len());
        let mut offset = 0;
        for shape in &shapes {
            let part = flat.f_narrow(0, offset, shape.count())?;
            let view = match shape.size[..] {
                [outputs, inputs, height, width] => {
                    part.f_view([outputs, height, width, inputs])?.f_permute([0, 3, 1, 2])?
                }
                _ => part.f_view(&shape.size[..])?,
            };
            views.push(view.f_set_requires_grad(true)?);
            offset += shape.padded();
        }
        Ok(Self {
            gradient: flat.f_zeros_like()?,
            zeros: Tensor::f_zeros([ALIGNMENT], (Kind::Float, device))?,
            flat,
            views,
            shapes,
        })
    }

    pub fn view(&self, index: usize) -> &Tensor {
        &self.views[index]
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ParameterShape, &Tensor)> {
        self.shapes.iter().zip(&self.views)
    }

    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    #[cfg(test)]
    pub fn count(&self) -> i64 {
        self.shapes.iter().map(ParameterShape::count).sum()
    }

    pub fn backward(&mut self, loss: &Tensor, accumulation: Accumulation) -> Result<(), TchError> {
        let gradients = Tensor::f_run_backward(&[loss], &self.views, false, false)?;
        let _guard = tch::no_grad_guard();
        let mut pieces = Vec::with_capacity(2 * gradients.len());
        for (gradient, shape) in gradients.iter().zip(&self.shapes) {
            let dense = match shape.size.len() {
                4 => gradient.f_permute([0, 2, 3, 1])?,
                _ => gradient.shallow_clone(),
            };
            pieces.push(dense.f_reshape([-1])?);
            if shape.padded() > shape.count() {
                pieces.push(self.zeros.f_narrow(0, 0, shape.padded() - shape.count())?);
            }
        }
        let _ = match accumulation {
            Accumulation::Fresh => Tensor::f_cat_out(&self.gradient, &pieces, 0)?,
            Accumulation::Added => self.gradient.f_add_(&Tensor::f_cat(&pieces, 0)?)?,
        };
        Ok(())
    }

    pub fn for_update(&mut self) -> (&mut Tensor, &mut Tensor) {
        (&mut self.flat, &mut self.gradient)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulation {
    Fresh,
    Added,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> Vec<ParameterShape> {
        let shapes: [(&[i64], Role); 3] =
            [(&[3, 2, 3, 3], Role::Weight), (&[3], Role::Bias), (&[5, 12], Role::Weight)];
        let shape = |(size, role): (&[i64], Role)| ParameterShape {
            name: String::new(),
            size: size.to_vec(),
            role,
        };
        shapes.map(shape).to_vec()
    }

    #[test]
    fn parts_are_aligned_and_convolutions_lie_channels_last() {
        let parameters = Parameters::zeros(shapes(), Device::Cpu).unwrap();
        // 54, 3 and 60 values, each in a part of 64.
        assert_eq!((parameters.count(), parameters.flat().numel()), (117, 192));
        assert_eq!(parameters.view(0).stride(), [18, 1, 6, 2]);
        let begin = parameters.flat().data_ptr() as usize;
        for (index, part) in [0, 1, 2].into_iter().enumerate() {
            assert_eq!(parameters.view(index).data_ptr() as usize - begin, part * 256);
        }
    }

    #[test]
    fn the_flat_gradient_is_that_of_each_parameter_in_its_place() {
        let mut parameters = Parameters::zeros(shapes(), Device::Cpu).unwrap();
        // The gradient of sum(c * p) is c. The constants of the convolution come in the usual
        // order.
        let constants: Vec<Tensor> = shapes()
            .iter()
            .map(|shape| {
                Tensor::arange(shape.count(), (Kind::Float, Device::Cpu)).view(&shape.size[..])
            })
            .collect();
        let loss = |parameters: &Parameters| {
            let terms = constants.iter().zip(parameters.iter());
            terms
                .map(|(constant, (_, parameter))| (constant * parameter).sum(Kind::Float))
                .sum::<Tensor>()
        };
        let total = loss(&parameters);
        parameters.backward(&total, Accumulation::Fresh).unwrap();
        // A step along the flat gradient moves every view by its constants.
        let _guard = tch::no_grad_guard();
        let (values, gradient) = parameters.for_update();
        let _ = values.f_add_(gradient).unwrap();
        for (constant, (_, parameter)) in constants.iter().zip(parameters.iter()) {
            assert!(constant.allclose(parameter, 0.0, 0.0, false));
        }
        assert_eq!(
            parameters.flat().sum(Kind::Float),
            Tensor::from(54. * 53. / 2. + 3. + 60. * 59. / 2.).to_kind(Kind::Float)
        );
    }

    #[test]
    fn gradients_of_micro_batches_add_up() {
        let mut parameters = Parameters::zeros(shapes(), Device::Cpu).unwrap();
        for accumulation in [Accumulation::Fresh, Accumulation::Added, Accumulation::Added] {
            let loss = parameters.view(1).sum(Kind::Float)
                + parameters.view(0).sum(Kind::Float)
                + parameters.view(2).sum(Kind::Float);
            parameters.backward(&loss, accumulation).unwrap();
        }
        let gradient = parameters.for_update().1;
        assert_eq!(gradient.sum(Kind::Float).double_value(&[]), 3.0 * 117.0);
        assert_eq!(gradient.max().double_value(&[]), 3.0);
    }
}
