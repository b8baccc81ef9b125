//! The networks of a list: whatever can be built at the size of the images, grammar or not.

use super::action::AFTER_GAP;
use super::architecture::{Architecture, SpaceError};
use super::layer::Layer;
use super::params::{GREATEST, Legal, MOST_LAYERS, Padding, Space};
use super::state::{LastLayer, State};

/// With it the costs of every network fit into 64 bits, as with the kernels of the grammar
/// ([`GREATEST`]): 200 * 2^14 * 2^14 * 15^2 * 2^20 < 2^64.
const LARGEST_KERNEL: u32 = 15;

impl Space {
    /// The space of all networks that can be built on these images.
    pub fn buildable(mut self) -> Self {
        self.legal = Legal::Buildable;
        self
    }

    /// Reads an architecture of other images: with the number of classes of these, and with its
    /// own dropout marks anew.
    pub fn adapted(&self, text: &str) -> Result<Architecture, SpaceError> {
        let classes = self.image.classes;
        let with_classes = |layer| match layer {
            Layer::Softmax { .. } => Layer::Softmax { classes },
            Layer::GlobalAveragePool { .. } => Layer::GlobalAveragePool { classes },
            layer => layer,
        };
        let layers = super::notation::read(text)?.into_iter();
        self.architecture(layers.map(|(layer, _)| with_classes(layer)).collect())
    }

    pub(super) fn why_unbuildable(&self, state: &State, layer: Layer) -> Option<&'static str> {
        let numbers = match layer {
            Layer::Softmax { classes } | Layer::GlobalAveragePool { classes }
                if classes != self.image.classes =>
            {
                return Some("the images have another number of classes");
            }
            Layer::Softmax { .. } => return None,
            Layer::GlobalAveragePool { .. } => [1, 1, 1],
            Layer::FullyConnected { width } => [width, 1, 1],
            Layer::Pool { kernel, stride } => [kernel, stride, 1],
            Layer::Conv { filters, kernel, stride } => [filters, kernel, stride],
        };
        if !numbers.iter().all(|number| (1..=GREATEST).contains(number)) {
            return Some("its numbers must be 1 to 16384");
        }
        let is_dense = matches!(layer, Layer::FullyConnected { .. });
        match layer {
            _ if state.depth >= MOST_LAYERS => Some("a network has at most 200 layers"),
            _ if state.last == LastLayer::GlobalAveragePool => Some(AFTER_GAP),
            _ if is_dense => None,
            _ if state.last.is_flat() => Some("it follows a fully connected layer"),
            Layer::Conv { kernel, .. } if kernel > LARGEST_KERNEL => {
                Some("its kernel must be at most 15")
            }
            Layer::Conv { kernel, .. } if self.conv_padding == Padding::Same && kernel % 2 == 0 => {
                Some("`same` padding needs an odd kernel")
            }
            layer if self.output_size(state.size, layer) == 0 => {
                Some("its kernel is larger than the representation")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, SpaceParams};
    use super::*;

    fn space(size: u32, classes: u32) -> Space {
        let image = DataShape { size, channels: 3, classes };
        SpaceParams::default().check(image).unwrap().buildable()
    }

    #[test]
    fn what_can_be_built_is_legal_whatever_the_grammar_says() {
        for text in [
            "[P(2,2), P(2,2), C(7,11,1), SM(10)]",
            "[C(96,3,2), D(1,1), C(96,1,1), GAP(10), SM(10)]",
            "[FC(4096), FC(9000), FC(3), SM(10)]",
        ] {
            let marks = !text.contains("C(96") && !text.contains("FC");
            assert!(space(32, 10).adapted(text).is_ok(), "{text}");
            assert!(!marks || space(32, 10).parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_built_at_a_size_is_named() {
        let why = |text: &str| space(8, 10).parse(text).unwrap_err().to_string();
        // 8, 4, 2, 1 pixels.
        let pools = "P(2,2), ".repeat(3);
        assert!(space(8, 10).adapted(&format!("[{pools}SM(7)]")).is_ok());
        assert_eq!(
            why(&format!("[{pools}P(2,2), SM(10)]")),
            "`P(2,2)` cannot be layer 4 (its kernel is larger than the representation)"
        );
        for (text, reason) in [
            ("[SM(9)]", "another number of classes"),
            ("[C(8,3,0), SM(10)]", "must be 1 to 16384"),
            ("[C(8,17,1), SM(10)]", "at most 15"),
            ("[C(8,4,1), SM(10)]", "an odd kernel"),
            ("[FC(8), C(8,3,1), SM(10)]", "follows a fully connected layer"),
            ("[GAP(10), FC(8), SM(10)]", AFTER_GAP),
        ] {
            assert!(why(text).contains(reason), "{text}: {}", why(text));
        }
        let deep = format!("[{}SM(10)]", "C(1,1,1), ".repeat(201));
        assert!(why(&deep).contains("at most 200 layers"));
    }

    #[test]
    fn a_network_of_other_images_gets_their_classes_and_its_own_marks() {
        let text = "[C(64,3,1), C(64,3,1), D(1,1), GAP(10), SM(10)]";
        let adapted = space(28, 100).adapted(text).unwrap();
        assert_eq!(adapted.to_string(), text.replace("(10)", "(100)"));
    }
}
