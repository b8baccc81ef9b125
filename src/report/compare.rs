//! Searches side by side: what differs in their configuration, how good they are at equal cost,
//! and whether one is better than another.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use itertools::Itertools;
use serde::Serialize;

use super::benchmark::Spent;
use super::iterations::final_accuracy;
use super::resample::{bootstrap_interval, mean_of, permutation_probability};
use super::search::{SearchData, mark};
use super::summary::{BestNetwork, Summary};
use super::terminal::{self, WIDTH, bold, decimals, hanging, hours, hours_label, known, warning};
use crate::storage::Event;

/// Below it a difference is resolved.
const SIGNIFICANT: f64 = 0.05;
const SHARES: [f64; 3] = [0.25, 0.5, 1.0];
const LABEL: usize = 22;

/// Why accuracies that differ may say little, by the beginning of a key.
const CAUTIONS: [(&str, &str); 3] = [
    ("search_space.", "The search spaces differ: what is better may be so by its space."),
    (
        "training.epochs",
        "The networks were trained for other numbers of epochs: their accuracies are not the same \
         measure.",
    ),
    ("data.augment", "The training images were augmented otherwise."),
];

const NOTE: &str = "Intervals are a bootstrap: of one search over its networks (which of them it \
    drew; not another seed, nor other validation images), of several over their bests (seeds, and \
    what follows from them; too narrow for fewer than five). p: how likely a difference at least \
    so great is, were it chance which network, or of several which search, is whose (permutation \
    test); resolved below 0.05.";

/// A search with its configuration, by dotted key.
#[derive(Debug, Clone)]
pub struct ComparedSearch {
    /// Of its folder.
    pub name: String,
    pub seed: u64,
    pub search: SearchData,
    pub keys: BTreeMap<String, String>,
    /// Of the network of `finalize`, by repeat.
    pub test_errors: Vec<f64>,
}

/// What `compare --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct SideBySide {
    pub differing: Vec<DifferingKey>,
    pub warnings: Vec<String>,
    pub searches: Vec<SearchInBrief>,
    pub at: Vec<AtEqualCost>,
    pub answers: Vec<IsBetter>,
}

/// With its values, one a search; `None` where a search has no such key.
pub type DifferingKey = (String, Vec<Option<String>>);

#[derive(Debug, Clone, Serialize)]
pub struct SearchInBrief {
    pub name: String,
    pub seed: u64,
    /// Whether every network was drawn at random.
    pub at_random: bool,
    pub networks: u64,
    pub stopped: u64,
    /// Those out of memory included.
    pub failed: u64,
    pub seconds: f64,
    pub uses_accelerator: bool,
    pub best: Option<BestNetwork>,
    pub test_errors: Vec<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct AtEqualCost {
    /// Of each search.
    pub spent: Spent,
    /// One a configuration.
    pub of: Vec<BestAtCost>,
}

/// The best validation accuracy: of several seeds the mean of each one's best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestAtCost {
    pub name: String,
    pub seeds: usize,
    pub best: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IsBetter {
    pub name: String,
    pub than: String,
    pub spent: Spent,
    /// `None` where the difference may be chance.
    pub is_better: Option<bool>,
    /// Of a difference at least so great by chance.
    pub probability: f64,
}

/// A result: after how many seconds of training, and the accuracy of one that was trained to its
/// end, else 0.
type Found = (f64, f64);

/// Searches that differ in their seed alone, each by its results in the order of time.
struct Alike {
    name: String,
    at_random: bool,
    searches: Vec<Vec<Found>>,
}

/// What was lost costs seconds, too.
fn found(search: &SearchData) -> Vec<Found> {
    let mut seconds = 0.0;
    let in_order = search.iterations.iter().sorted_by_key(|row| row.time);
    let found = in_order.filter_map(|row| {
        seconds += row.train_seconds.unwrap_or(0.0) + row.lost_seconds.unwrap_or(0.0);
        row.event.is_result().then(|| (seconds, final_accuracy(row).unwrap_or(0.0)))
    });
    found.collect()
}

fn best_of(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The mean of each search's best; of one search the best of its networks.
fn statistic(several: bool) -> fn(&[f64]) -> f64 {
    if several { mean_of } else { best_of }
}

impl Alike {
    /// What chance decides at a cost: of several searches the best of each, of one its networks.
    fn values(&self, spent: Spent, several: bool) -> Vec<f64> {
        let within = |found: &Vec<Found>| {
            let count = match spent {
                Spent::Networks(networks) => found.len().min(networks as usize),
                Spent::Seconds(most) => found.partition_point(|(seconds, _)| *seconds <= most),
            };
            // Before the first result there is one of nothing.
            let accuracies = found[..count].iter().map(|(_, accuracy)| *accuracy);
            accuracies.pad_using(1, |_| 0.0).collect_vec()
        };
        match several {
            true => self.searches.iter().map(|found| best_of(&within(found))).collect(),
            false => within(&self.searches[0]),
        }
    }

    fn at(&self, spent: Spent) -> BestAtCost {
        let several = self.searches.len() > 1;
        let mut values = self.values(spent, several);
        values.sort_by(f64::total_cmp);
        let [low, high] = bootstrap_interval(&values, statistic(several));
        let (name, seeds) = (self.name.clone(), self.searches.len());
        BestAtCost { name, seeds, best: statistic(several)(&values), low, high }
    }

    fn is_better(&self, than: &Self, spent: Spent) -> IsBetter {
        let several = self.searches.len() > 1 || than.searches.len() > 1;
        let statistic = statistic(several);
        let [own, other] = [self, than].map(|of| of.values(spent, several));
        let probability = permutation_probability(&own, &other, statistic);
        let resolved = probability < SIGNIFICANT;
        IsBetter {
            name: self.name.clone(),
            than: than.name.clone(),
            spent,
            is_better: resolved.then(|| statistic(&own) > statistic(&other)),
            probability,
        }
    }
}

impl BestAtCost {
    fn label(&self) -> String {
        match self.seeds {
            1 => self.name.clone(),
            seeds => format!("{} ({seeds} seeds)", self.name),
        }
    }
}

impl SideBySide {
    /// Of two searches or more.
    pub fn of(searches: &[ComparedSearch], mut warnings: Vec<String>) -> Self {
        let differing = differing(searches);
        let is_other = |prefix: &str| differing.iter().any(|(key, _)| key.starts_with(prefix));
        let cautions = CAUTIONS.iter().filter(|(prefix, _)| is_other(prefix)).map(|it| it.1);
        let marks = searches.iter().filter_map(|of| mark(of.search.trainer)).unique();
        warnings.extend(cautions.chain(marks).map(str::to_owned));
        let in_brief = searches.iter().map(SearchInBrief::of).collect_vec();
        let mut alike = IndexMap::<&str, Alike>::new();
        for (of, SearchInBrief { name, at_random, .. }) in searches.iter().zip(&in_brief) {
            let new = || Alike { name: name.clone(), at_random: *at_random, searches: Vec::new() };
            let alike = alike.entry(&of.search.family).or_insert_with(new);
            alike.searches.push(found(&of.search));
        }
        let alike = alike.into_values().collect_vec();
        let networks = in_brief.iter().map(|of| of.networks).min().unwrap_or_default();
        let seconds = in_brief.iter().map(|of| of.seconds).fold(f64::INFINITY, f64::min);
        let of_networks = SHARES.map(|share| (share * networks as f64).ceil() as u64);
        let of_networks = of_networks.into_iter().dedup().map(Spent::Networks);
        let of_seconds = SHARES.map(|share| Spent::Seconds(share * seconds)).into_iter();
        let costs = of_networks.chain(of_seconds.filter(|_| seconds > 0.0)).collect_vec();
        let whole = costs.iter().chunk_by(|it| is_networks(it));
        let whole = whole.into_iter().filter_map(|(_, costs)| costs.last()).collect_vec();
        let control = alike.iter().position(|of| of.at_random).unwrap_or(0);
        let others = alike.iter().enumerate().filter(|(number, _)| *number != control);
        let pairs = others.cartesian_product(&whole);
        Self {
            answers: pairs.map(|((_, of), spent)| of.is_better(&alike[control], **spent)).collect(),
            differing,
            warnings,
            at: Vec::from_iter(costs.iter().map(|&spent| AtEqualCost {
                spent,
                of: alike.iter().map(|of| of.at(spent)).collect(),
            })),
            searches: in_brief,
        }
    }

    pub fn text(&self) -> String {
        let names = self.searches.iter().map(|of| of.name.clone()).collect_vec();
        let keys = self.differing.iter().map(|(key, values)| {
            [key.clone()]
                .into_iter()
                .chain(values.iter().map(|value| known(value.as_ref())))
                .collect()
        });
        let mut lines = vec![match self.differing.is_empty() {
            true => bold("The configurations differ in name and seed alone."),
            false => table("What differs", &names, keys.collect()),
        }];
        lines.extend(self.warnings.iter().map(|text| warning(&hanging("", text))));
        lines.push(bold("\nBest validation accuracy at equal cost"));
        // Nothing was trained to its end in so few seconds where the best is 0.
        let shown = |of: &BestAtCost, text: String| if of.best > 0.0 { text } else { "-".into() };
        let best = |of: &BestAtCost| shown(of, decimals(of.best, 4));
        let interval = |of: &BestAtCost| shown(of, format!("{:.4}-{:.4}", of.low, of.high));
        let rows = self.at.iter().flat_map(|at| {
            let [mut bests, mut intervals] = [vec![cost(at.spent)], vec!["  95 %".to_owned()]];
            bests.extend(at.of.iter().map(best));
            intervals.extend(at.of.iter().map(interval));
            [bests, intervals]
        });
        let groups = self.at[0].of.iter().map(BestAtCost::label).collect_vec();
        lines.push(table("after", &groups, rows.collect()));
        lines.push(String::new());
        lines.push(table("Whole searches", &names, self.briefs()));
        for (than, answers) in &self.answers.iter().chunk_by(|it| (&it.name, &it.than)) {
            lines.push(self.answer(than.1, &answers.collect_vec()));
        }
        lines.push("\n".to_owned() + &hanging("", NOTE));
        lines.join("\n") + "\n"
    }

    fn briefs(&self) -> Vec<Vec<String>> {
        let row = |label: &str, cell: &dyn Fn(&SearchInBrief) -> String| {
            [label.to_owned()].into_iter().chain(self.searches.iter().map(cell)).collect()
        };
        let of_best = |search: &SearchInBrief, value: &dyn Fn(&BestNetwork) -> String| {
            known(search.best.as_ref().map(value))
        };
        let accuracy = |best: &BestNetwork| decimals(best.best_validation_accuracy, 4);
        let errors =
            |of: &SearchInBrief| of.test_errors.iter().map(|it| decimals(*it, 4)).join(" ");
        let accelerated = self.searches.iter().any(|of| of.uses_accelerator);
        let mut rows = vec![
            row("best accuracy", &|of| of_best(of, &accuracy)),
            row("of iteration", &|of| of_best(of, &|it| it.iteration.to_string())),
            row("network", &|of| of_best(of, &|it| it.architecture.clone())),
            row("networks", &|of| of.networks.to_string()),
            row("stopped", &|of| of.stopped.to_string()),
            row("failed", &|of| of.failed.to_string()),
            row(hours_label(accelerated), &|of| hours(of.seconds)),
        ];
        let is_tested = self.searches.iter().any(|of| !of.test_errors.is_empty());
        rows.extend(is_tested.then(|| row("test error", &errors)));
        rows
    }

    /// Plainly, then at each cost.
    fn answer(&self, than: &str, answers: &[&IsBetter]) -> String {
        let word = |it: &&&IsBetter| match it.is_better {
            Some(true) => "yes",
            Some(false) => "no, it is worse",
            None => "not resolved",
        };
        let all = answers.iter().map(|it| word(&it)).dedup().collect_vec();
        let plain = if let [one] = all[..] { one } else { "not resolved: it depends on the cost" };
        let at = |it: &&IsBetter| {
            format!("{} after {} (p = {:.3})", word(&it), cost(it.spent), it.probability)
        };
        let is_random = self.searches.iter().any(|of| of.name == than && of.at_random);
        let random = if is_random { " (at random)" } else { "" };
        let label = |name: &str| {
            let of = self.at[0].of.iter().find(|of| of.name == name);
            of.map_or(name.to_owned(), BestAtCost::label)
        };
        let [own, other] = [answers[0].name.as_str(), than].map(label);
        let question = format!("Is {own} better than {other}{random}? {plain}");
        let [question, at] =
            [question, answers.iter().map(at).join(", ")].map(|text| hanging("", &text));
        format!("\n{}\n{at}", bold(&question))
    }
}

impl SearchInBrief {
    fn of(of: &ComparedSearch) -> Self {
        let summary = Summary::of(&of.search);
        let iterations = &of.search.iterations;
        Self {
            name: of.name.clone(),
            seed: of.seed,
            at_random: !iterations.is_empty() && iterations.iter().all(|row| row.is_at_random()),
            networks: summary.results,
            stopped: summary.counts.of(Event::Stopped),
            failed: summary.counts.of(Event::Failed) + summary.counts.of(Event::OutOfMemory),
            seconds: summary.seconds.spent(),
            uses_accelerator: summary.uses_accelerator,
            best: summary.best,
            test_errors: of.test_errors.clone(),
        }
    }
}

/// Keys whose values are not all equal.
pub fn differing(searches: &[ComparedSearch]) -> Vec<DifferingKey> {
    let keys = searches.iter().flat_map(|of| of.keys.keys()).sorted().dedup();
    let values = |key| searches.iter().map(|of| of.keys.get(key).cloned()).collect_vec();
    let values = keys.map(|key| (key.clone(), values(key)));
    values.filter(|(_, values)| !values.iter().all_equal()).collect()
}

const fn is_networks(spent: &Spent) -> bool {
    matches!(spent, Spent::Networks(_))
}

fn cost(spent: Spent) -> String {
    match spent {
        Spent::Networks(1) => "1 network".to_owned(),
        Spent::Networks(networks) => format!("{networks} networks"),
        Spent::Seconds(seconds) if seconds < 10.0 => format!("{} s", decimals(seconds, 4)),
        Spent::Seconds(seconds) => format!("{seconds:.1} s"),
    }
}

/// A column a search.
fn table(title: &str, names: &[String], rows: Vec<Vec<String>>) -> String {
    let width = ((WIDTH - LABEL) / names.len()).max(8) as isize - 1;
    let widths = [1 - LABEL as isize].into_iter().chain(names.iter().map(|_| -width)).collect_vec();
    let heads = [&[title.to_owned()], names].concat();
    terminal::table(&heads, &widths, " ", rows.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::iteration;
    use crate::storage::Row;

    /// Of networks that took 10 s each.
    fn search(name: &str, strategy: &str, seed: u64, accuracies: &[f64]) -> ComparedSearch {
        let row = |(number, &accuracy)| Row {
            best_validation_accuracy: Some(accuracy),
            train_seconds: Some(10.0),
            architecture: Some(format!("[{number}]").into()),
            epsilon: Some(if strategy == "random" { 1.0 } else { 0.5 }),
            ..iteration(number, Event::Trained)
        };
        let iterations = (1..).zip(accuracies).map(row).collect();
        let family = strategy.to_owned();
        ComparedSearch {
            name: name.to_owned(),
            seed,
            search: SearchData { iterations, family, ..SearchData::default() },
            keys: BTreeMap::from([("strategy.kind".to_owned(), strategy.to_owned())]),
            test_errors: Vec::new(),
        }
    }

    #[test]
    fn the_best_at_equal_cost_is_the_mean_of_siblings_and_the_best_of_one() {
        let searches = [
            search("r", "random", 1, &[0.6, 0.5, 0.55, 0.9]),
            search("a", "evolution", 1, &[0.5, 0.7, 0.6]),
            search("a2", "evolution", 2, &[0.8, 0.4, 0.9]),
        ];
        let SideBySide { at, answers, .. } = SideBySide::of(&searches, Vec::new());
        let found = at.iter().map(|at| (at.spent, at.of[0].best, at.of[1].best)).collect_vec();
        let expected = [
            // (0.5 + 0.8) / 2, (0.7 + 0.8) / 2, (0.7 + 0.9) / 2; the fourth of `r` is beyond.
            (Spent::Networks(1), 0.6, 0.65),
            (Spent::Networks(2), 0.6, 0.75),
            (Spent::Networks(3), 0.6, 0.8),
            // Of 30 s: after 7.5 s there is none.
            (Spent::Seconds(7.5), 0.0, 0.0),
            (Spent::Seconds(15.0), 0.6, 0.65),
            (Spent::Seconds(30.0), 0.6, 0.8),
        ];
        for ((spent, random, own), by_hand) in found.into_iter().zip(expected) {
            assert_eq!((spent, random), (by_hand.0, by_hand.1));
            assert!((own - by_hand.2).abs() < 1e-12, "{spent:?}: {own}");
        }
        // Resamples of 0.5 and 0.8 have the means 0.5, 0.65 and 0.8.
        assert_eq!((at[0].of[1].low, at[0].of[1].high), (0.5, 0.8));
        // 0.7 and 0.9 against 0.6 differ by 0.2. Of the three divisions, 0.6 alone has 0.2, 0.9
        // alone 0.25, 0.7 alone 0.05: 2/3.
        assert_eq!(answers[0].is_better, None);
        assert!((answers[0].probability - 2.0 / 3.0).abs() < 0.02, "{answers:?}");
    }

    #[test]
    fn a_search_is_better_where_chance_would_hardly_set_its_networks_above() {
        // The eight best of sixteen networks are all of one: by chance in 2 of 12,870 cases.
        let [low, high] = [0.1, 0.5].map(|from| (0..8).map(move |n| from + 0.01 * f64::from(n)));
        let (low, high) = (low.collect_vec(), high.collect_vec());
        let answer = |own: &[f64], random: &[f64]| {
            let searches = [search("r", "random", 1, random), search("a", "evolution", 1, own)];
            let compared = SideBySide::of(&searches, Vec::new());
            (compared.answers[0].is_better, compared.text())
        };
        let (is_better, text) = answer(&high, &low);
        assert!(text.contains("Is a better than r (at random)? yes\u{1b}"), "{text}");
        assert_eq!(is_better, Some(true));
        let (is_better, text) = answer(&low, &high);
        assert!(is_better == Some(false) && text.contains("? no, it is worse"), "{text}");
        let (is_better, text) = answer(&high, &high);
        assert!(is_better.is_none() && text.contains("? not resolved"), "{text}");
    }

    #[test]
    fn short_times_are_told_apart() {
        assert_eq!([0.011, 0.022].map(|it| cost(Spent::Seconds(it))), ["0.0110 s", "0.0220 s"]);
        assert_eq!(cost(Spent::Seconds(68.44)), "68.4 s");
    }

    #[test]
    fn a_table_of_many_searches_fits_a_terminal() {
        let name = |number: usize| format!("search-with-a-long-name-{number}");
        let kinds = ["random", "evolution", "bayesian", "list", "exhaustive"];
        let searches = kinds.iter().enumerate();
        let searches =
            searches.map(|(n, kind)| search(&name(n), kind, 1, &[0.5, 0.6])).collect_vec();
        let text = SideBySide::of(&searches, Vec::new()).text();
        let text = anstream::adapter::strip_str(&text).to_string();
        let is_long = |line: &&str| line.chars().count() > WIDTH;
        assert_eq!(text.lines().find(is_long), None, "{text}");
        assert_eq!(text.matches("exhaustive").count(), 1, "{text}");
    }
}
