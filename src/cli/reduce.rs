//! `metaqnn reduce`: learn from what the tasks recorded.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::nodes_arg::NodesArg;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::rebuild::rebuild;
use crate::ops::reduce::{self, ReduceOptions, Tables};
use crate::ops::rounds::chain::end_round;
use crate::storage::Trust;

/// Learn from new results: Q-updates, a new view, the tables
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn reduce DIR\n  \
    metaqnn reduce DIR --after 123456     the array job 123456 has ended: its open claims are lost\n  \
    metaqnn reduce DIR --rebuild          learn everything again and compare")]
pub struct ReduceArgs {
    /// The experiment directory
    dir: PathBuf,
    #[command(flatten)]
    nodes: NodesArg,
    /// Lose the open claims of this array job, which has ended
    #[arg(long, value_name = "JOB", conflicts_with = "rebuild")]
    after: Option<String>,
    /// Do so for the jobs of round N, then submit round N+1 (what the rendered script asks for)
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "rebuild"])]
    round: Option<u32>,
    /// Learn from nothing and compare with the newest view; appends and publishes nothing
    #[arg(long)]
    rebuild: bool,
}

/// Runs the command.
pub fn run(args: ReduceArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?.trusted_by(trust)?;
    experiment.check_locks(args.nodes.nodes())?;
    if args.rebuild {
        let rows = rebuild(&experiment)?;
        printer.result(&format!("the newest view equals what {rows} rows of the log say"))?;
        return Ok(ExitStatus::Done);
    }
    if let Some(round) = args.round {
        let end = end_round(&experiment, round)?;
        printer.note(&end.reduced.to_string());
        end.chain.iter().for_each(|line| printer.note(line));
        return Ok(ExitStatus::Done);
    }
    let options = ReduceOptions {
        ended: args.after.map_or(EndedJobs::None, EndedJobs::One),
        tables: Tables::Write,
    };
    printer.note(&reduce::reduce(&experiment, &options)?.to_string());
    Ok(ExitStatus::Done)
}
