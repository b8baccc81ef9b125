//! `metaqnn finalize`: from a search to trained networks with a test error.

use std::path::PathBuf;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::printer::Printer;
use super::progress::Progress;
use crate::ops::finalize::{FinalizeOptions, finalize};
use crate::ops::{Experiment, run::run as train, status};
use crate::report::certificate::finals_text;
use crate::storage::Trust;

/// Train the best networks of a search for long, and test them once
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn finalize DIR\n  \
    metaqnn finalize DIR --baselines configs/baselines.txt --workers 2\n  \
    metaqnn finalize DIR --control RANDOM     at equal cost: RANDOM is a search of epsilon 1\n  \
    metaqnn finalize DIR --data configs/svhn.yaml     the same networks on other images\n\n\
    Steps, each below DIR/final/; those that are done are not done again:\n  \
    networks.yaml   which networks: the best of the search, of each depth, and the best that were \
    drawn at random, as control\n  \
    1-validate/     each is trained as `final_training` says, and judged on the validation part\n  \
    2-whole/        the best on validation, N times each, with all images but those for testing\n  \
    test/           what these say of the test images: read once, by a plan made before\n  \
    summary.csv, depth.csv, certificate.md, certificate.json, model/: the report\n\n\
    Interrupt it at any time (Ctrl-C); the same command goes on where it was. `1-validate` and \
    `2-whole` are experiments: `metaqnn status DIR/final/2-whole`.")]
pub struct FinalizeArgs {
    /// The experiment directory of the search
    dir: PathBuf,
    #[command(flatten)]
    options: FinalizeOptions,
    /// How many networks are trained at the same time
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: u32,
    /// Print what `certificate.json` holds, on one line
    #[arg(long)]
    json: bool,
}

pub fn run(args: &FinalizeArgs, given: &ArgMatches, trust: Trust, printer: &Printer) -> Result<()> {
    let parent = Experiment::open(&args.dir)?.trusted_by(trust)?;
    let is_given = |id: &&str| given.value_source(id) == Some(ValueSource::CommandLine);
    let given = given.ids().map(clap::Id::as_str).filter(is_given).map(str::to_owned).collect();
    let options = FinalizeOptions { given, ..args.options.clone() };
    let finals = finalize(&parent, &options, &mut |child| {
        let before = status::status(child)?;
        printer.note(&format!("`{}`:", child.dir().root().display()));
        let mut progress = Progress::new(printer, args.workers, Some(&before));
        train(child, args.workers, &mut |worker, event| progress.show(worker, event))
    })?;
    printer.answer(args.json, &finals, finals_text(&finals))
}
