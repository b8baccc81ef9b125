//! `metaqnn benchmark`: strategies compared on recorded trainings.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::HumanDuration;
use strum::VariantArray;

use super::printer::Printer;
use crate::config::Setting;
use crate::ops::benchmark::{BenchmarkOptions, SearchesDone, benchmark};
use crate::ops::init;
use crate::strategy::StrategyKind;

/// Compare strategies: whole searches on recorded trainings, over many seeds, in simulated time
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn export GRID grid.csv.gz --recorded       networks trained before\n  \
    metaqnn benchmark grid.yaml --set training.trainer=recorded \\\n    \
        --set training.recorded=[grid.csv.gz] --seeds 100 --stopping both\n\n\
    Each search is an experiment of its own in memory, run by the code of `metaqnn run`: simulated \
    workers claim, are answered from the recording, and record in the order of the recorded \
    seconds. A training takes the seconds of its recorded epochs: one that failed before its first \
    epoch takes none. `epsilon_schedule`, the population of `evolution` and the burn-in of `bayesian` \
    are scaled to the budget. What counts of a network is its true accuracy, the mean over its \
    recorded trainings, once a search has trained it to the end.\n\n\
    Written to the output folder: benchmark.csv (each search), summary.csv (at equal networks and \
    at equal seconds: medians over seeds with 95 % intervals), strategies.csv, benchmark.svg; \
    columns.csv explains their columns. The same command writes the same files again, but for the \
    times of this machine in strategies.csv.\n\n\
    JSON, one object for each strategy: strategy, early_stopping, seeds, seconds_to_top_three \
    (median, low, high; null where too few searches have found one), never_found, at (share, \
    networks or seconds, best, top_ten, beats_random and beats_random_interval: null of random \
    itself), \
    wall_seconds_per_draw, processor_seconds_per_draw, processor_seconds_per_search")]
pub struct BenchmarkArgs {
    /// The configuration, with the trainer `recorded`
    config: PathBuf,
    /// Strategies to compare [default: all that search]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', value_parser = strategy())]
    strategies: Vec<StrategyKind>,
    #[command(flatten)]
    options: BenchmarkOptions,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn searching() -> impl Iterator<Item = StrategyKind> {
    StrategyKind::VARIANTS.iter().copied().filter(|kind| !kind.is_given())
}

fn strategy() -> impl TypedValueParser<Value = StrategyKind> {
    let names = searching().map(<&'static str>::from);
    PossibleValuesParser::new(names).map(|name| name.parse().expect("one of the names"))
}

const NOTE_EVERY: Duration = Duration::from_secs(60);

pub fn run(mut args: BenchmarkArgs, printer: &Printer) -> anyhow::Result<()> {
    let config = init::read(&args.config, &args.settings)?;
    if args.strategies.is_empty() {
        args.strategies = searching().collect();
    }
    let bar = printer.bar(1, "benchmark [{bar:28}] {pos}/{len} searches {msg}");
    let noted = Mutex::new(Instant::now());
    let show = |SearchesDone { done, all, seconds_left }: SearchesDone| {
        let left = HumanDuration(Duration::from_secs_f64(seconds_left));
        if let Some(bar) = &bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("about {left:#} left"));
        } else if let Ok(mut noted) = noted.lock()
            && noted.elapsed() > NOTE_EVERY
        {
            *noted = Instant::now();
            printer.note(&format!("{done} of {all} searches, about {left:#} left"));
        }
    };
    let output = args.options.output.display().to_string();
    let comparison = benchmark(&config, &args.strategies, args.options, show)
        .with_context(|| format!("benchmark of `{}`", args.config.display()))?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if args.json {
        for contender in &comparison.contenders {
            printer.result(&serde_json::to_string(contender)?)?;
        }
    } else {
        printer.result(&printer.styled(&comparison.table()))?;
    }
    printer.note(&format!("tables and figure: `{output}`"));
    Ok(())
}
