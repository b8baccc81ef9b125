//! `metaqnn submit` and `metaqnn cancel`: the chain of rounds on a cluster.

use std::path::PathBuf;

use clap::Args;

use super::args::SharedDir;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::rounds::submit::{SubmitOptions, cancel, submit};
use crate::storage::Trust;

/// Submit one round to Slurm, and the chain after it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn submit DIR                       to the end of the schedule\n  \
    metaqnn submit DIR --rounds 1\n  \
    metaqnn submit DIR --dry-run             show what would be submitted\n  \
    metaqnn submit DIR -- --partition=gpu --mail-type=END\n\n\
    Submitting twice is safe: a round is submitted once, and a half-submitted one is completed. \
    Each round's reduce submits the next, so neither this command nor this terminal is needed; \
    `metaqnn status DIR` says when the chain is broken, and `metaqnn submit DIR` mends it.\n\n\
    A round that the scheduler refuses is rendered anew by the next `submit`, from the \
    configuration (`metaqnn set`) and options of then. SBATCH_ACCOUNT, SBATCH_PARTITION, \
    SBATCH_QOS, SBATCH_RESERVATION and SLURM_CLUSTERS hold where the configuration says null, in \
    later rounds too; other SBATCH_ variables are not used.")]
pub struct SubmitArgs {
    #[command(flatten)]
    dir: SharedDir,
    #[command(flatten)]
    options: SubmitOptions,
}

pub fn run(args: SubmitArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let experiment = args.dir.open(trust)?;
    submit(&experiment, &args.options)?.iter().try_for_each(|line| printer.result(line))
}

/// End a search on the cluster: no new claim, no next round; what is recorded stays
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    metaqnn cancel DIR      `metaqnn submit DIR` goes on later\n\n\
    Waiting and running tasks are ended. What they were training may be drawn again when the \
    search goes on, and counts as no loss. A running reduce is not cancelled: it ends within \
    seconds and submits nothing.")]
pub struct CancelArgs {
    /// The experiment directory
    dir: PathBuf,
}

pub fn run_cancel(args: CancelArgs, printer: &Printer) -> anyhow::Result<()> {
    let experiment = Experiment::open(&args.dir)?;
    cancel(&experiment)?.iter().for_each(|line| printer.note(line));
    Ok(())
}
