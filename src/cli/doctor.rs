//! `metaqnn doctor`: what this place can do for a search.

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::doctor::{Party, Verdict, doctor};
use crate::storage::Trust;

/// Check what a search needs here: locks, file system, clocks, libtorch and GPU, Slurm
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn doctor                          the trainer and Slurm\n  \
    metaqnn doctor DIR                      also the file system, with two processes of this machine\n  \
    srun -N2 metaqnn doctor DIR             between machines\n  \
    metaqnn doctor DIR --peers 2            the same by hand: start it on two machines within a minute\n\n\
    DIR is an experiment, then its trainer and its images are tried too, or where experiments are to lie. Under srun the \
    first task prints what all have seen. A folder `doctor.*` in DIR is made and removed. Exits 4 when something will \
    not work.")]
pub struct DoctorArgs {
    /// An experiment directory, or where experiments are to lie
    dir: Option<PathBuf>,
    /// Wait for as many processes, started by hand on other machines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=4096), requires = "dir")]
    peers: Option<u32>,
    /// Which party to join, as process RANK (how the program starts a second one of itself)
    #[arg(long, hide = true, requires_all = ["rank", "peers"])]
    party: Option<String>,
    /// See `--party`
    #[arg(long, hide = true)]
    rank: Option<u32>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: DoctorArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let party = match (args.peers, args.party, args.rank) {
        (Some(size), Some(name), Some(rank)) => Some(Party::Step { name, rank, size }),
        (Some(size), ..) => Some(Party::ByHand { size }),
        _ => None,
    };
    let checks = doctor(args.dir.as_deref(), party, trust)?;
    for check in &checks {
        let line = if args.json { serde_json::to_string(check)? } else { check.to_string() };
        printer.result(&line)?;
    }
    let fails = checks.iter().any(|check| check.verdict == Verdict::Failure);
    Ok(if fails { ExitStatus::Environment } else { ExitStatus::Done })
}
