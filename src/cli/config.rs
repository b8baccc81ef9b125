//! `metaqnn config`: every key, a check of a file, and what is in force.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::config::{DEFAULTS, ExperimentConfig, Setting, load};
use crate::ops::Experiment;
use crate::ops::init::check_images;

/// Show every key of a configuration with its default, check a file, or show what is in force in an experiment
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn config --defaults > mine.yaml\n  \
    metaqnn config --check mine.yaml\n  \
    metaqnn config --in-force DIR")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct ConfigArgs {
    /// Print every key with its default and a comment
    #[arg(long, group = "what")]
    defaults: bool,
    /// Check a configuration, and its data where they are, and print it with every default filled in
    #[arg(long, group = "what", value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print what is in force in an experiment: its frozen configuration, with what `metaqnn set` has changed
    #[arg(long, group = "what", value_name = "DIR", conflicts_with = "settings")]
    in_force: Option<PathBuf>,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "defaults")]
    settings: Vec<Setting>,
}

/// Runs the command.
pub fn run(args: ConfigArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match (args.check, args.in_force) {
        (None, None) => printer.result(DEFAULTS)?,
        (None, Some(dir)) => printer.result(&Experiment::open(&dir)?.config().to_yaml()?)?,
        (Some(path), _) => {
            let config = load(&path, &args.settings)
                .and_then(ExperimentConfig::check)
                .with_context(|| format!("`{}`", path.display()))?;
            config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
            if config.config.data.path.as_ref().is_some_and(|data| data.exists()) {
                check_images(&config)?;
            }
            printer.result(&config.to_yaml()?)?;
        }
    }
    Ok(ExitStatus::Done)
}
