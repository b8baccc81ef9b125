//! What stopping saved and lost, as means over orders, and these as tables of at most 80 columns.
//! The fields are those of `simulate --json`, whose help explains them.

use serde::Serialize;

use super::walk::{RecordedCurves, RuleSetting, WalkedNetwork};
use crate::maths::{mean, mean_if_any, standard_error};
use crate::report::terminal::{decimals, known, table};

const TOP: usize = 10;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingSummary {
    #[serde(flatten)]
    pub setting: RuleSetting,
    pub speedup: f64,
    pub speedup_after_burn_in: Option<f64>,
    pub share_stopped: f64,
    pub best_kept: usize,
    pub orders_best_in_walk: usize,
    pub top10_kept: f64,
    pub regret_mean: f64,
    pub regret_max: f64,
    /// Of the predictions by which networks were stopped; the columns of `--json` are fixed.
    #[serde(skip)]
    pub stopped_mean_absolute_error: Option<f64>,
}

impl SettingSummary {
    pub(super) fn of(setting: RuleSetting, orders: &[&OrderResult]) -> Self {
        let over_orders = |of: fn(&OrderResult) -> f64| mean_over(orders, |order| of(order));
        let in_walk = orders.iter().filter_map(|order| order.best_is_kept);
        let after_burn_in = orders.iter().filter_map(|order| order.speedup_after_burn_in);
        let errors: Vec<_> = orders.iter().map(|order| &order.stopped_errors[..]).collect();
        Self {
            setting,
            speedup: over_orders(|order| order.speedup),
            speedup_after_burn_in: mean_if_any(&after_burn_in.collect::<Vec<_>>()),
            share_stopped: over_orders(|order| order.share_stopped),
            best_kept: in_walk.clone().filter(|is_kept| *is_kept).count(),
            orders_best_in_walk: in_walk.count(),
            top10_kept: over_orders(|order| order.top_kept as f64),
            regret_mean: over_orders(|order| order.regret),
            regret_max: orders.iter().map(|order| order.regret).fold(0.0, f64::max),
            stopped_mean_absolute_error: mean_if_any(&errors.concat()),
        }
    }
}

pub(super) struct OrderResult {
    speedup: f64,
    speedup_after_burn_in: Option<f64>,
    share_stopped: f64,
    /// None when the best network was not walked.
    best_is_kept: Option<bool>,
    top_kept: usize,
    regret: f64,
    /// |yhat - y_T| of each stopped network.
    stopped_errors: Vec<f64>,
}

impl OrderResult {
    pub fn of(recorded: &RecordedCurves, walk: &[WalkedNetwork]) -> Self {
        let (networks, epochs) = (recorded.networks(), recorded.epochs());
        let spent: usize =
            walk.iter().map(|walked| if walked.stopped { walked.epoch } else { epochs }).sum();
        let burn_in = (networks - walk.len()) * epochs;
        let mut is_kept = vec![true; networks];
        walk.iter().for_each(|walked| is_kept[walked.network] = !walked.stopped);
        let ranking = recorded.ranking();
        let best = ranking[0];
        let best_kept =
            *ranking.iter().find(|network| is_kept[**network]).expect("a burn-in is kept");
        let error = |walked: &WalkedNetwork| {
            let predicted = walked.prediction.filter(|_| walked.stopped)?.mean;
            Some((predicted - recorded.last(walked.network)).abs())
        };
        let walked = walk.len() as f64;
        let stopped_errors: Vec<f64> = walk.iter().filter_map(error).collect();
        Self {
            speedup: (networks * epochs) as f64 / (burn_in + spent) as f64,
            speedup_after_burn_in: (!walk.is_empty())
                .then(|| walked * epochs as f64 / spent as f64),
            share_stopped: stopped_errors.len() as f64 / walked.max(1.0),
            best_is_kept: walk.iter().any(|walked| walked.network == best).then(|| is_kept[best]),
            top_kept: ranking.iter().take(TOP).filter(|network| is_kept[**network]).count(),
            regret: recorded.last(best) - recorded.last(best_kept),
            stopped_errors,
        }
    }
}

/// Without `kappa` it is plain Hyperband.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HyperbandSummary {
    pub scheduler: &'static str,
    pub eta: usize,
    pub kappa: Option<f64>,
    pub delta: Option<f64>,
    pub offset: Option<f64>,
    /// As many in each order as its networks are enough for.
    pub runs: usize,
    /// Begun in each order.
    pub networks: usize,
    pub epochs: f64,
    pub speedup: f64,
    pub share_stopped: f64,
    pub best_mean: f64,
    pub best_standard_error: Option<f64>,
    pub regret_mean: f64,
    pub regret_max: f64,
}

#[derive(Clone, Copy)]
pub(super) struct HyperbandResult {
    pub spent: usize,
    pub stopped: usize,
    pub best: f64,
}

impl HyperbandSummary {
    /// Of kappa and rule, over orders: plain Hyperband's result in each, and its own.
    pub(super) fn of(
        (eta, runs, networks): (usize, usize, usize),
        setting: Option<(f64, RuleSetting)>,
        orders: &[(HyperbandResult, HyperbandResult)],
    ) -> Self {
        let over_orders = |of: fn(HyperbandResult, HyperbandResult) -> f64| {
            mean_over(orders, |(plain, own)| of(*plain, *own))
        };
        let bests: Vec<f64> = orders.iter().map(|(_, own)| own.best).collect();
        let regrets = orders.iter().map(|(plain, own)| plain.best - own.best);
        Self {
            scheduler: if setting.is_some() { "f-hyperband" } else { "hyperband" },
            eta,
            kappa: setting.map(|(kappa, _)| kappa),
            delta: setting.map(|(_, rule)| rule.delta),
            offset: setting.map(|(_, rule)| rule.offset),
            runs,
            networks,
            epochs: over_orders(|_, own| own.spent as f64),
            speedup: over_orders(|plain, own| plain.spent as f64 / own.spent as f64),
            share_stopped: over_orders(|_, own| own.stopped as f64) / networks as f64,
            best_mean: over_orders(|_, own| own.best),
            best_standard_error: standard_error(&bests),
            regret_mean: over_orders(|plain, own| plain.best - own.best),
            regret_max: regrets.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

pub(super) fn mean_over<T>(orders: &[T], of: impl Fn(&T) -> f64) -> f64 {
    mean(orders.iter().map(of))
}

/// `walked` is the speedup after the burn-in; `error` the mean absolute error of the predictions by
/// which networks were stopped.
pub fn stopping_table(settings: &[SettingSummary]) -> String {
    let heads = [
        "delta", "top", "offset", "speedup", "walked", "stopped", "best kept", "top10", "regret",
        "max", "error",
    ];
    let row = |summary: &SettingSummary| {
        let RuleSetting { delta, top_n, offset } = summary.setting;
        vec![
            delta.to_string(),
            top_n.to_string(),
            given(offset),
            format!("{:.2}", summary.speedup),
            known(summary.speedup_after_burn_in.map(|speedup| format!("{speedup:.2}"))),
            format!("{:.1}%", 100.0 * summary.share_stopped),
            format!("{} of {}", summary.best_kept, summary.orders_best_in_walk),
            format!("{:.2}", summary.top10_kept),
            small(summary.regret_mean),
            small(summary.regret_max),
            known(summary.stopped_mean_absolute_error.map(small)),
        ]
    };
    table(&heads, &[5, 3, 6, 7, 6, 7, 10, 5, 7, 7, 7], " ", settings.iter().map(row))
}

pub fn hyperband_table(settings: &[HyperbandSummary]) -> String {
    let heads = [
        "scheduler", "kappa", "delta", "offset", "epochs", "speedup", "stopped", "best", "regret",
        "max",
    ];
    let row = |summary: &HyperbandSummary| {
        vec![
            summary.scheduler.to_owned(),
            known(summary.kappa.map(|kappa| format!("{kappa:.3}"))),
            known(summary.delta),
            known(summary.offset.map(given)),
            format!("{:.0}", summary.epochs),
            format!("{:.2}", summary.speedup),
            format!("{:.1}%", 100.0 * summary.share_stopped),
            fitting(summary.best_mean, 4),
            small(summary.regret_mean),
            small(summary.regret_max),
        ]
    };
    table(&heads, &[-11, 5, 5, 6, 7, 7, 7, 7, 7, 7], " ", settings.iter().map(row))
}

fn small(value: f64) -> String {
    fitting(value, 5)
}

/// All of a number from the command line, with a power of ten where that is shorter.
fn given(value: f64) -> String {
    let (plain, power) = (value.to_string(), format!("{value:e}"));
    if power.len() < plain.len() { power } else { plain }
}

const WIDTH: usize = 7;

/// Writes a number with `most` decimals, fewer where they do not fit; one that is too large or
/// would look like 0 (a perplexity, a loss in other units) as a power of ten.
fn fitting(value: f64, most: usize) -> String {
    let plain = (0..=most).rev().map(|places| decimals(value, places));
    let powers = [format!("{value:.1e}"), format!("{value:.0e}")];
    let looks_like_0 = |text: &str| text.chars().all(|character| "-.0".contains(character));
    let is_readable = |text: &String| text.len() <= WIDTH && (value == 0.0 || !looks_like_0(text));
    let [_, shortest] = powers.clone();
    plain.chain(powers).find(is_readable).unwrap_or(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{Example, LearningCurve, Prediction, synthetic_curves};

    #[test]
    fn speedup_and_regret_by_hand() {
        // Four networks of four epochs, the best last and in the burn-in none of the best two;
        // three are walked: one stopped after 1 epoch, one trained, one (the best) stopped after 2.
        let finals = [0.5, 0.1, 0.7, 0.9];
        let named = |(id, mut network): (usize, (String, Example))| {
            let curve = LearningCurve::try_from(vec![0.0, 0.0, 0.0, finals[id]]).unwrap();
            network.1.curve = curve;
            network
        };
        let networks = synthetic_curves::named(4, 4).into_iter().enumerate().map(named).collect();
        let recorded = RecordedCurves::new(networks).unwrap();
        let step = |network, stopped, epoch, mean| WalkedNetwork {
            network,
            stopped,
            epoch,
            prediction: Some(Prediction { mean, sigma: 0.1 }),
            best: Some(0.5),
            stop_probability: Some(0.5),
        };
        let steps = [step(1, true, 1, 0.2), step(2, false, 3, 0.7), step(3, true, 2, 0.6)];
        let result = OrderResult::of(&recorded, &steps);
        // 16 epochs in all; spent 4 in the burn-in, then 1 + 4 + 2 of 12.
        assert_eq!(result.speedup, 16.0 / 11.0);
        assert_eq!(result.speedup_after_burn_in, Some(12.0 / 7.0));
        assert_eq!(result.share_stopped, 2.0 / 3.0);
        assert_eq!(result.best_is_kept, Some(false));
        assert_eq!(result.top_kept, 2);
        assert!((result.regret - 0.2).abs() < 1e-12);
        // |0.2 - 0.1| and |0.6 - 0.9|.
        let setting = RuleSetting { delta: 0.9, top_n: 1, offset: 0.0 };
        let summary = SettingSummary::of(setting, &[&result]);
        assert!((summary.stopped_mean_absolute_error.unwrap() - 0.2).abs() < 1e-12);
        assert_eq!((summary.best_kept, summary.orders_best_in_walk), (0, 1));
    }

    #[test]
    fn a_number_of_any_size_fits_and_only_0_looks_like_it() {
        let text = |value| small(value);
        assert_eq!(text(0.0), "0.00000");
        assert_eq!(text(0.0123456), "0.01235");
        assert_eq!(text(3117.34461), "3117.34");
        assert_eq!(text(27_575.232), "27575.2");
        assert_eq!(text(-99_614.119), "-99614");
        assert_eq!(text(1e99), "1.0e99");
        assert_eq!(text(0.000_004), "4.0e-6");
        assert_eq!(text(-3e-301), "-3e-301");
        assert_eq!(fitting(0.81234, 4), "0.8123");
        assert_eq!([0.0, 0.05, 1e99].map(given), ["0", "0.05", "1e99"]);
    }
}
