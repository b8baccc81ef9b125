//! What an architecture costs: its parameters and its multiply-accumulates.

use serde::Serialize;

use super::architecture::Architecture;
use super::layer::Layer;
use super::params::Space;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Cost {
    /// Weights and biases, batch normalisation's included.
    pub parameters: u64,
    /// Multiply-accumulates for one image, biases not counted.
    pub macs: u64,
}

/// A layer, what leaves it, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerCost {
    pub layer: Layer,
    /// Of maps, or of numbers after a layer that flattens.
    pub channels: u64,
    pub side: u32,
    pub cost: Cost,
}

impl Space {
    pub fn cost(&self, architecture: &Architecture) -> Cost {
        self.layer_costs(architecture).iter().fold(Cost::default(), |sum, of| Cost {
            parameters: sum.parameters + of.cost.parameters,
            macs: sum.macs + of.cost.macs,
        })
    }

    /// A global average pooling is a 1x1 convolution to one map per class and the mean of each;
    /// the softmax after it is a dense layer of classes x classes.
    pub fn layer_costs(&self, architecture: &Architecture) -> Vec<LayerCost> {
        let mut costs = Vec::new();
        let mut channels = u64::from(self.image.channels);
        let batch_norm = |channels: u64| if self.batch_norm { 2 * channels } else { 0 };
        // What a dense layer sees: maps of this side, until a layer has flattened them.
        let mut pixels = square(self.image.size);
        for (layer, side) in self.outputs(architecture) {
            let (area, mut cost) = (square(side), Cost::default());
            // Inputs of one output, outputs, how often each weight is used, pixels after it.
            let (inputs, outputs, uses, after) = match layer {
                Layer::Pool { .. } => {
                    cost.parameters = batch_norm(channels);
                    pixels = area;
                    costs.push(LayerCost { layer, channels, side, cost });
                    continue;
                }
                Layer::Conv { filters, kernel, .. } => {
                    cost.parameters = batch_norm(filters.into());
                    (channels * square(kernel), filters, area, area)
                }
                Layer::GlobalAveragePool { classes } => (channels, classes, pixels, 1),
                Layer::FullyConnected { width: outputs } | Layer::Softmax { classes: outputs } => {
                    (channels * pixels, outputs, 1, 1)
                }
            };
            let outputs = u64::from(outputs);
            cost.parameters += (inputs + 1) * outputs;
            cost.macs = inputs * outputs * uses;
            (channels, pixels) = (outputs, after);
            costs.push(LayerCost { layer, channels, side, cost });
        }
        costs
    }

    /// The true side of the representation after each convolution and pooling.
    pub fn sizes(&self, architecture: &Architecture) -> Vec<u32> {
        let is_spatial = |layer| matches!(layer, Layer::Conv { .. } | Layer::Pool { .. });
        let outputs = self.outputs(architecture).filter(|(layer, _)| is_spatial(*layer));
        outputs.map(|(_, side)| side).collect()
    }

    /// The layers, each with the side of its output.
    fn outputs(&self, architecture: &Architecture) -> impl Iterator<Item = (Layer, u32)> {
        let layers = self.states_of(architecture).into_iter().zip(architecture.layers());
        layers.map(|(state, &layer)| (layer, self.output_size(state.size, layer)))
    }
}

fn square(side: u32) -> u64 {
    u64::from(side) * u64::from(side)
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, SpaceParams};
    use super::*;

    fn space(size: u32, max_layers: u32) -> Space {
        let image = DataShape { size, channels: 3, classes: 10 };
        SpaceParams { max_layers, ..SpaceParams::default() }.check(image).unwrap()
    }

    fn cost(space: &Space, text: &str) -> Cost {
        space.cost(&space.parse(text).unwrap())
    }

    #[test]
    fn a_small_network_by_hand() {
        let space = space(32, 18);
        // conv: 64 * 3 * 9 + 64 = 1,792, at 32 x 32 = 1,024 places; softmax: 64 * 16 * 16 * 10 +
        // 10.
        assert_eq!(
            cost(&space, "[C(64,3,1), P(2,2), SM(10)]"),
            Cost { parameters: 1_792 + 163_850, macs: 1_728 * 1_024 + 163_840 }
        );
        assert_eq!(cost(&space, "[SM(10)]"), Cost { parameters: 30_730, macs: 30_720 });
        // 1x1 convolution 3 -> 10 on 1,024 places, then 10 x 10.
        assert_eq!(
            cost(&space, "[GAP(10), SM(10)]"),
            Cost { parameters: 40 + 110, macs: 30 * 1_024 + 100 }
        );
        let sizes =
            space.sizes(&space.parse("[C(64,3,1), P(5,3), C(64,3,1), P(2,2), SM(10)]").unwrap());
        assert_eq!(sizes, [32, 10, 10, 5]);
    }

    #[test]
    fn the_papers_table_counts_on_images_of_28_pixels() {
        // v1 of the paper prints 11.26, 2.2, 1.13 and 1.62 million; from 32 pixels the counts are
        // higher.
        let tables = [(28, [11.26, 2.2, 1.13, 1.62]), (32, [11.31, 2.2, 1.14, 2.54])];
        let texts = [
            "[C(512,5,1), C(256,3,1), C(256,5,1), C(256,3,1), P(5,3), C(512,3,1), C(512,5,1), \
             P(2,2), SM(10)]",
            "[C(128,1,1), C(512,3,1), C(64,1,1), C(128,3,1), P(2,2), C(256,3,1), P(2,2), \
             C(512,3,1), P(3,2), SM(10)]",
            "[C(256,3,1), C(256,3,1), P(5,3), C(256,1,1), C(128,3,1), P(2,2), C(128,3,1), SM(10)]",
            "[C(64,3,1), C(128,3,1), P(5,3), C(256,3,1), P(3,2), FC(512), FC(128), SM(10)]",
        ];
        for (size, millions) in tables {
            for (text, wanted) in texts.iter().zip(millions) {
                let found = cost(&space(size, 18), text).parameters as f64 / 1e6;
                let tolerance = if wanted == 2.2 { 0.05 } else { 0.005 };
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "{text} at {size}: {found} for {wanted}"
                );
            }
        }
    }

    #[test]
    fn the_greatest_network_has_a_cost() {
        let image = DataShape { size: 1024, channels: 3, classes: 10 };
        let (max_layers, filters, kernels) = (200, vec![16_384], vec![7]);
        let params = SpaceParams { max_layers, filters, kernels, ..SpaceParams::default() };
        let text = format!("[{}SM(10)]", "C(16384,7,1), ".repeat(200));
        // 199 convolutions of 2^14 * 2^14 * 49 weights at 2^20 places, and little more.
        let each = 49_u64 << 48;
        let macs = cost(&params.check(image).unwrap(), &text).macs;
        assert!((199 * each..200 * each).contains(&macs), "{macs}");
    }

    #[test]
    fn batch_normalisation_counts_its_scale_and_shift() {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        let space =
            SpaceParams { batch_norm: true, ..SpaceParams::default() }.check(image).unwrap();
        // Two per map after the convolution, two per map before the pooling.
        assert_eq!(cost(&space, "[C(64,3,1), P(2,2), SM(10)]").parameters, 1_792 + 163_850 + 256);
    }
}
