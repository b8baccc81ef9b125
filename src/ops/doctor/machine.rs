//! What one machine needs to train: the trainer with its libraries and its device, and the images.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use crate::ops::{Experiment, doctor::check::Check, train::attempt::rehearsal};
use crate::training::protocol::Request;
use crate::training::{
    Interrupt, Recipe, RecordedTrainings, TrainerKind, TrainingError, start_trainer,
};

const TRAINER: &str = "trainer";
const IMAGES: &str = "images";

/// Without an experiment `metaqnn-torch` is to find its libraries and a device; with one, its
/// trainer answers a request of no epoch, for which it loads the images, too.
pub(crate) fn examine(experiment: Option<&Experiment>) -> Vec<Check> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
    let request = match experiment {
        Some(experiment) => rehearsal(experiment, cores),
        None => Ok(Request::rehearsal(Recipe { silence_limit: 60.0, ..Recipe::default() }, cores)),
    };
    let recording = experiment.and_then(|it| it.config().recording.as_ref());
    let trainer = request.and_then(|request| prepare(&request, recording));
    let trainer = trainer.unwrap_or_else(|error| match error.downcast_ref() {
        Some(TrainingError::NoTorch { .. }) if experiment.is_none() => {
            Check::warning(TRAINER, format!("{error:#}"), "other trainers do not need it")
        }
        // By the loader of programs, which does not find a library.
        Some(TrainingError::Crashed { status, .. }) if status.code() == Some(127) => {
            let remedy = "libtorch must lie where the program was linked to it: build it again \
                          with `scripts/setup-libtorch.sh`";
            Check::error(TRAINER, error, remedy)
        }
        // The error names the remedy.
        _ => Check::error(TRAINER, error, ""),
    });
    let images = experiment.map(|experiment| match experiment.check_data() {
        Ok(()) => Check::ok(IMAGES, "they are those that the experiment was made with"),
        Err(error) => Check::error(IMAGES, error, ""),
    });
    images.into_iter().chain([trainer]).collect()
}

/// Has the trainer prepare, as `train` does before it claims anything.
fn prepare(request: &Request, recording: Option<&Arc<RecordedTrainings>>) -> anyhow::Result<Check> {
    let (_trainer, introduction) = start_trainer(request, recording, Interrupt::default())?;
    let device = introduction.device.unwrap_or_else(|| "this machine".to_owned());
    let seen = match request.recipe.trainer {
        TrainerKind::Torch => {
            let images = if request.data.is_null() { "" } else { " and the images" };
            format!("`metaqnn-torch` has loaded libtorch{images}, and trains on {device}")
        }
        TrainerKind::Command => "the program of `training.command` starts".to_owned(),
        TrainerKind::Synthetic => "`synthetic` needs nothing".to_owned(),
        TrainerKind::Recorded => "the recording is that of the beginning".to_owned(),
    };
    Ok(Check::ok(TRAINER, seen))
}
