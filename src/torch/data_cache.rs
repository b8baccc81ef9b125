//! The data set of the last request, kept on the device for the next one.

use metaqnn::dataset::{DataParams, load_training_data};
use metaqnn::training::protocol::Request;
use tch::Device;

use super::batches::Batches;
use super::error::TorchError;

#[derive(Debug, Default)]
pub struct DataCache {
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    params: DataParams,
    experiment_seed: u64,
    device: Device,
    batches: Batches,
}

impl DataCache {
    /// Returns the data set of a request, read from its files unless it was the last one too.
    pub fn get(&mut self, request: &Request, device: Device) -> Result<&Batches, TorchError> {
        let params: DataParams = serde_json::from_value(request.data.clone())
            .map_err(|error| TorchError::NoRequest { problem: format!("data: {error}") })?;
        let seed = request.experiment_seed;
        let kept = self.loaded.take().filter(|loaded| {
            loaded.params == params && loaded.experiment_seed == seed && loaded.device == device
        });
        let loaded = match kept {
            Some(loaded) => loaded,
            None => load(params, seed, device)?,
        };
        let sizes = |classes, channels, input_size| (classes, channels, input_size);
        let params = &loaded.params;
        if sizes(params.classes, params.channels, params.input_size)
            != sizes(request.classes, request.channels, request.input_size)
        {
            return Err(TorchError::NoRequest {
                problem: "classes, channels and input_size are not those of its data".into(),
            });
        }
        Ok(&self.loaded.insert(loaded).batches)
    }
}

fn load(params: DataParams, experiment_seed: u64, device: Device) -> Result<Loaded, TorchError> {
    let valid = params.clone().check()?;
    let data = load_training_data(&valid, experiment_seed)?;
    // Not the network's fault, so not its answer `out_of_memory`.
    let batches = Batches::new(&data, valid.augment, device).map_err(|error| match error {
        TorchError::OutOfMemory { message, .. } => TorchError::NoRoomForImages { message },
        other => other,
    })?;
    Ok(Loaded { params, experiment_seed, device, batches })
}
