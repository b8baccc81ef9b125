//! `metaqnn import` and `metaqnn export`: files of the published program.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::export::{ExportOptions, export};
use crate::ops::import::import;

/// Take over the results of the published program into a fresh experiment
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    metaqnn init configs/svhn.yaml DIR --set training.trainer=synthetic\n  \
    metaqnn import DIR replay_database.csv\n  \
    metaqnn reduce DIR          learns from the imported rows\n\n\
    Columns go by name: net, accuracy_best_val (or reward, or hard_best_val) and epsilon; all \
    others may be missing. Semicolons and decimal commas of a spreadsheet are read.\n\n\
    JSON, one object: rows, imported_rows, distinct_architectures, set_aside_rows (line and reason \
    of each), q_values (null without a q_values.csv)")]
pub struct ImportArgs {
    /// The experiment directory, without any event
    dir: PathBuf,
    /// A `replay_database.csv`, or a folder that holds one and may hold a `q_values.csv`
    source: PathBuf,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
}

/// Rows that were set aside and are shown to a person.
const SHOWN: usize = 5;

pub fn run_import(args: ImportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?;
    let imported = import(&experiment, &args.source)?;
    let set_aside = &imported.set_aside_rows;
    set_aside.iter().take(SHOWN).for_each(|row| printer.note(&format!("set aside: {row}")));
    if let Some(more @ 1..) = set_aside.len().checked_sub(SHOWN) {
        printer.note(&format!("set aside: {more} more rows (`--json` lists them all)"));
    }
    printer.answer(args.json, &imported, &imported)?;
    // A file of which nothing can be used is the wrong one, or all of it is in percent.
    let is_in_vain = imported.imported_rows == 0 && !set_aside.is_empty();
    Ok(if is_in_vain { ExitStatus::Damaged } else { ExitStatus::Done })
}

/// Write `replay_database.csv` and `q_values.csv` as the published program would, or a recording
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn export DIR /tmp/reference\n  \
    metaqnn export DIR curves.csv.gz --recorded")]
pub struct ExportArgs {
    /// The experiment directory
    dir: PathBuf,
    #[command(flatten)]
    options: ExportOptions,
}

pub fn run_export(args: &ExportArgs, printer: &Printer) -> anyhow::Result<()> {
    for path in export(&Experiment::open(&args.dir)?, &args.options)? {
        printer.note(&format!("wrote `{}`", path.display()));
    }
    Ok(())
}
