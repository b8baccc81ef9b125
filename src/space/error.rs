//! What can be wrong with a search space or with an architecture.

use super::layer::Layer;

/// An error of the search space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Text that is no architecture at all.
    #[error("architecture is not readable at character {position}: {reason}")]
    Unreadable {
        /// Position in characters, white space included, from 1.
        position: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// A layer that the notation knows and the search space does not.
    #[error("`{0}` is not in the search space")]
    Foreign(String),
    /// A layer where it is not allowed.
    #[error("`{layer}` cannot be layer {depth} ({why})")]
    Illegal {
        /// The layer.
        layer: Layer,
        /// Its depth, from 1.
        depth: u32,
        /// The rule it breaks.
        why: &'static str,
    },
    /// No softmax at the end.
    #[error("the last layer is not `SM({classes})`")]
    Unfinished {
        /// Number of classes of the data.
        classes: u32,
    },
    /// Dropout marks that are not those of the layers.
    #[error("the dropout marks are not those of the layers, which are `{expected}`")]
    WrongDropout {
        /// The architecture with its own marks.
        expected: String,
    },
}
