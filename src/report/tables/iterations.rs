//! `iterations.csv`: one row per iteration.

use std::collections::BTreeSet;

use super::super::records::{IterationRecord, Status};
use super::super::settings::TrainedBy;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, fields, of_part};
use super::table::Table;

/// Returns the table, in the order of the iterations.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, &'a IterationRecord> {
    let mut rows: Vec<&IterationRecord> = search.iterations.iter().collect();
    rows.sort_by_key(|record| record.iteration);
    let mut columns = of_part(columns(), |row: &&'a IterationRecord| *row);
    columns.extend(of_part(vec![trainer_of(search)], |row: &&'a IterationRecord| *row));
    // At the end, since they came later.
    columns.extend(of_part(newest_columns(), |row: &&'a IterationRecord| *row));
    Table { name: "iterations", columns, rows }
}

/// Marks each row with who trained, so that no table of made-up accuracies passes for a real one.
pub(super) fn trainer<'a, R>(trainer: TrainedBy) -> Column<'a, R> {
    trainer_by(move |_| trainer)
}

/// Marks each row with who trained its network: an imported one was not trained here.
pub(super) fn trainer_of<'a>(search: &Search<'a>) -> Column<'a, IterationRecord> {
    let of_search = search.settings.trainer;
    let is_imported = |record: &&IterationRecord| record.status == Status::Imported;
    let imported: BTreeSet<u64> =
        search.iterations.iter().filter(is_imported).map(|record| record.iteration).collect();
    trainer_by(move |record: &IterationRecord| {
        let result = record.of_iteration.unwrap_or(record.iteration);
        if imported.contains(&result) { TrainedBy::Imported } else { of_search }
    })
}

/// Marks each row with who trained what it tells of.
pub(super) fn trainer_by<'a, R>(trainer: impl Fn(&R) -> TrainedBy + 'a) -> Column<'a, R> {
    column(
        "trainer",
        OneOf(TrainedBy::WORDS),
        "Who trained: the trainer of this search, whose accuracies are made up when it is synthetic, or imported, \
         when the result was taken over from another one",
        move |row: &R| trainer(row).name(),
    )
}

/// The columns of an iteration, from which other tables pick.
pub(super) fn columns<'a>() -> Vec<Column<'a, IterationRecord>> {
    fields! { IterationRecord:
        iteration: AtLeast(1), "Number of the sampled architecture";
        status: OneOf(Status::WORDS),
            "What has become of the iteration: claimed and pending are under way; lost and void \
             have no result; reused took the result of of_iteration";
        epsilon: Share, "Share of random actions when it was sampled";
        round: AtLeast(1), "Round in which it was sampled";
        architecture: Architecture, "The network's layers";
        of_iteration: AtLeast(1), "Iteration whose result it took (reused) or awaits (pending)";
        attempt: AtLeast(1),
            "The attempt that decided it, or the newest; names the curve and the checkpoint";
        reward: Share,
            "What Q-learning learns from; missing when the iteration is no row of the replay memory";
        best_validation_accuracy: Share, "Greatest validation accuracy over the epochs";
        best_epoch: AtLeast(1), "Epoch of the greatest validation accuracy";
        last_validation_accuracy: Share, "Validation accuracy after the last epoch";
        epochs: AtLeast(0), "Number of epochs trained";
        predicted_accuracy: Number,
            "Predicted validation accuracy after the last epoch, at the verdict of the stopping rule";
        sigma: NotNegative, "Standard deviation of the prediction";
        y_best: Share, "Accuracy to beat when the verdict was given";
        stop_probability: Share,
            "Probability, under the prediction, that the network stays below y_best";
        threshold: Share, "Stop probability from which training is ended";
        audit: Boolean,
            "Whether the stopping rule would have ended the training, which went on to audit it";
        parameters: AtLeast(0), "Weights and biases of the network";
        macs: AtLeast(0), "Multiply-accumulates for one image";
        layers: AtLeast(0), "Number of layers, the softmax not counted";
        learning_rate: NotNegative, "First learning rate that passed the first-epoch test";
        restarts: AtLeast(0), "Number of learning rates that failed the first-epoch test";
        train_seconds: Seconds, "Time spent on training";
        saved_seconds: Seconds, "Time that the stopping rule is estimated to have saved";
        lost_seconds: Seconds, "Time of training that came to nothing, not part of train_seconds";
        view: AtLeast(0),
            "Rows of the replay log behind the predictor that judged its newest attempt; of a \
             first attempt also those behind the Q-values it was sampled with";
        reason: FreeText, "Why it failed, was lost, or the like";
        device: FreeText, "Device that trained";
        host: FreeText, "Machine that trained";
        job: AtLeast(0), "Slurm array; missing for local processes";
        task: AtLeast(0), "Element of the array; missing for local processes";
        started_at: Time, "When the attempt began";
        time: Time, "When the newest row of the replay log was written";
    }
}

fn newest_columns<'a>() -> Vec<Column<'a, IterationRecord>> {
    fields! { IterationRecord:
        repeat: AtLeast(1),
            "Which training of the architecture it is; above 1 only where a list of networks is \
             trained several times";
        predictor: AtLeast(1),
            "Full learning curves behind the predictor that judges its newest attempt; missing \
             without a predictor";
        strategy: FreeText, "Why the strategy drew the architecture; missing for Q-learning";
    }
}
