//! What `status` shows.

use super::{Colour, WIDTH, accuracy, hanging, known, rounded, short, text_of, wrapped};
use crate::report::early_stopping::StoppingSummary;
use crate::report::epsilons::EpsilonSummary;
use crate::report::hosts::HostTally;
use crate::report::search::{EarlyStopping, mark};
use crate::report::summary::{BestNetwork, Summary};
use crate::storage::Event;

/// Returns what `status` shows: lines of at most 80 columns, unless a single word is longer.
pub fn status(summary: &Summary, colour: Colour) -> String {
    let headline = wrapped(&headline(summary), WIDTH);
    let mut lines: Vec<String> = headline.iter().map(|line| colour.bold(line)).collect();
    lines.extend(mark(summary.trainer).map(|mark| colour.warning(mark)));
    lines.push(String::new());
    lines.extend(entry("results", &results(summary)));
    lines.extend(entry("iterations", &iterations(summary)));
    lines.extend(entry(hours_label(summary), &hours_used(summary)));
    if summary.early_stopping.known.enabled {
        lines.extend(entry("stopping", &stopping(&summary.early_stopping)));
    }
    lines.extend(entry("left", &left(summary)));
    lines.extend(entry("best", &summary.best.as_ref().map_or("none yet".to_owned(), best)));
    let bad: Vec<&HostTally> = summary.hosts.iter().filter(|host| host.bad).collect();
    if !bad.is_empty() {
        let others = summary.hosts.len() - bad.len();
        lines.extend(entry("bad hosts", &bad_hosts(&bad, others)));
    }
    lines.push(String::new());
    lines.push(colour.bold(&format!("{:37}mean reward of", "")));
    lines
        .push(colour.bold(
            "epsilon  progress   results  wanted  new networks  with repeats  best accuracy",
        ));
    lines.extend(summary.epsilons.iter().map(epsilon_line));
    for notice in &summary.notices {
        lines.push(String::new());
        lines.extend(wrapped(notice, WIDTH).iter().map(|line| colour.warning(line)));
    }
    text_of(&lines)
}

fn headline(summary: &Summary) -> String {
    let mut facts = vec![summary.condition.words().to_owned()];
    facts.extend(summary.round.map(|round| format!("round {round}")));
    facts.extend(summary.epsilon.map(|epsilon| format!("epsilon {}", rounded(epsilon))));
    format!("{}: {}", summary.experiment, facts.join(", "))
}

fn results(summary: &Summary) -> String {
    let of = |status| summary.counts.of(status);
    let mut parts = vec![
        format!("{} trained", of(Event::Trained)),
        format!("{} stopped", of(Event::Stopped)),
        format!("{} failed", of(Event::Failed)),
        format!("{} out of memory", of(Event::OutOfMemory)),
    ];
    if of(Event::Imported) > 0 {
        parts.push(format!("{} imported", of(Event::Imported)));
    }
    format!("{} of {}: {}", summary.results, summary.wanted, parts.join(", "))
}

fn iterations(summary: &Summary) -> String {
    let of = |status| summary.counts.of(status);
    format!(
        "{}: {} in flight, {} waiting, {} reused, {} lost",
        summary.iterations,
        of(Event::Claimed),
        of(Event::Pending),
        of(Event::Reused),
        of(Event::Lost) + of(Event::Void),
    )
}

/// Hours of training are hours of one GPU each, if there is a GPU.
const fn hours_label(summary: &Summary) -> &'static str {
    if summary.uses_accelerator { "GPU-hours" } else { "hours" }
}

fn hours_used(summary: &Summary) -> String {
    let seconds = summary.seconds;
    format!(
        "{} used, about {} saved by stopping, {} lost",
        hours(seconds.train_seconds + seconds.lost_seconds),
        hours(seconds.saved_seconds),
        hours(seconds.lost_seconds)
    )
}

fn stopping(stopping: &StoppingSummary) -> String {
    let StoppingSummary { known, audited, false_stops, .. } = stopping;
    let EarlyStopping { burn_in, full_curves, .. } = known;
    let mut facts = vec![match known.predictor_curves {
        _ if stopping.switched_off => "switched off by its audits".to_owned(),
        Some(curves) => format!("predictor of {curves} full curves"),
        None if full_curves < burn_in => {
            format!("burn-in, {full_curves} of {burn_in} networks trained to the end")
        }
        None => "no predictor (the next `metaqnn reduce` fits it, or says why not)".to_owned(),
    }];
    if stopping.stopped > 0 {
        facts.push(format!(
            "{} of {} epochs saved",
            stopping.epochs_saved,
            stopping.epochs_trained + stopping.epochs_saved
        ));
    }
    if let (Some(lower), Some(upper)) =
        (stopping.false_stop_rate_lower, stopping.false_stop_rate_upper)
    {
        facts.push(format!(
            "{false_stops} of {audited} audited stops false (95 %: {lower:.2} to {upper:.2})"
        ));
    }
    facts.join(", ")
}

fn left(summary: &Summary) -> String {
    let Summary { left, least_train_seconds_left, most_train_seconds_left, .. } = summary;
    match (least_train_seconds_left, most_train_seconds_left) {
        (Some(least), Some(most)) if *left > 0 => {
            // Minutes would be 0.00 hours.
            let (least, most, unit) = if *most < 600.0 {
                (format!("{:.0}", least.floor()), format!("{:.0}", most.ceil()), "seconds")
            } else {
                (hours(*least), hours(*most), hours_label(summary))
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
    let facts: Vec<String> = facts.collect();
    let remedy = match others {
        0 => "no other host has been tried",
        _ => "`metaqnn submit DIR --exclude-bad-hosts` avoids them",
    };
    format!("{}; {remedy}", facts.join(", "))
}

fn epsilon_line(epsilon: &EpsilonSummary) -> String {
    let progress =
        if epsilon.exhausted { format!("{:<9}", "exhausted") } else { progress(epsilon) };
    format!(
        "{:>7}  {progress}  {:>7}  {:>6}  {:>12}  {:>12}  {:>13}",
        rounded(epsilon.epsilon),
        epsilon.results,
        known(epsilon.wanted),
        accuracy(epsilon.mean_reward_of_new),
        accuracy(epsilon.mean_reward_with_repeats),
        accuracy(epsilon.best_validation_accuracy),
    )
}

const BAR: u64 = 9;

fn progress(epsilon: &EpsilonSummary) -> String {
    let wanted = epsilon.wanted.unwrap_or(epsilon.results).max(1);
    let done = (epsilon.results.min(wanted) * BAR / wanted) as usize;
    format!("{}{}", "#".repeat(done), ".".repeat(BAR as usize - done))
}

fn hours(seconds: f64) -> String {
    format!("{:.2}", seconds / 3600.0)
}

/// A label with its text beside it.
fn entry(label: &str, text: &str) -> Vec<String> {
    hanging(&format!("{label:<10}  "), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::golden::assert_golden;
    use crate::report::sample::{self, iteration};
    use crate::storage::Row;
    use proptest::prelude::*;

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
        fn every_line_fits_the_terminal(
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
