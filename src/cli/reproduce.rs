//! `metaqnn reproduce`: the claims of the papers, beside what experiments say of them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::report::write_tables;
use crate::ops::reproduce::reproduce;
use crate::report::reproduce::{table, text};
use crate::simulate::replay_for_claims;

/// Compare experiments with what the papers and the talk claim, figure by figure
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn reproduce DIR\n  \
    metaqnn reproduce SVHN CIFAR10 RANDOM --replay 10 --out reproduced\n  \
    metaqnn reproduce DIR --json\n\n\
    A claim of numbers is judged on its own data set alone, and is\n  \
    reproduced    the search has all that the published numbers are of (networks at each \
    epsilon, training images, layers, epochs, Q-learning; epochs of the long training), and ours \
    agree: within what a figure can be read to, for an error not worse by its 95 % interval\n  \
    differs       it has all of that, and a number does not agree\n  \
    partly        it lacks some of that: what is missing is said, and whether what is here agrees\n  \
    not run       no experiment given says anything of it: the command that would, or why it \
    cannot be judged\n\
    Numbers of another data set are never compared. Data sets are known by `data.kind`, those in \
    IDX files by the checksum of their labels, and an import without files by its name (svhn, \
    cifar10, mnist), which is said.\n\n\
    A claim without numbers (\"the mean rises while epsilon falls\") is judged on any data set, for \
    the experiment named beside it and no other, by the numbers shown, and\n  \
    holds here    the first number is above the second, and their 95 % intervals do not overlap \
    (means: 1.96 standard errors over networks or orders; errors: exact; others are exact)\n  \
    does not hold the second is above the first, in the same way\n  \
    not resolved  the intervals overlap: the difference may be chance\n\n\
    Of an import the search is the authors', and the computation this program's: their search, our \
    program. Made-up accuracies (trainer `synthetic`) are left out. Drawings without data (figures \
    1, 2 and A1) and numbers of other methods are no claims here; the worked Q-update is a test of \
    the program.\n\n\
    JSON, one object a line, a claim with an experiment each: source, claim, state, values (of, \
    published, ours, interval), agrees, missing, experiment, \
    data, networks (with a result), trainer, run. --out writes reproduce.csv, and columns.csv, \
    which explains it.")]
pub struct ReproduceArgs {
    /// Experiment directories
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Also write reproduce.csv to this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Also replay the learning curves under the stopping rule, in N random orders, for the claims
    /// about early stopping: fitted to the first 100 of an order, or to half of fewer than 200. Of 100
    /// curves of 20 epochs an order takes about 10 seconds of a core
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    replay: Option<usize>,
}

pub fn run(args: &ReproduceArgs, printer: &Printer) -> anyhow::Result<()> {
    let experiments = args.dirs.iter().map(|dir| Experiment::open(dir));
    let experiments = experiments.collect::<anyhow::Result<Vec<_>>>()?;
    let (rows, notices) = reproduce(&experiments, |root| match args.replay {
        Some(orders) => replay_for_claims(root, orders),
        None => Ok(None),
    })?;
    notices.iter().for_each(|notice| log::warn!("{notice}"));
    if let Some(folder) = &args.out {
        write_tables(&table(&rows), folder)?;
    }
    if !args.json {
        return printer.result(&printer.styled(&text(&rows)));
    }
    rows.iter().try_for_each(|row| printer.result(&serde_json::to_string(row)?))
}
