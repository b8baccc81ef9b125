//! The arguments of `metaqnn simulate`, and what of the program they stand for.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::super::args::{at_least, c, not_negative, positive, share, threshold, tolerance};
use crate::predictor::{Better, FoldScaling, MetricScale, PredictorParams, Regressor};
use crate::simulate::{
    HyperbandParams, Orders, Reading, RecordedColumns, SearchScope, SimulationParams,
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
    pub(super) inputs: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Write what became of each walked network (with `--file-order`)
    #[arg(long, value_name = "FILE.csv")]
    pub(super) trace: Option<PathBuf>,
    /// Write R squared of the regressor at each epoch, and of the last value seen
    #[arg(long, value_name = "FILE.csv")]
    pub(super) scores: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading a file")]
    pub(super) file: FileArgs,
    #[command(flatten, next_help_heading = "Walk")]
    pub(super) walk: WalkArgs,
    #[command(flatten, next_help_heading = "Predictor")]
    pub(super) predictor: PredictorArgs,
    #[command(flatten, next_help_heading = "Hyperband")]
    pub(super) hyperband: HyperbandArgs,
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
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
pub(super) struct WalkArgs {
    /// Networks trained to the end before any is stopped (above 100, sigma comes from ten folds) [default: 100]
    #[arg(long, value_name = "N", value_parser = at_least::<3>)]
    burn_in: Option<usize>,
    /// Random orders of the networks, at most 100000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<1>)]
    pub(super) orders: usize,
    /// One order: that of the file
    #[arg(long, conflicts_with = "orders")]
    pub(super) file_order: bool,
    /// Stop probabilities from which a network is stopped, above 0.5 and below 1 [default: 0.9,0.95,0.99]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = threshold)]
    delta: Option<Vec<f64>>,
    /// Compare with the n-th best network, so that the best n are trained to the end (with Hyperband kappa says so) [default: 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = at_least::<1>)]
    top_n: Option<Vec<usize>>,
    /// Let networks finish that are predicted within this of the best [default: 0]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true, value_parser = not_negative)]
    offset: Option<Vec<f64>>,
    /// Seed of the orders and of the search for hyperparameters
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct PredictorArgs {
    /// The regression model [default: nu-svr-rbf]
    #[arg(long, value_name = "NAME", value_parser = regressor())]
    regressor: Option<Regressor>,
    /// C of the nu-SVR [default: searched, as the next two]
    #[arg(long, allow_negative_numbers = true, value_parser = c)]
    c: Option<f64>,
    /// nu of the nu-SVR, above 0 and at most 1
    #[arg(long, allow_negative_numbers = true, value_parser = share)]
    nu: Option<f64>,
    /// gamma of the radial basis function
    #[arg(long, allow_negative_numbers = true, value_parser = positive)]
    gamma: Option<f64>,
    /// Tolerance of the nu-SVR's solver [default: 0.001]
    #[arg(long, allow_negative_numbers = true, value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Search hyperparameters once for each file and epoch (on the first order's burn-in), or for each order [default: once]
    #[arg(long, value_enum)]
    search: Option<Search>,
    /// Scale each leave-one-out fold anew, or all by the scales of the whole burn-in [default: refit]
    #[arg(long, value_enum)]
    sigma: Option<Sigma>,
}

#[derive(Debug, Args)]
pub(super) struct HyperbandArgs {
    /// Run Hyperband over the networks, plain or with stopping inside its rungs, in place of the walk
    #[arg(long, value_enum, default_value_t = Scheduler::None)]
    pub(super) scheduler: Scheduler,
    /// One network in ETA goes on to the next rung [default: 3]
    #[arg(long, value_parser = at_least::<2>)]
    pub(super) eta: Option<usize>,
    /// Shares of a rung that are trained to its end, above 0 and at most 1, for f-hyperband [default: 1 / ETA]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true, value_parser = share)]
    pub(super) kappa: Option<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Search {
    Once,
    PerOrder,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Sigma {
    Refit,
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheduler {
    None,
    Hyperband,
    FHyperband,
}

fn regressor() -> impl TypedValueParser<Value = Regressor> {
    PossibleValuesParser::new(Regressor::ALL.map(Regressor::name))
        .map(|name| name.parse().expect("only names of regressors are possible"))
}

impl SimulateArgs {
    /// Returns how the networks are walked.
    ///
    /// # Errors
    /// When the parameters of the predictor do not go together.
    pub(super) fn params(&self) -> anyhow::Result<SimulationParams> {
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
        Ok(SimulationParams {
            predictor: predictor.check()?,
            orders: if walk.file_order { Orders::File } else { Orders::Random(walk.orders) },
            thresholds: walk.delta.clone().unwrap_or_else(|| vec![0.9, 0.95, 0.99]),
            top_n: walk.top_n.clone().unwrap_or_else(|| vec![1]),
            offsets: walk.offset.clone().unwrap_or_else(|| vec![0.0]),
            search: match given.search {
                None | Some(Search::Once) => SearchScope::Once,
                Some(Search::PerOrder) => SearchScope::PerOrder,
            },
            scaling: match given.sigma {
                None | Some(Sigma::Refit) => FoldScaling::Refit,
                Some(Sigma::Shared) => FoldScaling::Shared,
            },
        })
    }

    /// Returns an option that was given and would do nothing beside another one, with that one in words.
    ///
    /// Not left to clap, which waives what an option requires when a third one rules that out.
    pub(super) fn idle_option(&self) -> Option<(&'static str, &'static str)> {
        let (walk, hyperband) = (&self.walk, &self.hyperband);
        let has_scheduler = hyperband.scheduler != Scheduler::None;
        const NONE: &str = "`--scheduler none`";
        const PLAIN: &str = "`--scheduler hyperband`, but with `f-hyperband`";
        let is_plain = hyperband.scheduler == Scheduler::Hyperband;
        let protected = "a scheduler, where kappa says how many are protected";
        [
            ("--trace", self.trace.is_some() && has_scheduler, "a scheduler"),
            (
                "--trace",
                self.trace.is_some() && !walk.file_order,
                "random orders, but with `--file-order`",
            ),
            ("--top-n", walk.top_n.is_some() && has_scheduler, protected),
            ("--eta", hyperband.eta.is_some() && !has_scheduler, NONE),
            ("--kappa", hyperband.kappa.is_some() && !has_scheduler, NONE),
            ("--kappa", hyperband.kappa.is_some() && is_plain, PLAIN),
            ("--delta", walk.delta.is_some() && is_plain, PLAIN),
            ("--offset", walk.offset.is_some() && is_plain, PLAIN),
        ]
        .into_iter()
        .find_map(|(option, is_idle, other)| is_idle.then_some((option, other)))
    }

    /// Returns the options of the predictor that were given although nothing is predicted: no refusal, since one line
    /// of options may serve both schedulers.
    pub(super) fn ignored_options(&self) -> impl Iterator<Item = &'static str> {
        let given = &self.predictor;
        let predicts = self.hyperband.scheduler != Scheduler::Hyperband || self.scores.is_some();
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
        .filter_map(move |(option, is_given)| (is_given && !predicts).then_some(option))
    }
}

impl FileArgs {
    /// Returns how a file is read.
    pub(super) fn reading(&self) -> Reading {
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
    /// Returns the scheduler, if there is to be one.
    pub(super) fn scheduler(&self) -> Option<HyperbandParams> {
        let eta = self.eta.unwrap_or(3);
        let kappas = match self.scheduler {
            Scheduler::None => return None,
            Scheduler::Hyperband => Vec::new(),
            Scheduler::FHyperband => self.kappa.clone().unwrap_or_else(|| vec![1.0 / eta as f64]),
        };
        Some(HyperbandParams { eta, kappas })
    }
}
