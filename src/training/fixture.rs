//! Requests for tests.

use super::protocol::{LayerDescription, Request, VERSION};
use super::recipe::{Recipe, TrainerKind};
use crate::space::{ImageShape, SpaceParams};

/// Returns a request to train a small network for `epochs` epochs.
pub(super) fn request(epochs: u32) -> Request {
    request_for("[C(64,3,1), C(128,3,1), P(2,2), C(256,5,1), SM(10)]", epochs)
}

/// Returns a request to train `architecture`, for 32x32 colour images of ten classes.
pub(super) fn request_for(architecture: &str, epochs: u32) -> Request {
    let image = ImageShape { size: 32, channels: 3, classes: 10 };
    let space = SpaceParams::default().check(image).unwrap();
    let architecture = space.parse(architecture).unwrap();
    Request {
        protocol: VERSION,
        iteration: 1,
        attempt: 1,
        architecture: architecture.to_string(),
        layers: LayerDescription::of(&space, &architecture),
        classes: 10,
        channels: 3,
        input_size: 32,
        epochs,
        seed: 7,
        experiment_seed: 8,
        checkpoint: None,
        resume: false,
        seconds_left: None,
        threads: 2,
        recipe: Recipe { trainer: TrainerKind::Synthetic, epochs, ..Recipe::default() },
        data: serde_json::Value::Null,
    }
}
