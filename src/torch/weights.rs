//! The trainer's part of a model folder: the weights of the best epoch.

use std::fs;
use std::path::Path;

use metaqnn::model::{NamedTensor, PREPROCESSING, WEIGHTS, write_tensors};
use tch::{Device, TchError, Tensor};

use super::error::TorchError;
use super::network::Network;
use super::normaliser::Normaliser;

/// Replaces what an earlier epoch has left. Makes the folder, also where it was removed.
pub fn save(
    folder: &Path,
    network: &Network,
    normaliser: &Normaliser,
    epoch: u32,
) -> Result<(), TorchError> {
    let constants =
        normaliser.constants()?.into_iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    let weights = network.state().into_iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    let write = || -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        write_tensors(&folder.join(PREPROCESSING), &constants, None)?;
        Ok(write_tensors(&folder.join(WEIGHTS), &weights, Some(epoch))?)
    };
    write().map_err(|error| TorchError::Failed(format!("{error:#}")))
}

fn stored((name, tensor): (impl Into<String>, Tensor)) -> Result<NamedTensor, TchError> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let shape = tensor.size().into_iter().map(|size| size as usize).collect();
    let mut bytes = vec![0; 4 * tensor.numel()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok((name.into(), shape, bytes))
}
