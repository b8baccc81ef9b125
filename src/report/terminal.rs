//! The search as text for a terminal of 80 columns, with escape sequences for colours, which the
//! printer takes out where there is none.

use itertools::Itertools;
use textwrap::{Options, WordSplitter, wrap};

use super::iterations::{ArchitectureRecord, Ledger, STATUSES};
use super::search::{EarlyStopping, mark};
use super::summary::{BestNetwork, EpsilonSummary, HostTally, JobQueue, Summary};
use super::time_left::TimeLeft;
use crate::storage::Event;

pub(super) const WIDTH: usize = 80;

pub(crate) fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}

pub(super) fn warning(text: &str) -> String {
    format!("\u{1b}[33m{text}\u{1b}[0m")
}

pub fn ranked(ranking: &[ArchitectureRecord], summary: &Summary) -> String {
    let trained = summary.counts.of(Event::Trained);
    if ranking.is_empty() && trained > 0 {
        let text = format!(
            "Networks trained to the end: {trained}. They are not judged, since no image is for \
             validation; weights that are kept are in `models/` of the experiment."
        );
        return hanging("", &text) + "\n";
    }
    if ranking.is_empty() {
        return "No network has been trained to the end.\n".to_owned();
    }
    let row = |record: &ArchitectureRecord| {
        vec![
            known(record.rank),
            accuracy(record.best_validation_accuracy),
            known(record.parameters.map(short)),
            known(record.layers),
            known(record.epsilon.map(rounded)),
            record.name(),
        ]
    };
    let heads = ["rank", "accuracy", "parameters", "layers", "epsilon", "architecture"];
    let mut lines = vec![table(&heads, &[4, 8, 10, 6, 7, -35], "  ", ranking.iter().map(row))];
    lines.extend(mark(summary.trainer).map(warning));
    lines.push(String::new());
    lines.extend(bests(summary));
    lines.join("\n") + "\n"
}

fn entry(label: &str, text: &str) -> String {
    hanging(&format!("{label:<10}  "), text)
}

/// The best of all beside the best that was drawn at random: whether learning has found a better
/// one, as far as the validation images can say; and how to read a network.
fn bests(summary: &Summary) -> Vec<String> {
    let Some(best) = &summary.best else { return vec![entry("best", "none yet")] };
    let mut lines = vec![entry("best", &network(best))];
    // Before that there is nothing to compare with.
    let random = summary.best_at_random.as_ref();
    let random = random.filter(|_| summary.results > summary.results_at_random);
    if let Some(random) = random {
        let is_other = random.iteration != best.iteration;
        let same = || "the same: of those that were chosen by learning none is better".to_owned();
        lines.push(entry("at random", &if is_other { network(random) } else { same() }));
        let is_resolved = best.is_told_from(random).filter(|_| is_other);
        lines.extend(is_resolved.map(|is_resolved| match is_resolved {
            true => entry("difference", "resolved: the intervals do not overlap"),
            false => entry("difference", "not resolved: the intervals overlap"),
        }));
    }
    let has_interval = best.interval.or(random.and_then(|random| random.interval)).is_some();
    let images = summary.validation_images.filter(|_| has_interval);
    lines.extend(images.map(|images| {
        let what = "of one network, selection not counted; exact, by";
        entry("intervals", &format!("{what} {images} validation images"))
    }));
    lines.push(entry("layers", LEGEND));
    lines
}

pub(super) const LEGEND: &str = "C(32,5,1): 32 filters of 5 x 5, stride 1; P(3,2): pooling of 3 x 3, stride 2; \
                      FC(128): 128 neurons; GAP: average pooling of all that is left; D(1,3): the \
                      first dropout of 3; SM: softmax";

pub(super) fn accuracy(share: Option<f64>) -> String {
    known(share.map(|share| decimals(share, 4)))
}

/// What rounds to 0 has no sign.
pub(crate) fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.parse() == Ok(0.0) { text.trim_start_matches('-').to_owned() } else { text }
}

fn rounded(epsilon: f64) -> String {
    ((epsilon * 1e4).round() / 1e4).to_string()
}

pub(crate) fn known(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// Groups the digits before the decimal point.
pub(crate) fn with_commas(number: impl ToString) -> String {
    let text = number.to_string();
    let (whole, decimals) = text.split_at(text.find('.').unwrap_or(text.len()));
    let groups = whole.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",") + decimals
}

/// Writes a count as people say it: 730, 85.2k, 11.26M.
pub(super) fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.2}M", count as f64 / 1e6),
    }
}

/// Wraps a text that begins after `first` and stays to the right of it. A word that is longer than
/// a line stays whole, so that a path can be copied.
pub(super) fn hanging(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.len());
    let options = Options::new(WIDTH).initial_indent(first).subsequent_indent(&indent);
    textwrap::fill(text, options.break_words(false).word_splitter(WordSplitter::NoHyphenation))
}

/// Below bold heads, in columns of these widths: numbers to the right; of a negative width, to the
/// left, texts, which go on below.
pub(crate) fn table(
    heads: &[impl ToString],
    widths: &[isize],
    gap: &str,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let row = |cells: Vec<String>| {
        let columns = cells.iter().zip(widths).map(|(cell, &width)| match width {
            ..0 => wrap(cell, width.unsigned_abs()),
            _ => vec![cell.as_str().into()],
        });
        let columns = columns.collect_vec();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        let line = |line: usize| {
            let cells = columns.iter().zip(widths).map(|(lines, &width)| {
                let (text, space) = (lines.get(line).map_or("", |text| text), width.unsigned_abs());
                if width < 0 { format!("{text:<space$}") } else { format!("{text:>space$}") }
            });
            cells.collect_vec().join(gap).trim_end().to_owned()
        };
        (0..height).map(line).join("\n")
    };
    let heads = bold(&row(heads.iter().map(ToString::to_string).collect()));
    [heads].into_iter().chain(rows.map(row)).join("\n")
}

pub fn status(summary: &Summary) -> String {
    let Summary { results, wanted, iterations, .. } = summary;
    let [claimed, pending, trained, stopped, failed, out_of_memory, imported, reused, lost, void] =
        STATUSES.map(|(status, _)| summary.counts.of(status));
    let imported = if imported > 0 { format!(", {imported} imported") } else { String::new() };
    let results = format!(
        "{results} of {wanted}: {trained} trained, {stopped} stopped, {failed} failed, \
         {out_of_memory} out of memory{imported}"
    );
    let lost = lost + void;
    let iterations = format!(
        "{iterations}: {claimed} in flight, {pending} waiting, {reused} reused, {lost} lost"
    );
    let Ledger { saved_seconds, lost_seconds, .. } = summary.seconds;
    let [used, saved, lost] = [summary.seconds.spent(), saved_seconds, lost_seconds].map(hours);
    let used = format!("{used} used, about {saved} saved by stopping, {lost} lost");
    let mut lines = vec![bold(&hanging("", &headline(summary)))];
    lines.extend(mark(summary.trainer).map(warning));
    lines.push(String::new());
    let mut add = |label: &str, text: &str| lines.push(entry(label, text));
    add("results", &results);
    add("iterations", &iterations);
    add(hours_label(summary.uses_accelerator), &used);
    if summary.early_stopping.enabled {
        add("stopping", &stopping(&summary.early_stopping));
    }
    add("left", &left(summary));
    if let Some(jobs) = &summary.queue {
        add("jobs", &queue(jobs));
    }
    lines.extend(bests(summary));
    if summary.hosts.iter().any(|host| host.bad) {
        lines.push(entry("bad hosts", &bad_hosts(&summary.hosts)));
    }
    lines.push(String::new());
    lines.push(bold(&format!("{:37}mean reward of", "")));
    let rows = summary.epsilons.iter().map(epsilon_cells);
    lines.push(table(&EPSILON_HEADS, &[7, -9, 7, 6, 12, 12, 13], "  ", rows));
    let notices = summary.notices.iter();
    lines.extend(notices.map(|notice| format!("\n{}", warning(&hanging("", notice)))));
    lines.join("\n") + "\n"
}

fn headline(summary: &Summary) -> String {
    let round = summary.round.map(|round| format!(", round {round}"));
    let epsilon = summary.epsilon.map(|epsilon| format!(", epsilon {}", rounded(epsilon)));
    let at = round.into_iter().chain(epsilon).collect::<String>();
    format!("{}: {}{at}", summary.experiment, summary.condition)
}

/// Hours of training are hours of one GPU each, if there is a GPU.
pub(super) const fn hours_label(uses_accelerator: bool) -> &'static str {
    if uses_accelerator { "GPU-hours" } else { "hours" }
}

fn stopping(stopping: &EarlyStopping) -> String {
    let EarlyStopping { burn_in, full_curves, epochs_saved, audited, false_stops, .. } = stopping;
    let mut text = match stopping.predictor_curves {
        _ if stopping.switched_off => "switched off by its audits".to_owned(),
        Some(curves) => format!("predictor of {curves} full curves"),
        None if full_curves < burn_in => {
            format!("burn-in, {full_curves} of {burn_in} networks trained to the end")
        }
        None => "no predictor (the next `metaqnn reduce` fits it, or says why not)".to_owned(),
    };
    if stopping.stopped > 0 {
        let all = stopping.epochs_trained + epochs_saved;
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
    let results = format!("{} results", summary.left);
    let Some(TimeLeft { least, most }) = summary.time_left() else {
        return format!("{results}, time unknown: too few networks have been trained");
    };
    if summary.left == 0 {
        return results;
    }
    // Minutes would be 0.00 hours.
    let (least, most, unit) = if most < 600.0 {
        (least.floor().to_string(), most.ceil().to_string(), "seconds")
    } else {
        (hours(least), hours(most), hours_label(summary.uses_accelerator))
    };
    let range = if least == most { least } else { format!("{least} to {most}") };
    format!("{results}, {range} {unit} of training")
}

/// In the unit of the greater bound, the bounds rounded outwards.
pub fn range(TimeLeft { least, most }: TimeLeft) -> String {
    let (unit, name) = match most {
        0.0..120.0 => (1.0, "s"),
        120.0..7200.0 => (60.0, "min"),
        _ => (3600.0, "h"),
    };
    let (least, most) = ((least / unit).floor(), (most / unit).ceil());
    if least == most { format!("{most} {name}") } else { format!("{least} to {most} {name}") }
}

fn queue(JobQueue { problem, running, waiting }: &JobQueue) -> String {
    if let Some(problem) = problem {
        return format!("unknown: {problem}");
    }
    let waiting = waiting.iter().map(|of| {
        let meaning = of.meaning.as_ref().map_or(String::new(), |it| format!(": {it}"));
        format!("{} pending{meaning} ({})", of.jobs, of.reason)
    });
    let running = format!("{running} running");
    std::iter::once(running).chain(waiting).collect::<Vec<_>>().join("; ")
}

fn network(best: &BestNetwork) -> String {
    let interval = best.interval.map(|[low, high]| format!("95 %: {low:.4} to {high:.4}"));
    let mut facts: Vec<_> = interval.into_iter().collect();
    facts.push(format!("iteration {}", best.iteration));
    facts.extend(best.epsilon.map(|epsilon| format!("epsilon {}", rounded(epsilon))));
    facts.extend(best.layers.map(|layers| match layers {
        1 => "1 layer".to_owned(),
        layers => format!("{layers} layers"),
    }));
    facts.extend(best.parameters.map(|parameters| format!("{} parameters", short(parameters))));
    let accuracy = accuracy(Some(best.best_validation_accuracy));
    facts.extend(best.model.iter().map(|model| format!("model {model}")));
    format!("{accuracy} ({}): {}", facts.join(", "), best.architecture)
}

fn bad_hosts(hosts: &[HostTally]) -> String {
    let facts = hosts.iter().filter(|host| host.bad).map(|host| {
        let failed = host.lost + host.refused;
        let ended = host.results + failed;
        let last = host.last_reason.as_deref().unwrap_or("without a reason");
        format!("{} ({failed} of {ended} tasks failed, the last: {last})", host.host)
    });
    let remedy = match hosts.iter().all(|host| host.bad) {
        true => "no other host has been tried",
        false => "`metaqnn submit DIR --exclude-bad-hosts` avoids them",
    };
    format!("{}; {remedy}", facts.collect::<Vec<_>>().join(", "))
}

const EPSILON_HEADS: [&str; 7] =
    ["epsilon", "progress", "results", "wanted", "new networks", "with repeats", "best accuracy"];

fn epsilon_cells(epsilon: &EpsilonSummary) -> Vec<String> {
    let wanted = epsilon.wanted.unwrap_or(epsilon.results).max(1);
    let done = (epsilon.results.min(wanted) * 9 / wanted) as usize;
    let progress = format!("{:.<9}", "#".repeat(done));
    vec![
        known(epsilon.epsilon.map(rounded)),
        if epsilon.exhausted { "exhausted".to_owned() } else { progress },
        epsilon.results.to_string(),
        known(epsilon.wanted),
        accuracy(epsilon.mean_reward_of_new),
        accuracy(epsilon.mean_reward_with_repeats),
        accuracy(epsilon.best_validation_accuracy),
    ]
}

pub(super) fn hours(seconds: f64) -> String {
    format!("{:.2}", seconds / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::golden::assert_golden;
    use crate::report::iterations::StatusCounts;
    use crate::report::sample::{self, iteration};
    use crate::report::{SearchData, ranking};
    use crate::storage::Row;
    use anstream::adapter::strip_str;
    use proptest::prelude::*;

    fn plain(text: &str) -> String {
        strip_str(text).to_string()
    }

    #[test]
    fn counts_are_written_as_people_say_them() {
        let counts = [0, 999, 1_000, 85_249, 999_949, 999_950, 11_263_498];
        assert_eq!(counts.map(short), ["0", "999", "1.0k", "85.2k", "999.9k", "1.00M", "11.26M"]);
    }

    #[test]
    fn digits_are_grouped_for_people() {
        assert_eq!(with_commas("7"), "7");
        assert_eq!(with_commas(565), "565");
        assert_eq!(with_commas("1234.5678"), "1,234.5678");
        assert_eq!(with_commas("282710031500590500770"), "282,710,031,500,590,500,770");
    }

    #[test]
    fn nothing_has_no_sign() {
        let written = [-0.0, -4e-6, -5.1e-6, 4e-6, -1.0].map(|value| decimals(value, 5));
        assert_eq!(written, ["0.00000", "0.00000", "-0.00001", "0.00000", "-1.00000"]);
        assert_eq!(decimals(-0.4, 0), "0");
        assert_eq!(accuracy(Some(-0.0)), "0.0000");
    }

    #[test]
    fn bounds_of_time_are_rounded_outwards() {
        let shown = |least, most| range(TimeLeft { least, most });
        assert_eq!(shown(12.7, 80.2), "12 to 81 s");
        assert_eq!(shown(60.0, 60.0), "60 s");
        assert_eq!(shown(119.0, 121.0), "1 to 3 min");
        assert_eq!(shown(5000.0, 90_000.0), "1 to 25 h");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        let (half, path) = ("a".repeat(40), format!("/{}", "b".repeat(90)));
        let text = format!("{half} c {half} {path} d");
        let lines =
            ["x: ".to_owned() + &half + " c", "   ".to_owned() + &half, format!("   {path}")];
        assert_eq!(hanging("x: ", &text).lines().collect::<Vec<_>>()[..3], lines);
        assert_eq!(hanging("", ""), "");
    }

    #[test]
    fn the_ranking_is_the_accepted_one() {
        let mut iterations = sample::iterations();
        iterations.push(Row {
            architecture: Some(sample::DENSE.replace("64", "512").into()),
            best_validation_accuracy: Some(0.943_15),
            parameters: Some(11_263_498),
            layers: Some(5),
            epsilon: Some(1.0 / 3.0),
            ..iteration(12, Event::Trained)
        });
        let search = SearchData { iterations, ..sample::search("torch") };
        let (best, summary) =
            (ArchitectureRecord::gather(&search.iterations), Summary::of(&search));
        assert_golden("report/ranking.txt", &plain(&ranked(&ranking(best, 10), &summary)));
        let unjudged = ranked(&[], &summary);
        assert!(unjudged.contains("They are not judged") && unjudged.contains("`models/`"));
        let summary = Summary { counts: StatusCounts::over([]), ..summary };
        assert_eq!(ranked(&[], &summary), "No network has been trained to the end.\n");
    }

    proptest! {
        #[test]
        fn every_line_fits_the_terminal(
            layers in prop::collection::vec("C\\([0-9]{1,3},[0-9],1\\)", 1..20),
            parameters in 0..100_000_000_000u64,
            epsilon in 0.0..=1.0f64,
        ) {
            let iterations = [Row {
                architecture: Some(format!("[{}]", layers.join(", ")).into()),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(1, Event::Trained)
            }];
            let ranking = ranking(ArchitectureRecord::gather(&iterations), 10);
            let text = plain(&ranked(&ranking, &summary("synthetic")));
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
        assert_golden("report/status.txt", &plain(&status(&summary("torch"))));
    }

    /// The accuracies of networks drawn at random and later, judged on 1,000 images.
    fn verdict(networks: &[(f64, f64)]) -> String {
        let row = |(&(epsilon, accuracy), number): (&(f64, f64), u64)| Row {
            architecture: Some(format!("[C({number},1,1), SM(10)]").into()),
            best_validation_accuracy: Some(accuracy),
            epsilon: Some(epsilon),
            ..iteration(number, Event::Trained)
        };
        let iterations = networks.iter().zip(1..).map(row).collect();
        let summary = Summary::of(&SearchData { iterations, ..sample::search("torch") });
        plain(&bests(&summary).join("\n"))
    }

    #[test]
    fn the_best_is_compared_with_the_best_drawn_at_random() {
        // 95 % of 750 right: 0.7219 to 0.7766; of 780: 0.7530 to 0.8053; of 830: 0.8053 to 0.8528.
        let overlap = verdict(&[(1.0, 0.75), (1.0, 0.7), (0.5, 0.78)]);
        assert!(overlap.contains("at random   0.7500 (95 %: 0.7219 to 0.7766"), "{overlap}");
        assert!(overlap.contains("difference  not resolved: the intervals overlap"), "{overlap}");
        let clear = verdict(&[(1.0, 0.75), (0.5, 0.83)]);
        assert!(clear.contains("difference  resolved: the intervals do not"), "{clear}");
        let same = verdict(&[(1.0, 0.75), (0.5, 0.74)]);
        assert!(
            same.contains("at random   the same: of those that were chosen by learning"),
            "{same}"
        );
        let text = verdict(&[(1.0, 0.75), (1.0, 0.74)]);
        assert!(!text.contains("at random") && text.contains("1000 validation"), "{text}");
    }

    #[test]
    fn accuracies_that_were_not_measured_here_are_marked() {
        let of = |trainer| status(&summary(trainer));
        assert!(of("synthetic").contains("made up (trainer `synthetic`)"));
        assert!(of("imported").contains("imported: none was trained here"));
        assert!(!of("imported").contains("made up"));
        assert!(!of("torch").contains("The accuracies"));
    }

    #[test]
    fn the_time_left_is_a_range_in_a_unit_that_shows_it_or_unknown() {
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
        let unknown = "5 results, time unknown: too few networks have been trained";
        assert_eq!(with(None, None), unknown);
    }

    #[test]
    fn headings_are_bold_and_warnings_yellow() {
        let lines = status(&summary("synthetic"));
        let coloured: Vec<&str> = lines.lines().filter(|line| line.contains('\u{1b}')).collect();
        assert!(coloured[0].starts_with("\u{1b}[1msvhn: "), "{coloured:?}");
        assert!(coloured[1].starts_with("\u{1b}[33mThe accuracies"), "{coloured:?}");
        assert_eq!(coloured.last(), Some(&"submit` to go on)\u{1b}[0m"));
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
                architecture: Some(format!("[{}]", layers.join(", ")).into()),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(u64::from(u32::MAX), Event::Trained)
            };
            let mut search = sample::search("synthetic");
            (search.experiment, search.iterations) = (name, vec![row]);
            let text = plain(&status(&sample::summary(&search)));
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
        }
    }
}
