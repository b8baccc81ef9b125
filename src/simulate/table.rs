//! Summaries as tables of at most 80 columns.

use std::iter;

use super::summary::{HyperbandSummary, SettingSummary};
use crate::report::terminal::{Colour, decimals, text_of};

/// Returns one line for each setting of the stopping rule.
///
/// `walked` is the speedup of the networks after the burn-in; `error` the mean absolute error of
/// the predictions by which networks were stopped.
pub fn stopping(settings: &[SettingSummary], colour: Colour) -> String {
    let heading =
        "delta top offset speedup walked stopped  best kept top10  regret     max   error";
    let row = |setting: &SettingSummary| {
        format!(
            "{:>5} {:>3} {:>6} {:>7.2} {:>6} {:>6.1}% {:>10} {:>5.2} {:>7} {:>7} {:>7}",
            setting.delta,
            setting.top_n,
            given(setting.offset),
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
    text(heading, settings, row, colour)
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
            or_dash(setting.offset, given),
            setting.epochs,
            setting.speedup,
            100.0 * setting.share_stopped,
            fitting(setting.best_mean, 4),
            small(setting.regret_mean),
            small(setting.regret_max),
        )
    };
    text(heading, settings, row, colour)
}

fn text<T>(heading: &str, rows: &[T], row: impl Fn(&T) -> String, colour: Colour) -> String {
    let lines: Vec<_> = iter::once(colour.bold(heading)).chain(rows.iter().map(row)).collect();
    text_of(&lines)
}

fn or_dash(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or("-".to_owned(), text)
}

fn small(value: f64) -> String {
    fitting(value, 5)
}

/// Writes a number from the command line, all of it, with a power of ten where that is shorter.
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
