//! A training on disk: saved after every epoch, taken up again bit for bit.
//!
//! One safetensors file: the parameters and the optimizer's state as flat tensors, the running statistics of
//! batch normalisation, and the [`TrainingState`] as the bytes of its JSON. Generators are seeded
//! anew at every epoch. The file is written aside and renamed, so it is always whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use metaqnn::regular_file;
use metaqnn::training::Recipe;
use metaqnn::training::protocol::Request;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::error::TorchError;
use super::network::Network;
use super::optimizer::Optimizer;
use super::restart::TrainingState;

const FILE: &str = "checkpoint.safetensors";
/// One name will do: the folder belongs to one attempt.
const UNFINISHED: &str = "checkpoint.unfinished";

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    training: String,
    progress: TrainingState,
    optimizer_steps: i64,
}

/// Makes the folder, also where it was removed.
pub fn save(
    request: &Request,
    network: &Network,
    optimizer: &Optimizer,
    progress: &TrainingState,
) -> Result<(), TorchError> {
    let Some(folder) = &request.checkpoint else { return Ok(()) };
    let saved = Saved {
        training: digest(request),
        progress: progress.clone(),
        optimizer_steps: optimizer.steps,
    };
    let text = serde_json::to_vec(&saved).expect("numbers and names can be written as JSON");
    let mut tensors = network.tensors();
    tensors.extend(optimizer.tensors());
    tensors.push(("progress".to_owned(), Tensor::f_from_slice(&text)?));
    let (aside, path) = (folder.join(UNFINISHED), folder.join(FILE));
    let write = || -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        Tensor::write_safetensors(&tensors, &aside)?;
        regular_file::open(&aside, File::options().read(true), OFlags::NOFOLLOW)?.sync_all()?;
        fs::rename(&aside, &path)?;
        Ok(regular_file::sync_folder(folder)?)
    };
    write().map_err(|error| {
        // A half of it would only take up room, which may be what was missing.
        let _ = fs::remove_file(&aside);
        failed("write", &path, error)
    })
}

/// Returns how far the saved training had come; `None` when nothing was saved, or another training:
/// then it begins from the beginning, which the protocol allows.
pub fn restore(
    request: &Request,
    network: &Network,
    optimizer: &mut Optimizer,
    notice: &mut dyn FnMut(&str),
) -> Result<Option<TrainingState>, TorchError> {
    let path = request.checkpoint.as_ref().map(|folder| folder.join(FILE));
    let Some(path) = path.filter(|path| request.resume && path.exists()) else {
        return Ok(None);
    };
    // What libtorch opens it waits for.
    regular_file::open(&path, File::options().read(true), OFlags::NOFOLLOW)
        .map_err(|error| failed("read", &path, error))?;
    let tensors = Tensor::read_safetensors(&path).map_err(|error| failed("read", &path, error))?;
    let tensors: HashMap<_, _> = tensors.into_iter().collect();
    let tensor = |name: &str| {
        let lacks = || failed("read", &path, format!("it has no tensor `{name}`"));
        tensors.get(name).ok_or_else(lacks)
    };
    let bytes: Vec<u8> = Vec::try_from(tensor("progress")?)?;
    let saved: Saved =
        serde_json::from_slice(&bytes).map_err(|error| failed("read", &path, error))?;
    if saved.training != digest(request) {
        notice(&format!(
            "checkpoint `{}` belongs to another training, so this one begins from the beginning",
            path.display()
        ));
        return Ok(None);
    }
    let _guard = tch::no_grad_guard();
    for (name, mut own) in network.tensors().into_iter().chain(optimizer.tensors()) {
        own.f_copy_(tensor(&name)?)?;
    }
    optimizer.steps = saved.optimizer_steps;
    Ok(Some(saved.progress))
}

/// Of what a training is, without what a task or `metaqnn set` may change. (With other threads, or
/// on another device, the last bits of the weights differ.)
fn digest(request: &Request) -> String {
    let mut request = Request { attempt: 0, threads: 0, resume: false, ..request.clone() };
    (request.checkpoint, request.model, request.seconds_left) = (None, None, None);
    let any = Recipe::default();
    request.recipe = Recipe {
        trainer: any.trainer,
        command: any.command,
        validation_batch_size: any.validation_batch_size,
        device: any.device,
        threads: any.threads,
        cudnn_benchmark: any.cudnn_benchmark,
        synthetic_epoch_seconds: any.synthetic_epoch_seconds,
        silence_limit: any.silence_limit,
        claim_lifetime: any.claim_lifetime,
        checkpoint_dir: any.checkpoint_dir,
        keep_models: any.keep_models,
        ..request.recipe
    };
    if let Some(data) = request.data.as_object_mut() {
        data.retain(|key, _| !["path", "cache", "class_names"].contains(&key.as_str()));
    }
    let text = serde_json::to_vec(&request).expect("a request was read from JSON");
    format!("{:x}", Sha256::digest(text))
}

fn failed(doing: &'static str, path: &Path, reason: impl ToString) -> TorchError {
    let (path, reason) = (path.display(), reason.to_string());
    TorchError::Failed(format!("failed to {doing} checkpoint `{path}`: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::request;
    use metaqnn::training::KeptModels;

    #[test]
    fn what_may_change_within_a_search_makes_no_other_training() {
        let data = serde_json::json!({"path": "/a", "cache": "/c", "preprocess": "none"});
        let first = Request { data, ..request(None) };
        let mut moved = Request { threads: 8, attempt: 2, ..first.clone() };
        moved.data = serde_json::json!({"path": "/b", "preprocess": "none"});
        moved.recipe.silence_limit = 7_200.0;
        moved.recipe.claim_lifetime = 7_200.0;
        moved.recipe.checkpoint_dir = Some("/scratch".into());
        moved.recipe.threads = Some(8);
        moved.recipe.keep_models = KeptModels(3);
        assert_eq!(digest(&moved), digest(&first));
        let mut other = first.clone();
        other.recipe.learning_rate = 0.5;
        assert_ne!(digest(&other), digest(&first));
        let data = serde_json::json!({"path": "/a", "preprocess": "standard_whitening"});
        assert_ne!(digest(&Request { data, ..first.clone() }), digest(&first));
    }
}
