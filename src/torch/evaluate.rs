//! What trained networks say of images: the answer to an [`Evaluation`].

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use metaqnn::dataset::{
    Array, DataParams, Images, load_test_images, load_training_images, split, write_arrays,
};
use metaqnn::model::{ModelCard, ModelError, PREPROCESSING, WEIGHTS};
use metaqnn::regular_file;
use metaqnn::training::protocol::{EvaluatedPart, Evaluation};
use rustix::fs::OFlags;
use tch::{Device, Kind, TchError, Tensor};

use super::batches::ImageTensors;
use super::error::TorchError;
use super::fit::Listener;
use super::input::{Answer, DONE};
use super::memory::fitting_memory;
use super::network::{Network, Phase};
use super::normaliser::Normaliser;
use super::plan::Plan;

/// Every model is checked before an image is read. A signal ends it between two models.
pub fn evaluate(
    asked: &Evaluation,
    device: Device,
    listener: &mut dyn Listener,
) -> Result<Answer, TorchError> {
    let mut cards = Vec::new();
    for folder in &asked.models {
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refused(format!("`{}` has no name", folder.display())))?;
        let path = asked.output.join(format!("{name}.npz"));
        if cards.iter().any(|(_, _, other)| *other == path) {
            return Err(refused(format!("two models are called `{name}` (ask for one at a time)")));
        }
        cards.push((folder, ModelCard::check(folder).map_err(damaged)?, path));
    }
    cards.retain(|(_, _, path)| !path.exists());
    if cards.is_empty() {
        return Ok(DONE);
    }
    let part = Part::load(asked, device)?;
    for (folder, card, path) in cards {
        if listener.interruption().is_break() {
            return Ok(None);
        }
        part.check(&card, folder)?;
        let (network, normaliser) = load(folder, &card, device)?;
        let mut batch = asked.recipe.validation_batch_size.max(1).into();
        let probabilities = fitting_memory(&mut batch, |batch| {
            Ok(probabilities(&network, &normaliser, &part.images, batch)?)
        })?;
        let arrays = part.arrays(&probabilities)?;
        publish(&path, &arrays).map_err(|error| {
            TorchError::Failed(format!("failed to write `{}`: {error}", path.display()))
        })?;
    }
    Ok(DONE)
}

fn refused(problem: String) -> TorchError {
    TorchError::Refused(problem)
}

fn damaged(error: ModelError) -> TorchError {
    refused(format!("{:#}", anyhow::Error::from(error)))
}

/// The images that are evaluated.
struct Part {
    images: ImageTensors,
    indices: Vec<usize>,
    /// None of arrays.
    labels: Option<Vec<u8>>,
    /// Classes, of arrays unknown, channels and side of an image.
    shape: (Option<usize>, u32, u32),
}

impl Part {
    fn load(asked: &Evaluation, device: Device) -> Result<Self, TorchError> {
        if let EvaluatedPart::Arrays(path) = &asked.part {
            return Self::of_arrays(path, device);
        }
        let params: DataParams = serde_json::from_value(asked.data.clone())
            .map_err(|error| TorchError::unreadable(format!("data: {error}")))?;
        let valid = params.check()?;
        let (images, indices): (Images, Vec<usize>) = if asked.part == EvaluatedPart::Test {
            let images = load_test_images(&valid)?;
            let indices = (0..images.count()).collect();
            (images, indices)
        } else {
            let images = load_training_images(&valid)?;
            let indices = split(&images, &valid, asked.experiment_seed)?.validation;
            (images.subset(&indices), indices)
        };
        let range = valid.value_range.unwrap_or_else(|| images.pixels.range());
        Ok(Self {
            images: ImageTensors::new(&images, range, device)?,
            indices,
            shape: (Some(images.classes), valid.channels, valid.input_size),
            labels: Some(images.labels),
        })
    }

    fn of_arrays(path: &Path, device: Device) -> Result<Self, TorchError> {
        let unreadable = |problem: String| refused(format!("`{}`: {problem}", path.display()));
        // What libtorch opens it waits for.
        regular_file::open(path, File::options().read(true), OFlags::NOFOLLOW)
            .map_err(|error| unreadable(error.to_string()))?;
        let pixels = Tensor::read_npy(path).map_err(|error| unreadable(error.to_string()))?;
        match (pixels.size()[..].as_ref(), pixels.kind()) {
            (&[count, channels, size, same], Kind::Uint8 | Kind::Float) if size == same => {
                let images = ImageTensors::unlabelled(&pixels, device)?;
                let shape = (None, channels as u32, size as u32);
                Ok(Self { images, indices: (0..count as usize).collect(), labels: None, shape })
            }
            (shape, kind) => Err(unreadable(format!(
                "an array {shape:?} of {kind:?} (give [N, C, H, W], square, of bytes or floats)"
            ))),
        }
    }

    fn check(&self, card: &ModelCard, folder: &Path) -> Result<(), TorchError> {
        let (classes, channels, size) = self.shape;
        let own = (card.classes.len(), card.request.channels, card.request.input_size);
        let given = (classes.unwrap_or(own.0), channels, size);
        let words = |(classes, channels, size): (usize, u32, u32)| {
            format!("{classes} classes, {channels} channels and {size}x{size} pixels")
        };
        if own == given {
            return Ok(());
        }
        let (folder, own, given) = (folder.display(), words(own), words(given));
        Err(refused(format!("`{folder}` is a model for {own}, and these images have {given}")))
    }

    fn arrays(&self, probabilities: &Tensor) -> Result<Vec<(String, Array)>, TchError> {
        let shape = probabilities.size().into_iter().map(|side| side as usize).collect();
        let mut bytes = vec![0; 4 * probabilities.numel()];
        probabilities.f_copy_data_u8(&mut bytes, probabilities.numel())?;
        let numbers = |numbers: Vec<i64>| {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            Array::new("i8", vec![numbers.len()], bytes)
        };
        let indices = numbers(self.indices.iter().map(|&index| index as i64).collect());
        let labels = self
            .labels
            .as_ref()
            .map(|labels| numbers(labels.iter().map(|&label| i64::from(label)).collect()));
        let arrays = [
            ("probabilities", Some(Array::new("f4", shape, bytes))),
            ("indices", Some(indices)),
            ("labels", labels),
        ];
        Ok(arrays.into_iter().filter_map(|(name, array)| Some((name.into(), array?))).collect())
    }
}

fn load(
    folder: &Path,
    card: &ModelCard,
    device: Device,
) -> Result<(Network, Normaliser), TorchError> {
    let read = |name| Tensor::read_safetensors(folder.join(name));
    let plan = Plan::new(
        &card.request.layers,
        card.request.input_size,
        card.request.channels,
        Kind::Float,
    )?;
    let network = Network::build(plan, device)?;
    let weights = read(WEIGHTS)?;
    let _guard = tch::no_grad_guard();
    for (name, mut own) in network.state() {
        let found = weights.iter().find(|(found, _)| *found == name);
        let lacks = || refused(format!("`{}` lost its tensor `{name}`", folder.display()));
        own.f_copy_(&found.ok_or_else(lacks)?.1)?;
    }
    Ok((network, Normaliser::with(card.data.preprocess, &read(PREPROCESSING)?, device)?))
}

/// Of the classes, `[N, classes]`, in 32-bit numbers on the CPU.
fn probabilities(
    network: &Network,
    normaliser: &Normaliser,
    images: &ImageTensors,
    batch: i64,
) -> Result<Tensor, TchError> {
    let _guard = tch::no_grad_guard();
    let mut parts = Vec::new();
    for first in (0..images.count()).step_by(batch as usize) {
        let images = images.batch(normaliser, first, batch.min(images.count() - first))?;
        let logits = network.forward(&images, Phase::Evaluation)?;
        parts.push(logits.f_softmax(1, Kind::Float)?.f_to_device(Device::Cpu)?);
    }
    Tensor::f_cat(&parts, 0)?.f_contiguous()
}

/// Whole, and only once: of two writers the first one's stays.
fn publish(path: &Path, arrays: &[(String, Array)]) -> io::Result<()> {
    let host = rustix::system::uname();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own = format!("{}.{}", host.nodename().to_string_lossy(), std::process::id());
    let aside = path.with_file_name(format!(".{name}.{own}.partial"));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    let file = regular_file::open(&aside, &options, OFlags::NOFOLLOW)?;
    let published = write_arrays(&file, arrays)
        .map_err(io::Error::other)
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&aside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
    let _ = fs::remove_file(&aside);
    published.and_then(|()| regular_file::sync_folder(path.parent().unwrap_or(Path::new("."))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alone, data_params};
    use crate::trainer::tests::{answers, line, on_files, write_idx};
    use metaqnn::model::sequential;
    use metaqnn::training::Recipe;
    use metaqnn::training::protocol::{EvaluationRequest, Message, Request, VERSION};
    use std::collections::{BTreeMap, HashMap};

    use super::super::input::Input;

    /// Trains a small network on 136 images, and returns the accuracy of the epoch whose weights
    /// the model has.
    fn train(folder: &Path, model: &Path) -> f64 {
        write_idx(folder, "train", 136);
        write_idx(folder, "t10k", 50);
        let mut request = Request { model: Some(model.to_owned()), ..on_files(folder, 4) };
        request.data["preprocess"] = "global_contrast_normalisation".into();
        let messages = answers(vec![line(&request)]).1;
        let accuracies = messages.iter().filter_map(|message| match message {
            Message::Epoch(report) => report.validation_accuracy,
            _ => None,
        });
        let best = accuracies.clone().fold(0.0, f64::max);
        let epoch = 1 + accuracies.clone().position(|accuracy| accuracy == best).unwrap();
        let card = ModelCard {
            experiment: "search".into(),
            classes: vec!["left".into(), "right".into()],
            validation: None,
            test: None,
            parameters: 0,
            macs: 0,
            latency: Vec::new(),
            epoch: epoch as u32,
            data: data_params("global_contrast_normalisation", 1),
            data_files: None,
            sequential: sequential(&request.layers, 1, 8).unwrap(),
            request: Request { data: serde_json::Value::Null, model: None, ..request },
            versions: BTreeMap::new(),
            sha256: BTreeMap::new(),
        };
        card.complete(model).unwrap();
        best
    }

    fn asked(folder: &Path, models: &[&Path], part: EvaluatedPart) -> Evaluation {
        let data = on_files(folder, 1).data;
        let (models, output) = (models.iter().map(Into::into).collect(), folder.join("output"));
        let recipe = Recipe { device: metaqnn::training::Device::Cpu, ..Recipe::default() };
        let (protocol, threads, experiment_seed) = (VERSION, 1, 7);
        Evaluation { protocol, models, part, output, data, experiment_seed, threads, recipe }
    }

    fn answer(asked: Evaluation) -> Vec<Message> {
        fs::create_dir_all(&asked.output).unwrap();
        let request = EvaluationRequest { evaluate: Some(asked) };
        answers(vec![Input::Line(serde_json::to_string(&request).unwrap())]).1
    }

    fn read(path: &Path) -> HashMap<String, Tensor> {
        Tensor::read_npz(path).unwrap().into_iter().collect()
    }

    #[test]
    fn what_a_model_says_of_images_is_written_once_whatever_part_they_are_of() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let (folder, model) = (folder.path(), folder.path().join("000005.1"));
        let best = train(folder, &model);
        let done = [Message::Done { device: None }];
        let path = folder.join("output/000005.1.npz");

        assert_eq!(answer(asked(folder, &[&model], EvaluatedPart::Validation)), done);
        let found = read(&path);
        // The validation part is that of the training, and so is the accuracy.
        let labels = &found["labels"];
        let hits = found["probabilities"].argmax(1, false).eq_tensor(labels);
        assert_eq!(hits.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]), best);
        let sums = found["probabilities"].sum_dim_intlist([1].as_slice(), false, Kind::Float);
        assert!(sums.allclose(&Tensor::ones([40], (Kind::Float, Device::Cpu)), 0.0, 1e-6, false));
        // Labels are 0, 1, 0, .. in the file.
        assert_eq!(found["indices"].remainder(2), *labels);
        assert_eq!(found["indices"].size(), [40]);

        // What is there stays.
        fs::write(&path, "mine").unwrap();
        assert_eq!(answer(asked(folder, &[&model], EvaluatedPart::Test)), done);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        fs::remove_file(&path).unwrap();
        answer(asked(folder, &[&model], EvaluatedPart::Test));
        let test = read(&path);
        let numbers = Tensor::arange(50, (Kind::Int64, Device::Cpu));
        assert_eq!((&test["indices"], &test["labels"]), (&numbers, &numbers.remainder(2)));
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        answer(asked(folder, &[&model], EvaluatedPart::Test));
        assert_eq!(fs::read(&path).unwrap(), bytes, "the archive holds no time");
        let left = fs::read_dir(folder.join("output")).unwrap().count();
        assert_eq!(left, 1, "nothing is left aside");

        // The same images as an array, and as numbers.
        let pixels =
            Tensor::from_slice(&fs::read(folder.join("t10k-images-idx3-ubyte")).unwrap()[16..]);
        let pixels = pixels.view([50, 1, 8, 8]);
        for pixels in [pixels.to_kind(Kind::Float), pixels] {
            fs::remove_file(&path).unwrap();
            pixels.write_npy(folder.join("pictures.npy")).unwrap();
            let part = EvaluatedPart::Arrays(folder.join("pictures.npy"));
            let without_data = serde_json::Value::Null;
            let asked = Evaluation { data: without_data, ..asked(folder, &[&model], part) };
            assert_eq!(answer(asked), done);
            let found = read(&path);
            assert_eq!(found["probabilities"], test["probabilities"]);
            assert!(!found.contains_key("labels"));
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_with_its_reason() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let (folder, model) = (folder.path(), folder.path().join("000005.1"));
        train(folder, &model);
        let refusal = |models: &[&Path], change: &dyn Fn(&mut Evaluation)| {
            let mut asked = asked(folder, models, EvaluatedPart::Test);
            change(&mut asked);
            match &answer(asked)[..] {
                [Message::Refused(reason)] => reason.clone(),
                other => panic!("{other:?}"),
            }
        };
        let other = |asked: &mut Evaluation| {
            let pixels = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
            pixels.write_npy(folder.join("colours.npy")).unwrap();
            asked.part = EvaluatedPart::Arrays(folder.join("colours.npy"));
        };
        let reason = refusal(&[&model], &other);
        assert!(reason.contains("and these images have 2 classes, 3 channels"), "{reason}");
        assert!(refusal(&[&model, &model], &|_| ()).contains("two models are called `000005.1`"));
        let newer = |asked: &mut Evaluation| asked.protocol = 2;
        assert!(refusal(&[&model], &newer).contains("protocol `2`"));
        fs::remove_file(folder.join("t10k-labels-idx1-ubyte")).unwrap();
        assert!(refusal(&[&model], &|_| ()).contains("found no `t10k-labels-idx1-ubyte`"));
        let weights = model.join(WEIGHTS);
        let mut bytes = fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&weights, bytes).unwrap();
        assert!(refusal(&[&model], &|_| ()).contains("another checksum"));
    }
}
