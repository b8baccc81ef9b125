//! What one machine needs to train: the trainer with its libraries and its device, and the images.

use std::env;
use std::time::Duration;

use anyhow::Context;

use super::check::Check;
use crate::ops::Experiment;
use crate::ops::attempt::rehearsal;
use crate::slurm::{LocalWorkers, Stream, WorkerCommand, WorkerEvent};
use crate::training::{Interrupt, TrainerCommand, TrainerKind, trainer};

const TRAINER: &str = "trainer";
const IMAGES: &str = "images";

/// Examines the machine for an experiment: its trainer answers a request of no epoch, for which it loads its libraries
/// and the images and finds its device.
pub(super) fn examine(experiment: &Experiment) -> Vec<Check> {
    let images = match experiment.check_data() {
        Ok(()) => Check::ok(IMAGES, "they are those that the experiment was made with"),
        Err(error) => Check::failure(IMAGES, format!("{error:#}"), ""),
    };
    let kind = experiment.config().recipe.recipe().trainer;
    let name = match kind {
        TrainerKind::Torch => "`metaqnn-torch` has loaded libtorch, its device and the images",
        TrainerKind::Command => "the program of `training.command` starts",
        TrainerKind::Synthetic => "`synthetic` needs nothing",
    };
    let trainer = match rehearse(experiment) {
        Ok(()) => Check::ok(TRAINER, name),
        Err(error) => Check::failure(TRAINER, format!("{error:#}"), ""),
    };
    vec![images, trainer]
}

fn rehearse(experiment: &Experiment) -> anyhow::Result<()> {
    let executable = env::current_exe().context("failed to find the running program")?;
    let recipe = experiment.config().recipe.recipe();
    let mut trainer =
        trainer(recipe, &executable, env::var_os("PATH").as_deref(), Interrupt::default())?;
    trainer.prepare(&rehearsal(experiment, 1)?)?;
    Ok(())
}

/// Examines the machine without an experiment: whether `metaqnn-torch` is there and finds its libraries.
pub(super) fn examine_torch() -> Check {
    match torch_starts() {
        Ok(None) => Check::ok(
            TRAINER,
            "`metaqnn-torch` starts and finds libtorch (its device is looked for with an experiment's DIR)",
        ),
        Ok(Some(last_words)) => {
            let remedy = "libtorch must lie where the program was linked to it: build it again with `scripts/setup-libtorch.sh`";
            Check::failure(TRAINER, format!("`metaqnn-torch` does not start: {last_words}"), remedy)
        }
        // Other trainers do without.
        Err(error) => Check::warning(TRAINER, format!("{error:#}"), "not needed by other trainers"),
    }
}

/// Starts the program for its help; returns its last words when it fails.
fn torch_starts() -> anyhow::Result<Option<String>> {
    let executable = env::current_exe().context("failed to find the running program")?;
    let torch = TrainerCommand::torch(&executable, env::var_os("PATH").as_deref())?;
    let mut workers = LocalWorkers::new();
    workers.start(&WorkerCommand {
        program: torch.program().to_owned(),
        arguments: vec!["--help".into()],
        environment: Default::default(),
    })?;
    let mut last_words = String::new();
    loop {
        match workers.next_event(Duration::from_secs(60))? {
            Some(WorkerEvent::Line { stream: Stream::Messages, line, .. }) => last_words = line,
            Some(WorkerEvent::Line { .. }) => {}
            Some(WorkerEvent::Ended { status, .. }) if status.success() => return Ok(None),
            Some(WorkerEvent::Ended { status, .. }) => {
                return Ok(Some(format!("{last_words} ({status})")));
            }
            None => return Ok(Some("it says nothing for 60 s".to_owned())),
        }
    }
}
