//! The drawing of a network.

use crate::report::terminal::with_commas;
use crate::space::{Architecture, DataShape, Layer, LayerCost, Space};

/// A column of layers, as wide as their maps.
pub fn diagram(space: &Space, architecture: &Architecture) -> String {
    let DataShape { size, channels, .. } = space.image;
    let (mut rows, mut top) = (String::new(), 0);
    let mut add = |kind: &str, side: u32, name: &str, facts: &str| {
        let width = 10.0 + 70.0 * f64::from(side) / f64::from(size);
        rows += &format!(
            "<rect class=\"{kind}\" x=\"{:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"26\" \
             rx=\"3\"/><text x=\"96\" y=\"{}\" font-weight=\"600\">{name}</text><text x=\"96\" \
             y=\"{}\" class=\"muted\">{facts}</text>\n",
            45.0 - width / 2.0,
            top + 4,
            top + 15,
            top + 31
        );
        top += 42;
    };
    add("input", size, "Input", &format!("{size} x {size}, channels: {channels}"));
    let costs = space.layer_costs(architecture).into_iter().zip(architecture.dropout());
    for (LayerCost { layer, channels, side, cost }, dropout) in costs {
        let (kind, name) = match layer {
            Layer::Conv { filters, kernel, .. } => {
                ("conv", format!("Convolution {kernel} x {kernel}, {filters} filters"))
            }
            Layer::Pool { kernel, stride } => {
                ("pool", format!("Max pooling {kernel} x {kernel}, stride {stride}"))
            }
            Layer::FullyConnected { width } => {
                ("dense", format!("Fully connected, {width} neurons"))
            }
            Layer::GlobalAveragePool { .. } => ("pool", "Global average pooling".to_owned()),
            Layer::Softmax { classes } => ("softmax", format!("Softmax, {classes} classes")),
        };
        let (side, maps) = match layer {
            Layer::Conv { .. } | Layer::Pool { .. } => (side, format!("{side} x {side} x ")),
            _ => (1, String::new()),
        };
        let dropout = dropout.map(|it| format!(", dropout {:.0} %", 100.0 * it.probability()));
        let (parameters, dropout) = (with_commas(cost.parameters), dropout.unwrap_or_default());
        add(kind, side, &name, &format!("{maps}{channels}, {parameters} parameters{dropout}"));
    }
    format!(
        "<svg viewBox=\"0 0 450 {top}\" role=\"group\" aria-label=\"Its layers\">\n{rows}</svg>\n"
    )
}
