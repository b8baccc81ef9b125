//! From the layers of a request to the operations and parameters of a network. No tensors yet.
//!
//! Order of the operations: convolution, (batch normalisation), ReLU, (dropout); (batch
//! normalisation), pooling, (dropout); dense, ReLU, (dropout); the classifier.

use metaqnn::space::{PoolRounding, pool_output};
use metaqnn::training::protocol::LayerDescription;
use tch::Kind;

use super::error::TorchError;
use super::parameters::{ParameterShape, Role};

/// One operation on a batch. A `weight` or `scale` is the index of a parameter; its bias or shift
/// is the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    Convolution { weight: usize, stride: i64, padding: i64 },
    BatchNorm { scale: usize, running: usize },
    Relu,
    MaxPool { kernel: i64, stride: i64, ceil: bool },
    Dropout { probability: f64 },
    GlobalMean,
    Flatten,
    Dense { weight: usize },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub layers: Vec<Vec<Operation>>,
    pub shapes: Vec<ParameterShape>,
    /// Channels of each batch normalisation.
    pub running: Vec<i64>,
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
        let plan = Self { layers: Vec::new(), shapes: Vec::new(), running: Vec::new(), precision };
        let mut planner =
            Planner { plan, side: input_size, channels: channels.into(), flat: false };
        for (index, layer) in layers.iter().enumerate() {
            // Counted from 1, dropout too.
            let at = |problem| format!("layer {} of the request {problem}", index + 1);
            let operations =
                planner.layer(layer).map_err(|problem| TorchError::Request(at(problem)))?;
            planner.plan.layers.push(operations);
        }
        rectify_after_pooling(&mut planner.plan.layers);
        Ok(planner.plan)
    }
}

/// Moves a ReLU that stands right before a pooling behind it: max(relu(x)) = relu(max(x)), and the
/// gradient is the same too, but a quarter of the values or fewer are left to rectify.
fn rectify_after_pooling(layers: &mut [Vec<Operation>]) {
    for index in 1..layers.len() {
        let (before, after) = layers.split_at_mut(index);
        let (before, after) = (&mut before[index - 1], &mut after[0]);
        if let (Some(Operation::Relu), Some(Operation::MaxPool { .. })) =
            (before.last(), after.first())
        {
            before.pop();
            after.insert(1, Operation::Relu);
        }
    }
}

struct Planner {
    plan: Plan,
    side: u32,
    channels: i64,
    flat: bool,
}

impl Planner {
    fn layer(&mut self, layer: &LayerDescription) -> Result<Vec<Operation>, &'static str> {
        let mut operations = Vec::new();
        match *layer {
            LayerDescription::Conv { filters, kernel, stride, padding, batch_norm } => {
                operations.push(self.convolution(filters, kernel, stride, padding)?);
                operations.extend(batch_norm.then(|| self.batch_norm()));
                operations.push(Operation::Relu);
            }
            LayerDescription::Pool { kernel, stride, ceil, batch_norm } => {
                operations.extend(batch_norm.then(|| self.batch_norm()));
                let rounding = if ceil { PoolRounding::Ceil } else { PoolRounding::Floor };
                self.slide(0, kernel, stride, rounding)?;
                let (kernel, stride) = (kernel.into(), stride.into());
                operations.push(Operation::MaxPool { kernel, stride, ceil });
            }
            LayerDescription::GlobalAveragePool { classes } => {
                operations.push(self.convolution(classes, 1, 1, 0)?);
                operations.extend([Operation::Relu, Operation::GlobalMean]);
                (self.side, self.flat) = (1, true);
            }
            LayerDescription::FullyConnected { width } => {
                operations.extend(self.dense(width));
                operations.push(Operation::Relu);
            }
            LayerDescription::Softmax { classes } => operations.extend(self.dense(classes)),
            LayerDescription::Dropout { probability } => {
                if !(0.0..1.0).contains(&probability) {
                    return Err("drops with a probability outside [0, 1)");
                }
                operations.push(Operation::Dropout { probability });
            }
        }
        Ok(operations)
    }

    fn convolution(
        &mut self,
        filters: u32,
        kernel: u32,
        stride: u32,
        padding: u32,
    ) -> Result<Operation, &'static str> {
        self.slide(padding, kernel, stride, PoolRounding::Floor)?;
        let (filters, kernel) = (i64::from(filters), i64::from(kernel));
        let size = vec![filters, self.channels, kernel, kernel];
        let weight = self.weight_and_bias(size, Role::Weight);
        self.channels = filters;
        Ok(Operation::Convolution { weight, stride: stride.into(), padding: padding.into() })
    }

    fn slide(
        &mut self,
        padding: u32,
        kernel: u32,
        stride: u32,
        rounding: PoolRounding,
    ) -> Result<(), &'static str> {
        if self.flat {
            return Err("needs a map, but the layer before it has none");
        }
        if kernel == 0 || stride == 0 {
            return Err("has a window or a stride of 0");
        }
        let padded = self.side.saturating_add(padding.saturating_mul(2));
        self.side = pool_output(padded, kernel, stride, rounding);
        if self.side == 0 { Err("has a window greater than its map") } else { Ok(()) }
    }

    fn dense(&mut self, width: u32) -> Vec<Operation> {
        let mut operations = Vec::new();
        if !self.flat {
            operations.push(Operation::Flatten);
            self.channels *= i64::from(self.side) * i64::from(self.side);
            (self.side, self.flat) = (1, true);
        }
        let width = i64::from(width);
        let weight = self.weight_and_bias(vec![width, self.channels], Role::Weight);
        self.channels = width;
        operations.push(Operation::Dense { weight });
        operations
    }

    fn weight_and_bias(&mut self, size: Vec<i64>, role: Role) -> usize {
        let bias = ParameterShape { size: vec![size[0]], role: Role::Bias };
        self.plan.shapes.extend([ParameterShape { size, role }, bias]);
        self.plan.shapes.len() - 2
    }

    fn batch_norm(&mut self) -> Operation {
        let scale = self.weight_and_bias(vec![self.channels], Role::Scale);
        self.plan.running.push(self.channels);
        Operation::BatchNorm { scale, running: self.plan.running.len() - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_do_not_fit_are_named() {
        let plan = |layers: &[LayerDescription]| {
            Plan::new(layers, 4, 1, Kind::Float).map(|_| ()).map_err(|error| error.to_string())
        };
        let pool =
            |kernel| LayerDescription::Pool { kernel, stride: 2, ceil: false, batch_norm: false };
        let dense = LayerDescription::FullyConnected { width: 8 };
        assert_eq!(plan(&[pool(2), dense.clone()]), Ok(()));
        assert!(
            plan(&[pool(2), pool(3)]).unwrap_err().contains("layer 2 of the request has a window")
        );
        assert!(plan(&[dense, pool(2)]).unwrap_err().contains("needs a map"));
        let dropout = LayerDescription::Dropout { probability: 1.0 };
        assert!(plan(&[dropout]).unwrap_err().contains("probability"));
    }
}
