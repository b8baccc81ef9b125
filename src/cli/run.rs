//! `metaqnn run`: the whole search on this machine.

use std::path::PathBuf;

use clap::Args;

use super::printer::Printer;
use super::progress::Progress;
use crate::config::Setting;
use crate::ops::run::run as run_search;
use crate::ops::{init, status};
use crate::storage::{Folder, Trust};

/// Run a whole search on this machine: sample, train, learn, to the end of the epsilon schedule
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn run configs/quickstart.yaml\n  \
    metaqnn run configs/mnist.yaml /scratch/me/mnist --workers 2\n\n\
    Interrupt it at any time (Ctrl-C); the same command goes on where it was.")]
pub struct RunArgs {
    /// The configuration
    config: PathBuf,
    /// The experiment directory, `./<experiment.name>` if not given
    ///
    /// Made when missing; continued when the configuration is equal, or differs only in what
    /// `metaqnn set` may change.
    dir: Option<PathBuf>,
    /// How many networks are trained at the same time
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: u32,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,
    /// How many architectures the final table shows
    #[arg(long, default_value_t = 10, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print the final state as one JSON object, that of `status`, instead of a table
    #[arg(long, conflicts_with = "top")]
    json: bool,
}

pub fn run(args: RunArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let config = init::load(&args.config, &args.settings)?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&config.experiment.name));
    let experiment = init::open_or_init(config, &dir, trust)?;
    let before = status::status(&experiment)?;
    let mut progress = Progress::new(printer, experiment.config(), args.workers, Some(&before));
    run_search(&experiment, args.workers, &mut |worker, event| progress.show(worker, event))?;
    drop(progress);
    // With what was `set` meanwhile.
    let experiment = experiment.reopened()?;
    if args.json {
        printer.result(&serde_json::to_string(&status::status(&experiment)?)?)
    } else {
        printer.result(&printer.styled(&status::ranked(&experiment, args.top as usize)?))?;
        let tables = experiment.dir().folder(Folder::Tables);
        printer.note(&format!("tables for a spreadsheet: `{}`", tables.display()));
        Ok(())
    }
}
