//! Searches in simulated time, compared: over seeds, at equal cost. What counts of a network is its
//! true accuracy, the mean over its recorded trainings, and only once a search has trained it to
//! the end.

mod figure;

use derive_more::Display;
use itertools::Itertools;
use serde::Serialize;

use super::resample::{bootstrap_interval, mean_of, median};
use super::terminal::{known, table};

/// Shares of the recorded networks after which searches are compared, besides their end.
const SHARES: [f64; 4] = [0.05, 0.1, 0.25, 0.5];
const TOP: usize = 10;
const CONTROL: &str = "random";

/// A strategy, with early stopping or without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Display)]
#[display("{strategy}{}", if *early_stopping { ", stopping" } else { "" })]
pub struct Contender {
    pub strategy: String,
    pub early_stopping: bool,
}

/// What a search has found after a result: 0 before a network was trained to its end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FoundSoFar {
    /// Simulated, from the beginning of the search.
    pub seconds: f64,
    pub best: f64,
    /// Mean of the ten best, or of as many as there are.
    pub top_ten: f64,
}

/// Returns what was found after each result: its time, and the true accuracy of a network that was
/// trained to the end.
pub fn course(results: impl IntoIterator<Item = (f64, Option<f64>)>) -> Vec<FoundSoFar> {
    let mut best = Vec::new();
    let after = results.into_iter().map(|(seconds, accuracy)| {
        if let Some(accuracy) = accuracy {
            best.insert(best.partition_point(|other| *other >= accuracy), accuracy);
            best.truncate(TOP);
        }
        let top_ten = best.iter().sum::<f64>() / best.len().max(1) as f64;
        FoundSoFar { seconds, best: best.first().copied().unwrap_or_default(), top_ten }
    });
    after.collect()
}

#[derive(Debug, Clone)]
pub struct SimulatedSearch {
    pub contender: Contender,
    pub seed: u64,
    /// After each result.
    pub course: Vec<FoundSoFar>,
    pub cost: SearchCost,
}

/// What the program took, not the trainings.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchCost {
    pub draws: u64,
    /// Of the draws, what is learned for them included.
    pub draw_wall_seconds: f64,
    pub draw_processor_seconds: f64,
    /// Of the whole search.
    pub processor_seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spent {
    /// Results of each search.
    Networks(u64),
    /// The median that the control needs for so many results.
    Seconds(f64),
}

impl SimulatedSearch {
    /// What it has found for that much; at its end, where it has ended before.
    fn at(&self, spent: Spent) -> FoundSoFar {
        let results = match spent {
            Spent::Networks(networks) => self.course.len().min(networks as usize),
            Spent::Seconds(most) => self.course.partition_point(|found| found.seconds <= most),
        };
        results.checked_sub(1).map_or(FoundSoFar::default(), |last| self.course[last])
    }

    /// Endless where it has found none so good.
    fn seconds_to(&self, accuracy: f64) -> f64 {
        let found = self.course.iter().find(|found| found.best >= accuracy);
        found.map_or(f64::INFINITY, |found| found.seconds)
    }
}

/// The median over seeds with its [`bootstrap_interval`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MedianOverSeeds {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl MedianOverSeeds {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = values.sorted_by(f64::total_cmp).collect_vec();
        let [low, high] = bootstrap_interval(&values, median);
        Self { median: median(&values), low, high }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct AtCost {
    /// Of the recorded networks.
    pub share: f64,
    #[serde(flatten)]
    pub spent: Spent,
    pub best: MedianOverSeeds,
    pub top_ten: MedianOverSeeds,
    /// Share of seeds in which it has found a better one than the control, ties half.
    pub beats_random: Option<f64>,
    /// Its [`bootstrap_interval`].
    pub beats_random_interval: Option<[f64; 2]>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ContenderSummary {
    #[serde(flatten)]
    pub contender: Contender,
    pub seeds: u64,
    /// Until one of the three truly best was trained to its end; none where at least half of the
    /// searches have not come to that.
    pub seconds_to_top_three: MedianOverSeeds,
    pub never_found: u64,
    pub at: Vec<AtCost>,
    pub wall_seconds_per_draw: f64,
    pub processor_seconds_per_draw: f64,
    pub processor_seconds_per_search: f64,
}

#[derive(Debug)]
pub struct Comparison {
    /// By contender, then by seed.
    pub searches: Vec<SimulatedSearch>,
    pub contenders: Vec<ContenderSummary>,
}

impl Comparison {
    /// Of searches by contender, then by seed, the same for each, and the true accuracies of all
    /// recorded networks: 0 of those that were never trained to the end, which none finds.
    pub fn of(searches: Vec<SimulatedSearch>, truth: &[f64]) -> Self {
        let trained = truth.iter().copied().filter(|accuracy| *accuracy > 0.0);
        let third_best = trained.k_largest_by(3, f64::total_cmp).last().unwrap_or(f64::INFINITY);
        let networks = truth.len() as f64;
        let all = searches.chunk_by(|a, b| a.contender == b.contender).collect_vec();
        let is_control = |of: &&&[SimulatedSearch]| of[0].contender.strategy == CONTROL;
        // That without early stopping, where there are two.
        let control = all.iter().filter(is_control).min_by_key(|of| of[0].contender.early_stopping);
        let most = searches.iter().map(|of| of.course.len()).max().unwrap_or_default();
        let shares = SHARES.map(|share| (share * networks).ceil() as u64);
        let counts = shares.into_iter().filter(|count| *count < most as u64).chain([most as u64]);
        let equal_networks = counts.map(|count| (count, Spent::Networks(count))).collect_vec();
        let reference = control.unwrap_or(&all[0]);
        let equal_seconds = equal_networks.iter().map(|(count, spent)| {
            let seconds = reference.iter().map(|search| search.at(*spent).seconds);
            (*count, Spent::Seconds(MedianOverSeeds::of(seconds).median))
        });
        let costs = equal_networks.iter().copied().chain(equal_seconds).collect_vec();
        let summary = |of: &[SimulatedSearch]| {
            let over_seeds =
                |value: &dyn Fn(&SimulatedSearch) -> f64| MedianOverSeeds::of(of.iter().map(value));
            let control = control.filter(|control| control[0].contender != of[0].contender);
            let at = costs.iter().map(|&(count, spent)| {
                let wins = control.map(|control| wins(of, control, spent));
                AtCost {
                    share: count as f64 / networks,
                    spent,
                    best: over_seeds(&|search| search.at(spent).best),
                    top_ten: over_seeds(&|search| search.at(spent).top_ten),
                    beats_random: wins.as_deref().map(mean_of),
                    beats_random_interval: wins.map(|wins| bootstrap_interval(&wins, mean_of)),
                }
            });
            let is_endless = |of: &&SimulatedSearch| of.seconds_to(third_best).is_infinite();
            let sum =
                |value: fn(&SearchCost) -> f64| of.iter().map(|of| value(&of.cost)).sum::<f64>();
            let draws = sum(|cost| cost.draws as f64).max(1.0);
            ContenderSummary {
                contender: of[0].contender.clone(),
                seeds: of.len() as u64,
                seconds_to_top_three: over_seeds(&|search| search.seconds_to(third_best)),
                never_found: of.iter().filter(is_endless).count() as u64,
                at: at.collect(),
                wall_seconds_per_draw: sum(|cost| cost.draw_wall_seconds) / draws,
                processor_seconds_per_draw: sum(|cost| cost.draw_processor_seconds) / draws,
                processor_seconds_per_search: sum(|cost| cost.processor_seconds) / of.len() as f64,
            }
        };
        let contenders = all.iter().map(|of| summary(of)).collect();
        Self { searches, contenders }
    }

    /// The best true accuracy against simulated seconds, as SVG.
    pub fn figure(&self) -> String {
        figure::svg(self)
    }

    /// In 80 columns.
    pub fn table(&self) -> String {
        let is_networks = |at: &&AtCost| matches!(at.spent, Spent::Networks(_));
        let is_seconds = |at: &&AtCost| !is_networks(at);
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        let median = |at: &AtCost| percent(at.best.median);
        let interval = |at: &AtCost| format!("{}-{}", percent(at.best.low), percent(at.best.high));
        let wins = |at: &AtCost| known(at.beats_random.map(|share| format!("{share:.3}")));
        let wins_interval = |at: &AtCost| {
            let ends = at.beats_random_interval;
            ends.map_or(String::new(), |[low, high]| format!("{low:.3}-{high:.3}"))
        };
        let title = "Best true accuracy in %, median over seeds with its 95 % interval";
        let best: [&dyn Fn(&AtCost) -> String; 2] = [&median, &interval];
        let row = |of: &ContenderSummary| {
            let found = &of.seconds_to_top_three;
            vec![
                of.contender.to_string(),
                seconds(found.median),
                format!("{}-{}", seconds(found.low), seconds(found.high)),
                format!("{}/{}", of.never_found, of.seeds),
                format!("{:.2}", 1000.0 * of.wall_seconds_per_draw),
                format!("{:.2}", 1000.0 * of.processor_seconds_per_draw),
            ]
        };
        let heads = ["", "median", "95 % interval", "never", "wall ms", "CPU ms"];
        let times = table(&heads, &[-25, 9, 19, 7, 7, 8], " ", self.contenders.iter().map(row));
        let wins_title = "Share of seeds better than `random`, ties half, with its 95 % interval";
        [
            self.block([title, "after networks"], &is_networks, &best),
            self.block([title, "after seconds"], &is_seconds, &best),
            self.block([wins_title, "after seconds"], &is_seconds, &[&wins, &wins_interval]),
            format!("Seconds until one of the three truly best, and what a draw takes\n{times}\n"),
        ]
        .concat()
    }

    /// At the four greatest costs of one kind, for each contender a line of each of `cells`.
    fn block(
        &self,
        [title, label]: [&str; 2],
        is_of: &dyn Fn(&&AtCost) -> bool,
        cells: &[&dyn Fn(&AtCost) -> String],
    ) -> String {
        let row = |label: String, of: &ContenderSummary, cell: &dyn Fn(&AtCost) -> String| {
            [label].into_iter().chain(of.at.iter().filter(is_of).tail(4).map(cell)).collect_vec()
        };
        let head = |at: &AtCost| match at.spent {
            Spent::Networks(count) => count.to_string(),
            Spent::Seconds(most) => seconds(most),
        };
        let rows = self.contenders.iter().flat_map(|of| {
            let labels = [of.contender.to_string(), String::new()];
            labels.into_iter().zip(cells).map(move |(label, cell)| row(label, of, cell))
        });
        let heads = row(label.to_owned(), &self.contenders[0], &head);
        format!("{title}\n{}\n\n", table(&heads, &[-25, 12, 12, 12, 12], " ", rows))
    }
}

/// By seed, sorted: a better best network than the control's counts 1, an equal one 1/2.
fn wins(of: &[SimulatedSearch], control: &[SimulatedSearch], spent: Spent) -> Vec<f64> {
    let points = of.iter().zip(control).map(|(own, control)| {
        let [own, control] = [own, control].map(|search| search.at(spent).best);
        if own == control { 0.5 } else { f64::from(u8::from(own > control)) }
    });
    points.sorted_by(f64::total_cmp).collect()
}

fn seconds(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.2}"),
        f64::INFINITY => "never".to_owned(),
        _ => format!("{seconds:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(strategy: &str, early_stopping: bool, accuracies: &[f64]) -> SimulatedSearch {
        let contender = Contender { strategy: strategy.to_owned(), early_stopping };
        let results = (1..).zip(accuracies).map(|(n, &at)| (f64::from(n), Some(at)));
        let cost = SearchCost { draws: 2, draw_wall_seconds: 0.5, ..SearchCost::default() };
        SimulatedSearch { contender, seed: 1, course: course(results), cost }
    }

    fn best(of: &ContenderSummary) -> Vec<f64> {
        of.at.iter().map(|at| at.best.median).collect()
    }

    #[test]
    fn only_what_was_trained_to_the_end_is_found() {
        let found = course([(2.0, None), (3.0, Some(0.5)), (4.0, Some(0.75)), (9.0, None)]);
        let expected = [(2.0, 0.0, 0.0), (3.0, 0.5, 0.5), (4.0, 0.75, 0.625), (9.0, 0.75, 0.625)];
        let found = found.iter().map(|it| (it.seconds, it.best, it.top_ten)).collect_vec();
        assert_eq!(found, expected);
        // Of 1 to 12 the ten best are 3 to 12.
        let all = course((1..=12).map(|n| (1.0, Some(f64::from(n)))));
        assert_eq!(all[11].top_ten, 7.5);
    }

    #[test]
    fn the_median_lies_in_an_interval_of_values_that_were_seen() {
        let of = MedianOverSeeds::of((1..=100).map(f64::from));
        assert_eq!(of.median, 50.5);
        // By order statistics: the ranks 40 and 61 of 100 have at least 95 %.
        assert!((38.0..45.0).contains(&of.low) && (56.0..63.0).contains(&of.high), "{of:?}");
        let one = MedianOverSeeds::of([0.25].into_iter());
        assert_eq!((one.median, one.low, one.high), (0.25, 0.25, 0.25));
        let never = MedianOverSeeds::of([1.0, f64::INFINITY, f64::INFINITY].into_iter());
        assert_eq!((never.median, never.high), (f64::INFINITY, f64::INFINITY));
    }

    /// Four results of 40 recorded networks: costs are 2 networks (5 %) and 4 (the end).
    fn comparison() -> Comparison {
        let searches = vec![
            search("random", true, &[0.5, 0.5, 0.5, 0.5]),
            search("random", false, &[0.25, 0.5, 0.5, 0.5]),
            search("random", false, &[0.25, 0.25, 0.75, 0.75]),
            search("evolution", false, &[0.5, 0.5, 0.5, 0.75]),
            search("evolution", false, &[0.75]),
        ];
        Comparison::of(searches, &[&[0.75; 3][..], &[0.5; 37]].concat())
    }

    #[test]
    fn what_was_never_trained_to_the_end_is_none_of_the_three_best() {
        let one = search("random", false, &[]);
        let of = |course, truth: &[f64]| {
            let search = SimulatedSearch { course, ..one.clone() };
            Comparison::of(vec![search], truth).contenders[0].seconds_to_top_three.median
        };
        let found = course([(1.0, None), (2.0, Some(0.5)), (3.0, None)]);
        assert_eq!(of(found, &[0.0, 0.5, 0.0]), 2.0);
        assert_eq!(of(course([(1.0, None)]), &[0.0, 0.0, 0.0]), f64::INFINITY);
    }

    #[test]
    fn contenders_are_compared_at_equal_networks_and_at_equal_seconds() {
        let Comparison { contenders, .. } = comparison();
        let [stopping, random, evolution] = &contenders[..] else { panic!("{contenders:?}") };
        let costs = random.at.iter().map(|at| (at.share, at.spent)).collect_vec();
        let expected = [
            (0.05, Spent::Networks(2)),
            (0.1, Spent::Networks(4)),
            (0.05, Spent::Seconds(2.0)),
            (0.1, Spent::Seconds(4.0)),
        ];
        assert_eq!(costs, expected);
        // The means of two seeds: (0.5 + 0.25) / 2, (0.5 + 0.75) / 2.
        assert_eq!(best(random), [0.375, 0.625, 0.375, 0.625]);
        // The second search ended after one network, with 0.75.
        assert_eq!(best(evolution), [0.625, 0.75, 0.625, 0.75]);
        // Against random without stopping, seed by seed: a tie and a win; a win and a tie.
        let wins = evolution.at.iter().map(|at| at.beats_random).collect_vec();
        assert_eq!(wins, [Some(0.75); 4]);
        // Resamples of 1/2 and 1 have the means 0.5, 0.75 and 1.
        assert_eq!(evolution.at[0].beats_random_interval, Some([0.5, 1.0]));
        assert!(random.at.iter().all(|at| at.beats_random.is_none()));
        assert!(stopping.at.iter().all(|at| at.beats_random.is_some()));
        let found = contenders.iter().map(|of| (of.seconds_to_top_three.median, of.never_found));
        let endless = f64::INFINITY;
        assert_eq!(found.collect_vec(), [(endless, 1), (endless, 1), (2.5, 0)]);
        assert_eq!(evolution.wall_seconds_per_draw, 0.25);
    }

    #[test]
    fn the_table_fits_a_terminal_and_the_figure_has_every_contender() {
        let mut comparison = comparison();
        comparison.contenders[2].contender =
            Contender { strategy: "policy_gradient".to_owned(), early_stopping: true };
        let table = anstream::adapter::strip_str(&comparison.table()).to_string();
        let too_long = table.lines().find(|line| line.chars().count() > 80);
        assert_eq!(too_long, None, "{table}");
        assert!(table.contains("policy_gradient, stopping") && table.contains("75.00"), "{table}");
        let figure = comparison.figure();
        // A band, a line and its sample in the legend each.
        assert_eq!(figure.matches("<g class=").count(), 9);
        assert!(figure.contains("random, stopping") && !figure.contains("NaN"));
    }
}
