//! `metaqnn compare`: experiments side by side.

use std::path::PathBuf;

use clap::Args;

use super::printer::Printer;
use crate::ops::{Experiment, compare};

/// Compare searches on the same data: configuration, accuracy at equal cost, cost, which is better
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn compare SEARCH RANDOM              is it better than random search?\n  \
    metaqnn compare A A-seed2 B B-seed2        searches with other seeds count as one\n  \
    metaqnn compare A B --json\n\n\
    The cost is the least of the experiments' totals, a half and a quarter of it, in networks and \
    in seconds of training (lost ones included). A search that differs from another in name and \
    seed alone is its sibling: then the mean of their bests is compared. Which is better is asked \
    of each against the one that drew at random, or the first. Names, places and options of the \
    scheduler are no differences; experiments on other data are refused.\n\n\
    JSON, one object: differing (keys with a value an experiment), warnings, searches (name, seed, \
    at_random, networks, stopped, failed (out of memory included), seconds, uses_accelerator, best \
    as in `status`, test_errors of the network of `finalize` by seed), at (spent: networks or \
    seconds; of: one a configuration: name, seeds, best, low and high of the bootstrap's 95 %), \
    answers (name, than, spent, is_better: null where not resolved, probability of such a \
    difference by chance).")]
pub struct CompareArgs {
    /// The experiment directories
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// One JSON object: durations in seconds
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CompareArgs, printer: &Printer) -> anyhow::Result<()> {
    let experiments = args.dirs.iter().map(|dir| Experiment::open(dir));
    let compared = compare::compare(&experiments.collect::<anyhow::Result<Vec<_>>>()?)?;
    printer.answer(args.json, &compared, printer.styled(&compared.text()))
}
