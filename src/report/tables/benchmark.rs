//! `benchmark.csv`, `summary.csv` and `strategies.csv`: strategies compared.

use derive_more::Deref;
use itertools::Itertools;

use super::table::*;
use crate::report::benchmark::{
    AtCost, Comparison, Contender, ContenderSummary, FoundSoFar, SimulatedSearch, Spent,
};

#[derive(Deref)]
struct CourseRow<'a> {
    of: &'a SimulatedSearch,
    results: u64,
    #[deref]
    found: FoundSoFar,
}

#[derive(Deref)]
struct CostRow<'a> {
    of: &'a Contender,
    #[deref]
    at: &'a AtCost,
}

pub fn of_comparison(comparison: &Comparison) -> TableSet {
    let mut set = TableSet::default();
    let courses = comparison.searches.iter().flat_map(|of| {
        let numbered =
            (1..).zip(&of.course).map(|(results, found)| CourseRow { of, results, found: *found });
        // In between nothing better was found.
        let is_same = |a: &CourseRow<'_>, b: &CourseRow<'_>| {
            a.best == b.best && a.top_ten == b.top_ten && b.results < b.of.course.len() as u64
        };
        numbered.dedup_by(move |a, b| is_same(a, b))
    });
    let columns = columns! { CourseRow<'_>:
        strategy: TEXT, "Who says which network comes next",
            |row| row.of.contender.strategy.clone();
        early_stopping: BOOLEAN, "Whether trainings were stopped early",
            |row| row.of.contender.early_stopping;
        seed: COUNT, "Seed of the search", |row| row.of.seed;
        results: POSITIVE, "Results so far; there is a row where best or top_ten changes, and for \
            the last one";
        seconds: SECONDS, "Recorded seconds from the beginning of the search to this result";
        best: SHARE, "True accuracy (mean over its recorded trainings) of the best network that \
            was trained to the end; 0 before the first one";
        top_ten: SHARE, "Mean of the ten best of them, or of as many as there are";
    };
    set.add("benchmark", &columns, &courses.collect_vec());
    let costs = comparison.contenders.iter();
    let costs = costs.flat_map(|of| of.at.iter().map(|at| CostRow { of: &of.contender, at }));
    let columns = columns! { CostRow<'_>:
        strategy: TEXT, "Who says which network comes next", |row| row.of.strategy.clone();
        early_stopping: BOOLEAN, "Whether trainings were stopped early",
            |row| row.of.early_stopping;
        share: SHARE, "Share of the recorded networks";
        networks: POSITIVE, "Results of each search; empty where seconds are equal",
            |row| if let Spent::Networks(count) = row.spent { Some(count) } else { None };
        seconds: SECONDS, "Seconds in which random search has as many results (median; of two \
            the one without early stopping; without random search the first strategy); empty \
            where networks are equal. A search that has ended before counts as it ended",
            |row| if let Spent::Seconds(most) = row.spent { Some(most) } else { None };
        best: SHARE, "Median over seeds of the best true accuracy", |row| row.best.median;
        best_low: SHARE, "Lower end of its 95 % interval (bootstrap)", |row| row.best.low;
        best_high: SHARE, "Upper end of its 95 % interval", |row| row.best.high;
        top_ten: SHARE, "Median over seeds of the mean of the ten best", |row| row.top_ten.median;
        top_ten_low: SHARE, "Lower end of its 95 % interval", |row| row.top_ten.low;
        top_ten_high: SHARE, "Upper end of its 95 % interval", |row| row.top_ten.high;
        beats_random: SHARE, "Share of seeds with a better best network than random search's, \
            ties half";
        beats_random_low: SHARE, "Lower end of its 95 % interval (bootstrap)",
            |row| row.beats_random_interval.map(|[low, _]| low);
        beats_random_high: SHARE, "Upper end of its 95 % interval",
            |row| row.beats_random_interval.map(|[_, high]| high);
    };
    set.add("summary", &columns, &costs.collect_vec());
    let columns = columns! { ContenderSummary:
        strategy: TEXT, "Who says which network comes next", |row| row.contender.strategy.clone();
        early_stopping: BOOLEAN, "Whether trainings were stopped early",
            |row| row.contender.early_stopping;
        seeds: POSITIVE, "Number of searches";
        seconds_to_top_three: SECONDS, "Median of the seconds until one of the three truly best \
            networks was trained to the end; empty where too few searches have come to that",
            |row| row.seconds_to_top_three.median;
        seconds_to_top_three_low: SECONDS, "Lower end of its 95 % interval (bootstrap)",
            |row| row.seconds_to_top_three.low;
        seconds_to_top_three_high: SECONDS, "Upper end of its 95 % interval; empty as above",
            |row| row.seconds_to_top_three.high;
        never_found: COUNT, "Searches that trained none of the three to the end";
        wall_seconds_per_draw: SECONDS, "Time of a draw on this machine, in this run";
        processor_seconds_per_draw: SECONDS, "Its time on the processor";
        processor_seconds_per_search: SECONDS, "Time of a whole search on the processor";
    };
    set.add("strategies", &columns, &comparison.contenders);
    set.add_dictionary();
    set
}
