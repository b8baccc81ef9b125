//! The long trainings after a search as a page for readers who were not there, and in the few lines
//! that a terminal shows.

use itertools::Itertools;

use super::finals::{FinalNetwork, FinalResult, Finals, NetworkRole, Read, SearchFacts};
use super::search::mark;
use super::terminal::{accuracy, decimals, hanging, hours, hours_label, known, short};
use crate::model::MeasuredError;
use crate::predictor::AuditFindings;

pub(super) fn percent(share: f64) -> String {
    decimals(100.0 * share, 2) + " %"
}

fn name(of: &FinalResult) -> String {
    let count = of.architectures.len();
    match of.name.ends_with("ensemble") {
        true => format!("{} of {count}", of.name),
        false => of.name.to_owned(),
    }
}

pub(super) fn time(seconds: f64, uses_accelerator: bool) -> String {
    match seconds < 600.0 {
        true => format!("{seconds:.0} s"),
        false => format!("{} {}", hours(seconds), hours_label(uses_accelerator)),
    }
}

/// What the intervals say of the top model and its rivals.
fn differences(finals: &Finals) -> impl Iterator<Item = String> {
    finals.results.iter().filter_map(|of| {
        let (by, [top, rival]) = finals.results.first()?.beside(of)?;
        let verdict = match (of.resolved?, top.error < rival.error) {
            (true, true) => "better, the intervals do not overlap",
            (true, false) => "worse, the intervals do not overlap",
            (false, _) => "not resolved, the intervals overlap",
        };
        Some(format!("Top model against {}, by {by}: {verdict}.", of.name))
    })
}

/// What must not be overlooked.
pub(super) fn marks(finals: &Finals) -> impl Iterator<Item = String> {
    let trainers = [("Search", &*finals.search.trainer), ("Final training", &finals.trainer)];
    let marks = trainers.map(|(what, by)| mark(by).map(|mark| format!("{what}: {mark}")));
    marks.into_iter().flatten().chain(finals.transfer.clone())
}

/// For a terminal.
pub fn finals_text(finals: &Finals) -> String {
    let share = |share: f64| decimals(share, 4);
    let line = |of: &FinalResult| {
        let test = of.test.get(&1).map(|error| ("test error", error));
        let known = test.or(of.validation.as_ref().map(|error| ("validation error", error)));
        let error = known.map(|(part, it)| format!("{part} {}", share(it.error)));
        let interval =
            known.and_then(|(_, it)| it.interval()).map(|ends| ends.map(share).join(" to "));
        let mean = of.mean_test_error.zip(of.test_error_spread).map(|(mean, spread)| {
            format!("mean of {} seeds {}, spread {}", of.test.len(), share(mean), share(spread))
        });
        let facts = error.into_iter().chain(interval.map(|it| format!("95 %: {it}"))).chain(mean);
        let network = of.architectures.iter().exactly_one().cloned();
        let text = facts.chain(network).join(", ");
        hanging(&format!("{:<20}  ", name(of)), &text)
    };
    let untested = finals.untested.iter().map(|why| format!("No test error is known: {why}."));
    let texts = untested.chain(differences(finals)).chain(marks(finals));
    let lines = finals.results.iter().map(line).chain(texts.map(|text| hanging("", &text)));
    lines.map(|line| line + "\n").collect()
}

fn result_row(of: &FinalResult) -> String {
    let known = |share: Option<f64>| known(share.map(percent));
    let last = of.test.keys().copied().max().unwrap_or(1);
    let seeds = (1..=last).map(|repeat| known(of.test.get(&repeat).map(|of| of.error))).join(", ");
    let first = of.test.get(&1).and_then(MeasuredError::interval);
    let first = first.map_or("-".to_owned(), |ends| ends.map(percent).join(" to "));
    let [validation, mean, spread] =
        [of.validation.as_ref().map(|of| of.error), of.mean_test_error, of.test_error_spread]
            .map(known);
    format!("| {} | {validation} | {seeds} | {first} | {mean} | {spread} |", name(of))
}

fn network_row(of: &FinalNetwork) -> String {
    format!(
        "| {} | {} | {} | {} | {} | `{}` |",
        of.role,
        known(of.layers),
        known(of.parameters.map(short)),
        accuracy(of.search_accuracy),
        accuracy(of.validation_accuracy),
        of.architecture
    )
}

/// How to read the test errors.
fn notes(finals: &Finals) -> String {
    match &finals.untested {
        Some(why) if finals.has_test_images => {
            return format!("* **No test error: validation error only** ({why}).");
        }
        Some(why) => {
            return format!(
                "* **No test set: validation error only** ({why}). One is made of images that no \
                 search has seen, beside the others, such as a folder `test/` of pictures; then a \
                 new search is judged by it."
            );
        }
        None => {}
    }
    let images = finals.results.iter().flat_map(|of| of.test.values()).map(|of| of.images).next();
    format!(include_str!("certificate_test.md"), images = images.unwrap_or(0))
}

const fn unfinished(is_finished: bool) -> &'static str {
    if is_finished { "" } else { " (not finished)" }
}

/// What the control is, and what it cost.
pub(super) fn control(finals: &Finals) -> Option<String> {
    finals.networks.iter().find(|of| of.role == NetworkRole::Control)?;
    let search = &finals.search;
    let cost = |seconds: f64| time(seconds, search.uses_accelerator);
    let all = cost(search.seconds);
    Some(match &finals.control {
        Some(SearchFacts { experiment, results, seconds, finished, .. }) => format!(
            "Control: the best of the {results} networks of the random search `{experiment}`{}, but \
             for those that have another role here. It took {}, this one {all}.",
            unfinished(*finished),
            cost(*seconds)
        ),
        None => format!(
            "Control: the best of the {} networks that this search drew at random, in {} of its \
             {all}, but for those that have another role here: not at equal cost.",
            search.results_at_random,
            cost(search.seconds_at_random)
        ),
    })
}

fn reads(finals: &Finals) -> String {
    let what = match finals.reads.iter().map(|of| of.plan).max() {
        None => return "The images for testing were not read.".to_owned(),
        Some(..=1) => {
            "The list of models, with checksums, was fixed before the images for testing were \
             read, and nothing was chosen after it."
        }
        Some(_) => {
            "**The images for testing were read again, for other models, when errors were known.**"
        }
    };
    let read = |of: &Read| format!("\n   * {}, process {} on {}", of.time, of.process, of.host);
    let reads = finals.reads.iter().map(read).join("");
    format!("{what} They were opened (`reads.csv`):{reads}")
}

pub(super) fn stopping(search: &SearchFacts) -> String {
    let SearchFacts { stopped, audited, false_stops, .. } = *search;
    let findings = AuditFindings { audited, false_stops, ..AuditFindings::default() };
    let audits = match findings.interval() {
        Some((low, high)) => format!(
            ". Of {audited} that were to be stopped, and were trained to the end to see, \
             {false_stops} became the best until then (95 %: {low:.2} to {high:.2})"
        ),
        None if stopped > 0 => ". None that was to be stopped was trained to the end to see \
                                (`early_stopping.audit_share` of them are)"
            .to_owned(),
        None => String::new(),
    };
    format!("Networks stopped early: {stopped}{audits}.")
}

fn list(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().map(|text| format!("* {text}")).join("\n")
}

/// `certificate.md`.
pub fn page(finals: &Finals) -> String {
    let Finals { search, networks, .. } = finals;
    let chosen = finals.selection();
    let repeats = networks.iter().flat_map(|of| &of.repeats);
    let count = |role| networks.iter().filter(|of| of.role == role).count();
    let problems = networks.iter().flat_map(|of| {
        let named = |problem| format!("`{}` was not judged: {problem}", of.architecture);
        let of_step = of.problem.iter().map(named);
        of_step.chain(of.repeats.iter().filter_map(|it| {
            let (network, repeat) = (&of.architecture, it.repeat);
            Some(format!("`{network}`, training {repeat}, has no model: {}", it.problem.as_ref()?))
        }))
    });
    let mut versions = finals.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let files = finals.sha256.iter().map(|(file, sum)| format!("SHA-256 of `{file}`: `{sum}`"));
    let spent = |seconds: f64| time(seconds, search.uses_accelerator);
    let validation =
        finals.validation_images.map_or("images".to_owned(), |it| format!("{it} images"));
    let page = format!(
        include_str!("certificate.md"),
        experiment = search.experiment,
        marks = marks(finals).map(|mark| format!("**{mark}**")).join("\n\n"),
        results = finals.results.iter().map(result_row).join("\n"),
        notes = notes(finals),
        comparisons = list(differences(finals).chain(control(finals))),
        chosen = chosen.networks().map(network_row).join("\n"),
        problems = list(problems),
        unfinished = unfinished(search.finished),
        results_of_search = search.results,
        validation = validation,
        images = finals.images,
        search_epochs = finals.search_epochs,
        final_epochs = finals.final_epochs,
        top = count(NetworkRole::Top),
        per_depth = count(NetworkRole::PerDepth),
        baselines = count(NetworkRole::Baseline),
        controls = count(NetworkRole::Control),
        seeds = repeats.clone().map(|of| of.repeat).max().unwrap_or(0),
        reads = reads(finals),
        stopping = stopping(search),
        search_time = spent(search.seconds),
        validate_time = spent(networks.iter().map(|of| of.seconds).sum()),
        whole_time = spent(repeats.map(|of| of.seconds).sum()),
        seed = finals.seed,
        files = list(files),
        versions = versions.join(", "),
    );
    // Where a value is empty.
    page.lines().dedup_by(|one, other| one.is_empty() && other.is_empty()).join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::golden::assert_golden;
    use super::super::sample;
    use super::*;

    #[test]
    fn the_certificate_is_the_accepted_one() {
        let finals = sample::finals();
        assert_golden("report/certificate.md", &page(&finals));
        assert_golden("report/finals.txt", &finals_text(&finals));
        let json = serde_json::to_string_pretty(&finals).unwrap();
        assert_golden("report/certificate.json", &(json + "\n"));
    }

    #[test]
    fn without_a_test_part_no_test_error_is_made_up() {
        let mut finals = sample::finals();
        let repeats = finals.networks.iter_mut().flat_map(|of| &mut of.repeats);
        repeats.for_each(|of| of.test = None);
        finals.networks.iter_mut().for_each(|of| of.validation = None);
        finals.untested = Some("`/home/me/images` has no test images".to_owned());
        finals.has_test_images = false;
        (finals.search.trainer, finals.trainer) = ("imported".to_owned(), "synthetic".to_owned());
        finals.reads.clear();
        let finals = finals.summed_up();
        assert_golden("report/certificate_untested.md", &page(&finals));
        assert_golden("report/finals_untested.txt", &finals_text(&finals));
    }

    #[test]
    fn the_better_one_is_named_and_by_which_errors() {
        let mut finals = sample::finals();
        let said = |finals: &Finals| differences(finals).collect_vec();
        finals.results[3].resolved = Some(true);
        let better = "Top model against control, by test error of the first training: better, the \
                      intervals do not overlap.";
        assert_eq!(said(&finals), [better]);
        finals.results.swap(0, 3);
        (finals.results[0].resolved, finals.results[3].resolved) = (None, Some(true));
        assert!(said(&finals)[0].contains(": worse, the"));
        finals.results[0].test.clear();
        assert!(said(&finals)[0].contains(", by validation error: "));
    }

    #[test]
    fn a_second_reading_and_a_control_of_its_own_are_named() {
        let mut finals = sample::finals();
        assert!(page(&finals).contains("not at equal cost"));
        finals.reads[1].plan = 2;
        finals.control = Some(SearchFacts {
            experiment: "random".to_owned(),
            seconds: 3600.0,
            ..SearchFacts::default()
        });
        let page = page(&finals);
        assert!(page.contains("read again, for other models") && !page.contains("equal cost"));
        assert!(page.contains("search `random` (not finished), but"));
        assert!(page.contains("It took 1.00 GPU-hours, this one 0.26"));
    }
}
