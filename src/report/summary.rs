//! The search in numbers: what `status --json` prints. Keys are stable; `status --help` says what
//! they mean.

use serde::Serialize;

use super::epsilons::EpsilonSummary;
use super::iterations::{ArchitectureRecord, Ledger, StatusCounts, ranking};
use super::search::{Condition, EarlyStopping, SearchData};
use super::time_left::TimeLeft;
use crate::storage::{Event, Row, Time};

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    pub experiment: String,
    pub trainer: &'static str,
    pub condition: Condition,
    /// The newest round; `None` before the first and for a search without rounds.
    pub round: Option<u32>,
    /// In force; `None` when the schedule is finished.
    pub epsilon: Option<f64>,
    pub iterations: u64,
    pub counts: StatusCounts,
    pub wanted: u64,
    pub results: u64,
    pub left: u64,
    pub best: Option<BestNetwork>,
    pub epsilons: Vec<EpsilonSummary>,
    pub seconds: Ledger,
    pub early_stopping: StoppingSummary,
    pub estimated_train_seconds_left: Option<f64>,
    pub least_train_seconds_left: Option<f64>,
    pub most_train_seconds_left: Option<f64>,
    pub uses_accelerator: bool,
    pub started_at: Option<Time>,
    pub last_event_at: Option<Time>,
    pub hosts: Vec<HostTally>,
    pub notices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestNetwork {
    pub architecture: String,
    pub iteration: u64,
    pub best_validation_accuracy: f64,
    pub parameters: Option<u64>,
    pub layers: Option<u32>,
    pub epsilon: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StoppingSummary {
    #[serde(flatten)]
    pub known: EarlyStopping,
    pub stopped: u64,
    pub audited: u64,
    pub false_stops: u64,
    pub false_stop_rate: Option<f64>,
    pub false_stop_rate_lower: Option<f64>,
    pub false_stop_rate_upper: Option<f64>,
    pub switched_off: bool,
    pub epochs_trained: u64,
    pub epochs_saved: u64,
}

/// What became of the tasks on one host.
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
    /// Sums up what follows from the data alone: no condition, round, epsilon in force, start,
    /// hosts and notices.
    pub fn of(search: &SearchData) -> Self {
        let iterations = &search.iterations;
        let epsilons = EpsilonSummary::of_each(search);
        let counts = StatusCounts::over(iterations);
        let left = epsilons.iter().map(EpsilonSummary::left).sum();
        let time_left = TimeLeft::of(search, left);
        let best = ranking(&ArchitectureRecord::gather(iterations), 1);
        // What Slurm sets where a task has no GPU.
        let is_cpu = |device: &String| {
            device.starts_with("cpu") || ["NoDevFiles", "-1"].contains(&device.as_str())
        };
        Self {
            experiment: search.experiment.clone(),
            trainer: search.trainer,
            iterations: iterations.len() as u64,
            results: counts.results(),
            counts,
            wanted: search.stages.iter().map(|(stage, _)| stage.architectures).sum(),
            left,
            best: best.first().and_then(BestNetwork::of),
            epsilons,
            seconds: Ledger::over(iterations),
            early_stopping: StoppingSummary::of(search),
            estimated_train_seconds_left: time_left.and_then(TimeLeft::middle),
            least_train_seconds_left: time_left.map(|time| time.least),
            most_train_seconds_left: time_left.map(|time| time.most),
            uses_accelerator: !iterations.iter().filter_map(|row| row.device.as_ref()).all(is_cpu),
            last_event_at: iterations.iter().filter_map(|row| row.time).max(),
            ..Self::default()
        }
    }
}

impl BestNetwork {
    fn of(record: &ArchitectureRecord) -> Option<Self> {
        let row = record.deciding;
        Some(Self {
            architecture: record.architecture.to_owned(),
            iteration: row.iteration?.0,
            best_validation_accuracy: row.best_validation_accuracy?,
            parameters: row.parameters,
            layers: row.layers,
            epsilon: row.epsilon,
        })
    }
}

impl StoppingSummary {
    fn of(search: &SearchData) -> Self {
        let stopped = search.iterations.iter().filter(|row| row.event == Event::Stopped);
        let trained = |row: &Row| u64::from(row.epochs.unwrap_or(0));
        let saved = |row: &Row| u64::from(search.epochs).saturating_sub(trained(row));
        let findings = search.early_stopping.findings;
        let (lower, upper) = findings.interval().unzip();
        Self {
            known: search.early_stopping,
            stopped: stopped.clone().count() as u64,
            audited: findings.audited,
            false_stops: findings.false_stops,
            false_stop_rate: findings.rate(),
            false_stop_rate_lower: lower,
            false_stop_rate_upper: upper,
            switched_off: findings.is_switched_off(),
            epochs_trained: search.iterations.iter().map(trained).sum(),
            epochs_saved: stopped.map(saved).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::assert_golden;
    use super::super::sample;
    use super::*;

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
}
