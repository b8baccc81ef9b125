//! The search in numbers.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::architectures::{ArchitectureRecord, ranking};
use super::counts::{Ledger, StatusCounts};
use super::early_stopping::StoppingSummary;
use super::epsilons::EpsilonSummary;
use super::hosts::HostTally;
use super::records::IterationRecord;
use super::settings::{Condition, SearchSettings, SearchState, TrainedBy};
use super::time_left::TimeLeft;

/// The best architecture so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Best {
    /// The architecture with its dropout marks.
    pub architecture: String,
    /// Its iteration.
    pub iteration: u64,
    /// Its greatest validation accuracy, in [0, 1].
    pub best_validation_accuracy: f64,
    /// Weights and biases.
    pub parameters: Option<u64>,
    /// Number of layers, the softmax not counted.
    pub layers: Option<u32>,
    /// The epsilon at which it was sampled.
    pub epsilon: Option<f64>,
}

/// The search in numbers: what `status --json` prints. Field names are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the experiment.
    pub experiment: String,
    /// Who trains; the accuracies of a `synthetic` trainer are made up. `imported` when all results were.
    pub trainer: TrainedBy,
    /// Where the search stands.
    pub condition: Condition,
    /// The newest round.
    pub round: Option<u32>,
    /// The epsilon in force.
    pub epsilon: Option<f64>,
    /// Iterations begun.
    pub iterations: u64,
    /// What became of them.
    pub counts: StatusCounts,
    /// Architectures the schedule wants.
    pub wanted: u64,
    /// Architectures that have a result.
    pub results: u64,
    /// Architectures that are still to get one.
    pub left: u64,
    /// The best architecture so far.
    pub best: Option<Best>,
    /// Each epsilon.
    pub epsilons: Vec<EpsilonSummary>,
    /// Seconds of training.
    pub seconds: Ledger,
    /// Early stopping.
    pub early_stopping: StoppingSummary,
    /// Seconds of training that are left, the middle of the next two; none when they are far apart.
    pub estimated_train_seconds_left: Option<f64>,
    /// At least so many; none while too few networks have been trained to tell.
    pub least_train_seconds_left: Option<f64>,
    /// At most so many.
    pub most_train_seconds_left: Option<f64>,
    /// Whether a network was trained on something else than a CPU.
    pub uses_accelerator: bool,
    /// When the first attempt began.
    #[serde(serialize_with = "in_utc")]
    pub started_at: Option<Timestamp>,
    /// When the newest row was written.
    #[serde(serialize_with = "in_utc")]
    pub last_event_at: Option<Timestamp>,
    /// The machines and what came of their claims, in order of name.
    pub hosts: Vec<HostTally>,
    /// What is wrong and what to do.
    pub notices: Vec<String>,
}

impl Summary {
    /// Sums a search up.
    pub fn new(
        settings: &SearchSettings,
        state: &SearchState,
        iterations: &[IterationRecord],
    ) -> Self {
        let epsilons = EpsilonSummary::of_each(settings, iterations);
        let (mut counts, mut seconds) = (StatusCounts::default(), Ledger::default());
        for record in iterations {
            counts.add(record.status);
            seconds.add(record);
        }
        let left = epsilons.iter().map(EpsilonSummary::left).sum();
        let time_left = TimeLeft::of(iterations, &state.early_stopping, settings.epochs, left);
        let architectures = ArchitectureRecord::gather(iterations);
        Self {
            experiment: settings.experiment.clone(),
            trainer: settings.trainer,
            condition: state.condition,
            round: state.round,
            epsilon: state.epsilon,
            iterations: iterations.len() as u64,
            results: counts.results(),
            counts,
            wanted: settings.schedule.iter().map(|stage| stage.wanted).sum(),
            left,
            best: ranking(&architectures, 1).first().and_then(Best::of),
            epsilons,
            seconds,
            early_stopping: StoppingSummary::new(
                &state.early_stopping,
                settings.epochs,
                iterations,
            ),
            estimated_train_seconds_left: time_left.and_then(TimeLeft::middle),
            least_train_seconds_left: time_left.map(|time| time.least),
            most_train_seconds_left: time_left.map(|time| time.most),
            uses_accelerator: iterations
                .iter()
                .filter_map(|record| record.device.as_deref())
                // What Slurm sets where a task has no GPU.
                .any(|device| !device.starts_with("cpu") && !matches!(device, "NoDevFiles" | "-1")),
            started_at: iterations.iter().filter_map(|record| record.first_started_at).min(),
            last_event_at: iterations.iter().filter_map(|record| record.time).max(),
            hosts: state.hosts.clone(),
            notices: state.notices.clone(),
        }
    }
}

impl Best {
    fn of(record: &ArchitectureRecord) -> Option<Self> {
        let deciding = record.deciding;
        Some(Self {
            architecture: record.architecture.to_owned(),
            iteration: deciding.iteration,
            best_validation_accuracy: deciding.best_validation_accuracy?,
            parameters: deciding.parameters,
            layers: deciding.layers,
            epsilon: deciding.epsilon,
        })
    }
}

/// Writes a time in ISO 8601, UTC, milliseconds.
pub(super) fn utc(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn in_utc<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(utc).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::super::golden::assert_golden;
    use super::super::sample;
    use super::*;

    fn of_sample() -> Summary {
        let settings = sample::settings(TrainedBy::Torch);
        Summary::new(&settings, &sample::state(), &sample::iterations())
    }

    #[test]
    fn what_is_left_is_what_the_open_epsilons_want() {
        let mut settings = sample::settings(TrainedBy::Torch);
        let left = |settings: &SearchSettings| {
            Summary::new(settings, &sample::state(), &sample::iterations()).left
        };
        // 5 - 4 at epsilon 1, 2 - 2 at 0.5, 4 - 0 at 0.1.
        assert_eq!(left(&settings), 5);
        settings.schedule[2].exhausted = true;
        assert_eq!(left(&settings), 1);
        settings.schedule[0].wanted = 3;
        assert_eq!(left(&settings), 0);
    }

    #[test]
    fn the_time_left_is_a_range_by_what_networks_took() {
        // One network has been stopped since stopping began, too few to tell. Whole trainings took 360.5, 360.5 and
        // 90 s; five are left, one of them in training; at least an epoch of three each.
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
