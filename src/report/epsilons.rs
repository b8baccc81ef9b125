//! Each epsilon of a search in numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::counts::{Ledger, Mean, StatusCounts};
use super::records::{IterationRecord, Status};
use super::settings::SearchSettings;

/// One epsilon of the search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpsilonSummary {
    /// Share of random actions, in [0, 1].
    pub epsilon: f64,
    /// Architectures that are to get a result at it; `None` when the schedule does not have it.
    pub wanted: Option<u64>,
    /// Whether it was closed because nothing new could be drawn.
    pub exhausted: bool,
    /// Architectures that got their result at it.
    pub results: u64,
    /// Iterations sampled at it.
    pub iterations: u64,
    /// Distinct architectures among those, known from before or not.
    pub distinct_architectures: u64,
    /// The first of its iterations.
    pub first_iteration: Option<u64>,
    /// The last of its iterations.
    pub last_iteration: Option<u64>,
    /// What became of the iterations.
    pub counts: StatusCounts,
    /// Rows of the replay memory sampled at it: results and repeats that carry a reward.
    pub memory_rows: u64,
    /// Mean reward over the rows that are results: the networks that are new at this epsilon, each once.
    pub mean_reward_of_new: Option<f64>,
    /// Mean reward over all those rows, repeats included: the "mean accuracy at epsilon" of MetaQNN's figure 3.
    /// At a low epsilon one good network drawn again and again can be most of it.
    pub mean_reward_with_repeats: Option<f64>,
    /// Rows of the memory that repeat a network that has its result already.
    pub repeats: u64,
    /// Greatest validation accuracy of a network trained to the end or imported, in [0, 1].
    pub best_validation_accuracy: Option<f64>,
    /// Seconds of training.
    pub seconds: Ledger,
}

impl EpsilonSummary {
    /// Sums up each epsilon: those of the schedule in its order, then others downwards.
    pub fn of_each(settings: &SearchSettings, iterations: &[IterationRecord]) -> Vec<Self> {
        // Bits of floats from 0 up are ordered as the floats.
        let key = |epsilon: f64| epsilon.max(0.0).to_bits();
        let mut sampled = BTreeMap::<u64, Vec<&IterationRecord>>::new();
        for record in iterations {
            if let Some(epsilon) = record.epsilon {
                sampled.entry(key(epsilon)).or_default().push(record);
            }
        }
        let mut summaries = Vec::<Self>::new();
        for stage in &settings.schedule {
            if let Some(known) = summaries.iter_mut().find(|known| known.epsilon == stage.epsilon) {
                known.wanted = known.wanted.map(|wanted| wanted + stage.wanted);
                known.exhausted |= stage.exhausted;
                continue;
            }
            let records = sampled.remove(&key(stage.epsilon)).unwrap_or_default();
            let mut summary = Self::of_one(stage.epsilon, &records);
            (summary.wanted, summary.exhausted) = (Some(stage.wanted), stage.exhausted);
            summaries.push(summary);
        }
        let others = sampled.iter().rev();
        summaries
            .extend(others.map(|(bits, records)| Self::of_one(f64::from_bits(*bits), records)));
        summaries
    }

    fn of_one(epsilon: f64, records: &[&IterationRecord]) -> Self {
        let (mut counts, mut seconds) = (StatusCounts::default(), Ledger::default());
        let (mut rewards, mut rewards_of_results) = (Mean::default(), Mean::default());
        let mut architectures = BTreeSet::new();
        let mut best: Option<f64> = None;
        for record in records {
            counts.add(record.status);
            seconds.add(record);
            architectures.extend(record.architecture.as_deref());
            rewards.add(record.reward);
            if record.status.is_result() {
                rewards_of_results.add(record.reward);
            }
            if matches!(record.status, Status::Trained | Status::Imported) {
                let accuracy = record.best_validation_accuracy;
                best = best.into_iter().chain(accuracy).reduce(f64::max);
            }
        }
        Self {
            epsilon,
            wanted: None,
            exhausted: false,
            results: counts.results(),
            iterations: records.len() as u64,
            distinct_architectures: architectures.len() as u64,
            first_iteration: records.iter().map(|record| record.iteration).min(),
            last_iteration: records.iter().map(|record| record.iteration).max(),
            counts,
            memory_rows: rewards.count,
            mean_reward_of_new: rewards_of_results.value(),
            mean_reward_with_repeats: rewards.value(),
            repeats: rewards.count - rewards_of_results.count,
            best_validation_accuracy: best,
            seconds,
        }
    }

    /// Returns how many architectures are still to get a result at this epsilon.
    pub fn left(&self) -> u64 {
        match self.wanted {
            Some(wanted) if !self.exhausted => wanted.saturating_sub(self.results),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::sample;
    use super::super::settings::{EpsilonStage, TrainedBy};
    use super::*;

    fn of_sample() -> Vec<EpsilonSummary> {
        EpsilonSummary::of_each(&sample::settings(TrainedBy::Torch), &sample::iterations())
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
        let counts = [Status::Trained, Status::Failed, Status::OutOfMemory, Status::Reused]
            .map(|status| first.counts.of(status));
        assert_eq!(counts, [2, 1, 1, 1]);
        assert_eq!(first.counts.of(Status::Lost), 1);
        assert_eq!(first.best_validation_accuracy, Some(0.75));
        // 360.5 + 360.5 + 90 of results, a failed one among them; 12 of an attempt that was lost.
        assert_eq!((first.seconds.train_seconds, first.seconds.lost_seconds), (811.0, 12.0));
    }

    #[test]
    fn epsilons_outside_the_schedule_follow_it_downwards() {
        let stage = EpsilonStage { epsilon: 0.5, wanted: 2, exhausted: false };
        let settings =
            SearchSettings { schedule: vec![stage, stage], ..sample::settings(TrainedBy::Torch) };
        let mut iterations = sample::iterations();
        iterations
            .push(IterationRecord { epsilon: Some(0.7), ..IterationRecord::new(12, Status::Lost) });
        let summaries = EpsilonSummary::of_each(&settings, &iterations);
        let found: Vec<_> = summaries.iter().map(|of| (of.epsilon, of.wanted)).collect();
        assert_eq!(found, [(0.5, Some(4)), (1.0, None), (0.7, None)]);
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
        for (iteration, row) in (1..).zip(reader.records()) {
            let row = row.unwrap();
            let accuracy: f64 = row[1].parse().unwrap();
            let is_new = seen.insert(row[0].to_owned());
            if accuracy <= 1.0 {
                let status = if is_new { Status::Imported } else { Status::Reused };
                iterations.push(IterationRecord {
                    architecture: Some(row[0].to_owned()),
                    epsilon: Some(row[8].parse().unwrap()),
                    reward: Some(accuracy),
                    best_validation_accuracy: Some(accuracy),
                    ..IterationRecord::new(iteration, status)
                });
            }
        }
        let settings =
            SearchSettings { schedule: Vec::new(), ..sample::settings(TrainedBy::Torch) };
        let first = &EpsilonSummary::of_each(&settings, &iterations)[0];
        assert_eq!((first.epsilon, first.memory_rows), (1.0, 1615));
        assert!((first.mean_reward_with_repeats.unwrap() - 0.522514).abs() < 1e-6);
        assert!((first.mean_reward_of_new.unwrap() - 0.542).abs() < 5e-4);
    }
}
