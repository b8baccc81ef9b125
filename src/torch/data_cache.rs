//! The data set of the last request, kept on the device for the next one.

use metaqnn::dataset::{DataParams, load_training_data};
use metaqnn::training::protocol::Request;
use tch::Device;

use super::batches::Batches;
use super::error::TorchError;

/// The data set with what it depends on: its section, the experiment's seed, the device.
#[derive(Debug, Default)]
pub struct DataCache(Option<((DataParams, u64, Device), Batches)>);

impl DataCache {
    /// Returns the data set of a request, read from its files unless it was the last one too.
    pub fn get(&mut self, request: &Request, device: Device) -> Result<&Batches, TorchError> {
        let params: DataParams = serde_json::from_value(request.data.clone())
            .map_err(|error| TorchError::unreadable(format!("data: {error}")))?;
        let shape = (params.classes, params.channels, params.input_size);
        let wanted = (params, request.experiment_seed, device);
        let kept = match self.0.take().filter(|(kept, _)| *kept == wanted) {
            Some(kept) => kept,
            None => {
                let batches = load(&wanted.0, request.experiment_seed, device)?;
                (wanted, batches)
            }
        };
        if shape != (request.classes, request.channels, request.input_size) {
            let problem = "classes, channels and input_size are not those of its data";
            return Err(TorchError::unreadable(problem));
        }
        Ok(&self.0.insert(kept).1)
    }
}

fn load(params: &DataParams, seed: u64, device: Device) -> Result<Batches, TorchError> {
    let valid = params.clone().check()?;
    let data = load_training_data(&valid, seed)?;
    // Not the network's fault, so not its answer `out_of_memory`.
    Batches::new(&data, valid.augment, device).map_err(|error| match error {
        TorchError::OutOfMemory { message, .. } => TorchError::NoDevice(format!(
            "images do not fit on the device: {message} (set `data.training_images`, or use a \
             larger device)"
        )),
        other => other,
    })
}
