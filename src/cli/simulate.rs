//! `metaqnn simulate`: what early stopping would have saved, and lost, on recorded curves.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use strum::VariantArray;

use super::args::{at_least, not_negative, share, threshold};
use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::invalid::Invalid;
use crate::ops::Refusal;
use crate::predictor::{FoldScaling, PredictorParams, Regressor};
use crate::report::terminal::Colour;
use crate::seed::{Purpose, generator};
use crate::simulate::{
    CurveOptions, Orders, RuleSetting, SearchScope, SimulationInput, SimulationParams,
    check_target, hyperband_table, score_beside_last_seen, simulate, simulate_hyperband,
    stopping_table, write_scores, write_trace,
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
    A file has one network a row. Its first column is an id; the columns of the curve share a\n\
    name and end in the number of the epoch (`y1` .. or `acc_01` ..); all other columns of\n\
    numbers are features, as they are. Of an experiment, the networks \
    trained to the end are replayed.\n\n\
    In each order the first networks, the burn-in, are trained to the end and the predictor is\n\
    fitted to them; the others are walked in order and stopped as soon as the probability that\n\
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
    With a scheduler: scheduler, eta, kappa, delta, offset, runs, networks, epochs, speedup,\n\
    share_stopped, best_mean, best_standard_error, regret_mean, regret_max (speedup and regret\n\
    against plain Hyperband).\n\n\
    The trace has, for each setting and walked network, its stop or its last verdict: delta,\n\
    top_n, offset, id, stopped, epoch (from 1), predicted, sigma, best (before the offset),\n\
    stop_probability.\n\
    Its values are those that the rule compares: losses are negated, after --log.\n\
    The scores have regressor, epoch, r_squared, r_squared_standard_error and mean_absolute_error\n\
    on the networks after the burn-in, for the regressor and for the last value seen.")]
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
    /// Write R squared of the regressor at each epoch, and of the last value seen
    #[arg(long, value_name = "FILE.csv")]
    scores: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading a file")]
    curves: CurveOptions,
    #[command(flatten, next_help_heading = "Walk")]
    walk: WalkArgs,
    #[command(flatten, next_help_heading = "Predictor")]
    predictor: PredictorArgs,
    #[command(flatten, next_help_heading = "Hyperband")]
    hyperband: HyperbandArgs,
}

#[derive(Debug, Args)]
struct WalkArgs {
    /// Networks trained to the end before any is stopped (above 100, sigma comes from ten folds)
    /// [default: 100]
    #[arg(long, value_name = "N")]
    burn_in: Option<usize>,
    /// Random orders of the networks, at most 100000
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    orders: usize,
    /// One order: that of the file
    #[arg(long, conflicts_with = "orders")]
    file_order: bool,
    /// Stop probabilities from which a network is stopped, above 0.5 and below 1
    /// [default: 0.9,0.95,0.99]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = threshold)]
    delta: Option<Vec<f64>>,
    /// Compare with the n-th best network, so that the best n are trained to the end (with
    /// Hyperband kappa says so) [default: 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = at_least::<1>)]
    top_n: Option<Vec<usize>>,
    /// Let networks finish that are predicted within this of the best [default: 0]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = not_negative
    )]
    offset: Option<Vec<f64>>,
    /// Seed of the orders and of the search for hyperparameters
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Args)]
struct PredictorArgs {
    /// The regression model [default: nu-svr-rbf]
    #[arg(long, value_name = "NAME", value_parser = regressor())]
    regressor: Option<Regressor>,
    /// C of the nu-SVR [default: searched, as the next two]
    #[arg(long, allow_negative_numbers = true)]
    c: Option<f64>,
    /// nu of the nu-SVR, above 0 and at most 1
    #[arg(long, allow_negative_numbers = true)]
    nu: Option<f64>,
    /// gamma of the radial basis function
    #[arg(long, allow_negative_numbers = true)]
    gamma: Option<f64>,
    /// Tolerance of the nu-SVR's solver [default: 0.001]
    #[arg(long, allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// Search hyperparameters once for each file and epoch (on the first order's burn-in), or for
    /// each order [default: once]
    #[arg(long, value_enum)]
    search: Option<SearchScope>,
    /// Scale each leave-one-out fold anew, or all by the scales of the whole burn-in
    /// [default: refit]
    #[arg(long, value_name = "HOW", value_enum)]
    sigma: Option<FoldScaling>,
}

#[derive(Debug, Args)]
struct HyperbandArgs {
    /// Run Hyperband over the networks, plain or with stopping inside its rungs, not the walk
    #[arg(long, value_enum, default_value_t = HyperbandKind::None)]
    scheduler: HyperbandKind,
    /// One network in ETA goes on to the next rung [default: 3]
    #[arg(long, value_parser = at_least::<2>)]
    eta: Option<usize>,
    /// Shares of a rung that are trained to its end, above 0 and at most 1, for f-hyperband
    /// [default: 1 / ETA]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = share
    )]
    kappa: Option<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HyperbandKind {
    None,
    Hyperband,
    FHyperband,
}

fn regressor() -> impl TypedValueParser<Value = Regressor> {
    PossibleValuesParser::new(Regressor::VARIANTS.iter().map(<&'static str>::from))
        .map(|name| name.parse().expect("only names of regressors are possible"))
}

pub fn run(args: &SimulateArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    // All that can be wrong is found before anything is computed.
    let params = args.params()?;
    args.check()?;
    // No refusal: one line of options may serve all regressors, and both schedulers.
    let predictor = &params.predictor;
    for name in predictor.without_meaning() {
        log::warn!("`--{name}` is ignored: the regressor `{}` has none", predictor.regressor);
    }
    if args.hyperband.scheduler == HyperbandKind::Hyperband && args.scores.is_none() {
        for option in args.given_of_predictor() {
            log::warn!("`{option}` is ignored: plain Hyperband predicts nothing");
        }
    }
    let inputs = args.inputs.iter().map(|path| SimulationInput::read(path, &args.curves));
    let inputs = inputs.collect::<anyhow::Result<Vec<_>>>()?;
    for input in &inputs {
        printer.note(&input.summary);
        input.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let (networks, burn_in) = (input.curves.networks(), predictor.burn_in);
        let is_empty = networks <= burn_in || input.curves.epochs() == 1;
        if let Some(file) = args.trace.as_ref().or(args.scores.as_ref()).filter(|_| is_empty) {
            let (path, networks, epochs) = (file.clone(), networks, input.curves.epochs());
            return Err(Refusal::Usage(format!(
                "`{}` would be empty: of {networks} networks of {epochs} epochs, a burn-in \
                 of {burn_in} leaves nothing to predict (choose a smaller `--burn-in`, and \
                 curves of two epochs or more)",
                path.display()
            ))
            .into());
        }
        if networks <= burn_in && args.hyperband.scheduler != HyperbandKind::Hyperband {
            log::warn!(
                "the burn-in of {burn_in} leaves none of {networks} networks to be stopped \
                 (choose a smaller --burn-in)"
            );
        }
    }
    for input in &inputs {
        args.replay(input, &params, printer)?;
    }
    Ok(ExitStatus::Done)
}

impl SimulateArgs {
    fn params(&self) -> Result<SimulationParams, Invalid> {
        let (walk, given, default) = (&self.walk, &self.predictor, PredictorParams::default());
        let predictor = PredictorParams {
            regressor: given.regressor.unwrap_or(default.regressor),
            burn_in: walk.burn_in.unwrap_or(default.burn_in),
            tolerance: given.tolerance.unwrap_or(default.tolerance),
            c: given.c,
            nu: given.nu,
            gamma: given.gamma,
            ..default
        };
        // Another name for the same values.
        let option = |mut invalid: Invalid| {
            invalid.key = invalid.key.replace("early_stopping.", "--").replace('_', "-");
            invalid
        };
        let deltas = walk.delta.as_deref().unwrap_or(&[0.9, 0.95, 0.99]);
        let top_ns = walk.top_n.as_deref().unwrap_or(&[1]);
        let offsets = walk.offset.as_deref().unwrap_or(&[0.0]);
        Ok(SimulationParams {
            predictor: predictor.check().map_err(option)?,
            orders: if walk.file_order { Orders::File } else { Orders::Random(walk.orders) },
            settings: RuleSetting::grid(deltas, top_ns, offsets),
            search: given.search.unwrap_or(SearchScope::Once),
            scaling: given.sigma.unwrap_or(FoldScaling::Refit),
        })
    }

    /// Options that do not go together, and files that cannot be written.
    fn check(&self) -> anyhow::Result<()> {
        if let Some((option, other)) = self.idle_option() {
            return Err(Refusal::together(option, other).into());
        }
        let mut targets = Vec::new();
        for (option, file) in [("--trace", &self.trace), ("--scores", &self.scores)] {
            let Some(file) = file else { continue };
            targets.push(check_target(file, &self.inputs)?);
            if self.inputs.len() > 1 {
                return Err(Refusal::together(option, "several inputs").into());
            }
        }
        if let [trace, scores] = targets.as_slice()
            && trace == scores
        {
            let other = "`--scores` of the same file";
            return Err(Refusal::together("--trace", other).into());
        }
        Ok(())
    }

    /// Returns an option that would do nothing beside another one, with that one in words. Not left
    /// to clap, which waives what an option requires when a third one rules that out.
    pub(super) fn idle_option(&self) -> Option<(&'static str, &'static str)> {
        let (walk, hyperband) = (&self.walk, &self.hyperband);
        let has_scheduler = hyperband.scheduler != HyperbandKind::None;
        let is_plain = hyperband.scheduler == HyperbandKind::Hyperband;
        let is_random = self.trace.is_some() && !walk.file_order;
        const NONE: &str = "`--scheduler none`";
        const PLAIN: &str = "`--scheduler hyperband`, but with `f-hyperband`";
        let protected = "a scheduler, where kappa says how many are protected";
        let idle = [
            ("--trace", self.trace.is_some() && has_scheduler, "a scheduler"),
            ("--trace", is_random, "random orders, but with `--file-order`"),
            ("--top-n", walk.top_n.is_some() && has_scheduler, protected),
            ("--eta", hyperband.eta.is_some() && !has_scheduler, NONE),
            ("--kappa", hyperband.kappa.is_some() && !has_scheduler, NONE),
            ("--kappa", hyperband.kappa.is_some() && is_plain, PLAIN),
            ("--delta", walk.delta.is_some() && is_plain, PLAIN),
            ("--offset", walk.offset.is_some() && is_plain, PLAIN),
        ];
        idle.into_iter().find_map(|(option, is_idle, other)| is_idle.then_some((option, other)))
    }

    fn given_of_predictor(&self) -> impl Iterator<Item = &'static str> {
        let given = &self.predictor;
        [
            ("--burn-in", self.walk.burn_in.is_some()),
            ("--regressor", given.regressor.is_some()),
            ("--c", given.c.is_some()),
            ("--nu", given.nu.is_some()),
            ("--gamma", given.gamma.is_some()),
            ("--tolerance", given.tolerance.is_some()),
            ("--search", given.search.is_some()),
            ("--sigma", given.sigma.is_some()),
        ]
        .into_iter()
        .filter_map(|(option, is_given)| is_given.then_some(option))
    }

    fn replay(
        &self,
        input: &SimulationInput,
        params: &SimulationParams,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let curves = &input.curves;
        // Of one seed, so that the scores are of the same orders.
        let rng = || generator(self.walk.seed, Purpose::Simulation, 0, 0);
        let orders = if self.walk.file_order { 1 } else { self.walk.orders as u64 };
        let template = "simulate [{bar:28}] {pos}/{len} orders, {elapsed} elapsed";
        let bar = printer.bar(orders, template);
        let bar = bar.inspect(|bar| bar.enable_steady_tick(Duration::from_secs(1)));
        let bar = bar.unwrap_or_else(ProgressBar::hidden);
        let on_order = || bar.inc(1);
        if let Some(kappas) = self.hyperband.kappas() {
            let scheduler = (self.hyperband.eta(), &*kappas);
            let summaries = simulate_hyperband(curves, params, scheduler, &mut rng(), &on_order)?;
            bar.finish_and_clear();
            self.print(input, &summaries, hyperband_table, printer)?;
        } else {
            let simulation = simulate(curves, params, &mut rng(), &on_order);
            bar.finish_and_clear();
            self.print(input, &simulation.summaries, stopping_table, printer)?;
            if let Some(file) = &self.trace {
                write_trace(file, curves, &simulation.trace)?;
            }
        }
        if let Some(file) = &self.scores {
            write_scores(file, &score_beside_last_seen(curves, params, rng)?)?;
        }
        Ok(())
    }

    fn print<T: Serialize>(
        &self,
        input: &SimulationInput,
        summaries: &[T],
        text: impl Fn(&[T], Colour) -> String,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let file = (self.inputs.len() > 1).then(|| input.path.display().to_string());
        if !self.json {
            let heading = file.map_or(String::new(), |file| format!("{file}\n"));
            return printer.result(&(heading + &text(summaries, printer.colour())));
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

impl HyperbandArgs {
    fn eta(&self) -> usize {
        self.eta.unwrap_or(3)
    }

    /// None without a scheduler.
    fn kappas(&self) -> Option<Vec<f64>> {
        match self.scheduler {
            HyperbandKind::None => None,
            HyperbandKind::Hyperband => Some(Vec::new()),
            HyperbandKind::FHyperband => {
                Some(self.kappa.clone().unwrap_or_else(|| vec![1.0 / self.eta() as f64]))
            }
        }
    }
}
