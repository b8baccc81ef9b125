//! `metaqnn simulate`: what early stopping would have saved, and lost, on recorded curves.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::exit_code::ExitStatus;
use super::number_arg::{at_least, not_negative, positive, share, threshold, tolerance};
use super::printer::Printer;
use crate::ops::Refusal;
use crate::ops::simulate::{self, Reading, Replayed};
use crate::predictor::{
    Better, FoldScaling, HyperbandParams, MetricScale, Orders, PredictorParams, Regressor,
    SearchScope, SimulationParams,
};
use crate::report::terminal::{self, Colour};
use crate::storage::RecordedColumns;

/// Replay recorded learning curves under the stopping rule: what it would have saved, and lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn simulate curves.csv\n  \
    metaqnn simulate losses.csv --loss --log --orders 20 --delta 0.95,0.99 --top-n 1,10\n  \
    metaqnn simulate curves.csv --c 10 --nu 0.5 --gamma 0.01 --file-order --trace trace.csv\n  \
    metaqnn simulate curves.csv --regressor last-seen --scores scores.csv --json\n  \
    metaqnn simulate curves.csv --scheduler f-hyperband --delta 0.95 --kappa 0.2,0.5\n  \
    metaqnn simulate EXPERIMENT --burn-in 30\n\n\
    A file has one network a row. Its first column is an id; the columns of the curve share a name and\n\
    end in the number of the epoch (`y1` .. or `acc_01` ..); all other columns of numbers are features,\n\
    taken as they are. Of an experiment, the networks trained to the end are replayed.\n\n\
    In each order the first networks, the burn-in, are trained to the end and the predictor is fitted\n\
    to them; the others are walked in order and stopped as soon as the probability that they end below\n\
    the best one reaches delta.\n\n\
    JSON, one object for each setting (with several inputs, `file` comes first):\n  \
    delta, top_n, offset\n  \
    speedup                N T / epochs spent, burn-in included; mean over orders\n  \
    speedup_after_burn_in  the same of the walked networks alone; null where there is none\n  \
    share_stopped          of the walked networks, 0 to 1; mean over orders\n  \
    best_kept              orders in which the best network was walked and trained to the end ..\n  \
    orders_best_in_walk    .. of those in which it was walked\n  \
    top10_kept             of the ten best networks those trained to the end, burn-in included; mean\n  \
    regret_mean, regret_max  best of all minus best trained to the end, in the unit given, after --log\n\
    With a scheduler: scheduler, eta, kappa, delta, offset, runs, networks, epochs, speedup,\n\
    share_stopped, best_mean, best_standard_error, regret_mean, regret_max (speedup and regret against\n\
    plain Hyperband).\n\n\
    The trace has, for each setting and walked network, its stop or its last verdict: delta, top_n,\n\
    offset, id, stopped, epoch (from 1), predicted, sigma, best (before the offset), stop_probability.\n\
    Its values are those that the rule compares: losses are negated, after --log.\n\
    The scores have regressor, epoch, r_squared, r_squared_standard_error and mean_absolute_error on\n\
    the networks after the burn-in, for the regressor and for the last value seen.")]
pub struct SimulateArgs {
    /// Files of recorded curves (CSV), or experiment directories
    #[arg(required = true, value_name = "FILE|EXPERIMENT")]
    inputs: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Write what became of each walked network
    #[arg(long, value_name = "FILE.csv", requires = "file_order")]
    trace: Option<PathBuf>,
    /// Write R squared of the regressor at each epoch, and of the last value seen
    #[arg(long, value_name = "FILE.csv")]
    scores: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading a file")]
    file: FileArgs,
    #[command(flatten, next_help_heading = "Walk")]
    walk: WalkArgs,
    #[command(flatten, next_help_heading = "Predictor")]
    predictor: PredictorArgs,
    #[command(flatten, next_help_heading = "Hyperband")]
    hyperband: HyperbandArgs,
}

#[derive(Debug, Args)]
struct FileArgs {
    /// What the names of the curve's columns begin with, when there are several curves
    #[arg(long, value_name = "PREFIX")]
    curve: Option<String>,
    /// Feature columns (empty for none) [default: all other columns of numbers]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Option<Vec<String>>,
    /// Lower is better
    #[arg(long)]
    loss: bool,
    /// Take the logarithm of the curves: for losses that can diverge
    #[arg(long)]
    log: bool,
}

#[derive(Debug, Args)]
struct WalkArgs {
    /// Networks trained to the end before any is stopped (above 100, sigma comes from ten folds)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<3>)]
    burn_in: usize,
    /// Random orders of the networks
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<1>)]
    orders: usize,
    /// One order: that of the file
    #[arg(long, conflicts_with = "orders")]
    file_order: bool,
    /// Stop probabilities from which a network is stopped, above 0.5 and below 1
    #[arg(long, value_name = "LIST", default_value = "0.9,0.95,0.99", value_delimiter = ',', value_parser = threshold)]
    delta: Vec<f64>,
    /// Compare with the n-th best network, so that the best n are trained to the end (with Hyperband kappa says so)
    #[arg(long, value_name = "LIST", default_value = "1", value_delimiter = ',', value_parser = at_least::<1>)]
    top_n: Vec<usize>,
    /// Let networks finish that are predicted within this of the best
    #[arg(long, value_name = "LIST", default_value = "0", value_delimiter = ',', allow_negative_numbers = true, value_parser = not_negative)]
    offset: Vec<f64>,
    /// Seed of the orders and of the search for hyperparameters
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Args)]
struct PredictorArgs {
    /// The regression model
    #[arg(long, value_name = "NAME", default_value_t = Regressor::NuSvrRbf, value_parser = regressor())]
    regressor: Regressor,
    /// C of the nu-SVR [default: searched, as the next two]
    #[arg(long, allow_negative_numbers = true, value_parser = positive)]
    c: Option<f64>,
    /// nu of the nu-SVR, above 0 and at most 1
    #[arg(long, allow_negative_numbers = true, value_parser = share)]
    nu: Option<f64>,
    /// gamma of the radial basis function
    #[arg(long, allow_negative_numbers = true, value_parser = positive)]
    gamma: Option<f64>,
    /// Tolerance of the nu-SVR's solver
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true, value_parser = tolerance)]
    tolerance: f64,
    /// Search hyperparameters once for each file and epoch (on the first order's burn-in), or for each order
    #[arg(long, value_enum, default_value_t = Search::Once)]
    search: Search,
    /// Scale each leave-one-out fold anew, or all by the scales of the whole burn-in
    #[arg(long, value_enum, default_value_t = Sigma::Refit)]
    sigma: Sigma,
}

#[derive(Debug, Args)]
struct HyperbandArgs {
    /// Run Hyperband over the networks, plain or with stopping inside its rungs, in place of the walk
    #[arg(long, value_enum, default_value_t = Scheduler::None)]
    scheduler: Scheduler,
    /// One network in ETA goes on to the next rung
    #[arg(long, default_value_t = 3, value_parser = at_least::<2>)]
    eta: usize,
    /// Shares of a rung that are trained to its end, above 0 and at most 1 [default: 1 / ETA]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true, value_parser = share)]
    kappa: Option<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Search {
    Once,
    PerOrder,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sigma {
    Refit,
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scheduler {
    None,
    Hyperband,
    FHyperband,
}

fn regressor() -> impl TypedValueParser<Value = Regressor> {
    PossibleValuesParser::new(Regressor::ALL.map(Regressor::name))
        .map(|name| name.parse().expect("only names of regressors are possible"))
}

/// Runs the command.
pub fn run(args: &SimulateArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    // All that can be wrong is found before anything is computed.
    let params = args.params()?;
    args.check_files()?;
    let reading = args.file.reading();
    let replayed = args.inputs.iter().map(|path| simulate::read(path, &reading));
    let replayed = replayed.collect::<anyhow::Result<Vec<_>>>()?;
    for input in &replayed {
        printer.note(&input.summary);
        input.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let (networks, burn_in) = (input.curves.networks(), args.walk.burn_in);
        if networks <= burn_in && args.hyperband.scheduler == Scheduler::None {
            log::warn!(
                "the burn-in of {burn_in} leaves none of {networks} networks to be stopped (choose a smaller --burn-in)"
            );
        }
    }
    for input in &replayed {
        args.replay(input, &params, printer)?;
    }
    Ok(ExitStatus::Done)
}

impl SimulateArgs {
    fn params(&self) -> anyhow::Result<SimulationParams> {
        let (walk, given) = (&self.walk, &self.predictor);
        let predictor = PredictorParams {
            regressor: given.regressor,
            burn_in: walk.burn_in,
            tolerance: given.tolerance,
            c: given.c,
            nu: given.nu,
            gamma: given.gamma,
            ..PredictorParams::default()
        };
        Ok(SimulationParams {
            predictor: predictor.check()?,
            orders: if walk.file_order { Orders::File } else { Orders::Random(walk.orders) },
            thresholds: walk.delta.clone(),
            top_n: walk.top_n.clone(),
            offsets: walk.offset.clone(),
            search: match given.search {
                Search::Once => SearchScope::Once,
                Search::PerOrder => SearchScope::PerOrder,
            },
            scaling: match given.sigma {
                Sigma::Refit => FoldScaling::Refit,
                Sigma::Shared => FoldScaling::Shared,
            },
        })
    }

    /// Checks that the files to be written can be, and hold one simulation.
    fn check_files(&self) -> anyhow::Result<()> {
        for (option, file) in [("--trace", &self.trace), ("--scores", &self.scores)] {
            let Some(file) = file else { continue };
            simulate::check_target(file)?;
            if self.inputs.len() > 1 {
                return Err(Refusal::Together { option, other: "several inputs" }.into());
            }
        }
        if self.trace.is_some() && self.hyperband.scheduler != Scheduler::None {
            return Err(Refusal::Together { option: "--trace", other: "a scheduler" }.into());
        }
        Ok(())
    }

    fn replay(
        &self,
        input: &Replayed,
        params: &SimulationParams,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let (curves, seed) = (&input.curves, self.walk.seed);
        let orders = if self.walk.file_order { 1 } else { self.walk.orders };
        let bar = bar(printer, orders);
        let on_order = || bar.inc(1);
        match self.hyperband.scheduler() {
            None => {
                let simulation = simulate::stopping(curves, params, seed, &on_order)?;
                bar.finish_and_clear();
                self.print(input, &simulation.summaries, terminal::stopping, printer)?;
                if let Some(file) = &self.trace {
                    simulate::write_trace(file, &simulation.trace)?;
                }
            }
            Some(scheduler) => {
                let summaries = simulate::hyperband(curves, params, &scheduler, seed, &on_order)?;
                bar.finish_and_clear();
                self.print(input, &summaries, terminal::hyperband, printer)?;
            }
        }
        if let Some(file) = &self.scores {
            simulate::write_scores(file, &simulate::scores(curves, params, seed)?)?;
        }
        Ok(())
    }

    fn print<T: Serialize>(
        &self,
        input: &Replayed,
        summaries: &[T],
        table: impl Fn(&[T], Colour) -> String,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let file = (self.inputs.len() > 1).then(|| input.path.display().to_string());
        if !self.json {
            let heading = file.map_or(String::new(), |file| format!("{file}\n"));
            return printer.result(&(heading + &table(summaries, printer.colour())));
        }
        for summary in summaries {
            let object = serde_json::to_string(summary)?;
            printer.result(&match &file {
                None => object,
                // Before the columns that are fixed.
                Some(file) => format!("{{\"file\":{},{}", json!(file), &object[1..]),
            })?;
        }
        Ok(())
    }
}

impl FileArgs {
    fn reading(&self) -> Reading {
        let named = |names: &Vec<String>| {
            names
                .iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        Reading {
            columns: RecordedColumns {
                curve: self.curve.clone(),
                features: self.features.as_ref().map(named),
            },
            better: if self.loss { Better::Lower } else { Better::Higher },
            scale: if self.log { MetricScale::Logarithmic } else { MetricScale::Linear },
        }
    }
}

impl HyperbandArgs {
    fn scheduler(&self) -> Option<HyperbandParams> {
        let kappas = match self.scheduler {
            Scheduler::None => return None,
            Scheduler::Hyperband => Vec::new(),
            Scheduler::FHyperband => {
                self.kappa.clone().unwrap_or_else(|| vec![1.0 / self.eta as f64])
            }
        };
        Some(HyperbandParams { eta: self.eta, kappas })
    }
}

/// A bar over the orders, where a person watches.
fn bar(printer: &Printer, orders: usize) -> ProgressBar {
    let Some(bars) = printer.bars() else { return ProgressBar::hidden() };
    let template = "simulate [{bar:28}] {pos}/{len} orders, {elapsed} gone, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    let bar = bars.add(ProgressBar::new(orders as u64)).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
