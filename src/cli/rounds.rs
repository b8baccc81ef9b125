//! `metaqnn submit`, `reduce` and `cancel`: the chain of rounds on a cluster.

use std::path::PathBuf;

use clap::Args;

use super::args::SharedDir;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::finalize::submit_next;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{learn, rebuild, reduce};
use crate::ops::rounds::submit::{SubmitOptions, cancel, end_round, submit};
use crate::ops::siblings::siblings;
use crate::storage::Trust;

/// Submit one round to Slurm, and the chain after it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn submit DIR                       to the end of the schedule\n  \
    metaqnn submit DIR --rounds 1\n  \
    metaqnn submit DIR --seeds 5             and four more of other seeds\n  \
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
    /// Submit N searches: this one, and with the seeds after its own those in `DIR-seed2` to
    /// `DIR-seedN`, which are made as they are missing
    #[arg(long, default_value_t = 1, value_name = "N", conflicts_with = "dry_run")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
}

pub fn run_submit(args: SubmitArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    for experiment in siblings(args.dir.open(trust)?, args.seeds)? {
        if args.seeds > 1 {
            printer.result(&format!("{}:", experiment.dir().root().display()))?;
        }
        submit(&experiment, &args.options)?.iter().try_for_each(|line| printer.result(line))?;
    }
    Ok(())
}

/// Learn from new results: Q-updates, a new Q-table, the predictor, the tables
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn reduce DIR\n  \
    metaqnn reduce DIR --after 123456     the array job 123456 has ended\n  \
    metaqnn reduce DIR --rebuild          rebuild from the whole log and compare\n\n\
    Expired claims, and those of local processes that are gone, are recorded as lost each time.")]
pub struct ReduceArgs {
    #[command(flatten)]
    dir: SharedDir,
    /// Mark the open claims of this ended array job as lost
    #[arg(long, value_name = "JOB", conflicts_with = "rebuild")]
    after: Option<String>,
    /// The same for the jobs of round N, then submit round N+1 (what the rendered script runs)
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "rebuild", "no_tables"])]
    round: Option<u32>,
    /// Write no tables
    #[arg(long)]
    no_tables: bool,
    /// Rebuild from the whole log and compare with the newest view; writes nothing
    #[arg(long, conflicts_with = "no_tables")]
    rebuild: bool,
}

pub fn run_reduce(args: ReduceArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let experiment = args.dir.open(trust)?;
    if args.rebuild {
        let rows = rebuild(&experiment)?;
        printer.result(&format!("the newest view equals what {rows} rows of the log say"))?;
    } else if let Some(round) = args.round {
        let (reduced, notices) = end_round(&experiment, round)?;
        printer.note(&reduced.to_string());
        notices.iter().for_each(|line| printer.note(line));
        if reduced.finished {
            submit_next(&experiment)?.iter().for_each(|line| printer.note(line));
        }
    } else {
        let ended = args.after.map_or(EndedJobs::None, EndedJobs::One);
        let reduced = if args.no_tables { learn } else { reduce };
        printer.note(&reduced(&experiment, &ended)?.to_string());
    }
    Ok(())
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
