//! `metaqnn submit`: a search handed to Slurm.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::nodes_arg::NodesArg;
use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::rounds::submit::{
    BadHosts, Mode, SubmitOptions, submit, variables_of_this_process,
};
use crate::storage::Trust;

/// Submit one round to Slurm, and the chain after it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn submit DIR                       to the end of the schedule\n  \
    metaqnn submit DIR --rounds 1\n  \
    metaqnn submit DIR --dry-run             show what would be submitted\n  \
    metaqnn submit DIR -- --partition=gpu --mail-type=END\n\n\
    Submitting twice is safe: a round is submitted once, whoever asks, and one that was left half-submitted is \
    completed. Each round's reduce submits the next, so nothing waits for this command or this terminal; \
    `metaqnn status DIR` says when the chain is broken, and `metaqnn submit DIR` mends it.\n\n\
    A round that the scheduler refuses is rendered anew by the next `submit`, from the configuration (`metaqnn set`) and \
    options of then. SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_QOS, SBATCH_RESERVATION and SLURM_CLUSTERS hold where the \
    configuration says null, in later rounds too; other SBATCH_ variables are not used.")]
pub struct SubmitArgs {
    /// The experiment directory
    dir: PathBuf,
    /// Submit N rounds in all, then end the chain
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "until_done")]
    rounds: Option<u32>,
    /// Go on until the epsilon schedule is finished (the default)
    #[arg(long)]
    until_done: bool,
    /// Show scripts and commands, submit nothing
    #[arg(long)]
    dry_run: bool,
    /// Tasks of the array, in place of `slurm.array_size`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    array_size: Option<u32>,
    /// Tasks at the same time, in place of `slurm.max_parallel`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_parallel: Option<u32>,
    #[command(flatten)]
    nodes: NodesArg,
    /// Keep the tasks of this chain off nodes whose last three tasks all failed without a result, and not all with one
    /// architecture (`metaqnn status` names them), beside those of `slurm.exclude`. Not those where tasks fail for the one
    /// reason for which they fail everywhere; an error when no node would be left
    #[arg(long)]
    exclude_bad_hosts: bool,
    /// More options for sbatch, after `--`
    #[arg(last = true, value_name = "SBATCH_OPTION")]
    sbatch_options: Vec<String>,
}

/// Runs the command.
pub fn run(args: SubmitArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?.trusted_by(trust)?;
    experiment.check_locks(args.nodes.nodes())?;
    let (sbatch_variables, notices) = variables_of_this_process(&experiment)?;
    for notice in notices {
        log::warn!("{notice}");
    }
    let options = SubmitOptions {
        sbatch_variables,
        rounds: args.rounds,
        mode: if args.dry_run { Mode::DryRun } else { Mode::Submit },
        array_size: args.array_size,
        max_parallel: args.max_parallel,
        bad_hosts: if args.exclude_bad_hosts { BadHosts::Exclude } else { BadHosts::Keep },
        sbatch_options: args.sbatch_options,
    };
    for line in submit(&experiment, &options)? {
        printer.result(&line)?;
    }
    Ok(ExitStatus::Done)
}
