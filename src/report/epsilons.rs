//! Each epsilon of a search in numbers.

use std::collections::HashSet;

use serde::Serialize;

use super::iterations::{Ledger, StatusCounts, epsilon_bits, final_accuracy, grouped};
use super::search::SearchData;
use crate::q_learning::{EpsilonStage, StageCounts};
use crate::storage::Row;

/// One epsilon of the search, a part of `status --json`: the keys are stable. What each means is
/// said in `tables/epsilon_summary.rs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpsilonSummary {
    pub epsilon: f64,
    pub wanted: Option<u64>,
    pub exhausted: bool,
    pub results: u64,
    pub iterations: u64,
    pub distinct_architectures: u64,
    pub first_iteration: Option<u64>,
    pub last_iteration: Option<u64>,
    pub counts: StatusCounts,
    pub memory_rows: u64,
    pub mean_reward_of_new: Option<f64>,
    /// The "mean accuracy at epsilon" of MetaQNN's figure 3. At a low epsilon one good network
    /// drawn again and again can be most of it.
    pub mean_reward_with_repeats: Option<f64>,
    pub repeats: u64,
    pub best_validation_accuracy: Option<f64>,
    pub seconds: Ledger,
}

impl EpsilonSummary {
    /// Sums up each epsilon: those of the schedule in its order, then others downwards.
    pub fn of_each(search: &SearchData) -> Vec<Self> {
        let mut sampled = grouped(&search.iterations, epsilon_bits);
        let of_stage = |(stage, counts): &(EpsilonStage, StageCounts)| {
            let epsilon = stage.epsilon.value();
            let rows = sampled.remove(&epsilon.to_bits()).unwrap_or_default();
            let wanted = Some(stage.architectures);
            Self { wanted, exhausted: counts.exhausted, ..Self::of_one(epsilon, &rows) }
        };
        let mut summaries: Vec<Self> = search.stages.iter().map(of_stage).collect();
        let others = sampled.into_iter().rev();
        summaries.extend(others.map(|(bits, rows)| Self::of_one(f64::from_bits(bits), &rows)));
        summaries
    }

    fn of_one(epsilon: f64, rows: &[&Row]) -> Self {
        let counts = StatusCounts::over(rows.iter().copied());
        let architectures: HashSet<_> =
            rows.iter().filter_map(|row| row.architecture.as_ref()).collect();
        let rewards: Vec<f64> = rows.iter().filter_map(|row| row.reward).collect();
        let results = rows.iter().filter(|row| row.event.is_result());
        let rewards_of_new: Vec<f64> = results.filter_map(|row| row.reward).collect();
        Self {
            epsilon,
            wanted: None,
            exhausted: false,
            results: counts.results(),
            iterations: rows.len() as u64,
            distinct_architectures: architectures.len() as u64,
            first_iteration: rows.first().and_then(|row| Some(row.iteration?.0)),
            last_iteration: rows.last().and_then(|row| Some(row.iteration?.0)),
            counts,
            memory_rows: rewards.len() as u64,
            mean_reward_of_new: mean(&rewards_of_new),
            mean_reward_with_repeats: mean(&rewards),
            repeats: (rewards.len() - rewards_of_new.len()) as u64,
            best_validation_accuracy: rows
                .iter()
                .filter_map(|row| final_accuracy(row))
                .reduce(f64::max),
            seconds: Ledger::over(rows.iter().copied()),
        }
    }

    /// Returns how many architectures are still to get a result at this epsilon.
    pub fn left(&self) -> u64 {
        let wanted = self.wanted.filter(|_| !self.exhausted).unwrap_or(0);
        wanted.saturating_sub(self.results)
    }
}

fn mean(terms: &[f64]) -> Option<f64> {
    (!terms.is_empty()).then(|| terms.iter().sum::<f64>() / terms.len() as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::sample::{self, iteration};
    use super::*;
    use crate::storage::Event;

    fn of_sample() -> Vec<EpsilonSummary> {
        EpsilonSummary::of_each(&sample::search("torch"))
    }

    #[test]
    fn the_mean_reward_of_an_epsilon_is_that_of_new_networks_and_beside_it_that_with_repeats() {
        let first = &of_sample()[0];
        // Iterations 1, 2, 3 and 4, which repeats 1: (0.75 + 2/3 + 0.1 + 0.75) / 4.
        assert_eq!((first.memory_rows, first.repeats), (4, 1));
        assert!((first.mean_reward_with_repeats.unwrap() - 2.26666667 / 4.0).abs() < 1e-8);
        // Without the repeat: (0.75 + 2/3 + 0.1) / 3.
        assert!((first.mean_reward_of_new.unwrap() - 1.51666667 / 3.0).abs() < 1e-8);
    }

    #[test]
    fn an_epsilon_counts_what_was_sampled_at_it() {
        let first = &of_sample()[0];
        assert_eq!((first.iterations, first.distinct_architectures, first.results), (6, 5, 4));
        assert_eq!((first.first_iteration, first.last_iteration), (Some(1), Some(6)));
        let counts = [Event::Trained, Event::Failed, Event::OutOfMemory, Event::Reused]
            .map(|status| first.counts.of(status));
        assert_eq!(counts, [2, 1, 1, 1]);
        assert_eq!(first.counts.of(Event::Lost), 1);
        assert_eq!(first.best_validation_accuracy, Some(0.75));
        // 360.5 + 360.5 + 90 of results, a failed one among them; 12 of an attempt that was lost.
        assert_eq!((first.seconds.train_seconds, first.seconds.lost_seconds), (811.0, 12.0));
    }

    #[test]
    fn epsilons_outside_the_schedule_follow_it_downwards() {
        let mut search = sample::search("torch");
        search.stages.drain(..1);
        let epsilon = Some(0.7);
        search.iterations.push(Row { epsilon, ..iteration(12, Event::Lost) });
        let summaries = EpsilonSummary::of_each(&search);
        let found: Vec<_> = summaries.iter().map(|of| (of.epsilon, of.wanted)).collect();
        assert_eq!(found, [(0.5, Some(2)), (0.1, Some(4)), (1.0, None), (0.7, None)]);
    }

    /// The paper's 0.5225 at epsilon 1 is a mean over all rows of the authors' replay file,
    /// repeats included; over first rows it is 0.542 (that file is not part of the project).
    #[test]
    fn the_authors_search_has_the_papers_mean_at_epsilon_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/metaqnn-svhn/replay_database.csv");
        let Ok(mut reader) = csv::Reader::from_path(path) else { return };
        let mut seen = BTreeSet::new();
        let mut iterations = Vec::new();
        for (number, row) in (1..).zip(reader.records()) {
            let row = row.unwrap();
            let accuracy: f64 = row[1].parse().unwrap();
            let is_new = seen.insert(row[0].to_owned());
            if accuracy <= 1.0 {
                let status = if is_new { Event::Imported } else { Event::Reused };
                iterations.push(Row {
                    architecture: Some(row[0].to_owned()),
                    epsilon: Some(row[8].parse().unwrap()),
                    reward: Some(accuracy),
                    best_validation_accuracy: Some(accuracy),
                    ..iteration(number, status)
                });
            }
        }
        let search = SearchData { iterations, ..SearchData::default() };
        let first = &EpsilonSummary::of_each(&search)[0];
        assert_eq!((first.epsilon, first.memory_rows), (1.0, 1615));
        assert!((first.mean_reward_with_repeats.unwrap() - 0.522514).abs() < 1e-6);
        assert!((first.mean_reward_of_new.unwrap() - 0.542).abs() < 5e-4);
    }
}
