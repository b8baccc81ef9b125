//! From the layers of a request to the steps and parameters of a network. No tensors yet.

use metaqnn::model::{Module, sequential};
use metaqnn::training::protocol::LayerDescription;
use tch::Kind;

use super::error::TorchError;
use super::parameters::{ParameterShape, Role};

/// One module at work on a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedModule {
    pub module: Module,
    /// The index of its weight, if it has one; its bias is the next.
    pub weight: usize,
    /// Of the running statistics, if it has some.
    pub running: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub steps: Vec<PlannedModule>,
    pub shapes: Vec<ParameterShape>,
    /// The number of each batch normalisation among the modules, and its channels.
    pub running: Vec<(usize, i64)>,
    /// What convolutions and dense layers compute in.
    pub precision: Kind,
}

impl Plan {
    pub fn new(
        layers: &[LayerDescription],
        input_size: u32,
        channels: u32,
        precision: Kind,
    ) -> Result<Self, TorchError> {
        let modules = sequential(layers, channels, input_size)
            .map_err(|error| TorchError::Request(format!("{error} (in the request)")))?;
        let mut plan = Self { steps: vec![], shapes: vec![], running: vec![], precision };
        for (number, module) in modules.into_iter().enumerate() {
            let (weight, running) = (plan.shapes.len(), plan.running.len());
            plan.steps.push(PlannedModule { module, weight, running });
            let mut role = Role::Weight;
            if let Module::BatchNorm2d { num_features } = module {
                role = Role::Scale;
                plan.running.push((number, num_features));
            }
            for ((name, size), role) in module.tensors().into_iter().zip([role, Role::Bias]) {
                plan.shapes.push(ParameterShape { name: format!("{number}.{name}"), size, role });
            }
        }
        rectify_after_pooling(&mut plan.steps);
        Ok(plan)
    }
}

/// Moves a ReLU that stands right before a pooling behind it: max(relu(x)) = relu(max(x)), and the
/// gradient is the same too, but a quarter of the values or fewer are left to rectify.
fn rectify_after_pooling(steps: &mut [PlannedModule]) {
    for index in 1..steps.len() {
        if let [Module::ReLU {}, Module::MaxPool2d { .. }] =
            [steps[index - 1].module, steps[index].module]
        {
            steps.swap(index - 1, index);
        }
    }
}
