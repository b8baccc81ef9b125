//! The folder of a model, and what its `model.json` says.

use std::collections::BTreeMap;
use std::fs;
use std::mem::discriminant;
use std::path::Path;

use itertools::Itertools;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::onnx;
use super::sequential::{Module, sequential, state_shapes};
use super::tensors::{ModelError, PREPROCESSING, Tensors, WEIGHTS, parse};
use crate::dataset::{DataParams, Fingerprint, Preprocess};
use crate::maths::binomial_interval;
use crate::regular_file::{self, LARGE, MEDIUM, SMALL};
use crate::training::protocol::Request;

const CARD: &str = "model.json";
const ONNX: &str = "model.onnx";
/// [`TrainerFacts`], which a trainer may leave: [`ModelCard::complete`] takes them over.
pub const TRAINER_FACTS: &str = "trainer.json";

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    pub experiment: String,
    /// Their names, by index.
    pub classes: Vec<String>,
    /// `null` where the network was not judged so.
    pub validation: Option<MeasuredError>,
    pub test: Option<MeasuredError>,
    pub parameters: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    pub latency: Vec<Latency>,
    /// After which epoch the weights are so.
    pub epoch: u32,
    /// As configured, without the place of the images.
    pub data: DataParams,
    pub data_files: Option<Fingerprint>,
    /// What the trainer was asked for, without data and folders.
    pub request: Request,
    /// The modules of PyTorch's `Sequential`.
    pub sequential: Vec<Module>,
    pub versions: BTreeMap<String, String>,
    /// Of shape and values of each tensor, of `model.onnx`, and of the other lines of this file.
    pub sha256: BTreeMap<String, String>,
}

/// A share of images classified wrongly, with its exact 95 % interval: of this one network, that it
/// was selected by it not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredError {
    pub error: f64,
    /// 0 where a trainer has its own: then the interval says nothing.
    pub images: u64,
    pub interval: [f64; 2],
}

/// From images on a device to their probabilities, the least of some runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub device: String,
    pub batch: u32,
    pub seconds: f64,
}

/// What a trainer alone knows.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainerFacts {
    pub latency: Vec<Latency>,
    /// Of its libraries.
    pub versions: BTreeMap<String, String>,
}

impl MeasuredError {
    pub fn of(error: f64, images: u64) -> Self {
        let wrong = (error * images as f64).round();
        let error = if images > 0 { wrong / images as f64 } else { error };
        Self { error, images, interval: binomial_interval(wrong as u64, images) }
    }

    /// `None` of an unknown number of images.
    pub fn interval(&self) -> Option<[f64; 2]> {
        (self.images > 0).then_some(self.interval)
    }
}

impl ModelCard {
    /// Completes the folder to which a trainer has written its two files.
    pub fn complete(mut self, folder: &Path) -> Result<(), ModelError> {
        let (onnx, sha256) = self.with_tensors(folder, |weights, preprocessing| {
            let tensors = || weights.iter().chain(preprocessing);
            (onnx::encode(&self.data, &self.sequential, tensors()), checksums(tensors()))
        })?;
        self.sha256 = sha256;
        self.sha256.insert(ONNX.to_owned(), hex(&onnx));
        let facts = folder.join(TRAINER_FACTS);
        if let Ok(found) = regular_file::read(&facts, SMALL) {
            let found: TrainerFacts = serde_json::from_slice(&found).unwrap_or_default();
            self.latency = found.latency;
            self.versions.extend(found.versions);
        }
        write(folder, ONNX, &onnx)?;
        write(folder, "classify.py", include_bytes!("classify.py"))?;
        write(folder, "README.md", include_bytes!("README.md"))?;
        self.write(folder)?;
        let _ = fs::remove_file(facts);
        Ok(())
    }

    /// Checks a folder that may be removed at any time, and copies it to an existing one.
    pub fn copy(folder: &Path, to: &Path) -> Result<Self, ModelError> {
        let card = Self::check_network(folder)?;
        let names = [WEIGHTS, PREPROCESSING, ONNX, CARD];
        for name in names.into_iter().filter(|name| *name != ONNX || folder.join(ONNX).exists()) {
            write(to, name, &read(&folder.join(name), LARGE)?)?;
        }
        Ok(card)
    }

    /// Of all that its outputs depend on, whichever attempt it is of.
    pub fn checksum(&self) -> &str {
        self.sha256.get(ONNX).map_or("", String::as_str)
    }

    pub const fn is_of(&self, iteration: u64, attempt: u32) -> bool {
        self.request.iteration == iteration && self.request.attempt == attempt
    }

    pub fn write(&self, folder: &Path) -> Result<(), ModelError> {
        let mut card = self.clone();
        card.sha256.insert(CARD.to_owned(), String::new());
        card.sha256.insert(CARD.to_owned(), card_sum(&card.text()));
        write(folder, CARD, card.text().as_bytes())
    }

    fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a card has only plain values");
        text + "\n"
    }

    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(CARD);
        let unreadable = |error| ModelError::damaged(&path, format!("is unreadable: {error}"));
        let card: Self = serde_json::from_slice(&read(&path, MEDIUM)?).map_err(unreadable)?;
        let Request { layers, channels, input_size, .. } = &card.request;
        if sequential(layers, *channels, *input_size).as_ref() != Ok(&card.sequential) {
            return Err(ModelError::damaged(&path, "has other modules than its layers"));
        }
        Ok(card)
    }

    /// Reads the card and checks that its folder is what [`Self::complete`] has written.
    pub fn check(folder: &Path) -> Result<Self, ModelError> {
        let card = Self::check_network(folder)?;
        let onnx = hex(&read(&folder.join(ONNX), LARGE)?);
        card.agree(folder, [(ONNX.to_owned(), onnx)].into())
    }

    /// The same without `model.onnx`, which this program does not use.
    pub fn check_network(folder: &Path) -> Result<Self, ModelError> {
        let card = Self::read(folder)?;
        let mut found = card.with_tensors(folder, |weights, preprocessing| {
            checksums(weights.iter().chain(preprocessing))
        })?;
        let text = read(&folder.join(CARD), MEDIUM)?;
        found.insert(CARD.to_owned(), card_sum(&String::from_utf8_lossy(&text)));
        card.agree(folder, found)
    }

    /// Checks the folder of a model with whose weights another network is to begin. Names the
    /// tensors that it takes over, and those that begin anew: of its last module, and of another
    /// shape.
    pub fn initial_weights(
        folder: &Path,
        own: &Request,
    ) -> Result<(Vec<String>, Vec<String>), ModelError> {
        let card = Self::check_network(folder)?;
        let unlike = |what: String| ModelError::damaged(folder, what);
        let [theirs, channels] = [card.request.channels, own.channels];
        if theirs != channels {
            return Err(unlike(format!("is of images of {theirs} channels, not of {channels}")));
        }
        let modules = sequential(&own.layers, channels, own.input_size);
        let modules = modules.map_err(|problem| unlike(problem.to_string()))?;
        if !card.sequential.iter().map(discriminant).eq(modules.iter().map(discriminant)) {
            return Err(unlike("is of other layers than what is to begin with it".to_owned()));
        }
        let (last, saved) = (format!("{}.", modules.len() - 1), state_shapes(&card.sequential));
        let is_taken = |(name, shape): &(String, Vec<usize>)| {
            !name.starts_with(&last) && saved.get(name) == Some(shape)
        };
        let (taken, anew): (BTreeMap<_, _>, BTreeMap<_, _>) =
            state_shapes(&modules).into_iter().partition(is_taken);
        Ok((taken.into_keys().collect(), anew.into_keys().collect()))
    }

    fn agree(self, folder: &Path, found: BTreeMap<String, String>) -> Result<Self, ModelError> {
        match found.iter().find(|(name, sum)| self.sha256.get(*name) != Some(sum)) {
            None => Ok(self),
            Some((name, _)) => {
                let problem = format!("has another checksum of `{name}` than the folder holds");
                Err(ModelError::damaged(&folder.join(CARD), problem))
            }
        }
    }

    /// Hands on weights and constants of the preprocessing, which are those of this card.
    fn with_tensors<T>(
        &self,
        folder: &Path,
        then: impl FnOnce(&Tensors, &Tensors) -> T,
    ) -> Result<T, ModelError> {
        let paths = [WEIGHTS, PREPROCESSING].map(|name| folder.join(name));
        let [weights, constants] = [read(&paths[0], LARGE)?, read(&paths[1], LARGE)?];
        let shapes = state_shapes(&self.sequential);
        let weights = parse(&weights, &paths[0], &shapes, self.epoch)?;
        Ok(then(&weights, &parse(&constants, &paths[1], &self.constants(), self.epoch)?))
    }

    fn constants(&self) -> BTreeMap<String, Vec<usize>> {
        let size = self.request.input_size as usize;
        let image = vec![self.request.channels as usize, size, size];
        let constants = match self.data.preprocess {
            Preprocess::None => vec![],
            Preprocess::MeanSubtraction | Preprocess::GlobalContrastNormalisation => {
                vec![("mean", image.clone()), ("deviation", image)]
            }
            Preprocess::StandardWhitening => vec![("floor", vec![1])],
            Preprocess::LocalContrastNormalisation => vec![("blur", vec![7]), ("floor", vec![1])],
        };
        constants.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }
}

fn checksums<'a>(
    tensors: impl Iterator<Item = (&'a String, &'a TensorView<'a>)>,
) -> BTreeMap<String, String> {
    let sum = |tensor: &TensorView| {
        hex(&[format!("{:?}\n", tensor.shape()).as_bytes(), tensor.data()].concat())
    };
    tensors.map(|(name, tensor)| (name.clone(), sum(tensor))).collect()
}

/// Of the lines but that of this checksum. (Numbers read and written again may differ in a bit.)
fn card_sum(text: &str) -> String {
    let own = format!("    \"{CARD}\": ");
    hex(text.lines().filter(|line| !line.starts_with(&own)).join("\n").as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, ModelError> {
    regular_file::read(path, most).map_err(ModelError::io("read", path))
}

/// Nothing reads the folder before it has its name.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ModelError> {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(ModelError::io("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::write_tensors;
    use crate::seed::{Purpose, generator};
    use crate::training::protocol::LayerDescription;
    use rand::Rng;
    use std::ops::Range;

    /// Every kind of module on images of two channels and 7x7 pixels.
    fn card(preprocess: Preprocess) -> ModelCard {
        let layers = vec![
            LayerDescription::Conv {
                filters: 3,
                kernel: 3,
                stride: 1,
                padding: 1,
                batch_norm: true,
            },
            LayerDescription::Pool { kernel: 3, stride: 2, ceil: true, batch_norm: false },
            LayerDescription::Dropout { probability: 0.5 },
            LayerDescription::Pool { kernel: 1, stride: 2, ceil: true, batch_norm: true },
            LayerDescription::GlobalAveragePool { classes: 3 },
            LayerDescription::Softmax { classes: 3 },
        ];
        let data = serde_json::json!({
            "classes": 3, "input_size": 7, "channels": 2, "preprocess": preprocess,
        });
        let sequential = sequential(&layers, 2, 7).unwrap();
        let request = Request { layers, channels: 2, input_size: 7, ..Request::default() };
        ModelCard {
            experiment: "search".into(),
            classes: vec!["a".into(), "b".into(), "c".into()],
            validation: Some(MeasuredError::of(0.25, 40)),
            test: None,
            parameters: 99,
            macs: 999,
            latency: Vec::new(),
            epoch: 7,
            data: serde_json::from_value(data).unwrap(),
            data_files: None,
            request,
            sequential,
            versions: BTreeMap::new(),
            sha256: BTreeMap::new(),
        }
    }

    /// Writes what the trainer does, of made-up numbers.
    fn write_as_trainer(card: &ModelCard, folder: &Path) {
        let mut rng = generator(1, Purpose::Synthetic, 0, 0);
        let mut tensors = |shapes: BTreeMap<String, Vec<usize>>, range: Range<f32>| {
            let tensor = |(name, shape): (String, Vec<usize>)| {
                let is_variance = name.ends_with("running_var");
                let number = |_| {
                    let number = rng.random_range(range.clone());
                    if is_variance { number * number } else { number }
                };
                let numbers = (0..shape.iter().product()).map(number);
                let bytes = numbers.flat_map(f32::to_le_bytes).collect();
                (name, shape, bytes)
            };
            shapes.into_iter().map(tensor).collect::<Vec<_>>()
        };
        let weights = tensors(state_shapes(&card.sequential), -0.4..0.4);
        write_tensors(&folder.join(WEIGHTS), &weights, Some(7)).unwrap();
        let constants = tensors(card.constants(), 0.1..0.2);
        write_tensors(&folder.join(PREPROCESSING), &constants, None).unwrap();
    }

    #[test]
    fn a_folder_with_one_byte_changed_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut card = card(Preprocess::MeanSubtraction);
        write_as_trainer(&card, folder.path());
        card.latency = vec![Latency { device: "a GPU".into(), batch: 1, seconds: 0.25 }];
        card.versions = [("library".to_owned(), "1.2".to_owned())].into();
        let facts = r#"{"latency": [{"device": "a GPU", "batch": 1, "seconds": 0.25}],
                        "versions": {"library": "1.2"}}"#;
        fs::write(folder.path().join(TRAINER_FACTS), facts).unwrap();
        let (latency, versions) = (Vec::new(), BTreeMap::new());
        ModelCard { latency, versions, ..card.clone() }.complete(folder.path()).unwrap();
        assert!(!folder.path().join(TRAINER_FACTS).exists());
        let read = ModelCard::check(folder.path()).unwrap();
        assert_eq!(ModelCard { sha256: BTreeMap::new(), ..read }, card);
        for name in [WEIGHTS, PREPROCESSING, ONNX] {
            let path = folder.path().join(name);
            let whole = read_file(&path);
            let mut changed = whole.clone();
            *changed.last_mut().unwrap() ^= 1;
            for bytes in [&changed[..], &whole[..whole.len() / 2], &[]] {
                fs::write(&path, bytes).unwrap();
                ModelCard::check(folder.path()).unwrap_err();
            }
            fs::remove_file(&path).unwrap();
            ModelCard::check(folder.path()).unwrap_err();
            assert_eq!(ModelCard::check_network(folder.path()).is_ok(), name == ONNX);
            fs::write(&path, whole).unwrap();
        }
        let path = folder.path().join(CARD);
        let text = String::from_utf8(read_file(&path)).unwrap();
        let renamed = text.replacen(r#""a""#, r#""z""#, 1);
        fs::write(&path, renamed).unwrap();
        let problem = ModelCard::check(folder.path()).unwrap_err().to_string();
        assert!(problem.contains("another checksum of `model.json`"), "{problem}");
        let stride = r#""stride": 2"#;
        fs::write(&path, text.replacen(stride, r#""stride": 1"#, 1)).unwrap();
        let problem = ModelCard::check(folder.path()).unwrap_err().to_string();
        assert!(problem.contains("has other modules than its layers"), "{problem}");
    }

    #[test]
    fn a_network_begins_with_what_has_its_shape_but_for_the_last_module() {
        let folder = tempfile::tempdir().unwrap();
        let card = card(Preprocess::None);
        write_as_trainer(&card, folder.path());
        card.clone().complete(folder.path()).unwrap();
        let anew = |change: &dyn Fn(&mut Request)| {
            let mut own = card.request.clone();
            change(&mut own);
            let found = ModelCard::initial_weights(folder.path(), &own);
            found.map(|(_, anew)| anew.join(" ")).map_err(|error| error.to_string())
        };
        let last = "11.bias 11.weight";
        assert_eq!(anew(&|_| ()), Ok(last.into()));
        assert_eq!(anew(&|own| own.input_size = 9), Ok(last.into()));
        let smoother = LayerDescription::Dropout { probability: 0.25 };
        assert_eq!(anew(&|own| own.layers[2] = smoother.clone()), Ok(last.into()));
        let five = |own: &mut Request| {
            own.layers[4] = LayerDescription::GlobalAveragePool { classes: 5 };
            own.layers[5] = LayerDescription::Softmax { classes: 5 };
        };
        assert_eq!(anew(&five), Ok(format!("{last} 7.bias 7.weight")));
        let problem = anew(&|own| own.channels = 3).unwrap_err();
        assert!(problem.contains("is of images of 2 channels, not of 3"), "{problem}");
        let problem = anew(&|own| own.layers.truncate(2)).unwrap_err();
        assert!(problem.contains("is of other layers"), "{problem}");
        fs::remove_file(folder.path().join(CARD)).unwrap();
        assert!(anew(&|_| ()).unwrap_err().contains("cannot read"));
    }

    fn read_file(path: &Path) -> Vec<u8> {
        read(path, MEDIUM).unwrap()
    }

    #[test]
    fn a_folder_without_the_weights_of_the_best_epoch_is_not_completed() {
        let folder = tempfile::tempdir().unwrap();
        let card = card(Preprocess::None);
        let problem = |card: &ModelCard| card.clone().complete(folder.path()).unwrap_err();
        assert!(problem(&card).to_string().contains("cannot read"));
        write_as_trainer(&card, folder.path());
        let other = ModelCard { epoch: 8, ..card };
        assert!(problem(&other).to_string().contains("is of epoch 7, not of 8"));
        assert!(!folder.path().join(CARD).exists());
    }

    /// The accepted files pass `onnx.checker` with `full_check`, and onnxruntime computes from them
    /// what PyTorch does from the weights, within 2e-6. (METAQNN_KEEP_MODELS=FOLDER keeps them.)
    #[test]
    fn graphs_are_those_that_other_programs_have_read() {
        let graph = |preprocess: Preprocess| {
            let folder = tempfile::tempdir().unwrap();
            let card = card(preprocess);
            write_as_trainer(&card, folder.path());
            card.complete(folder.path()).unwrap();
            if let Some(place) = std::env::var_os("METAQNN_KEEP_MODELS") {
                let place = Path::new(&place).join(format!("{preprocess:?}"));
                fs::create_dir_all(&place).unwrap();
                for name in regular_file::names(folder.path()).unwrap() {
                    fs::copy(folder.path().join(&name), place.join(name)).unwrap();
                }
            }
            hex(&read_file(&folder.path().join(ONNX)))[..8].to_owned()
        };
        let graphs = [
            Preprocess::None,
            Preprocess::GlobalContrastNormalisation,
            Preprocess::StandardWhitening,
            Preprocess::LocalContrastNormalisation,
        ];
        assert_eq!(graphs.map(graph), ["f5fc272e", "a92545c4", "3aa0a2ae", "c8c60a77"]);
    }
}
