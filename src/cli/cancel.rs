//! `metaqnn cancel`: end a chain.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::rounds::cancel::cancel;

/// End a search on the cluster: no new claim, no next round; what is recorded stays
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    metaqnn cancel DIR      `metaqnn submit DIR` goes on later\n\n\
    Waiting and running tasks are ended. What they were training is free to be drawn again when the search goes \
    on, and counts as no loss. A reduce that runs is let be: it ends within seconds and submits nothing.")]
pub struct CancelArgs {
    /// The experiment directory
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: CancelArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?;
    for line in cancel(&experiment)? {
        printer.note(&line);
    }
    Ok(ExitStatus::Done)
}
