//! `metaqnn status`: how far a search is.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::finalize;
use crate::ops::status::Watch;
use crate::report::terminal;
use crate::storage::Time;

/// Show how far a search is: rounds, epsilon, networks, best so far, GPU-hours, what is left
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn status DIR\n  \
    metaqnn status DIR --watch\n  \
    metaqnn status DIR --json\n\n\
    JSON, one object: experiment, trainer, condition (active; paused: the rounds asked for are \
    done; halted; finished; chain_broken: nothing is queued; stuck: what is queued makes no \
    progress; notices say why), round, queue (of the round's jobs: problem, running, waiting with \
    jobs, reason and meaning; null where no scheduler was asked), epsilon (in force; null without epsilons), iterations, \
    counts (of iterations by status), wanted, results, left, best (null or architecture, \
    iteration, best_validation_accuracy, interval (exact, 95 %, of one network, selection not \
    counted), parameters, layers, epsilon, model), best_at_random (the same, of the networks drawn \
    at random), results_at_random, seconds_at_random, validation_images (null when unknown), \
    epsilons (for each what it wants and has), seconds (train_seconds, saved_seconds, \
    lost_seconds), early_stopping (enabled, burn_in, full_curves, predictor_curves, stopped, \
    audited, false_stops, their rate with its interval, switched_off, epochs), \
    estimated_train_seconds_left (null where the next two are far apart), \
    least_train_seconds_left, most_train_seconds_left (null while too few networks have been \
    trained), uses_accelerator, started_at, last_event_at, hosts (results and losses of each, bad \
    or not), notices. `run --json` ends with the same.")]
pub struct StatusArgs {
    /// The experiment directory
    dir: PathBuf,
    /// One JSON object: times in UTC, durations in seconds
    #[arg(long)]
    json: bool,
    /// Show it again every SECONDS (10 unless given), until the search has finished, is halted or
    /// paused, or Ctrl-C: on a terminal in place, else one block, or with `--json` one line, after
    /// the other
    ///
    /// The log is read on from where it was, and the scheduler asked once a time.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
}

pub fn run(args: StatusArgs, printer: &Printer) -> anyhow::Result<()> {
    let mut watch = Watch::open(&args.dir)?;
    loop {
        match watch.look() {
            Ok(mut status) => {
                status.notices.extend(finalize::progress(&watch.experiment));
                let text = terminal::status(&status);
                match args.watch {
                    Some(_) if !args.json => {
                        printer.redraw(&format!("{}\n{text}", Time::from(Timestamp::now())))?;
                    }
                    _ => printer.answer(args.json, &status, printer.styled(&text))?,
                }
                if args.watch.is_none() || status.condition.has_ended() {
                    return Ok(());
                }
            }
            // A row that is being written, or damage that a person repairs meanwhile.
            Err(error) if args.watch.is_some() && ExitStatus::of(&error) == ExitStatus::Damaged => {
                log::warn!("{error:#}");
            }
            Err(error) => return Err(error),
        }
        sleep(Duration::from_secs(args.watch.unwrap_or_default()));
    }
}
