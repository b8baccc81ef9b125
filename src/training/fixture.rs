//! Requests for tests.

use super::protocol::{LayerDescription, Request};
use super::recipe::{Recipe, TrainerKind};
use crate::space::{DataShape, SpaceParams};

/// Returns a request to train a small network for `epochs` epochs.
pub(super) fn request(epochs: u32) -> Request {
    request_for("[C(64,3,1), C(128,3,1), P(2,2), C(256,5,1), SM(10)]", epochs)
}

/// Returns a request to train `architecture`, for 32x32 colour images of ten classes.
pub(super) fn request_for(architecture: &str, epochs: u32) -> Request {
    let image = DataShape { size: 32, channels: 3, classes: 10 };
    let space = SpaceParams::default().check(image).unwrap();
    let architecture = space.parse(architecture).unwrap();
    let recipe = Recipe { trainer: TrainerKind::Synthetic, epochs, ..Recipe::default() };
    Request {
        iteration: 1,
        stream: 1,
        attempt: 1,
        architecture: architecture.to_string(),
        layers: LayerDescription::of(&space, &architecture),
        channels: 3,
        input_size: 32,
        epochs,
        seed: 7,
        experiment_seed: 8,
        ..Request::rehearsal(recipe, 2)
    }
}
