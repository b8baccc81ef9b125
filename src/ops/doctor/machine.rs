//! What one machine needs to train: the trainer with its libraries and its device, and the images.

use std::env;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::ops::Experiment;
use crate::ops::doctor::check::Check;
use crate::ops::train::attempt::rehearsal;
use crate::slurm::{LocalWorkers, Stream, WorkerCommand, WorkerEvent};
use crate::training::{Device, Interrupt, TrainerCommand, TrainerKind, trainer};

const TRAINER: &str = "trainer";
const IMAGES: &str = "images";

/// How long `metaqnn-torch` may take to load its libraries.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examines the machine: without an experiment whether `metaqnn-torch` is there and finds its
/// libraries and a device; with one, its trainer answers a request of no epoch, for which it loads
/// the images, too.
pub(crate) fn examine(experiment: Option<&Experiment>) -> Vec<Check> {
    let Some(experiment) = experiment else { return vec![examine_torch()] };
    let images = match experiment.check_data() {
        Ok(()) => Check::ok(IMAGES, "they are those that the experiment was made with"),
        Err(error) => Check::error(IMAGES, error, ""),
    };
    let trainer = rehearse(experiment).unwrap_or_else(|error| Check::error(TRAINER, error, ""));
    vec![images, trainer]
}

fn rehearse(experiment: &Experiment) -> anyhow::Result<Check> {
    let executable = env::current_exe().context("failed to find the running program")?;
    let recipe = &experiment.config().recipe;
    let seen = match recipe.trainer {
        TrainerKind::Torch => match ask_torch(recipe.device)? {
            Ok(device) => format!(
                "`metaqnn-torch` has loaded libtorch and the images, and trains on {device}"
            ),
            Err(failure) => return Ok(failure),
        },
        TrainerKind::Command => "the program of `training.command` starts".to_owned(),
        TrainerKind::Synthetic => "`synthetic` needs nothing".to_owned(),
    };
    let mut trainer =
        trainer(recipe, &executable, env::var_os("PATH").as_deref(), Interrupt::default())?;
    trainer.prepare(&rehearsal(experiment, 1)?)?;
    Ok(Check::ok(TRAINER, seen))
}

fn examine_torch() -> Check {
    match ask_torch(Device::Auto) {
        Ok(Ok(device)) => {
            Check::ok(TRAINER, format!("`metaqnn-torch` finds libtorch, and trains on {device}"))
        }
        Ok(Err(failure)) => failure,
        // Other trainers do without.
        Err(error) => {
            Check::warning(TRAINER, format!("{error:#}"), "other trainers do not need it")
        }
    }
}

/// Exit code of the loader of programs that does not find a library.
const NO_LIBRARY: i32 = 127;

/// Returns what is to be told of a `metaqnn-torch` that has ended without a device.
fn torch_failure(status: ExitStatus, last_words: &str) -> Check {
    if status.code() == Some(NO_LIBRARY) {
        let seen = format!("`metaqnn-torch` does not start: {last_words}");
        let remedy = "libtorch must lie where the program was linked to it: build it again with \
                      `scripts/setup-libtorch.sh`";
        return Check::failure(TRAINER, seen, remedy);
    }
    // Its own words name the remedy.
    let words = last_words.trim_start_matches("metaqnn-torch: ");
    let seen = format!("`metaqnn-torch` does not work here ({status}): {words}");
    Check::failure(TRAINER, seen, "")
}

/// Asks `metaqnn-torch` for its device: returns it in words, or what is to be told of the failure.
fn ask_torch(wanted: Device) -> anyhow::Result<Result<String, Check>> {
    let executable = env::current_exe().context("failed to find the running program")?;
    let torch = TrainerCommand::torch(&executable, env::var_os("PATH").as_deref())?;
    let wanted = match wanted {
        Device::Auto => "auto",
        Device::Cpu => "cpu",
        Device::Cuda => "cuda",
    };
    let mut workers = LocalWorkers::new();
    workers.start(&WorkerCommand {
        program: torch.program().to_owned(),
        arguments: vec!["--device".into(), wanted.into()],
        environment: Default::default(),
    })?;
    let (mut device, mut last_words) = (String::new(), String::new());
    loop {
        match workers.next_event(PATIENCE)? {
            Some(WorkerEvent::Line { stream: Stream::Messages, line, .. }) => last_words = line,
            Some(WorkerEvent::Line { line, .. }) => device = line,
            Some(WorkerEvent::Ended { status, .. }) => {
                let works = status.success() && !device.is_empty();
                return Ok(if works {
                    Ok(device)
                } else {
                    Err(torch_failure(status, &last_words))
                });
            }
            None => bail!("`{}` says nothing for 60 s", torch.program().display()),
        }
    }
}
