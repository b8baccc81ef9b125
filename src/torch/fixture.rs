//! Small problems for the tests of this program.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metaqnn::dataset::{DataParams, ImageShape, Images};
use metaqnn::seed::{Purpose, generator};
use metaqnn::training::protocol::{LayerDescription, Message, Request, VERSION};
use metaqnn::training::{self, EpochReport, Recipe};
use rand::Rng;
use tch::Device;

use crate::batches::Batches;
use crate::error::TorchError;
use crate::fit::Listener;
use crate::input::Answer;

/// Waits for libtorch's one generator: tests run side by side, and would draw from each other's
/// stream.
pub fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Grey images of 8x8 pixels and two classes: the left (0) or the right half (1) is brighter, with
/// noise.
pub fn halves(count: usize) -> Images {
    let mut rng = generator(1, Purpose::Synthetic, 0, 0);
    let labels: Vec<u8> = (0..count).map(|index| (index % 2) as u8).collect();
    let bytes: Vec<u8> = labels
        .iter()
        .flat_map(|&label| (0..64).map(move |pixel| (pixel % 8 >= 4) == (label == 1)))
        .map(|bright| if bright { rng.random_range(60..=255) } else { rng.random_range(0..=190) })
        .collect();
    Images::new(ImageShape { channels: 1, size: 8 }, 2, bytes, labels)
}

/// Puts 96 [`halves`] to train and 40 to judge on the CPU.
pub fn batches() -> Batches {
    batches_of(96)
}

/// Of 136 [`halves`] the first so many train.
pub fn batches_of(training: usize) -> Batches {
    let images = halves(136);
    let part = |range: std::ops::Range<usize>| images.subset(&range.collect::<Vec<_>>());
    let params = data_params("global_contrast_normalisation", 1);
    Batches::new(&part(0..training), &part(training..136), &params, Device::Cpu).unwrap()
}

pub fn data_params(preprocess: &str, translate: u32) -> DataParams {
    let params = serde_json::json!({
        "classes": 2, "input_size": 8, "channels": 1, "preprocess": preprocess,
        "augment": { "translate": translate },
    });
    serde_json::from_value(params).unwrap()
}

/// Every kind of layer but global average pooling, small.
pub fn layers() -> Vec<LayerDescription> {
    vec![
        LayerDescription::Conv { filters: 4, kernel: 3, stride: 1, padding: 1, batch_norm: true },
        LayerDescription::Pool { kernel: 2, stride: 2, ceil: false, batch_norm: true },
        LayerDescription::Dropout { probability: 0.25 },
        LayerDescription::FullyConnected { width: 8 },
        LayerDescription::Dropout { probability: 0.5 },
        LayerDescription::Softmax { classes: 2 },
    ]
}

/// Asks for four epochs of [`layers`] on [`batches`], 32 images at a time; saved in `checkpoint`.
pub fn request(checkpoint: Option<&Path>) -> Request {
    Request {
        protocol: VERSION,
        iteration: 5,
        stream: 5,
        attempt: 1,
        architecture: "[C(4,3,1), P(2,2), FC(8), SM(2)]".into(),
        layers: layers(),
        classes: 2,
        channels: 1,
        input_size: 8,
        epochs: 4,
        seed: 7,
        experiment_seed: 7,
        checkpoint: checkpoint.map(Path::to_owned),
        model: None,
        initial_weights: None,
        resume: false,
        seconds_left: None,
        threads: 1,
        recipe: Recipe {
            batch_size: 32,
            learning_rate: 0.01,
            device: training::Device::Cpu,
            ..Recipe::default()
        },
        data: serde_json::Value::Null,
    }
}

/// Keeps the reports of a training, and interrupts it.
#[derive(Debug, Default)]
pub struct Recorder {
    /// The reports, in order.
    pub reports: Vec<EpochReport>,
    /// How often it has been asked whether to interrupt.
    pub asked: u32,
    /// Interrupts at this question, from 0.
    pub interrupt_at: Option<u32>,
    /// Removes this folder at this question, from 0.
    pub remove_at: Option<(u32, PathBuf)>,
    /// Notices.
    pub notices: Vec<String>,
}

impl Listener for Recorder {
    fn send(&mut self, message: &Message) -> Result<(), TorchError> {
        let Message::Epoch(report) = message else { panic!("{message:?}") };
        self.reports.push(EpochReport { seconds: None, ..report.clone() });
        Ok(())
    }

    fn interruption(&mut self) -> ControlFlow<Answer> {
        if let Some((at, folder)) = &self.remove_at
            && *at == self.asked
        {
            metaqnn::regular_file::remove_folder(folder).unwrap();
        }
        self.asked += 1;
        match Some(self.asked - 1) == self.interrupt_at {
            true => ControlFlow::Break(None),
            false => ControlFlow::Continue(()),
        }
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_owned());
    }
}
