//! The four questions that a page answers first.

use itertools::Itertools;

use super::{ReportedSearch, TOP};
use crate::model::MeasuredError;
use crate::report::certificate::{self, percent, time};
use crate::report::finals::{FinalResult, Finals, SearchFacts};
use crate::report::iterations::Ledger;
use crate::report::search::EarlyStopping;
use crate::report::summary::BestNetwork;
use crate::report::terminal::with_commas;
use crate::storage::Event;

/// A verdict in words, and lines on what it is made of.
pub type Answer = [String; 2];

pub const QUESTIONS: [&str; 4] = [
    "How good is it?",
    "What did it cost?",
    "Is it better than random search?",
    "How often was stopping wrong?",
];

fn with_interval(share: f64, interval: Option<[f64; 2]>) -> String {
    let ends = interval.map(|ends| format!(" (95 %: {})", ends.map(percent).join(" to ")));
    percent(share) + &ends.unwrap_or_default()
}

fn measured(error: &MeasuredError) -> String {
    with_interval(error.error, error.interval())
}

fn accuracy(best: &BestNetwork) -> String {
    with_interval(best.best_validation_accuracy, best.interval)
}

impl ReportedSearch<'_> {
    pub fn answers(&self, all: &[Self]) -> [Answer; 4] {
        [self.quality(), self.cost(), self.against_random(all), self.stopping()]
    }

    /// The top model, or another one that the certificate judges.
    pub fn judged(&self, name: &str) -> Option<&FinalResult> {
        self.finals.as_ref()?.results.iter().find(|result| result.name == name)
    }

    fn quality(&self) -> Answer {
        let Some(best) = &self.summary.best else {
            let why = "No network was judged after its training.";
            return ["Not known".to_owned(), why.to_owned()];
        };
        let top = self.judged(TOP);
        let validation = top.and_then(|top| top.validation.as_ref());
        let right = validation.map_or(best.best_validation_accuracy, |it| 1.0 - it.error);
        let untested = self.finals.as_ref().and_then(|finals| finals.untested.as_deref());
        let (verdict, test_error) = match top.and_then(|top| top.test.get(&1)) {
            Some(test) => {
                let (error, images) = (measured(test), with_commas(test.images));
                let line = format!("{error}, by {images} images that no choice has seen");
                (percent(test.error) + " test error", line)
            }
            None => {
                let how = "not measured: `metaqnn finalize DIR` trains the best for long, and \
                           tests them once";
                (percent(right) + " validation accuracy", untested.unwrap_or(how).to_owned())
            }
        };
        let mean = top.and_then(|top| {
            let (mean, spread) = (percent(top.mean_test_error?), percent(top.test_error_spread?));
            Some(format!(
                "That is the first of {} trainings, as planned before; their mean is {mean}, \
                 standard deviation {spread}.",
                top.test.len()
            ))
        });
        let validation = validation.map(|it| {
            let interval = it.interval().map(|[low, high]| [1.0 - high, 1.0 - low]);
            let accuracy = with_interval(1.0 - it.error, interval);
            format!("Validation accuracy after the long training: {accuracy}.")
        });
        let images = self.summary.validation_images;
        let images = images.map_or(String::new(), |it| format!(", by {} images", with_commas(it)));
        let in_search =
            format!("Best validation accuracy in the search: {}{images}.", accuracy(best));
        let lines = [Some(format!("Test error: {test_error}.")), mean, validation, Some(in_search)];
        [verdict, lines.iter().flatten().join("\n")]
    }

    fn hours(&self, seconds: f64) -> String {
        time(seconds, self.summary.uses_accelerator)
    }

    fn cost(&self) -> Answer {
        let Ledger { saved_seconds, lost_seconds, .. } = self.summary.seconds;
        let spent = self.summary.seconds.spent();
        let whole = (spent + saved_seconds).max(f64::MIN_POSITIVE);
        let mut details = format!(
            "For {} results, of which {} were stopped early.\nSaved by stopping: about {}, {} of \
             what the search would have taken without.\nLost in trainings without a result: {}.",
            self.summary.results,
            self.summary.counts.of(Event::Stopped),
            self.hours(saved_seconds),
            percent(saved_seconds / whole),
            self.hours(lost_seconds)
        );
        if let Some(Finals { networks, .. }) = &self.finals {
            let repeats = networks.iter().flat_map(|network| &network.repeats);
            let seconds = networks.iter().map(|network| network.seconds);
            let seconds = seconds.chain(repeats.map(|repeat| repeat.seconds)).sum();
            details += &format!("\nBesides, the final trainings: {}.", self.hours(seconds));
        }
        [self.hours(spent), details]
    }

    fn is_random(&self) -> bool {
        self.summary.results == self.summary.results_at_random
    }

    /// By the test error where it is known, else by what the searches have found.
    pub fn against_random(&self, all: &[Self]) -> Answer {
        let Some(best) = &self.summary.best else { return self.quality() };
        if self.is_random() {
            let details = "All networks of this search were drawn at random.";
            return ["It is random search", details].map(str::to_owned);
        }
        let spent = |search: &Self| search.hours(search.summary.seconds.spent());
        let finals = self.finals.as_ref().filter(|finals| finals.control.is_some());
        let tested = finals.and_then(|finals| {
            let rival = self.judged("control")?;
            Some((finals, self.judged(TOP)?.beside(rival)?, rival.resolved))
        });
        let control = all.iter().find(|it| it.is_random() && it.conditions == self.conditions);
        let control = control.and_then(|control| Some((control, control.summary.best.as_ref()?)));
        let (is_resolved, is_better, details) = match (tested, control) {
            (Some((finals, (by, [own, other]), resolved)), _) => {
                let control = certificate::control(finals).unwrap_or_default();
                let [owns, others] = [own, other].map(measured);
                let details = format!("By {by}: {owns} against {others}.\n{control}");
                (resolved, own.error < other.error, details)
            }
            (None, Some((control, rival))) => {
                let details = format!(
                    "Best validation accuracy: {} after {}, against {} of the random search `{}` \
                     after {}.\nAfter long trainings: `metaqnn finalize DIR --control RANDOM`.",
                    accuracy(best),
                    spent(self),
                    accuracy(rival),
                    control.summary.experiment,
                    spent(control)
                );
                let is_better = best.best_validation_accuracy > rival.best_validation_accuracy;
                (best.is_told_from(rival), is_better, details)
            }
            (None, None) => {
                let how = "At equal cost: `metaqnn finalize DIR --control RANDOM`, RANDOM being a \
                           random search.";
                let lines = [self.after_long_training(), self.beside_random_draws(best)];
                let lines = lines.into_iter().flatten().chain([how.to_owned()]);
                return ["Not measured".to_owned(), lines.collect_vec().join("\n")];
            }
        };
        let (verdict, why) = match (is_resolved, is_better) {
            (Some(true), true) => ("Yes", "The intervals do not overlap."),
            (Some(true), false) => ("No, it is worse", "The intervals do not overlap."),
            (Some(false), _) => ("Not proven", "The intervals overlap."),
            (None, _) => ("Not proven", "An interval is not known."),
        };
        [verdict.to_owned(), format!("{why} {details}")]
    }

    /// Beside the control from this search, which has cost less.
    fn after_long_training(&self) -> Option<String> {
        let control = self.judged("control")?;
        let (by, errors) = self.judged(TOP)?.beside(control)?;
        let [own, other] = errors.map(measured);
        let overlap = if control.resolved == Some(true) { "do not overlap" } else { "overlap" };
        Some(format!(
            "The best network drawn at random in this search, after the same long training, by {by}: \
             {own} against its {other}; the intervals {overlap}."
        ))
    }

    fn beside_random_draws(&self, best: &BestNetwork) -> Option<String> {
        let random = self.summary.results_at_random;
        let rival = self.summary.best_at_random.as_ref()?;
        Some(match rival.iteration == best.iteration {
            true => format!(
                "In the search, the best network is itself one of the {random} drawn at random."
            ),
            false => format!(
                "In the search, the best of all has {}, the best of the {random} that were drawn at \
                 random {}.",
                accuracy(best),
                accuracy(rival)
            ),
        })
    }

    fn stopping(&self) -> Answer {
        let EarlyStopping { audited, false_stops, stopped, .. } = self.summary.early_stopping;
        let verdict = match (audited, stopped) {
            (1.., _) => format!("{false_stops} of {audited} times"),
            (0, 1..) => "Not measured".to_owned(),
            (0, 0) => "Nothing was stopped".to_owned(),
        };
        [verdict, certificate::stopping(&SearchFacts::of(&self.summary, self.seed))]
    }
}
