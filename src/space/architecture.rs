//! A finished layer sequence and the dropout marks that follow from it.

use std::sync::Arc;

use super::layer::Layer;
use super::params::Space;
use super::state::State;

/// A legal layer sequence, the softmax last. Only a [`Space`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(Vec<Layer>);

/// What is trained once: an architecture, or one of the repeats that a `list` asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    pub architecture: Arc<str>,
    /// From 1.
    pub repeat: u32,
}

impl Candidate {
    /// The first, and but for a `list` the only, training of an architecture.
    pub fn once(architecture: impl Into<Arc<str>>) -> Self {
        Self { architecture: architecture.into(), repeat: 1 }
    }
}

/// The dropout after a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, derive_more::Display)]
#[display("D({position},{total})")]
pub struct DropoutMark {
    /// From 1.
    pub position: u32,
    /// The denominator's n; may exceed the number of marks placed.
    pub total: u32,
}

impl DropoutMark {
    /// That a value is dropped; at most 0.5.
    pub fn probability(self) -> f64 {
        f64::from(self.position) / (2.0 * f64::from(self.total))
    }
}

impl Architecture {
    pub fn layers(&self) -> &[Layer] {
        &self.0
    }

    /// The softmax is not counted.
    pub fn depth(&self) -> usize {
        self.0.len() - 1
    }

    /// A mark after every second layer and after each fully connected one: of m layers (softmax
    /// included), F fully connected and G global average poolings, n = floor((m - G - F) / 2) + F.
    /// The terminal entry counts with the kind of the layer before it, as in the published code:
    /// after a fully connected layer F has one more, n can exceed the number of marks placed, and
    /// the last probability stays below 0.5. (The paper: "dropout i / (2n)" of n dropout layers.)
    pub fn dropout(&self) -> Vec<Option<DropoutMark>> {
        let is_fc = |layer: &&Layer| matches!(layer, Layer::FullyConnected { .. });
        let is_gap = |layer: &&Layer| matches!(layer, Layer::GlobalAveragePool { .. });
        let before = &self.0[..self.depth()];
        let kinds = || before.iter().chain(before.last());
        let (fc, gap) = (kinds().filter(is_fc).count(), kinds().filter(is_gap).count());
        let total = (self.0.len() - gap - fc) / 2 + fc;
        let mut placed = 0;
        let mark = |(number, layer): (usize, &Layer)| {
            let due = number % 2 == 0 || is_fc(&layer);
            let allowed = !is_gap(&layer) && !matches!(layer, Layer::Softmax { .. });
            (due && allowed && placed < total).then(|| {
                placed += 1;
                DropoutMark { position: placed as u32, total: total as u32 }
            })
        };
        (1..).zip(&self.0).map(mark).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// `position` counts characters from 1, white space included.
    #[error("architecture is not readable at character {position}: {reason}")]
    Unreadable { position: usize, reason: &'static str },
    /// The notation has such a layer, the search space has not.
    #[error("`{0}` is not in the search space")]
    NotInSpace(String),
    #[error("`{layer}` cannot be layer {depth} ({why})")]
    Illegal { layer: Layer, depth: u32, why: &'static str },
    #[error("the last layer is not `SM({classes})`")]
    Unfinished { classes: u32 },
    #[error("the dropout marks are not those of the layers, which are `{expected}`")]
    WrongDropout { expected: String },
}

impl Space {
    pub fn architecture(&self, layers: Vec<Layer>) -> Result<Architecture, SpaceError> {
        match self.walk(&layers)?.1 {
            None => Ok(Architecture(layers)),
            Some(_) => Err(SpaceError::Unfinished { classes: self.image.classes }),
        }
    }

    /// The state before each layer.
    pub fn states_of(&self, architecture: &Architecture) -> Vec<State> {
        self.walk(&architecture.0).expect("an architecture is legal in its space").0
    }

    /// The state before each layer, and the one after the last (`None` after the softmax).
    pub fn walk(&self, layers: &[Layer]) -> Result<(Vec<State>, Option<State>), SpaceError> {
        let mut states = Vec::with_capacity(layers.len());
        let (mut here, mut mask) = (Some(self.start()), self.mask());
        for &layer in layers {
            let Some(state) = here else {
                let why = "nothing follows the softmax";
                return Err(SpaceError::Illegal { layer, depth: states.len() as u32 + 1, why });
            };
            self.check_action(&state, layer)?;
            if let Some(before) = mask {
                let why = "no network that is recorded goes on so";
                let illegal = SpaceError::Illegal { layer, depth: state.depth + 1, why };
                mask = Some(before.after(layer).ok_or(illegal)?);
            }
            here = self.next(&state, layer);
            states.push(state);
        }
        Ok((states, here))
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, SpaceParams};
    use super::*;

    fn marks(text: &str) -> String {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap().parse(text).unwrap().to_string()
    }

    #[test]
    fn marks_are_those_of_the_worked_examples() {
        // m = 3, F = G = 0: n = 1.
        assert_eq!(
            marks("[C(64,3,1), C(64,3,1), SM(10)]"),
            "[C(64,3,1), C(64,3,1), D(1,1), SM(10)]"
        );
        assert_eq!(marks("[C(64,3,1), SM(10)]"), "[C(64,3,1), SM(10)]");
        // m = 6, F = 2 (the terminal entry is fully connected too): n = 2 + 2.
        assert_eq!(
            marks("[C(64,3,1), P(2,2), C(64,3,1), P(5,3), FC(128), SM(10)]"),
            "[C(64,3,1), P(2,2), D(1,4), C(64,3,1), P(5,3), D(2,4), FC(128), D(3,4), SM(10)]"
        );
        // m = 8, F = 3: n = 2 + 3.
        assert_eq!(
            marks("[C(64,3,1), C(64,3,1), P(2,2), C(64,3,1), P(5,3), FC(128), FC(128), SM(10)]"),
            "[C(64,3,1), C(64,3,1), D(1,5), P(2,2), C(64,3,1), D(2,5), P(5,3), FC(128), D(3,5), \
             FC(128), D(4,5), SM(10)]"
        );
        // m = 5, G = 2: n = 1.
        assert_eq!(
            marks("[C(64,3,1), C(64,3,1), C(64,3,1), GAP(10), SM(10)]"),
            "[C(64,3,1), C(64,3,1), D(1,1), C(64,3,1), GAP(10), SM(10)]"
        );
        assert_eq!(marks("[C(64,3,1), GAP(10), SM(10)]"), "[C(64,3,1), GAP(10), SM(10)]");
        assert_eq!(marks("[SM(10)]"), "[SM(10)]");
    }

    #[test]
    fn the_last_probability_may_stay_below_one_half() {
        let mark = DropoutMark { position: 3, total: 4 };
        assert_eq!(mark.probability(), 0.375);
    }
}
