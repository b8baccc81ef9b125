//! `iterations.csv`: one row per iteration.

use super::super::records::{IterationRecord, Status};
use super::super::settings::TrainedBy;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column};
use super::table::Table;

/// Returns the table, in the order of the iterations.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, &'a IterationRecord> {
    let mut rows: Vec<&IterationRecord> = search.iterations.iter().collect();
    rows.sort_by_key(|record| record.iteration);
    let mut columns: Vec<_> =
        columns().into_iter().map(|column| column.of(|row: &&'a IterationRecord| *row)).collect();
    columns.push(trainer(search.settings.trainer));
    Table { name: "iterations", columns, rows }
}

/// Marks each row with who trained, so that no table of made-up accuracies passes for a real one.
pub(super) fn trainer<'a, R>(trainer: TrainedBy) -> Column<'a, R> {
    column(
        "trainer",
        OneOf(TrainedBy::WORDS),
        "Who trains in this search; accuracies of the synthetic trainer are made up",
        move |_| trainer.name(),
    )
}

/// The columns of an iteration, from which other tables pick.
pub(super) fn columns<'a>() -> Vec<Column<'a, IterationRecord>> {
    type Record = IterationRecord;
    vec![
        column("iteration", AtLeast(1), "Number of the sampled architecture", |r: &Record| {
            r.iteration
        }),
        column(
            "status",
            OneOf(Status::WORDS),
            "What has become of the iteration: claimed and pending are under way; lost and void \
             have no result; reused took the result of of_iteration",
            |r: &Record| r.status.name(),
        ),
        column("epsilon", Share, "Share of random actions when it was sampled", |r: &Record| {
            r.epsilon
        }),
        column("round", AtLeast(1), "Round in which it was sampled", |r: &Record| r.round),
        column("architecture", Architecture, "The network's layers", |r: &Record| {
            super::architecture(r.architecture.as_deref())
        }),
        column(
            "of_iteration",
            AtLeast(1),
            "Iteration whose result it took (reused) or awaits (pending)",
            |r: &Record| r.of_iteration,
        ),
        column(
            "attempt",
            AtLeast(1),
            "The attempt that decided it, or the newest; names the curve and the checkpoint",
            |r: &Record| r.attempt,
        ),
        column(
            "reward",
            Share,
            "What Q-learning learns from; missing when the iteration is no row of the replay memory",
            |r: &Record| r.reward,
        ),
        column(
            "best_validation_accuracy",
            Share,
            "Greatest validation accuracy over the epochs",
            |r: &Record| r.best_validation_accuracy,
        ),
        column(
            "best_epoch",
            AtLeast(1),
            "Epoch of the greatest validation accuracy",
            |r: &Record| r.best_epoch,
        ),
        column(
            "last_validation_accuracy",
            Share,
            "Validation accuracy after the last epoch",
            |r: &Record| r.last_validation_accuracy,
        ),
        column("epochs", AtLeast(0), "Number of epochs trained", |r: &Record| r.epochs),
        column(
            "predicted_accuracy",
            Number,
            "Predicted validation accuracy after the last epoch, at the verdict of the stopping rule",
            |r: &Record| r.predicted_accuracy,
        ),
        column("sigma", NotNegative, "Standard deviation of the prediction", |r: &Record| r.sigma),
        column("y_best", Share, "Accuracy to beat when the verdict was given", |r: &Record| {
            r.y_best
        }),
        column(
            "stop_probability",
            Share,
            "Probability, under the prediction, that the network stays below y_best",
            |r: &Record| r.stop_probability,
        ),
        column(
            "threshold",
            Share,
            "Stop probability from which training is ended",
            |r: &Record| r.threshold,
        ),
        column(
            "audit",
            Boolean,
            "Whether the stopping rule would have ended the training, which went on to audit it",
            |r: &Record| r.audit,
        ),
        column("parameters", AtLeast(0), "Weights and biases of the network", |r: &Record| {
            r.parameters
        }),
        column("macs", AtLeast(0), "Multiply-accumulates for one image", |r: &Record| r.macs),
        column("layers", AtLeast(0), "Number of layers, the softmax not counted", |r: &Record| {
            r.layers
        }),
        column(
            "learning_rate",
            NotNegative,
            "First learning rate that passed the first-epoch test",
            |r: &Record| r.learning_rate,
        ),
        column(
            "restarts",
            AtLeast(0),
            "Number of learning rates that failed the first-epoch test",
            |r: &Record| r.restarts,
        ),
        column("train_seconds", NotNegative, "Time spent on training", |r: &Record| {
            r.train_seconds
        })
        .in_unit("seconds"),
        column(
            "saved_seconds",
            NotNegative,
            "Time that the stopping rule is estimated to have saved",
            |r: &Record| r.saved_seconds,
        )
        .in_unit("seconds"),
        column(
            "lost_seconds",
            NotNegative,
            "Time of training that came to nothing, not part of train_seconds",
            |r: &Record| r.lost_seconds,
        )
        .in_unit("seconds"),
        column(
            "view",
            AtLeast(0),
            "Rows of the replay log behind the predictor that judged its newest attempt; of a first attempt also those behind the Q-values it was sampled with",
            |r: &Record| r.view,
        ),
        column("reason", FreeText, "Why it failed, was lost, or the like", |r: &Record| {
            super::free_text(r.reason.as_deref())
        }),
        column("device", FreeText, "Device that trained", |r: &Record| {
            super::free_text(r.device.as_deref())
        }),
        column("host", FreeText, "Machine that trained", |r: &Record| {
            super::free_text(r.host.as_deref())
        }),
        column("job", AtLeast(0), "Slurm array; missing for local processes", |r: &Record| r.job),
        column(
            "task",
            AtLeast(0),
            "Element of the array; missing for local processes",
            |r: &Record| r.task,
        ),
        column("started_at", Time, "When the attempt began", |r: &Record| r.started_at),
        column("time", Time, "When the newest row of the replay log was written", |r: &Record| {
            r.time
        }),
    ]
}
