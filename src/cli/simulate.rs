//! `metaqnn simulate`: what early stopping would have saved, and lost, on recorded curves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::RangedU64ValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use super::args::{at_least, not_negative, share, threshold};
use super::printer::Printer;
use crate::invalid::Invalid;
use crate::ops::Refusal;
use crate::predictor::{FoldScaling, PredictorParams, Regressor};
use crate::seed::{Purpose, generator};
use crate::simulate::{
    CurveOptions, Orders, RuleSetting, SearchScope, SimulationInput, SimulationParams,
    check_target, hyperband_table, score_beside_last_seen, simulate, simulate_hyperband,
    stopping_table, write_predictions, write_scores, write_trace,
};

/// Replay recorded learning curves under the stopping rule: what it would have saved, and lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn simulate curves.csv\n  \
    metaqnn simulate losses.csv --loss --log --orders 20 --delta 0.95,0.99 --top-n 1,10\n  \
    metaqnn simulate curves.csv --c 10 --nu 0.5 --gamma 0.01 --file-order --trace trace.csv\n  \
    metaqnn simulate curves.csv --regressor last-seen --scores scores.csv --json\n  \
    metaqnn simulate curves.csv --scheduler f-hyperband --delta 0.95 --kappa 0.2,0.5\n  \
    metaqnn simulate EXPERIMENT --burn-in 30\n\n\
    A file has one network a row. Its first column is an id; the columns of the curve share a \
    name and end in the number of the epoch (`y1` .. or `acc_01` ..); all other columns of numbers \
    are features, as they are. Of an experiment, the networks trained to the end are replayed.\n\n\
    In each order the first networks, the burn-in, are trained to the end and the predictor is \
    fitted to them; the others are walked in order and stopped as soon as the probability that \
    they end below the best one reaches delta.\n\n\
    JSON, one object for each setting (with several inputs, `file` comes first):\n  \
    delta, top_n, offset\n  \
    speedup                N T / epochs spent, burn-in included; mean over orders\n  \
    speedup_after_burn_in  the same of the walked networks alone; null where there is none\n  \
    share_stopped          of the walked networks, 0 to 1; mean over orders\n  \
    best_kept              orders in which the best network was walked and trained to the end\n  \
    orders_best_in_walk    orders in which it was walked\n  \
    top10_kept             of the ten best networks those trained to the end; mean\n  \
    regret_mean, regret_max  best of all minus best trained to the end; in the unit after --log\n\
    With a scheduler: scheduler, eta, kappa, delta, offset, runs, networks, epochs, speedup, \
    share_stopped, best_mean, best_standard_error, regret_mean, regret_max (speedup and regret \
    against plain Hyperband).\n\n\
    The trace has, for each setting and walked network, its stop or its last verdict: delta, \
    top_n, offset, id, stopped, epoch (from 1), predicted, sigma, best (before the offset), \
    stop_probability. Its values are those that the rule compares: losses are negated, after \
    --log; so are those of the predictions: id, epoch, predicted, sigma, true. The scores have regressor, epoch, r_squared, r_squared_standard_error and \
    mean_absolute_error on the networks after the burn-in, for the regressor and for the last \
    value seen.")]
pub struct SimulateArgs {
    /// Files of recorded curves (CSV), or experiment directories
    #[arg(required = true, value_name = "FILE|EXPERIMENT")]
    inputs: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Write what became of each walked network (with `--file-order`)
    #[arg(long, value_name = "FILE.csv")]
    trace: Option<PathBuf>,
    /// Write what was predicted of each network after the burn-in (of the first order), epoch by
    /// epoch, beside its true last value
    #[arg(long, value_name = "FILE.csv")]
    predictions: Option<PathBuf>,
    /// Write R squared of the regressor at each epoch, and of the last value seen
    #[arg(long, value_name = "FILE.csv")]
    scores: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading a file")]
    curves: CurveOptions,
    /// Networks trained to the end before any is stopped (above 100, sigma comes from ten folds)
    #[arg(long, value_name = "N", default_value_t = PredictorParams::default().burn_in)]
    #[arg(help_heading = "Walk")]
    burn_in: usize,
    /// Random orders of the networks, at most 100000
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(help_heading = "Walk",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    orders: usize,
    /// One order: that of the file
    #[arg(long, conflicts_with = "orders", help_heading = "Walk")]
    file_order: bool,
    /// Stop probabilities from which a network is stopped, above 0.5 and below 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = threshold)]
    #[arg(default_value = "0.9,0.95,0.99", help_heading = "Walk")]
    delta: Vec<f64>,
    /// Compare with the n-th best network, so that the best n are trained to the end (with
    /// Hyperband kappa says so)
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = at_least::<1>)]
    #[arg(default_value = "1", help_heading = "Walk")]
    top_n: Vec<usize>,
    /// Let networks finish that are predicted within this of the best
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = not_negative)]
    #[arg(allow_negative_numbers = true, default_value = "0", help_heading = "Walk")]
    offset: Vec<f64>,
    /// Seed of the orders and of the search for hyperparameters
    #[arg(long, default_value_t = 0, help_heading = "Walk")]
    seed: u64,
    /// The regression model
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Regressor::NuSvrRbf)]
    #[arg(help_heading = "Predictor")]
    regressor: Regressor,
    /// C of the nu-SVR [default: searched, as the next two]
    #[arg(long, allow_negative_numbers = true, help_heading = "Predictor")]
    c: Option<f64>,
    /// nu of the nu-SVR, above 0 and at most 1
    #[arg(long, allow_negative_numbers = true, help_heading = "Predictor")]
    nu: Option<f64>,
    /// gamma of the radial basis function
    #[arg(long, allow_negative_numbers = true, help_heading = "Predictor")]
    gamma: Option<f64>,
    /// Tolerance of the nu-SVR's solver
    #[arg(long, allow_negative_numbers = true, help_heading = "Predictor")]
    #[arg(default_value_t = PredictorParams::default().tolerance)]
    tolerance: f64,
    /// Search hyperparameters once for each file and epoch (on the first order's burn-in), or for
    /// each order
    #[arg(long, value_enum, default_value_t = SearchScope::Once, help_heading = "Predictor")]
    search: SearchScope,
    /// Scale each leave-one-out fold anew, or all by the scales of the whole burn-in
    #[arg(long, value_name = "HOW", value_enum, default_value_t = FoldScaling::Refit)]
    #[arg(help_heading = "Predictor")]
    sigma: FoldScaling,
    /// Run Hyperband over the networks, plain or with stopping inside its rungs, not the walk
    #[arg(long, value_enum, default_value_t = HyperbandKind::None, help_heading = "Hyperband")]
    scheduler: HyperbandKind,
    /// One network in ETA goes on to the next rung
    #[arg(long, default_value_t = 3, value_parser = at_least::<2>, help_heading = "Hyperband")]
    eta: usize,
    /// Shares of a rung that are trained to its end, above 0 and at most 1, for f-hyperband
    /// [default: 1 / ETA]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = share)]
    #[arg(allow_negative_numbers = true, help_heading = "Hyperband")]
    kappa: Option<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HyperbandKind {
    None,
    Hyperband,
    FHyperband,
}

pub fn run(args: &SimulateArgs, given: &ArgMatches, printer: &Printer) -> anyhow::Result<()> {
    let is_given = |option: &&str| {
        let id = option[2..].replace('-', "_");
        given.value_source(&id) == Some(ValueSource::CommandLine)
    };
    // All that can be wrong is found before anything is computed.
    let params = args.params()?;
    let mut idle = args.idle_options().into_iter();
    if let Some((option, other)) = idle.find(|(option, _)| is_given(option)) {
        bail!(Refusal::together(option, other));
    }
    args.check_files()?;
    // No refusal: one line of options may serve all regressors, and both schedulers.
    let predictor = &params.predictor;
    for name in predictor.without_meaning() {
        log::warn!("`--{name}` is ignored: the regressor `{}` has none", predictor.regressor);
    }
    let is_plain = args.scheduler == HyperbandKind::Hyperband;
    if is_plain && args.scores.is_none() {
        for option in OF_PREDICTOR.iter().filter(|option| is_given(option)) {
            log::warn!("`{option}` is ignored: plain Hyperband predicts nothing");
        }
    }
    let inputs = args.inputs.iter().map(|path| SimulationInput::read(path, &args.curves));
    let inputs = inputs.collect::<anyhow::Result<Vec<_>>>()?;
    for input in &inputs {
        printer.note(&input.summary);
        input.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let (networks, epochs) = (input.curves.networks(), input.curves.epochs());
        let burn_in = predictor.burn_in;
        if let Some((_, file)) = args.files().next()
            && (networks <= burn_in || epochs == 1)
        {
            bail!(Refusal::Usage(format!(
                "`{}` would be empty: of {networks} networks of {epochs} epochs, a burn-in \
                 of {burn_in} leaves nothing to predict (choose a smaller `--burn-in`, and \
                 curves of two epochs or more)",
                file.display()
            )));
        }
        if networks <= burn_in && !is_plain {
            log::warn!(
                "the burn-in of {burn_in} leaves none of {networks} networks to be stopped \
                 (choose a smaller --burn-in)"
            );
        }
    }
    inputs.iter().try_for_each(|input| args.replay(input, &params, printer))
}

const OF_PREDICTOR: [&str; 8] =
    ["--burn-in", "--regressor", "--c", "--nu", "--gamma", "--tolerance", "--search", "--sigma"];

impl SimulateArgs {
    fn params(&self) -> Result<SimulationParams, Invalid> {
        let predictor = PredictorParams {
            regressor: self.regressor,
            burn_in: self.burn_in,
            tolerance: self.tolerance,
            c: self.c,
            nu: self.nu,
            gamma: self.gamma,
            ..PredictorParams::default()
        };
        // Another name for the same values.
        let option = |mut invalid: Invalid| {
            invalid.key = invalid.key.replace("early_stopping.", "--").replace('_', "-");
            invalid
        };
        Ok(SimulationParams {
            predictor: predictor.check().map_err(option)?,
            orders: if self.file_order { Orders::File } else { Orders::Random(self.orders) },
            settings: RuleSetting::grid(&self.delta, &self.top_n, &self.offset),
            search: self.search,
            scaling: self.sigma,
        })
    }

    fn check_files(&self) -> anyhow::Result<()> {
        let target = |option, file: &PathBuf| -> anyhow::Result<_> {
            let target = check_target(file, &self.inputs)?;
            if self.inputs.len() > 1 {
                bail!(Refusal::together(option, "several inputs"));
            }
            Ok(target)
        };
        let mut taken = BTreeMap::new();
        for (option, file) in self.files() {
            if let Some(other) = taken.insert(target(option, file)?, option) {
                bail!(Refusal::together(other, &format!("`{option}` of the same file")));
            }
        }
        Ok(())
    }

    /// To be written, each with its option.
    fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let files = [
            ("--trace", &self.trace),
            ("--scores", &self.scores),
            ("--predictions", &self.predictions),
        ];
        files.into_iter().filter_map(|(option, file)| Some((option, file.as_ref()?)))
    }

    /// Options that do nothing, each with what they do not go with. Not left to clap, which waives
    /// what an option requires when a third one rules that out.
    fn idle_options(&self) -> Vec<(&'static str, &'static str)> {
        const NONE: &str = "`--scheduler none`";
        const PLAIN: &str = "`--scheduler hyperband`, but with `f-hyperband`";
        let trace = ("--trace", "a scheduler");
        let predictions = ("--predictions", "a scheduler");
        let top_n = ("--top-n", "a scheduler, where kappa says how many are protected");
        let random = ("--trace", "random orders, but with `--file-order`");
        match self.scheduler {
            HyperbandKind::None if self.file_order => vec![("--eta", NONE), ("--kappa", NONE)],
            HyperbandKind::None => vec![random, ("--eta", NONE), ("--kappa", NONE)],
            HyperbandKind::Hyperband => {
                vec![
                    trace,
                    predictions,
                    top_n,
                    ("--kappa", PLAIN),
                    ("--delta", PLAIN),
                    ("--offset", PLAIN),
                ]
            }
            HyperbandKind::FHyperband => vec![trace, predictions, top_n],
        }
    }

    fn replay(
        &self,
        input: &SimulationInput,
        params: &SimulationParams,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let curves = &input.curves;
        // Of one seed, so that the scores are of the same orders.
        let rng = || generator(self.seed, Purpose::Simulation, 0, 0);
        let orders = if self.file_order { 1 } else { self.orders as u64 };
        let template = "simulate [{bar:28}] {pos}/{len} orders, {elapsed} elapsed";
        let bar = printer.bar(orders, template);
        let bar = bar.inspect(|bar| bar.enable_steady_tick(Duration::from_secs(1)));
        let bar = bar.unwrap_or_else(ProgressBar::hidden);
        let on_order = || bar.inc(1);
        let (objects, table, trace, predictions) = if self.scheduler == HyperbandKind::None {
            let simulation = simulate(curves, params, &mut rng(), &on_order);
            let (objects, table) =
                (objects(&simulation.summaries)?, stopping_table(&simulation.summaries));
            (objects, table, simulation.trace, simulation.predictions)
        } else {
            let is_plain = self.scheduler == HyperbandKind::Hyperband;
            let default = if is_plain { Vec::new() } else { vec![1.0 / self.eta as f64] };
            let scheduler = (self.eta, self.kappa.as_ref().unwrap_or(&default).as_slice());
            let summaries = simulate_hyperband(curves, params, scheduler, &mut rng(), &on_order)?;
            (objects(&summaries)?, hyperband_table(&summaries), Vec::new(), Vec::new())
        };
        bar.finish_and_clear();
        let file = (self.inputs.len() > 1).then(|| input.path.display().to_string());
        if !self.json {
            let heading = file.map_or(String::new(), |file| format!("{file}\n"));
            printer.result(&printer.styled(&(heading + &table)))?;
        } else {
            // Before the columns that are fixed.
            let file = file.map_or(String::new(), |file| format!("\"file\":{},", json!(file)));
            for object in objects {
                printer.result(&format!("{{{file}{}", &object[1..]))?;
            }
        }
        if let Some(file) = &self.trace {
            write_trace(file, curves, &trace)?;
        }
        if let Some(file) = &self.predictions {
            write_predictions(file, curves, &predictions)?;
        }
        if let Some(file) = &self.scores {
            write_scores(file, &score_beside_last_seen(curves, params, rng)?)?;
        }
        Ok(())
    }
}

fn objects(summaries: &[impl Serialize]) -> serde_json::Result<Vec<String>> {
    summaries.iter().map(serde_json::to_string).collect()
}
