//! The trainer's part of a model folder: the weights of the best epoch, and those of another model
//! with which a training begins.

use std::fs;
use std::path::Path;

use metaqnn::model::{ModelCard, NamedTensor, PREPROCESSING, WEIGHTS, write_tensors};
use metaqnn::training::protocol::Request;
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

/// Reads the weights with which a network begins, if the request says with which.
pub fn initial(request: &Request) -> Result<Vec<(String, Tensor)>, TorchError> {
    let Some(folder) = &request.initial_weights else { return Ok(Vec::new()) };
    let (taken, _) = ModelCard::initial_weights(folder, request)?;
    let mut tensors = Tensor::read_safetensors(folder.join(WEIGHTS))?;
    tensors.retain(|(name, _)| taken.contains(name));
    Ok(tensors)
}

/// Copies them into a network.
pub fn begin_with(weights: &[(String, Tensor)], network: &Network) -> Result<(), TchError> {
    let _guard = tch::no_grad_guard();
    for (name, mut own) in network.state() {
        if let Some((_, saved)) = weights.iter().find(|(saved, _)| *saved == name) {
            own.f_copy_(saved)?;
        }
    }
    Ok(())
}

fn stored((name, tensor): (impl Into<String>, Tensor)) -> Result<NamedTensor, TchError> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let shape = tensor.size().into_iter().map(|size| size as usize).collect();
    let mut bytes = vec![0; 4 * tensor.numel()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok((name.into(), shape, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::train;
    use crate::fixture::alone;
    use crate::trainer::tests::{answers, line, on_files};
    use metaqnn::training::protocol::Message;
    use std::collections::HashMap;

    #[test]
    fn a_training_begins_with_the_weights_of_a_model_but_for_the_last_layer() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let (folder, model) = (folder.path(), folder.path().join("000005.1"));
        train(folder, &model);
        let read = |model: &Path| {
            let tensors = Tensor::read_safetensors(model.join(WEIGHTS)).unwrap();
            tensors.into_iter().collect::<HashMap<_, _>>()
        };
        // One epoch at a rate that changes no weight by more than a millionth.
        let after = |model: &str, initial_weights| {
            let model = Some(folder.join(model));
            let mut request = Request { model, initial_weights, ..on_files(folder, 1) };
            request.recipe.learning_rate = 1e-9;
            request.recipe.first_epoch_threshold = Some(0.0);
            answers(vec![line(&request)]).0.unwrap();
            read(&request.model.unwrap())
        };
        let saved = read(&model);
        let [own, new] = [after("own", Some(model.clone())), after("new", None)];
        let close = |one: &Tensor, other| one.allclose(other, 0.0, 1e-6, false);
        for (name, saved) in saved.iter().filter(|(name, _)| !name.contains("running")) {
            assert_eq!(close(saved, &own[name]), !name.starts_with("10."), "{name}");
            assert!(!close(saved, &new[name]), "{name}");
        }
        assert!(close(&own["10.weight"], &new["10.weight"]), "drawn as without a model");

        let mut other = Request { initial_weights: Some(model), ..on_files(folder, 1) };
        other.layers.remove(1);
        match &answers(vec![line(&other)]).1[..] {
            [Message::Refused(reason)] => assert!(reason.contains("other layers"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
