//! What can be wrong with a search space or with an architecture.

use super::layer::Layer;

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
