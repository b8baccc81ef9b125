//! How long a network takes to classify images, for its `model.json`, which names libtorch, too.

use std::fs;
use std::path::Path;
use std::time::Instant;

use itertools::Itertools;
use metaqnn::model::{Latency, TRAINER_FACTS, TrainerFacts};
use tch::{Cuda, Device, Kind};

use super::batches::Batches;
use super::device::describe;
use super::error::TorchError;
use super::network::{Network, Phase};

/// All of them see 330 images, and take no longer than one optimizer step of 128.
const RUNS: u32 = 10;

/// Measures the network at the end of its training, where the images are on the device already:
/// with its precision and threads.
pub fn save(folder: &Path, network: &Network, data: &Batches) -> Result<(), TorchError> {
    if data.device().is_cuda() {
        // Trying algorithms out takes longer than using them here. The next request sets it again.
        Cuda::cudnn_set_benchmark(false);
    }
    let latency = [1, 32].map(|batch| measure(network, data, batch)).into_iter().try_collect()?;
    let versions = [("libtorch".to_owned(), env!("LIBTORCH_VERSION").to_owned())].into();
    let text = serde_json::to_vec(&TrainerFacts { latency, versions });
    let text = text.expect("names and numbers can be written as JSON");
    let failed = |error| TorchError::Failed(format!("failed to write `{TRAINER_FACTS}`: {error}"));
    fs::write(folder.join(TRAINER_FACTS), text).map_err(failed)
}

/// The least of some runs: the first warms up, and others may wait for what else works there.
fn measure(network: &Network, data: &Batches, batch: u32) -> Result<Latency, TorchError> {
    let device = data.device();
    let _guard = tch::no_grad_guard();
    let mut seconds = f64::INFINITY;
    for _ in 0..RUNS {
        let began = Instant::now();
        let images = data.training.batch(&data.normaliser, 0, batch.into())?;
        let _ = network.forward(&images, Phase::Evaluation)?.f_softmax(1, Kind::Float)?;
        if let Device::Cuda(number) = device {
            Cuda::synchronize(number as i64);
        }
        seconds = seconds.min(began.elapsed().as_secs_f64());
    }
    Ok(Latency { device: describe(device), batch, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit;
    use crate::fixture::{Recorder, alone, batches, request};
    use metaqnn::training::protocol::Request;

    #[test]
    fn a_training_with_a_model_ends_with_its_latency_and_the_version_of_libtorch() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let request = Request { model: Some(folder.path().to_owned()), ..request(None) };
        let recipe = request.recipe.clone().check(2).unwrap();
        fit(&request, &recipe, &batches(), &mut Recorder::default()).unwrap();
        let text = fs::read(folder.path().join(TRAINER_FACTS)).unwrap();
        let found: TrainerFacts = serde_json::from_slice(&text).unwrap();
        assert_eq!(found.latency.iter().map(|it| it.batch).collect::<Vec<_>>(), [1, 32]);
        let (cpu, seconds) = (describe(Device::Cpu), 1e-7..10.0);
        assert!(found.latency.iter().all(|it| it.device == cpu && seconds.contains(&it.seconds)));
        assert!(found.versions["libtorch"].starts_with("2."), "{:?}", found.versions);
    }
}
