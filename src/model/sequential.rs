//! Which modules of PyTorch's `Sequential` a network is. The index of a module is its number, and
//! this is the only place where it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::space::{PoolRounding, pool_output};
use crate::training::protocol::LayerDescription;

/// PyTorch's default, which the names below stand for.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Named as in `torch.nn`, arguments too: `getattr(torch.nn, type)(**arguments)` builds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Module {
    Conv2d { in_channels: i64, out_channels: i64, kernel_size: i64, stride: i64, padding: i64 },
    BatchNorm2d { num_features: i64 },
    ReLU {},
    MaxPool2d { kernel_size: i64, stride: i64, ceil_mode: bool },
    Dropout { p: f64 },
    AdaptiveAvgPool2d { output_size: i64 },
    Flatten {},
    Linear { in_features: i64, out_features: i64 },
}

impl Module {
    /// Its tensors in a state dictionary: the end of the name, and the shape.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<i64>)> {
        let weight = match *self {
            Self::Conv2d { in_channels, out_channels, kernel_size, .. } => {
                vec![out_channels, in_channels, kernel_size, kernel_size]
            }
            Self::Linear { in_features, out_features } => vec![out_features, in_features],
            Self::BatchNorm2d { num_features } => vec![num_features],
            _ => return Vec::new(),
        };
        let outputs = vec![weight[0]];
        let mut tensors = vec![("weight", weight), ("bias", outputs.clone())];
        if matches!(self, Self::BatchNorm2d { .. }) {
            tensors.extend([("running_mean", outputs.clone()), ("running_var", outputs)]);
        }
        tensors
    }
}

/// The names and shapes of the state dictionary of a `Sequential`.
pub(super) fn state_shapes(modules: &[Module]) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    for (number, module) in modules.iter().enumerate() {
        for (name, shape) in module.tensors() {
            let shape = shape.into_iter().map(|size| size as usize).collect();
            shapes.insert(format!("{number}.{name}"), shape);
        }
    }
    shapes
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {number} {problem}")]
pub struct Unbuildable {
    /// From 1, dropout counted.
    number: usize,
    problem: &'static str,
}

/// Returns the modules of the layers of a request. The probabilities are the softmax of what they
/// compute of images `[N, channels, input_size, input_size]`.
pub fn sequential(
    layers: &[LayerDescription],
    channels: u32,
    input_size: u32,
) -> Result<Vec<Module>, Unbuildable> {
    let mut builder =
        Modules { modules: Vec::new(), channels: channels.into(), side: input_size, flat: false };
    for (number, layer) in (1..).zip(layers) {
        builder.add(layer).map_err(|problem| Unbuildable { number, problem })?;
    }
    Ok(builder.modules)
}

struct Modules {
    modules: Vec<Module>,
    channels: i64,
    side: u32,
    flat: bool,
}

impl Modules {
    fn add(&mut self, layer: &LayerDescription) -> Result<(), &'static str> {
        match *layer {
            LayerDescription::Conv { filters, kernel, stride, padding, batch_norm } => {
                self.convolve(filters, [kernel, stride, padding])?;
                self.normalise(batch_norm);
                self.modules.push(Module::ReLU {});
            }
            LayerDescription::Pool { kernel, stride, ceil, batch_norm } => {
                self.normalise(batch_norm);
                let rounding = if ceil { PoolRounding::Ceil } else { PoolRounding::Floor };
                self.slide([kernel, stride, 0], rounding)?;
                let (kernel_size, stride) = (kernel.into(), stride.into());
                self.modules.push(Module::MaxPool2d { kernel_size, stride, ceil_mode: ceil });
            }
            LayerDescription::GlobalAveragePool { classes } => {
                self.convolve(classes, [1, 1, 0])?;
                let mean = Module::AdaptiveAvgPool2d { output_size: 1 };
                self.modules.extend([Module::ReLU {}, mean, Module::Flatten {}]);
                (self.side, self.flat) = (1, true);
            }
            LayerDescription::FullyConnected { width } => {
                self.connect(width);
                self.modules.push(Module::ReLU {});
            }
            LayerDescription::Softmax { classes } => self.connect(classes),
            LayerDescription::Dropout { probability: p } => {
                if !(0.0..1.0).contains(&p) {
                    return Err("drops with a probability outside [0, 1)");
                }
                self.modules.push(Module::Dropout { p });
            }
        }
        Ok(())
    }

    fn convolve(&mut self, filters: u32, window: [u32; 3]) -> Result<(), &'static str> {
        self.slide(window, PoolRounding::Floor)?;
        let (in_channels, out_channels) = (self.channels, filters.into());
        let [kernel_size, stride, padding] = window.map(i64::from);
        self.channels = out_channels;
        let conv = Module::Conv2d { in_channels, out_channels, kernel_size, stride, padding };
        self.modules.push(conv);
        Ok(())
    }

    fn normalise(&mut self, batch_norm: bool) {
        let num_features = self.channels;
        self.modules.extend(batch_norm.then_some(Module::BatchNorm2d { num_features }));
    }

    /// Of a side, a stride and the border around the map.
    fn slide(&mut self, window: [u32; 3], rounding: PoolRounding) -> Result<(), &'static str> {
        let [kernel, stride, padding] = window;
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

    fn connect(&mut self, width: u32) {
        if !self.flat {
            self.modules.push(Module::Flatten {});
            self.channels *= i64::from(self.side) * i64::from(self.side);
            (self.side, self.flat) = (1, true);
        }
        let (in_features, out_features) = (self.channels, width.into());
        self.modules.push(Module::Linear { in_features, out_features });
        self.channels = out_features;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kernel: u32) -> LayerDescription {
        LayerDescription::Pool { kernel, stride: 2, ceil: false, batch_norm: false }
    }

    #[test]
    fn modules_without_weights_take_numbers_too() {
        let conv = LayerDescription::Conv {
            filters: 4,
            kernel: 3,
            stride: 1,
            padding: 1,
            batch_norm: true,
        };
        let layers = [
            conv,
            pool(2),
            LayerDescription::Dropout { probability: 0.5 },
            LayerDescription::FullyConnected { width: 8 },
            LayerDescription::Softmax { classes: 3 },
        ];
        let modules = sequential(&layers, 2, 9).unwrap();
        // 0 Conv2d, 1 BatchNorm2d, 2 ReLU, 3 MaxPool2d, 4 Dropout, 5 Flatten, 6 Linear, 7 ReLU,
        // 8 Linear. Of 9 pixels the pooling leaves 4: 4 * 4 * 4 = 64 inputs.
        let shapes: Vec<_> = state_shapes(&modules).into_iter().collect();
        let expected: [(&str, &[usize]); 10] = [
            ("0.bias", &[4]),
            ("0.weight", &[4, 2, 3, 3]),
            ("1.bias", &[4]),
            ("1.running_mean", &[4]),
            ("1.running_var", &[4]),
            ("1.weight", &[4]),
            ("6.bias", &[8]),
            ("6.weight", &[8, 64]),
            ("8.bias", &[3]),
            ("8.weight", &[3, 8]),
        ];
        let expected = expected.map(|(name, shape)| (name.to_owned(), shape.to_vec()));
        assert_eq!(shapes, expected);
    }

    #[test]
    fn a_global_average_pool_is_a_convolution_a_mean_and_a_flattening() {
        let layers = [
            LayerDescription::GlobalAveragePool { classes: 3 },
            LayerDescription::Softmax { classes: 3 },
        ];
        let modules = sequential(&layers, 2, 4).unwrap();
        assert_eq!(
            serde_json::to_string(&modules).unwrap(),
            r#"[{"type":"Conv2d","in_channels":2,"out_channels":3,"kernel_size":1,"stride":1,"#
                .to_owned()
                + r#""padding":0},{"type":"ReLU"},{"type":"AdaptiveAvgPool2d","output_size":1},"#
                + r#"{"type":"Flatten"},{"type":"Linear","in_features":3,"out_features":3}]"#
        );
    }

    #[test]
    fn layers_that_do_not_fit_are_named() {
        let problem = |layers: &[LayerDescription]| {
            sequential(layers, 1, 4).map(drop).map_err(|error| error.to_string())
        };
        let dense = LayerDescription::FullyConnected { width: 8 };
        assert_eq!(problem(&[pool(2), dense.clone()]), Ok(()));
        assert!(problem(&[pool(2), pool(3)]).unwrap_err().contains("layer 2 has a window"));
        assert!(problem(&[dense, pool(2)]).unwrap_err().contains("needs a map"));
        let dropout = LayerDescription::Dropout { probability: 1.0 };
        assert!(problem(&[dropout]).unwrap_err().contains("probability"));
    }
}
