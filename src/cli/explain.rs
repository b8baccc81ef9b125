//! `metaqnn explain`: one iteration, with the numbers behind it.

use std::path::PathBuf;

use clap::Args;

use super::printer::Printer;
use crate::ops::{Experiment, explain};

/// Say why a network was sampled, stopped, failed or is pending, with the numbers behind it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn explain DIR 123\n  \
    metaqnn explain DIR 123 --json\n\n\
    A draw of Q-learning is made again, from the seed and the rows of the log that it was made \
    from: its choices are shown where that gives the same architecture. Other strategies leave \
    their reason in the log.\n\n\
    JSON, one object: experiment, strategy, iteration, status (claimed, pending, trained, \
    stopped, failed, out_of_memory, imported, reused, lost, void), architecture, draw (null but \
    for Q-learning; epsilon, view: the rows that its Q-table was learned from, has_blanks, \
    architecture: what is drawn again, is_same, choices: state, layer, q_value, at_random, \
    equally_best, q_values of all legal layers; none where is_same is false), parent (iteration, \
    architecture and reward of the network that was edited), q_updates (layer, before and after: \
    Q-values around the learning of its row), replayed (rows learned from then), curve (of each \
    epoch and start), epochs (of a whole training), offset, is_false_stop (of an audit), stderr \
    (the last lines of its trainer), rows (of the log), now.")]
pub struct ExplainArgs {
    /// The experiment directory
    dir: PathBuf,
    /// The iteration, as `tables/iterations.csv` numbers them
    iteration: u64,
    /// One JSON object: times in UTC, durations in seconds
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ExplainArgs, printer: &Printer) -> anyhow::Result<()> {
    let explanation = explain::explain(&Experiment::open(&args.dir)?, args.iteration)?;
    let text = printer.styled(&explanation.text());
    printer.answer(args.json, &explanation, text)
}
