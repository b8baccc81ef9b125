//! The arguments of `metaqnn simulate`, and what of the program they stand for.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::super::number_arg::{at_least, c, not_negative, positive, share, threshold, tolerance};
use crate::ops::simulate::Reading;
use crate::predictor::{
    Better, FoldScaling, HyperbandParams, MetricScale, Orders, PredictorParams, Regressor,
    SearchScope, SimulationParams,
};
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
    pub(super) inputs: Vec<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Write what became of each walked network
    #[arg(long, value_name = "FILE.csv", requires = "file_order")]
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
    /// Networks trained to the end before any is stopped (above 100, sigma comes from ten folds)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<3>)]
    pub(super) burn_in: usize,
    /// Random orders of the networks, at most 100000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least::<1>)]
    pub(super) orders: usize,
    /// One order: that of the file
    #[arg(long, conflicts_with = "orders")]
    pub(super) file_order: bool,
    /// Stop probabilities from which a network is stopped, above 0.5 and below 1
    #[arg(long, value_name = "LIST", default_value = "0.9,0.95,0.99", value_delimiter = ',', value_parser = threshold)]
    delta: Vec<f64>,
    /// Compare with the n-th best network, so that the best n are trained to the end (with Hyperband kappa says so)
    #[arg(long, value_name = "LIST", default_value = "1", value_delimiter = ',', value_parser = at_least::<1>)]
    pub(super) top_n: Vec<usize>,
    /// Let networks finish that are predicted within this of the best
    #[arg(long, value_name = "LIST", default_value = "0", value_delimiter = ',', allow_negative_numbers = true, value_parser = not_negative)]
    offset: Vec<f64>,
    /// Seed of the orders and of the search for hyperparameters
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct PredictorArgs {
    /// The regression model
    #[arg(long, value_name = "NAME", default_value_t = Regressor::NuSvrRbf, value_parser = regressor())]
    pub(super) regressor: Regressor,
    /// C of the nu-SVR [default: searched, as the next two]
    #[arg(long, allow_negative_numbers = true, value_parser = c)]
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
pub(super) struct HyperbandArgs {
    /// Run Hyperband over the networks, plain or with stopping inside its rungs, in place of the walk
    #[arg(long, value_enum, default_value_t = Scheduler::None)]
    pub(super) scheduler: Scheduler,
    /// One network in ETA goes on to the next rung [default: 3]
    #[arg(long, value_parser = at_least::<2>, requires = "scheduler")]
    pub(super) eta: Option<usize>,
    /// Shares of a rung that are trained to its end, above 0 and at most 1, for f-hyperband [default: 1 / ETA]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_negative_numbers = true, value_parser = share, requires = "scheduler")]
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
