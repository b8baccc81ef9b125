//! What trained networks say of images: the answer to an [`Evaluation`].

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use itertools::Itertools;
use metaqnn::dataset::{
    Array, DataParams, load_test_images, load_training_images, split, write_arrays,
};
use metaqnn::model::{ModelCard, PREPROCESSING, WEIGHTS};
use metaqnn::regular_file;
use metaqnn::training::protocol::{EvaluatedPart, Evaluation};
use rustix::fs::OFlags;
use tch::{Device, Kind, TchError, Tensor};

use super::batches::{ImageTensors, without_room};
use super::error::TorchError;
use super::fit::Listener;
use super::input::{Answer, DONE};
use super::memory::fitting_memory;
use super::network::{Network, Phase};
use super::normaliser::Normaliser;
use super::plan::Plan;

/// Every model is checked before an image is read. A signal ends it between two batches.
pub fn evaluate(
    asked: &Evaluation,
    device: Device,
    listener: &mut dyn Listener,
) -> Result<Answer, TorchError> {
    if !asked.models.iter().map(|folder| folder.file_name()).all_unique() {
        let problem = "two models have the same name (ask for one at a time)";
        return Err(TorchError::Refused(problem.into()));
    }
    let check = |folder: &PathBuf| ModelCard::check_network(folder);
    let cards: Vec<_> = asked.models.iter().map(check).try_collect()?;
    let images = EvaluatedImages::load(asked, device)
        .map_err(|error| without_room(error, "name fewer at a time, or use a larger device"))?;
    if images.tensors.count() == 0 {
        return Err(TorchError::Refused(format!("there is no image in {:?}", asked.part)));
    }
    for (folder, card) in asked.models.iter().zip(&cards) {
        if listener.interruption().is_break() {
            return Ok(None);
        }
        images.check(card, folder)?;
        let seed = card.request.experiment_seed;
        if asked.part == EvaluatedPart::Validation && seed != asked.experiment_seed {
            return Err(TorchError::Refused(format!(
                "`{}` was trained with `experiment.seed` {seed}, and with {} another part is for \
                 validation: the network may have seen it (ask with the seed of the model)",
                folder.display(),
                asked.experiment_seed
            )));
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = asked.output.join(format!("{name}.npz"));
        if path.exists() {
            continue;
        }
        let (network, normaliser) = load(folder, card, device)?;
        let mut batch = asked.recipe.validation_batch_size.max(1).into();
        let probabilities = fitting_memory(&mut batch, |batch| {
            Ok(probabilities(&network, &normaliser, &images.tensors, batch, listener)?)
        })?;
        let Some(probabilities) = probabilities else { return Ok(None) };
        let mut arrays = vec![("probabilities", &probabilities), ("indices", &images.indices)];
        arrays.extend(images.has_labels.then(|| ("labels", images.tensors.labels())));
        let array =
            |(name, tensor): (&str, _)| stored(tensor).map(|array| (name.to_owned(), array));
        let mut arrays: Vec<_> = arrays.into_iter().map(array).try_collect()?;
        let checksum = Array::new("u1", vec![64], card.checksum().as_bytes().to_vec());
        arrays.push(("model".to_owned(), checksum));
        publish(&path, &arrays).map_err(|error| {
            TorchError::Failed(format!("failed to write `{}`: {error}", path.display()))
        })?;
    }
    Ok(DONE)
}

struct EvaluatedImages {
    tensors: ImageTensors,
    /// 64-bit, `[N]`.
    indices: Tensor,
    /// Not of arrays.
    has_labels: bool,
    /// Classes, channels and side.
    shape: [u32; 3],
}

impl EvaluatedImages {
    fn load(asked: &Evaluation, device: Device) -> Result<Self, TorchError> {
        if let EvaluatedPart::Arrays(path) = &asked.part {
            return Self::of_arrays(path, device);
        }
        let params: DataParams = serde_json::from_value(asked.data.clone())
            .map_err(|error| TorchError::unreadable(format!("data: {error}")))?;
        let valid = params.check()?;
        let (images, indices) = if asked.part == EvaluatedPart::Test {
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
            tensors: ImageTensors::new(&images, range, device)?,
            indices: Tensor::f_from_slice(&indices.iter().map(|&i| i as i64).collect_vec())?,
            has_labels: true,
            shape: [valid.classes, valid.channels, valid.input_size],
        })
    }

    fn of_arrays(path: &Path, device: Device) -> Result<Self, TorchError> {
        let unreadable = |problem: &dyn std::fmt::Display| {
            TorchError::Refused(format!("failed to read `{}`: {problem}", path.display()))
        };
        // What libtorch opens it waits for.
        regular_file::open(path, File::options().read(true), OFlags::NOFOLLOW)
            .map_err(|error| unreadable(&error))?;
        let pixels = Tensor::read_npy(path).map_err(|error| unreadable(&error))?;
        let (&[count, channels, size, _], Kind::Uint8 | Kind::Float) =
            (&pixels.size()[..], pixels.kind())
        else {
            return Err(unreadable(&"no bytes or floats [N, C, H, W]"));
        };
        Ok(Self {
            tensors: ImageTensors::unlabelled(&pixels, device)?,
            indices: Tensor::f_arange(count, (Kind::Int64, Device::Cpu))?,
            has_labels: false,
            shape: [0, channels as u32, size as u32],
        })
    }

    fn check(&self, card: &ModelCard, folder: &Path) -> Result<(), TorchError> {
        let own = [card.request.classes, card.request.channels, card.request.input_size];
        let known = if self.has_labels { 0.. } else { 1.. };
        let (folder, given) = (folder.display(), self.shape);
        match own[known.clone()] == given[known] {
            true => Ok(()),
            false => Err(TorchError::Refused(format!(
                "`{folder}` has {own:?} classes, channels and pixels a side, these images {given:?}"
            ))),
        }
    }
}

fn load(
    folder: &Path,
    card: &ModelCard,
    device: Device,
) -> Result<(Network, Normaliser), TorchError> {
    let request = &card.request;
    let plan = Plan::new(&request.layers, request.input_size, request.channels, Kind::Float)?;
    let network = Network::build(plan, device)?;
    let weights = Tensor::read_safetensors(folder.join(WEIGHTS))?;
    let constants = Tensor::read_safetensors(folder.join(PREPROCESSING))?;
    let _guard = tch::no_grad_guard();
    // Both are ordered by name before they meet: the card has checked names and shapes.
    let own = network.state().into_iter().sorted_by(|a, b| a.0.cmp(&b.0));
    let saved = weights.into_iter().sorted_by(|a, b| a.0.cmp(&b.0));
    own.zip(saved).try_for_each(|((_, mut own), (_, saved))| own.f_copy_(&saved).map(drop))?;
    Ok((network, Normaliser::with(card.data.preprocess, &constants, device)?))
}

/// Of the classes, `[N, classes]`, in 32-bit numbers; none after a signal.
fn probabilities(
    network: &Network,
    normaliser: &Normaliser,
    images: &ImageTensors,
    batch: i64,
    listener: &mut dyn Listener,
) -> Result<Option<Tensor>, TchError> {
    let _guard = tch::no_grad_guard();
    let mut parts = Vec::new();
    for first in (0..images.count()).step_by(batch as usize) {
        if listener.interruption().is_break() {
            return Ok(None);
        }
        let images = images.batch(normaliser, first, batch.min(images.count() - first))?;
        parts.push(network.forward(&images, Phase::Evaluation)?.f_softmax(1, Kind::Float)?);
    }
    Tensor::f_cat(&parts, 0).map(Some)
}

fn stored(tensor: &Tensor) -> Result<Array, TchError> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let kind = if tensor.kind() == Kind::Float { "f4" } else { "i8" };
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(Array::new(kind, tensor.size().into_iter().map(|side| side as usize).collect(), bytes))
}

/// Whole, and only once: of two writers the first one's stays.
fn publish(path: &Path, arrays: &[(String, Array)]) -> io::Result<()> {
    let (host, name) = (rustix::system::uname(), path.file_name().unwrap_or_default());
    let own = format!("{}.{}", host.nodename().to_string_lossy(), std::process::id());
    let aside = path.with_file_name(format!(".{}.{own}.partial", name.to_string_lossy()));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    let file = regular_file::open(&aside, &options, OFlags::NOFOLLOW)?;
    write_arrays(&file, arrays).map_err(io::Error::other).and_then(|()| file.sync_all())?;
    let published = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match published {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => regular_file::sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::fixture::{Recorder, alone, data_params};
    use crate::trainer::tests::{answers, line, on_files, write_idx};
    use metaqnn::model::sequential;
    use metaqnn::training::Recipe;
    use metaqnn::training::protocol::{EvaluationRequest, Message, Request, VERSION};
    use std::collections::{BTreeMap, HashMap};

    use super::super::input::Input;

    /// Trains a small network on 136 images, and returns the accuracy of the epoch whose weights
    /// the model has.
    pub fn train(folder: &Path, model: &Path) -> f64 {
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
        let done = [Message::Done { device: None, libtorch: None }];
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
    fn a_signal_ends_the_evaluation_within_a_model() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let (folder, model) = (folder.path(), folder.path().join("000005.1"));
        train(folder, &model);
        let mut asked = asked(folder, &[&model], EvaluatedPart::Validation);
        asked.recipe.validation_batch_size = 1;
        fs::create_dir(&asked.output).unwrap();
        let mut recorder = Recorder { interrupt_at: Some(9), ..Recorder::default() };
        assert_eq!(evaluate(&asked, Device::Cpu, &mut recorder).unwrap(), None);
        assert_eq!((recorder.asked, fs::read_dir(&asked.output).unwrap().count()), (10, 0));
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
        assert!(reason.contains("these images [0, 3, 8]"), "{reason}");
        assert!(refusal(&[&model, &model], &|_| ()).contains("two models have the same name"));
        let empty = |asked: &mut Evaluation| {
            let pixels = Tensor::zeros([0, 1, 8, 8], (Kind::Float, Device::Cpu));
            pixels.write_npy(folder.join("none.npy")).unwrap();
            asked.part = EvaluatedPart::Arrays(folder.join("none.npy"));
        };
        assert!(refusal(&[&model], &empty).contains("there is no image in"));
        let unjudged = |asked: &mut Evaluation| {
            asked.part = EvaluatedPart::Validation;
            asked.data["validation"]["images"] = 0.into();
        };
        assert!(refusal(&[&model], &unjudged).contains("there is no image in"));
        let reseeded = |asked: &mut Evaluation| {
            (asked.part, asked.experiment_seed) = (EvaluatedPart::Validation, 8);
        };
        let reason = refusal(&[&model], &reseeded);
        assert!(reason.contains("was trained with `experiment.seed` 7"), "{reason}");
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
