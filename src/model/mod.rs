//! A trained network as a folder that others can use: `models/000123.1/`.
//!
//! | file | holds | written by |
//! | --- | --- | --- |
//! | `weights.safetensors` | the weights, named as PyTorch's `Sequential` names them | the trainer |
//! | `preprocessing.safetensors` | what is applied to pixels, 0 to 255 | the trainer |
//! | `model.onnx` | both in one graph, from raw pixels to probabilities | [`ModelCard::complete`] |
//! | `model.json` | all that is known of the model: [`ModelCard`] | the same |
//! | `classify.py`, `README.md` | how to use it without this program | the same |
//!
//! * `sequential`: the modules that the layers of a request are, and their numbers
//! * `tensors`: the files of the trainer; `onnx`: the graph; `card`: the folder
//!
//! Used by `ops` and by `metaqnn-torch`; knows neither libtorch nor an experiment.

mod card;
mod onnx;
mod sequential;
mod tensors;

pub use card::{Latency, MeasuredError, ModelCard, TRAINER_FACTS, TrainerFacts};
pub use sequential::{BATCH_NORM_EPSILON, Module, Unbuildable, sequential};
pub use tensors::{ModelError, NamedTensor, PREPROCESSING, WEIGHTS, write_tensors};
