//! The trainer protocol: one JSON object a line, requests on the trainer's stdin, messages on its
//! stdout.
//!
//! A trainer reads a [`Request`], prints an [`EpochReport`] after each epoch and ends with one of
//! `{"done": true}`, `{"failed": "why"}` (the network's own fault) and `{"out_of_memory": true,
//! "peak_bytes": 123}`; then it waits for the next request until stdin ends. It flushes every
//! line. `scripts/example-trainer.py` does it in ten lines.
//!
//! Where no images are for validation (`data.validation.images` is 0) an epoch has no
//! `validation_accuracy`, there is no first-epoch test, and the network is the one after the last
//! epoch.
//!
//! Epochs are reported in order, each once, the last of them before `done`. A start with another
//! learning rate begins at epoch 1 with a greater `start`. A training taken up from a checkpoint
//! begins with the epoch after it; when that was the last one, it is `done` at once.
//!
//! A trainer that ends a training by a rule of its own says `{"done": true, "stopped": true}`: a
//! result as it stands, from whose curve no predictor learns. Where an epoch takes long it may print
//! `{"batch": 300, "of": 2000}` in between, at most every 5 s, with a greater number each time: a
//! sign of life, which counts against `training.silence_limit` and is shown.
//!
//! First an epoch is reported, then the checkpoint is saved. A trainer that dies between the two
//! reports that epoch again, and the same, when it is taken up; the other way round the curve would
//! lack an epoch, and the network is trained from the beginning. The folder of the checkpoints may
//! vanish (the architecture has got a result elsewhere): it is made again. That it cannot be
//! written is no reason to end a training. Everything in it belongs to the attempt, goes with it,
//! and is copied for the next one, half-written files too.
//!
//! Whenever an epoch is the best so far by its validation accuracy, and passes the first-epoch test,
//! a trainer may write its weights to the folder `model`, before the checkpoint of that epoch:
//! `weights.safetensors`, named as in PyTorch's `Sequential` ([`crate::model::sequential`] numbers the
//! modules; `epoch` in the metadata says after which epoch they are so), and
//! `preprocessing.safetensors`, the constants of `data.preprocess` (`mean` and `deviation` as
//! `[C, H, W]`, `blur` and `floor`). Each replaces the one before by a rename. Without a validation
//! part it writes those of the last epoch, before `done`. Without these files, or with others, the
//! training counts all the same and its model is not kept. How long the network takes for images,
//! and versions of libraries, may stand beside them, before `done`: `trainer.json`, `{"latency":
//! [{"device": "the CPU", "batch": 1, "seconds": 0.001}], "versions": {"libtorch": "2.11.0"}}`.
//!
//! A number of an epoch that is NaN or infinite, written as Python does it (`NaN`, `Infinity`,
//! `-Infinity`), says that the training has diverged: the network has failed, and the trainer is
//! ended. A trainer that means to go on with another learning rate leaves the loss out.
//!
//! What else may come to a trainer:
//!
//! * `{"stop": true}` while it trains: it ends that training (with `done`) and waits. A stop that
//!   comes while it waits came too late and means nothing.
//! * USR1 or TERM, perhaps twice: it finishes or drops the epoch, makes its checkpoint whole and
//!   exits with [`TRY_AGAIN`].
//! * The death of `metaqnn`: stdin ends and printing fails. It ends, at the latest with the epoch.
//!
//! A trainer that cannot work where it is, whatever the network (no GPU, no data), says
//! `{"refused": "why"}` instead of the first epoch: nothing is held against the network. One that
//! merely ends has crashed, because from outside a broken installation and a network that kills the
//! trainer look alike. Anything else is an error too: a line that is no JSON, an accuracy outside
//! [0, 1] by more than rounding (1e-6), a closed stdout. `metaqnn check-trainer COMMAND...` tries
//! all of this and says what is wrong.
//!
//! It runs with `LC_NUMERIC=C`, so that numbers are printed with a full stop, and OMP_NUM_THREADS.
//!
//! A request of 0 epochs without layers asks whether networks can be trained here, before any is
//! claimed: the trainer finds its device, and loads the images unless `data` is null. Its `done`
//! may say where it trains and with which libtorch, for people to read: `{"done": true, "device":
//! "the CPU", "libtorch": "2.11.0"}`. Only `metaqnn-torch` gets such requests.
//!
//! # Evaluation
//!
//! A request of another kind, `{"evaluate": {..}}` with the fields of [`Evaluation`], asks what
//! trained networks say of images. For each model folder the trainer computes the probabilities of
//! the classes in 32-bit numbers and writes them to `<output>/<name of the folder>.npz`, whole and
//! only once: what is there already stays. It holds `probabilities` (float32, `[N, classes]`),
//! `indices` (int64, `[N]`: which image of the part, from 0, in the order of the files), `model`
//! (uint8, `[64]`: `sha256["model.onnx"]` in its `model.json`) and, but for `arrays`, `labels`
//! (int64, `[N]`). On one machine and with so many threads these bytes are always the same. The
//! answer is `{"done": true}`, or `{"refused": "why"}`. This alone reads test images. Other
//! trainers need not know such requests.
//!
//! What a trainer writes to stderr is kept beside the learning curve.
//!
//! # Bounds
//!
//! Whatever a trainer does, a training ends. One that passes a bound is killed with its process
//! group.
//!
//! | of | at most | then the training is |
//! | --- | --- | --- |
//! | a line | [`LONGEST_LINE`] bytes | lost |
//! | lines not read yet | [`WAITING_LINES`]; then the trainer waits | |
//! | starts | `training.learning_rate_tries` | lost |
//! | epochs of a start | `training.epochs`, each once | lost |
//! | time between two lines | `training.silence_limit` | lost |
//! | after `{"stop": true}` | `training.silence_limit`, and `training.epochs` lines | stopped |
//! | exit after USR1, TERM, a closed pipe | 90 s, 20 s, 10 s | interrupted; for a pipe lost |
//! | reading after its exit, where a child of it holds a pipe | 5 s | |
//! | stderr, in memory and on disk | 2 x [`STDERR_KEPT`] bytes, the end of it | |

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use smart_default::SmartDefault;

use super::recipe::Recipe;
use crate::space::{Architecture, Layer, Padding, PoolRounding, Space};

/// The version of the protocol, the `protocol` field of each request. Raised when a field changes
/// its meaning or vanishes; a new field does not raise it, so trainers ignore unknown ones.
pub const VERSION: u32 = 1;

/// Longest line a trainer may write, its line feed included.
pub const LONGEST_LINE: u64 = 1024 * 1024;

/// Lines that wait to be read; a trainer that writes more waits itself.
pub const WAITING_LINES: usize = 16;

/// Bytes of stderr that are kept at least. A log holds at most twice as many.
pub const STDERR_KEPT: usize = 256 * 1024;

/// Exit code of a trainer that a signal ended after its checkpoint was made whole.
pub const TRY_AGAIN: i32 = 75;

/// How the name of a device that is no GPU begins, in the answer to a request of 0 epochs.
pub const THE_CPU: &str = "the CPU";

/// One network to train.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub protocol: u32,
    pub iteration: u64,
    pub attempt: u32,
    /// The architecture with its dropout marks.
    pub architecture: String,
    pub layers: Vec<LayerDescription>,
    pub classes: u32,
    pub channels: u32,
    /// Side of an image in pixels.
    pub input_size: u32,
    pub epochs: u32,
    /// Seed of this iteration: weights, batches and dropout follow from it.
    pub seed: u64,
    /// The iteration; in a list a number of architecture and repeat, so that the same training
    /// draws the same random numbers in whatever iteration.
    pub stream: u64,
    /// Seed of the experiment: the split of the data follows from it.
    pub experiment_seed: u64,
    /// Folder for checkpoints, which the trainer makes; null when none are wanted.
    pub checkpoint: Option<PathBuf>,
    pub resume: bool,
    /// Folder for the weights of the best epoch, which the trainer makes; null when none are
    /// wanted.
    pub model: Option<PathBuf>,
    /// The folder of a model of the same layers: with its weights each start begins, but those of
    /// the last layer and those of another shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<PathBuf>,
    /// Seconds until the scheduler ends the task, when known.
    pub seconds_left: Option<f64>,
    pub threads: u32,
    pub recipe: Recipe,
    /// The section of the configuration; for pictures the arrays that they were decoded to.
    pub data: serde_json::Value,
}

impl Request {
    /// Whether networks are judged on images of their own; a trainer may bring its own images.
    pub fn has_validation(&self) -> bool {
        self.data["validation"]["images"] != 0
    }

    /// Returns a request of 0 epochs, without data.
    pub fn rehearsal(recipe: Recipe, threads: u32) -> Self {
        let (protocol, classes, channels, input_size) = (VERSION, 10, 1, 28);
        Self { protocol, classes, channels, input_size, threads, recipe, ..Self::default() }
    }
}

/// Asks for the probabilities that models give to images.
#[derive(Debug, Clone, SmartDefault, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    #[default(VERSION)]
    pub protocol: u32,
    /// Their folders, each of another name.
    pub models: Vec<PathBuf>,
    pub part: EvaluatedPart,
    /// An existing folder.
    pub output: PathBuf,
    /// Of which images `part` is; null for `arrays`.
    pub data: serde_json::Value,
    /// Seed of the experiment: the split of the data follows from it.
    pub experiment_seed: u64,
    pub threads: u32,
    /// Of which device, precision of sums and batches of validation count.
    pub recipe: Recipe,
}

/// Which images are evaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedPart {
    #[default]
    Test,
    Validation,
    /// An `.npy` file `[N, C, H, W]`: bytes, or 32-bit numbers on their scale, 0 to 255.
    Arrays(PathBuf),
}

/// The line of an [`Evaluation`]; that of a [`Request`] has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRequest {
    pub evaluate: Option<Evaluation>,
}

/// One layer of a request. Convolutions, fully connected layers and the convolution inside
/// `global_average_pool` are followed by a ReLU; dropout stands after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LayerDescription {
    /// A convolution, batch normalisation if asked, a ReLU.
    Conv { filters: u32, kernel: u32, stride: u32, padding: u32, batch_norm: bool },
    /// Batch normalisation if asked, then a max pooling without padding.
    Pool { kernel: u32, stride: u32, ceil: bool, batch_norm: bool },
    /// Dropout, scaled during training.
    Dropout { probability: f64 },
    /// A dense layer and a ReLU.
    FullyConnected { width: u32 },
    /// A 1x1 convolution to one map per class, a ReLU, the mean of each map.
    GlobalAveragePool { classes: u32 },
    /// A dense layer to one logit per class.
    Softmax { classes: u32 },
}

impl LayerDescription {
    /// Describes the layers of an architecture, dropout included.
    pub fn of(space: &Space, architecture: &Architecture) -> Vec<Self> {
        let batch_norm = space.batch_norm;
        let mut descriptions = Vec::new();
        for (&layer, mark) in architecture.layers().iter().zip(architecture.dropout()) {
            descriptions.push(match layer {
                Layer::Conv { filters, kernel, stride } => {
                    let padding = match space.conv_padding {
                        Padding::Same => kernel / 2,
                        Padding::Valid => 0,
                    };
                    Self::Conv { filters, kernel, stride, padding, batch_norm }
                }
                Layer::Pool { kernel, stride } => {
                    let ceil = space.pool_rounding == PoolRounding::Ceil;
                    Self::Pool { kernel, stride, ceil, batch_norm }
                }
                Layer::FullyConnected { width } => Self::FullyConnected { width },
                Layer::GlobalAveragePool { classes } => Self::GlobalAveragePool { classes },
                Layer::Softmax { classes } => Self::Softmax { classes },
            });
            if let Some(mark) = mark {
                descriptions.push(Self::Dropout { probability: mark.probability() });
            }
        }
        descriptions
    }

    /// Gives dropout the probabilities that a recipe lists for so many marks.
    pub fn set_dropout(layers: &mut [Self], recipe: &Recipe) {
        let marks = layers.iter_mut().filter_map(|layer| match layer {
            Self::Dropout { probability } => Some(probability),
            _ => None,
        });
        let marks: Vec<_> = marks.collect();
        if let Some(list) = recipe.dropout.iter().find(|list| list.len() == marks.len()) {
            marks.into_iter().zip(list).for_each(|(mark, probability)| *mark = *probability);
        }
    }
}

/// What a trainer reports after each epoch: one row of a learning curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EpochReport {
    pub epoch: u32,
    /// Which of the first-epoch restarts this is, from 1; the last start is the curve.
    pub start: u32,
    pub learning_rate: Option<f64>,
    /// Mean training loss over the epoch.
    pub training_loss: Option<f64>,
    /// Share of training images classified correctly during the epoch, in [0, 1].
    pub training_accuracy: Option<f64>,
    /// Mean loss over the validation images.
    pub validation_loss: Option<f64>,
    /// Share of validation images classified correctly, in [0, 1]; null only where there are none.
    pub validation_accuracy: Option<f64>,
    /// Wall-clock seconds of the epoch, evaluation included.
    pub seconds: Option<f64>,
}

/// What a trainer writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Epoch(EpochReport),
    /// The training is over, to the last epoch or because it was asked to stop.
    ///
    /// In the answer to a request of 0 epochs `device` says where it trains, and `libtorch` with
    /// which version.
    Done {
        device: Option<String>,
        libtorch: Option<String>,
    },
    /// The training is over, ended early by a rule of the trainer's own.
    EndedItself,
    /// A sign of life within an epoch: so many of its batches are done.
    Batch {
        batch: u64,
        of: u64,
    },
    Failed(String),
    OutOfMemory {
        peak_bytes: Option<u64>,
    },
    Refused(String),
    /// An epoch whose loss or accuracy is NaN or infinite.
    Diverged {
        epoch: u32,
    },
}

impl Message {
    /// Writes the message as the line that [`Message::parse`] reads, without its line feed.
    pub fn to_line(&self) -> String {
        let json = match self {
            Self::Epoch(report) => {
                return serde_json::to_string(report).expect("a report has only plain fields");
            }
            Self::Diverged { epoch } => {
                return format!(r#"{{"epoch":{epoch},"validation_accuracy":NaN}}"#);
            }
            Self::Done { device: None, libtorch: None } => json!({ "done": true }),
            Self::Done { device, libtorch } => {
                json!({ "done": true, "device": device, "libtorch": libtorch })
            }
            Self::EndedItself => json!({ "done": true, "stopped": true }),
            Self::Batch { batch, of } => json!({ "batch": batch, "of": of }),
            Self::Failed(reason) => json!({ "failed": reason }),
            Self::OutOfMemory { peak_bytes } => {
                json!({ "out_of_memory": true, "peak_bytes": peak_bytes })
            }
            Self::Refused(reason) => json!({ "refused": reason }),
        };
        json.to_string()
    }
}

/// The message to a trainer while it trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub stop: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{DataShape, SpaceParams};
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Message, String> {
        Message::parse(line.as_bytes())
    }

    #[test]
    fn the_least_epoch_a_trainer_may_print() {
        let message = parse(r#"{"epoch": 1, "validation_accuracy": 0.5, "note": "mine"}"#);
        let Ok(Message::Epoch(report)) = message else { panic!("{message:?}") };
        assert_eq!((report.epoch, report.start, report.validation_accuracy), (1, 1, Some(0.5)));
        assert_eq!(report.seconds, None);
    }

    #[test]
    fn an_invalid_message_is_explained() {
        let problem = |line| parse(line).unwrap_err();
        assert!(problem(r#"{"epoch": 1, "validation_accuracy": 86.0}"#).contains("outside [0, 1]"));
        assert!(problem(r#"{"epoch": 0, "validation_accuracy": 0.1}"#).contains("count from 1"));
        assert!(problem("{}").contains("none of"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for message in [
            Message::Done { device: None, libtorch: None },
            Message::Done { device: Some("the CPU".into()), libtorch: Some("2.11.0".into()) },
            Message::Done { device: Some("the CPU".into()), libtorch: None },
            Message::Failed("loss is \"NaN\"".into()),
            Message::OutOfMemory { peak_bytes: Some(1 << 33) },
            Message::OutOfMemory { peak_bytes: None },
            Message::Refused("no GPU".into()),
            Message::Diverged { epoch: 3 },
            Message::EndedItself,
            Message::Batch { batch: 3, of: 40 },
        ] {
            assert_eq!(parse(&message.to_line()), Ok(message));
        }
    }

    #[test]
    fn layers_say_all_that_a_builder_needs() {
        let image = DataShape { size: 28, channels: 1, classes: 10 };
        let space = SpaceParams::default().check(image).unwrap();
        let architecture = space.parse("[C(64,5,1), P(2,2), SM(10)]").unwrap();
        let json = serde_json::to_string(&LayerDescription::of(&space, &architecture)).unwrap();
        assert_eq!(
            json,
            r#"[{"type":"conv","filters":64,"kernel":5,"stride":1,"padding":2,"batch_norm":false},"#
                .to_owned()
                + r#"{"type":"pool","kernel":2,"stride":2,"ceil":false,"batch_norm":false},"#
                + r#"{"type":"dropout","probability":0.5},{"type":"softmax","classes":10}]"#
        );
    }

    #[test]
    fn dropout_follows_the_list_for_so_many_marks() {
        let image = DataShape { size: 28, channels: 1, classes: 10 };
        let space = SpaceParams::default().check(image).unwrap();
        let recipe = Recipe { dropout: vec![vec![0.4], vec![0.3, 0.5]], ..Recipe::default() };
        let probabilities = |text| {
            let mut layers = LayerDescription::of(&space, &space.parse(text).unwrap());
            LayerDescription::set_dropout(&mut layers, &recipe);
            let dropout = |layer: &LayerDescription| match layer {
                LayerDescription::Dropout { probability } => Some(*probability),
                _ => None,
            };
            layers.iter().filter_map(dropout).collect::<Vec<_>>()
        };
        assert_eq!(probabilities("[C(64,3,1), C(64,3,1), SM(10)]"), [0.4]);
        let two = "[C(64,3,1), C(64,3,1), C(64,3,1), C(64,3,1), SM(10)]";
        assert_eq!(probabilities(two), [0.3, 0.5]);
        // Three marks of i / 6, of which there is no list.
        let three = two.replace(" SM", " C(64,3,1), C(64,3,1), SM");
        assert_eq!(probabilities(&three), [1.0 / 6.0, 2.0 / 6.0, 0.5]);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in ".{0,80}") {
            let _ = parse(&line);
        }
    }
}
