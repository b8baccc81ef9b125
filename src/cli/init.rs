//! `metaqnn init`: a configuration becomes an experiment directory.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::config::Setting;
use crate::ops;
use crate::storage::Trust;

/// Check a configuration and its data, and make the experiment directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn init configs/cifar10.yaml /scratch/me/cifar10\n  \
    metaqnn init configs/svhn.yaml svhn-2 --set experiment.seed=2 --set data.path=/data/svhn")]
pub struct InitArgs {
    /// The configuration
    config: PathBuf,
    /// The experiment directory to make; it must not exist, or be empty
    dir: PathBuf,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,
}

/// Runs the command.
pub fn run(args: InitArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let config = ops::init::load(&args.config, &args.settings)?;
    let experiment = ops::init::init(config, &args.dir, trust)?;
    printer.note(&format!(
        "made the experiment `{}` (next: `metaqnn submit` it to a cluster, or `metaqnn run` here with the arguments of this `init`)",
        experiment.dir().root().display(),
    ));
    Ok(ExitStatus::Done)
}
