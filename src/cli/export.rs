//! `metaqnn export`: files that the published program reads.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::export::{Existing, export};

/// Write `replay_database.csv` and `q_values.csv` as the published program would
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  metaqnn export DIR /tmp/reference")]
pub struct ExportArgs {
    /// The experiment directory
    dir: PathBuf,
    /// The folder to write into; made when missing
    target: PathBuf,
    /// Replace files of these names that are there
    #[arg(long)]
    overwrite: bool,
}

/// Runs the command.
pub fn run(args: ExportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?;
    let existing = if args.overwrite { Existing::Replace } else { Existing::Keep };
    for path in export(&experiment, &args.target, existing)? {
        printer.note(&format!("wrote `{}`", path.display()));
    }
    Ok(ExitStatus::Done)
}
