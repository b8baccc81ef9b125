//! The search as text for a terminal of 80 columns: what `status` shows, and the ranking.

use super::iterations::{ArchitectureRecord, Ledger};
use super::search::{EarlyStopping, mark};
use super::summary::{BestNetwork, EpsilonSummary, HostTally, StoppingSummary, Summary};
use crate::storage::Event;

const WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    /// With the escape sequences of ANSI terminals.
    Ansi,
}

impl Colour {
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

pub fn ranked(ranking: &[ArchitectureRecord], trainer: &str, colour: Colour) -> String {
    if ranking.is_empty() {
        return "No network has been trained to the end.\n".to_owned();
    }
    let mut lines = vec![colour.bold("rank  accuracy  parameters  layers  epsilon  architecture")];
    for (rank, record) in (1..).zip(ranking) {
        let deciding = record.deciding;
        let facts = format!(
            "{rank:>4}  {:>8}  {:>10}  {:>6}  {:>7}  ",
            accuracy(deciding.best_validation_accuracy),
            known(deciding.parameters.map(short)),
            known(deciding.layers),
            known(deciding.epsilon.map(rounded)),
        );
        lines.extend(hanging(&facts, record.architecture));
    }
    lines.extend(mark(trainer).map(|mark| colour.warning(mark)));
    text_of(&lines)
}

fn accuracy(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| decimals(share, 4))
}

/// What rounds to 0 has no sign.
pub(crate) fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.parse() == Ok(0.0) { text.trim_start_matches('-').to_owned() } else { text }
}

fn rounded(epsilon: f64) -> String {
    ((epsilon * 1e4).round() / 1e4).to_string()
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// Writes a count as people say it: 730, 85.2k, 11.26M.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.2}M", count as f64 / 1e6),
    }
}

/// Breaks a text at spaces into lines that begin after `first` and stay to the right of it; a word
/// that is longer than a line stays whole, so that a path can be copied.
fn hanging(first: &str, text: &str) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.len() == first.len() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            *line += &format!(" {word}");
        } else {
            lines.push(" ".repeat(first.len()) + word);
        }
    }
    lines
}

pub(crate) fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

pub fn status(summary: &Summary, colour: Colour) -> String {
    let headline = hanging("", &headline(summary));
    let mut lines: Vec<String> = headline.iter().map(|line| colour.bold(line)).collect();
    lines.extend(mark(summary.trainer).map(|mark| colour.warning(mark)));
    lines.push(String::new());
    let mut entry =
        |label: &str, text: &str| lines.extend(hanging(&format!("{label:<10}  "), text));
    let of = |event| summary.counts.of(event);
    let imported = match of(Event::Imported) {
        0 => String::new(),
        imported => format!(", {imported} imported"),
    };
    let results = format!(
        "{} of {}: {} trained, {} stopped, {} failed, {} out of memory{imported}",
        summary.results,
        summary.wanted,
        of(Event::Trained),
        of(Event::Stopped),
        of(Event::Failed),
        of(Event::OutOfMemory),
    );
    entry("results", &results);
    let iterations = format!(
        "{}: {} in flight, {} waiting, {} reused, {} lost",
        summary.iterations,
        of(Event::Claimed),
        of(Event::Pending),
        of(Event::Reused),
        of(Event::Lost) + of(Event::Void),
    );
    entry("iterations", &iterations);
    let Ledger { train_seconds, saved_seconds, lost_seconds } = summary.seconds;
    let used = format!(
        "{} used, about {} saved by stopping, {} lost",
        hours(train_seconds + lost_seconds),
        hours(saved_seconds),
        hours(lost_seconds)
    );
    entry(hours_label(summary), &used);
    if summary.early_stopping.known.enabled {
        entry("stopping", &stopping(&summary.early_stopping));
    }
    entry("left", &left(summary));
    entry("best", &summary.best.as_ref().map_or("none yet".to_owned(), best));
    let (bad, good): (Vec<_>, Vec<_>) = summary.hosts.iter().partition(|host| host.bad);
    if !bad.is_empty() {
        entry("bad hosts", &bad_hosts(&bad, good.len()));
    }
    lines.push(String::new());
    lines.push(colour.bold(&format!("{:37}mean reward of", "")));
    let heading = "epsilon  progress   results  wanted  new networks  with repeats  best accuracy";
    lines.push(colour.bold(heading));
    lines.extend(summary.epsilons.iter().map(epsilon_line));
    for notice in &summary.notices {
        lines.push(String::new());
        lines.extend(hanging("", notice).iter().map(|line| colour.warning(line)));
    }
    text_of(&lines)
}

fn headline(summary: &Summary) -> String {
    let mut text =
        format!("{}: {}", summary.experiment, summary.condition.to_string().replace('_', " "));
    if let Some(round) = summary.round {
        text += &format!(", round {round}");
    }
    if let Some(epsilon) = summary.epsilon {
        text += &format!(", epsilon {}", rounded(epsilon));
    }
    text
}

/// Hours of training are hours of one GPU each, if there is a GPU.
const fn hours_label(summary: &Summary) -> &'static str {
    if summary.uses_accelerator { "GPU-hours" } else { "hours" }
}

fn stopping(stopping: &StoppingSummary) -> String {
    let StoppingSummary { audited, false_stops, epochs_saved, epochs_trained, .. } = stopping;
    let EarlyStopping { burn_in, full_curves, .. } = stopping.known;
    let mut text = match stopping.known.predictor_curves {
        _ if stopping.switched_off => "switched off by its audits".to_owned(),
        Some(curves) => format!("predictor of {curves} full curves"),
        None if full_curves < burn_in => {
            format!("burn-in, {full_curves} of {burn_in} networks trained to the end")
        }
        None => "no predictor (the next `metaqnn reduce` fits it, or says why not)".to_owned(),
    };
    if stopping.stopped > 0 {
        let all = epochs_trained + epochs_saved;
        text += &format!(", {epochs_saved} of {all} epochs saved");
    }
    if let Some((lower, upper)) = stopping.false_stop_rate_lower.zip(stopping.false_stop_rate_upper)
    {
        text += &format!(
            ", {false_stops} of {audited} audited stops false (95 %: {lower:.2} to {upper:.2})"
        );
    }
    text
}

fn left(summary: &Summary) -> String {
    let left = summary.left;
    match (summary.least_train_seconds_left, summary.most_train_seconds_left) {
        (Some(least), Some(most)) if left > 0 => {
            // Minutes would be 0.00 hours.
            let (least, most, unit) = if most < 600.0 {
                (format!("{:.0}", least.floor()), format!("{:.0}", most.ceil()), "seconds")
            } else {
                (hours(least), hours(most), hours_label(summary))
            };
            let range = if least == most { least } else { format!("{least} to {most}") };
            format!("{left} results, {range} {unit} of training")
        }
        _ => format!("{left} results"),
    }
}

fn best(best: &BestNetwork) -> String {
    let mut facts = vec![format!("iteration {}", best.iteration)];
    facts.extend(best.epsilon.map(|epsilon| format!("epsilon {}", rounded(epsilon))));
    facts.extend(best.layers.map(|layers| format!("{layers} layers")));
    facts.extend(best.parameters.map(|parameters| format!("{} parameters", short(parameters))));
    let accuracy = accuracy(Some(best.best_validation_accuracy));
    format!("{accuracy} ({}): {}", facts.join(", "), best.architecture)
}

fn bad_hosts(bad: &[&HostTally], others: usize) -> String {
    let facts = bad.iter().map(|host| {
        let failed = host.lost + host.refused;
        let ended = host.results + failed;
        let last = host.last_reason.as_deref().unwrap_or("without a reason");
        format!("{} ({failed} of {ended} tasks failed, the last: {last})", host.host)
    });
    let remedy = match others {
        0 => "no other host has been tried",
        _ => "`metaqnn submit DIR --exclude-bad-hosts` avoids them",
    };
    format!("{}; {remedy}", facts.collect::<Vec<_>>().join(", "))
}

fn epsilon_line(epsilon: &EpsilonSummary) -> String {
    let wanted = epsilon.wanted.unwrap_or(epsilon.results).max(1);
    let done = (epsilon.results.min(wanted) * 9 / wanted) as usize;
    let progress = match epsilon.exhausted {
        true => "exhausted".to_owned(),
        false => format!("{:.<9}", "#".repeat(done)),
    };
    format!(
        "{:>7}  {progress:<9}  {:>7}  {:>6}  {:>12}  {:>12}  {:>13}",
        rounded(epsilon.epsilon),
        epsilon.results,
        known(epsilon.wanted),
        accuracy(epsilon.mean_reward_of_new),
        accuracy(epsilon.mean_reward_with_repeats),
        accuracy(epsilon.best_validation_accuracy),
    )
}

fn hours(seconds: f64) -> String {
    format!("{:.2}", seconds / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::golden::assert_golden;
    use crate::report::ranking;
    use crate::report::sample::{self, iteration};
    use crate::storage::Row;
    use proptest::prelude::*;

    #[test]
    fn counts_are_written_as_people_say_them() {
        let counts = [0, 999, 1_000, 85_249, 999_949, 999_950, 11_263_498];
        assert_eq!(counts.map(short), ["0", "999", "1.0k", "85.2k", "999.9k", "1.00M", "11.26M"]);
    }

    #[test]
    fn nothing_has_no_sign() {
        let written = [-0.0, -4e-6, -5.1e-6, 4e-6, -1.0].map(|value| decimals(value, 5));
        assert_eq!(written, ["0.00000", "0.00000", "-0.00001", "0.00000", "-1.00000"]);
        assert_eq!(decimals(-0.4, 0), "0");
        assert_eq!(accuracy(Some(-0.0)), "0.0000");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        let (half, path) = ("a".repeat(40), format!("/{}", "b".repeat(90)));
        let text = format!("{half} c {half} {path} d");
        let lines =
            ["x: ".to_owned() + &half + " c", "   ".to_owned() + &half, format!("   {path}")];
        assert_eq!(hanging("x: ", &text)[..3], lines);
        assert_eq!(hanging("", ""), [""]);
    }

    #[test]
    fn the_ranking_is_the_accepted_one() {
        let mut iterations = sample::iterations();
        iterations.push(Row {
            architecture: Some(sample::DENSE.replace("64", "512")),
            best_validation_accuracy: Some(0.943_15),
            parameters: Some(11_263_498),
            layers: Some(5),
            epsilon: Some(1.0 / 3.0),
            ..iteration(12, Event::Trained)
        });
        let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
        assert_golden("report/ranking.txt", &ranked(&ranking, "synthetic", Colour::Plain));
        assert_eq!(
            ranked(&[], "torch", Colour::Plain),
            "No network has been trained to the end.\n"
        );
    }

    proptest! {
        #[test]
        fn every_line_fits_the_terminal(
            layers in prop::collection::vec("C\\([0-9]{1,3},[0-9],1\\)", 1..20),
            parameters in 0..100_000_000_000u64,
            epsilon in 0.0..=1.0f64,
        ) {
            let iterations = [Row {
                architecture: Some(format!("[{}]", layers.join(", "))),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(1, Event::Trained)
            }];
            let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
            let text = ranked(&ranking, "synthetic", Colour::Plain);
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
        }
    }

    fn summary(trainer: &'static str) -> Summary {
        let notice = "The chain is broken: no job of round 2 is queued or running (run `metaqnn \
            submit` to go on)";
        Summary { notices: vec![notice.into()], ..sample::summary(&sample::search(trainer)) }
    }

    #[test]
    fn the_status_is_the_accepted_one() {
        assert_golden("report/status.txt", &status(&summary("torch"), Colour::Plain));
    }

    #[test]
    fn accuracies_that_were_not_measured_here_are_marked() {
        let of = |trainer| status(&summary(trainer), Colour::Plain);
        assert!(of("synthetic").contains("made up (trainer `synthetic`)"));
        assert!(of("imported").contains("imported: none was trained here"));
        assert!(!of("imported").contains("made up"));
        assert!(!of("torch").contains("The accuracies"));
    }

    #[test]
    fn the_time_left_is_a_range_in_a_unit_that_shows_it_or_absent() {
        let with = |least, most| {
            let mut summary = summary("torch");
            (summary.least_train_seconds_left, summary.most_train_seconds_left) = (least, most);
            left(&summary)
        };
        assert_eq!(with(Some(8.2), Some(20.1)), "5 results, 8 to 21 seconds of training");
        assert_eq!(
            with(Some(3600.0), Some(7200.0)),
            "5 results, 1.00 to 2.00 GPU-hours of training"
        );
        assert_eq!(with(Some(7200.0), Some(7200.0)), "5 results, 2.00 GPU-hours of training");
        assert_eq!(with(None, None), "5 results");
    }

    #[test]
    fn colour_adds_nothing_but_escape_sequences() {
        let summary = summary("synthetic");
        let coloured = status(&summary, Colour::Ansi);
        let plain = ["\u{1b}[1m", "\u{1b}[33m", "\u{1b}[0m"]
            .iter()
            .fold(coloured.clone(), |text, code| text.replace(code, ""));
        assert_ne!(coloured, plain);
        assert_eq!(plain, status(&summary, Colour::Plain));
    }

    proptest! {
        #[test]
        fn every_line_of_the_status_fits_the_terminal(
            name in "[a-z_]{1,60}",
            layers in prop::collection::vec("C\\([0-9]{1,3},[0-9],1\\)", 1..20),
            parameters in 0..100_000_000_000u64,
            epsilon in 0.0..=1.0f64,
        ) {
            let row = Row {
                architecture: Some(format!("[{}]", layers.join(", "))),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(u64::from(u32::MAX), Event::Trained)
            };
            let mut search = sample::search("synthetic");
            (search.experiment, search.iterations) = (name, vec![row]);
            let text = status(&sample::summary(&search), Colour::Plain);
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
        }
    }
}
