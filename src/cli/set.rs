//! `metaqnn set`: what may change of an experiment.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::config::Setting;
use crate::ops::{Experiment, set};

/// Change what may change of an experiment's configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn set DIR slurm.time=12:00:00 slurm.memory=16G\n  \
    metaqnn set DIR 'epsilon_schedule=[{epsilon: 1.0, architectures: 1500}, {epsilon: 0.1, architectures: 300}]'\n\n\
    Each change is a row of the log, and in force for what begins after it; `experiment.yaml` stays as it is. \
    `metaqnn config --in-force DIR` prints what is in force. Keys that may change:\n  \
    slurm.*                             how jobs are submitted\n  \
    training.device, training.threads   last digits of accuracies change\n  \
    training.silence_limit, training.claim_lifetime, training.checkpoint_dir\n  \
    epsilon_schedule                    each stage that has begun keeps its place and epsilon and gets no fewer \
    architectures; new ones come after it")]
pub struct SetArgs {
    /// The experiment directory
    dir: PathBuf,
    /// The keys to change, each with its new value (`null` where a key may be empty)
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

/// Runs the command.
pub fn run(args: SetArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?;
    for line in set::set(&experiment, &args.settings)? {
        printer.note(&line);
    }
    Ok(ExitStatus::Done)
}
