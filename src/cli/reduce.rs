//! `metaqnn reduce`: learn from what the tasks recorded.

use clap::Args;

use super::args::SharedDir;
use super::printer::Printer;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{rebuild, reduce};
use crate::ops::rounds::end_round::end_round;
use crate::storage::Trust;

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
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "rebuild"])]
    round: Option<u32>,
    /// Rebuild from the whole log and compare with the newest view; writes nothing
    #[arg(long)]
    rebuild: bool,
}

pub fn run(args: ReduceArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let experiment = args.dir.open(trust)?;
    if args.rebuild {
        let rows = rebuild(&experiment)?;
        printer.result(&format!("the newest view equals what {rows} rows of the log say"))?;
    } else if let Some(round) = args.round {
        let (reduced, notices) = end_round(&experiment, round)?;
        printer.note(&reduced.to_string());
        notices.iter().for_each(|line| printer.note(line));
    } else {
        let ended = args.after.map_or(EndedJobs::None, EndedJobs::One);
        printer.note(&reduce(&experiment, &ended)?.to_string());
    }
    Ok(())
}
