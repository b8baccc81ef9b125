//! `metaqnn export`: files that the published program reads.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::export::{ExportOptions, export};

/// Write `replay_database.csv` and `q_values.csv` as the published program would
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  metaqnn export DIR /tmp/reference")]
pub struct ExportArgs {
    /// The experiment directory
    dir: PathBuf,
    #[command(flatten)]
    options: ExportOptions,
}

/// Runs the command.
pub fn run(args: &ExportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    for path in export(&Experiment::open(&args.dir)?, &args.options)? {
        printer.note(&format!("wrote `{}`", path.display()));
    }
    Ok(ExitStatus::Done)
}
