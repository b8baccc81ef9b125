//! A training on disk: saved after every epoch, taken up again bit for bit.
//!
//! One safetensors file: the parameters and the optimizer's state as flat tensors, the running statistics of
//! batch normalisation, and the [`TrainingState`] as the bytes of its JSON. Generators are seeded
//! anew at every epoch. The file is written aside and renamed, so it is always whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use metaqnn::regular_file;
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

/// Returns how far the saved training had come; `None` when nothing was saved.
pub fn restore(
    request: &Request,
    network: &Network,
    optimizer: &mut Optimizer,
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
        return Err(TorchError::Request(format!(
            "checkpoint `{}` belongs to another training (remove it, or resume with the request \
             it was made for)",
            path.display()
        )));
    }
    let _guard = tch::no_grad_guard();
    for (name, mut own) in network.tensors().into_iter().chain(optimizer.tensors()) {
        own.f_copy_(tensor(&name)?)?;
    }
    optimizer.steps = saved.optimizer_steps;
    Ok(Some(saved.progress))
}

/// Of what a training is. (A requeued task may have other threads; the last bits of the weights
/// then differ.)
fn digest(request: &Request) -> String {
    let mut request = Request { attempt: 0, threads: 0, resume: false, ..request.clone() };
    (request.checkpoint, request.model, request.seconds_left) = (None, None, None);
    let text = serde_json::to_vec(&request).expect("a request was read from JSON");
    format!("{:x}", Sha256::digest(text))
}

fn failed(doing: &'static str, path: &Path, reason: impl ToString) -> TorchError {
    let (path, reason) = (path.display(), reason.to_string());
    TorchError::Failed(format!("failed to {doing} checkpoint `{path}`: {reason}"))
}
