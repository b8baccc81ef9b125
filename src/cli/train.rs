//! `metaqnn train`: one array task.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGTERM;

use super::exit_code::ExitStatus;
use super::nodes_arg::NodesArg;
use super::printer::Printer;
use super::progress::Progress;
use crate::ops::Experiment;
use crate::ops::train::TrainOptions;
use crate::ops::train::{Reducing, Until, train};
use crate::storage::Trust;

/// Sample one architecture, train it, record the result (what each task of a Slurm array does)
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn train DIR                       one architecture, here and now\n  \
    sbatch --array=0-9 slurm/train.sbatch DIR\n\n\
    Under Slurm the task is known by SLURM_ARRAY_JOB_ID and SLURM_ARRAY_TASK_ID: a requeued task\n\
    takes its own claim up again. Exits 0 when there is nothing to claim, and 75 after a signal.\n\n\
    JSON, one object a line, told apart by `event`:\n  \
    claimed     iteration, attempt, epsilon, architecture, epochs\n  \
    epoch       iteration, epoch, start, validation_accuracy, training_loss, seconds\n  \
    recorded    iteration, outcome (trained, stopped, failed, out_of_memory), reward, seconds\n  \
    lost        iteration, reason\n  \
    reused, superseded    iteration\n  \
    stopping_switched_off  audited, false_stops\n  \
    halted      nothing else\n  \
    nothing     finished (false while others train what is left)")]
pub struct TrainArgs {
    /// The experiment directory
    dir: PathBuf,
    #[command(flatten)]
    nodes: NodesArg,
    /// Go on claiming until the schedule has nothing more to claim
    #[arg(long)]
    until_done: bool,
    /// Learn after every result, as the paper does and as `run` asks of its workers
    #[arg(long)]
    reduce: bool,
    /// The round that the task belongs to (what the rendered script says)
    #[arg(long, value_name = "N")]
    round: Option<u32>,
    /// How many workers share this machine's cores
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096), value_name = "N")]
    share: u32,
    /// One JSON object a line for each event
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: TrainArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let experiment = Experiment::open(&args.dir)?.trusted_by(trust)?;
    experiment.check_locks(args.nodes.nodes())?;
    let options = TrainOptions {
        until: if args.until_done { Until::Done } else { Until::Configured },
        reducing: if args.reduce { Reducing::AfterEachResult } else { Reducing::Never },
        sharing_workers: args.share,
        round: args.round,
    };
    if args.json {
        end_with_reader()?;
        train(&experiment, options, &mut |event| printer.event(&event))?;
    } else {
        let mut progress = Progress::of_task(printer, experiment.config());
        train(&experiment, options, &mut |event| progress.show(0, &event))?;
    }
    Ok(ExitStatus::Done)
}

/// Ends the task as TERM does, once nobody reads its events any more: a `metaqnn run` that was killed,
/// or whose terminal was closed, must not leave workers behind that train on for hours.
fn end_with_reader() -> anyhow::Result<()> {
    let end = || {
        let stdout = std::io::stdout();
        // No event is asked for: an error or a hang-up is always told. A file has neither.
        let ended = loop {
            match poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
                Err(Errno::INTR) => {}
                Err(error) => break Err(error.into()),
                Ok(_) => break signal_hook::low_level::raise(SIGTERM),
            }
        };
        if let Err(error) = ended {
            log::warn!("the end of whoever reads the events is not seen: {error}");
        }
    };
    let started = std::thread::Builder::new().spawn(end).map(drop);
    started.context("cannot start a thread (see `ulimit -u`)")
}
