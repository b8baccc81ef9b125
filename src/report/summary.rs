//! What `status --json` prints. Keys are stable; `status --help` says what they mean.

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::iterations::{
    ArchitectureRecord, Ledger, StatusCounts, epsilon_bits, final_accuracy, grouped, ranking,
};
use super::search::{Condition, EarlyStopping, SearchData};
use super::time_left::TimeLeft;
use crate::maths::{binomial_interval, mean_if_any};
use crate::q_learning::{Epsilon, EpsilonStage};
use crate::storage::{Event, Row, Time};

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    pub experiment: String,
    pub trainer: &'static str,
    pub condition: Condition,
    /// The newest round; `None` before the first and for a search without rounds.
    pub round: Option<u32>,
    /// Of its jobs; `None` where no scheduler was asked.
    pub queue: Option<JobQueue>,
    /// In force; `None` when the schedule is finished.
    pub epsilon: Option<f64>,
    pub iterations: u64,
    pub counts: StatusCounts,
    pub wanted: u64,
    pub results: u64,
    pub left: u64,
    pub best: Option<BestNetwork>,
    /// Of the networks that were drawn at random.
    pub best_at_random: Option<BestNetwork>,
    pub results_at_random: u64,
    pub seconds_at_random: f64,
    pub validation_images: Option<u64>,
    pub epsilons: Vec<EpsilonSummary>,
    pub seconds: Ledger,
    pub early_stopping: EarlyStopping,
    pub estimated_train_seconds_left: Option<f64>,
    pub least_train_seconds_left: Option<f64>,
    pub most_train_seconds_left: Option<f64>,
    pub uses_accelerator: bool,
    pub started_at: Option<Time>,
    pub last_event_at: Option<Time>,
    pub hosts: Vec<HostTally>,
    pub notices: Vec<String>,
}

/// What the scheduler says of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct JobQueue {
    /// Why it said nothing.
    pub problem: Option<String>,
    pub running: u64,
    pub waiting: Vec<WaitingJobs>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingJobs {
    pub jobs: u64,
    /// In the scheduler's words, and in ours where they are known.
    pub reason: String,
    pub meaning: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestNetwork {
    pub architecture: String,
    pub iteration: u64,
    pub best_validation_accuracy: f64,
    /// Exact, of 95 %: of this one network, that it was selected by it not counted. `None` of an
    /// accuracy that was made up, imported, or measured on an unknown number of images.
    pub interval: Option<[f64; 2]>,
    pub parameters: Option<u64>,
    pub layers: Option<u32>,
    pub epsilon: Option<f64>,
    /// The folder of its weights, below the experiment.
    pub model: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HostTally {
    pub host: String,
    pub results: u64,
    pub lost: u64,
    /// Tasks whose trainer refused to work.
    pub refused: u64,
    pub failures_in_a_row: u64,
    pub last_reason: Option<String>,
    pub bad: bool,
}

impl Summary {
    /// Without condition, round, its jobs, epsilon in force, start, hosts and notices.
    pub fn of(search: &SearchData) -> Self {
        let iterations = &search.iterations;
        let epsilons = EpsilonSummary::of_each(search);
        let counts = StatusCounts::over(iterations);
        let open = epsilons.iter().filter(|of| !of.exhausted);
        let left = open.map(|of| of.wanted.unwrap_or(0).saturating_sub(of.results)).sum();
        let time_left = TimeLeft::of(search, left);
        let ranked = ranking(ArchitectureRecord::gather(iterations), usize::MAX);
        let best = |record: &ArchitectureRecord| BestNetwork::of(record, search.validation_images);
        let at_random = || iterations.iter().filter(|row| row.is_at_random());
        // What Slurm sets where a task has no GPU.
        let is_cpu = |device: &std::sync::Arc<str>| {
            device.starts_with("cpu") || ["NoDevFiles", "-1"].contains(&&**device)
        };
        Self {
            experiment: search.experiment.clone(),
            trainer: search.trainer,
            iterations: iterations.len() as u64,
            results: counts.results(),
            counts,
            wanted: search.stages.iter().map(|(stage, _)| stage.architectures).sum(),
            left,
            best: ranked.first().and_then(best),
            best_at_random: ranked.iter().find(|record| record.is_at_random()).and_then(best),
            results_at_random: at_random().filter(|row| row.event.is_result()).count() as u64,
            seconds_at_random: Ledger::over(at_random()).spent(),
            validation_images: search.validation_images,
            epsilons,
            seconds: Ledger::over(iterations),
            early_stopping: search.early_stopping.summed_up(search),
            estimated_train_seconds_left: time_left.and_then(TimeLeft::middle),
            least_train_seconds_left: time_left.map(|time| time.least),
            most_train_seconds_left: time_left.map(|time| time.most),
            uses_accelerator: !iterations.iter().filter_map(|row| row.device.as_ref()).all(is_cpu),
            last_event_at: iterations.iter().filter_map(|row| row.time).max(),
            ..Self::default()
        }
    }

    pub fn time_left(&self) -> Option<TimeLeft> {
        let (least, most) = self.least_train_seconds_left.zip(self.most_train_seconds_left)?;
        Some(TimeLeft { least, most })
    }
}

impl BestNetwork {
    pub(super) fn of(record: &ArchitectureRecord, validation_images: Option<u64>) -> Option<Self> {
        let accuracy = record.best_validation_accuracy?;
        let images = validation_images.filter(|_| record.event == Event::Trained);
        let right = |images: u64| (accuracy * images as f64).round() as u64;
        Some(Self {
            architecture: record.architecture.to_owned(),
            iteration: record.iteration?.0,
            best_validation_accuracy: accuracy,
            interval: images.map(|images| binomial_interval(right(images), images)),
            parameters: record.parameters,
            layers: record.layers,
            epsilon: record.epsilon,
            model: None,
        })
    }

    /// Whether the intervals say that one is better than the other; `None` where one is unknown.
    pub fn is_told_from(&self, other: &Self) -> Option<bool> {
        Some(are_apart(self.interval?, other.interval?))
    }
}

pub fn are_apart([low, high]: [f64; 2], [other_low, other_high]: [f64; 2]) -> bool {
    high < other_low || other_high < low
}

/// `tables/epsilon_summary.rs` explains it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct EpsilonSummary {
    /// `None` for a list, and with it all of its iterations.
    pub epsilon: Option<f64>,
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
    /// The "mean accuracy at epsilon" of MetaQNN's figure 3.
    pub mean_reward_with_repeats: Option<f64>,
    pub repeats: u64,
    pub best_validation_accuracy: Option<f64>,
    pub seconds: Ledger,
}

impl EpsilonSummary {
    /// Those of the schedule in its order, then others downwards.
    pub fn of_each(search: &SearchData) -> Vec<Self> {
        let mut sampled = grouped(&search.iterations, epsilon_bits);
        let mut summaries = Vec::new();
        for (EpsilonStage { epsilon, architectures }, counts) in &search.stages {
            let epsilon = epsilon.map(Epsilon::value);
            let rows = match epsilon {
                Some(epsilon) => sampled.remove(&epsilon.to_bits()).unwrap_or_default(),
                None => search.iterations.iter().filter(|row| row.epsilon.is_none()).collect(),
            };
            let (wanted, exhausted) = (Some(*architectures), counts.exhausted);
            summaries.push(Self { wanted, exhausted, ..Self::of_one(epsilon, &rows) });
        }
        let others = sampled.into_iter().rev();
        let epsilon = |bits| Some(f64::from_bits(bits));
        summaries.extend(others.map(|(bits, rows)| Self::of_one(epsilon(bits), &rows)));
        summaries
    }

    fn of_one(epsilon: Option<f64>, rows: &[&Row]) -> Self {
        let counts = StatusCounts::over(rows.iter().copied());
        let architectures = rows.iter().filter_map(|row| row.architecture.as_ref());
        let finals = rows.iter().filter_map(|row| final_accuracy(row));
        let rewards: Vec<f64> = rows.iter().filter_map(|row| row.reward).collect();
        let results = rows.iter().filter(|row| row.event.is_result());
        let rewards_of_new: Vec<f64> = results.filter_map(|row| row.reward).collect();
        Self {
            epsilon,
            results: counts.results(),
            iterations: rows.len() as u64,
            distinct_architectures: FxHashSet::<_>::from_iter(architectures).len() as u64,
            first_iteration: rows.first().and_then(|row| Some(row.iteration?.0)),
            last_iteration: rows.last().and_then(|row| Some(row.iteration?.0)),
            counts,
            memory_rows: rewards.len() as u64,
            mean_reward_of_new: mean_if_any(&rewards_of_new),
            mean_reward_with_repeats: mean_if_any(&rewards),
            repeats: (rewards.len() - rewards_of_new.len()) as u64,
            best_validation_accuracy: finals.reduce(f64::max),
            seconds: Ledger::over(rows.iter().copied()),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::assert_golden;
    use super::super::sample::{self, iteration};
    use super::*;
    use crate::storage::Event;

    fn of_sample() -> Summary {
        sample::summary(&sample::search("torch"))
    }

    #[test]
    fn what_is_left_is_what_the_open_epsilons_want() {
        let mut search = sample::search("torch");
        // 5 - 4 at epsilon 1, 2 - 2 at 0.5, 4 - 0 at 0.1.
        assert_eq!(Summary::of(&search).left, 5);
        search.stages[2].1.exhausted = true;
        assert_eq!(Summary::of(&search).left, 1);
        search.stages[0].0.architectures = 3;
        assert_eq!(Summary::of(&search).left, 0);
    }

    #[test]
    fn the_time_left_is_a_range_by_what_networks_took() {
        // One network has been stopped since stopping began, too few to go by. Whole trainings
        // took 360.5, 360.5 and 90 s; five are left, one of them in training; at least an epoch of
        // three each.
        let summary = of_sample();
        let (least, most) =
            (summary.least_train_seconds_left.unwrap(), summary.most_train_seconds_left.unwrap());
        assert!((4.0 / 3.0 * 90.0..4.0 / 3.0 * 270.34).contains(&least), "{least}");
        assert!(most > 5.0 * 270.33, "{most}");
        assert_eq!(summary.estimated_train_seconds_left, None, "too far apart");
    }

    #[test]
    fn the_names_in_json_are_the_accepted_ones() {
        let json = serde_json::to_string_pretty(&of_sample()).unwrap();
        assert_golden("report/status.json", &(json + "\n"));
    }

    fn epsilons_of_sample() -> Vec<EpsilonSummary> {
        EpsilonSummary::of_each(&sample::search("torch"))
    }

    #[test]
    fn the_mean_reward_of_an_epsilon_is_that_of_new_networks_and_beside_it_that_with_repeats() {
        let first = &epsilons_of_sample()[0];
        // Iterations 1, 2, 3 and 4, which repeats 1: (0.75 + 2/3 + 0.1 + 0.75) / 4.
        assert_eq!((first.memory_rows, first.repeats), (4, 1));
        assert!((first.mean_reward_with_repeats.unwrap() - 2.26666667 / 4.0).abs() < 1e-8);
        // Without the repeat: (0.75 + 2/3 + 0.1) / 3.
        assert!((first.mean_reward_of_new.unwrap() - 1.51666667 / 3.0).abs() < 1e-8);
    }

    #[test]
    fn an_epsilon_counts_what_was_sampled_at_it() {
        let first = &epsilons_of_sample()[0];
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
        let found: Vec<_> = found.iter().map(|&(of, wanted)| (of.unwrap(), wanted)).collect();
        assert_eq!(found, [(0.5, Some(2)), (0.1, Some(4)), (1.0, None), (0.7, None)]);
    }

    /// The paper's 0.5225 at epsilon 1 is a mean over all rows of the authors' replay file,
    /// repeats included; over first rows it is 0.542.
    #[test]
    fn the_authors_search_has_the_papers_mean_at_epsilon_one() {
        let Some(search) = sample::authors() else { return };
        let first = &EpsilonSummary::of_each(&search)[0];
        assert_eq!((first.epsilon, first.memory_rows), (Some(1.0), 1615));
        assert!((first.mean_reward_with_repeats.unwrap() - 0.522514).abs() < 1e-6);
        assert!((first.mean_reward_of_new.unwrap() - 0.542).abs() < 5e-4);
    }
}
