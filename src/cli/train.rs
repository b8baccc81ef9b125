//! `metaqnn train`: one array task.

use std::io;

use anyhow::Context;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use signal_hook::{consts::SIGTERM, low_level::raise};

use super::args::SharedDir;
use super::printer::Printer;
use super::progress::Progress;
use crate::ops::train::{TrainOptions, train};
use crate::storage::Trust;

/// Sample one architecture, train it, record the result (what each task of a Slurm array does)
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn train DIR                       one architecture, here and now\n  \
    sbatch --array=0-9 slurm/train.sbatch DIR\n\n\
    Under Slurm a task is identified by SLURM_ARRAY_JOB_ID and SLURM_ARRAY_TASK_ID: a requeued\n\
    task resumes its own claim. Exits 0 when there is nothing to claim, and 75 after a signal.\n\n\
    JSON, one progress event a line, distinguished by `event`:\n  \
    claimed     iteration, attempt, epsilon, architecture, epochs\n  \
    epoch       iteration, epoch, start, validation_accuracy, training_loss, seconds\n  \
    recorded    iteration, outcome (trained, stopped, failed, out_of_memory), reward, seconds\n  \
    lost        iteration, reason\n  \
    reused, superseded    iteration\n  \
    stopping_switched_off  audited, false_stops\n  \
    halted      nothing else\n  \
    nothing     finished (false while others train what is left)")]
pub struct TrainArgs {
    #[command(flatten)]
    dir: SharedDir,
    #[command(flatten)]
    options: TrainOptions,
    /// One JSON object a line for each event
    #[arg(long)]
    json: bool,
}

pub fn run(args: TrainArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let experiment = args.dir.open(trust)?;
    if args.json {
        end_with_reader()?;
        train(&experiment, args.options, &mut |event| printer.event(&event))
    } else {
        let mut progress = Progress::new(printer, experiment.config(), 1, None);
        train(&experiment, args.options, &mut |event| progress.show(0, &event))
    }
}

/// Ends the task as TERM does when the reader of stdout is gone: a `metaqnn run` that was killed,
/// or whose terminal was closed, must not leave workers behind that train on for hours.
fn end_with_reader() -> anyhow::Result<()> {
    let end = || {
        let stdout = io::stdout();
        // No event is asked for: poll always reports errors and hang-ups. A file has neither.
        let ended = retry_on_intr(|| poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None));
        if let Err(error) = ended.map_err(io::Error::from).and_then(|_| raise(SIGTERM)) {
            log::warn!("the end of the reader of stdout cannot be detected: {error}");
        }
    };
    let started = std::thread::Builder::new().spawn(end).map(drop);
    started.context("cannot start a thread (see `ulimit -u`)")
}
