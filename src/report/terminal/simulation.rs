//! What a simulation says, as tables of at most 80 columns.

use super::{Colour, decimals, text_of};
use crate::predictor::{HyperbandSummary, SettingSummary};

/// Returns one line for each setting of the stopping rule.
///
/// `walked` is the speedup of the networks after the burn-in; `error` the mean absolute error of the
/// predictions by which networks were stopped.
pub fn stopping(settings: &[SettingSummary], colour: Colour) -> String {
    let heading =
        "delta top offset speedup walked stopped  best kept top10  regret     max   error";
    let row = |setting: &SettingSummary| {
        format!(
            "{:>5} {:>3} {:>6} {:>7.2} {:>6} {:>6.1}% {:>10} {:>5.2} {:>7} {:>7} {:>7}",
            setting.delta,
            setting.top_n,
            setting.offset,
            setting.speedup,
            or_dash(setting.speedup_after_burn_in, |speedup| format!("{speedup:.2}")),
            100.0 * setting.share_stopped,
            format!("{} of {}", setting.best_kept, setting.orders_best_in_walk),
            setting.top10_kept,
            small(setting.regret_mean),
            small(setting.regret_max),
            or_dash(setting.stopped_mean_absolute_error, small),
        )
    };
    text_of(&lines(heading, settings, row, colour))
}

/// Returns one line for plain Hyperband, and one for each setting of stopping inside its rungs.
pub fn hyperband(settings: &[HyperbandSummary], colour: Colour) -> String {
    let heading = "scheduler   kappa delta offset  epochs speedup stopped    best  regret     max";
    let row = |setting: &HyperbandSummary| {
        format!(
            "{:<11} {:>5} {:>5} {:>6} {:>7.0} {:>7.2} {:>6.1}% {:>7} {:>7} {:>7}",
            setting.scheduler,
            or_dash(setting.kappa, |kappa| format!("{kappa:.3}")),
            or_dash(setting.delta, |delta| delta.to_string()),
            or_dash(setting.offset, |offset| offset.to_string()),
            setting.epochs,
            setting.speedup,
            100.0 * setting.share_stopped,
            decimals(setting.best_mean, 4),
            small(setting.regret_mean),
            small(setting.regret_max),
        )
    };
    text_of(&lines(heading, settings, row, colour))
}

fn lines<T>(
    heading: &str,
    settings: &[T],
    row: impl Fn(&T) -> String,
    colour: Colour,
) -> Vec<String> {
    std::iter::once(colour.bold(heading)).chain(settings.iter().map(row)).collect()
}

fn or_dash(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or("-".to_owned(), text)
}

/// Writes a difference of accuracies or losses.
fn small(value: f64) -> String {
    decimals(value, 5)
}
