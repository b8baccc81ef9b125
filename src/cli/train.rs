//! `metaqnn train`, one array task, and `metaqnn run`, a whole search with tasks of this machine.

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use signal_hook::{consts::SIGTERM, low_level::raise};

use super::args::SharedDir;
use super::config::with_skipping;
use super::printer::Printer;
use super::progress::Progress;
use crate::config::Setting;
use crate::ops::run::run;
use crate::ops::siblings::siblings;
use crate::ops::train::{TrainOptions, train};
use crate::ops::{init, pictures, status};
use crate::storage::{Folder, Trust};

/// Sample one architecture, train it, record the result (what each task of a Slurm array does)
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn train DIR                       one architecture, here and now\n  \
    sbatch --array=0-9 slurm/train.sbatch DIR\n\n\
    Under Slurm a task is identified by SLURM_ARRAY_JOB_ID and SLURM_ARRAY_TASK_ID: a requeued\n\
    task resumes its own claim. Exits 0 when there is nothing to claim, and 75 after a signal.\n\n\
    JSON, one progress event a line, distinguished by `event`:\n  \
    started     version, host, device, libtorch (null where the trainer does not say)\n  \
    claimed     iteration, of (in sight: those so far, and one for each network still to begin), \
    attempt, epsilon (null for a list), architecture, repeat, epochs\n  \
    epoch       iteration, epoch, start, validation_accuracy, training_loss, seconds\n  \
    batch       iteration, batch, of: a sign of life within an epoch\n  \
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

pub fn run_task(args: TrainArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let experiment = args.dir.open(trust)?;
    if args.json {
        end_with_reader()?;
        train(&experiment, args.options, &mut |event| printer.event(&event))
    } else {
        let mut progress = Progress::new(printer, 1);
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

/// Run a whole search on this machine: sample, train, learn, to the end of the epsilon schedule (or
/// of a list)
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn run configs/quickstart.yaml\n  \
    metaqnn run configs/mnist.yaml /scratch/me/mnist --workers 2\n  \
    metaqnn run flowers/                     pictures, one folder a class: no configuration\n  \
    metaqnn run configs/svhn_small.yaml --seeds 10    how far searches differ by chance\n\n\
    Interrupt it at any time (Ctrl-C); the same command goes on where it was.")]
pub struct RunArgs {
    /// The configuration, or a folder of pictures with one folder a class
    #[arg(value_name = "CONFIG|PICTURES")]
    config: PathBuf,
    /// The experiment directory; if not given `./<experiment.name>`, for pictures
    /// `./<name of the folder>-search`
    ///
    /// Made when missing; continued when the configuration is equal, or differs only in what
    /// `metaqnn set` may change.
    dir: Option<PathBuf>,
    /// How many networks are trained at the same time
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: u32,
    /// Run the search with N seeds, one after another: those after `experiment.seed` in
    /// `DIR-seed2` to `DIR-seedN`, pictures with the validation and test parts of the first
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,
    /// Leave out pictures that cannot be read: `--set data.skip_unreadable=true`
    #[arg(long)]
    skip_unreadable: bool,
    /// How many architectures the final table shows
    #[arg(long, default_value_t = 10, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print the final state as one JSON object, that of `status`, instead of a table; one a line
    /// with `--seeds`
    #[arg(long, conflicts_with = "top")]
    json: bool,
}

pub fn run_search(args: RunArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let settings = with_skipping(args.settings, args.skip_unreadable)?;
    let chosen = pictures::choose(&args.config, args.dir.as_deref(), &settings)?;
    let experiment = init::open_or_init(chosen.config, &chosen.dir, trust)?;
    pictures::keep_text(&experiment, chosen.text.as_deref())?;
    for experiment in siblings(experiment, args.seeds)? {
        let mut progress = Progress::of_search(printer, args.workers, experiment.dir().root())?;
        run(&experiment, args.workers, &mut |worker, event| progress.show(worker, event))?;
        drop(progress);
        // With what was `set` meanwhile.
        let experiment = experiment.reopened()?;
        if args.json {
            printer.result(&serde_json::to_string(&status::status(&experiment)?)?)?;
        } else {
            printer.result(&printer.styled(&status::ranked(&experiment, args.top as usize)?))?;
            let tables = experiment.dir().folder(Folder::Tables);
            printer.note(&format!("tables for a spreadsheet: `{}`", tables.display()));
        }
    }
    Ok(())
}
