//! `iterations.csv`: one row per iteration; `models.csv`, `top_models.csv`: one per repeat of an
//! architecture.

use std::ops::Deref;

use super::table::*;
use crate::report::iterations::{ArchitectureRecord, ranking};
use crate::report::search::{IMPORTED, SearchData};
use crate::storage::{Event, Iteration, Row};

pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    let is_new = |row: &&Row| row.iteration >= Some(Iteration(set.kept.before));
    let rows = Vec::from_iter(search.iterations.iter().filter(is_new));
    set.add_growing("iterations", &iteration_columns(search), &rows, |row| row.iteration);
}

pub(super) fn iteration_columns<R: Deref<Target = Row>>(search: &SearchData) -> Vec<Column<'_, R>> {
    columns! { R:
        iteration: POSITIVE, "Number of the sampled architecture";
        status: one_of("claimed | pending | trained | stopped | failed | out_of_memory | \
            imported | reused | lost | void"),
            "What has become of the iteration: claimed and pending are under way; lost and void \
            have no result; reused took the result of of_iteration", |row| row.event;
        epsilon: SHARE, "Share of random actions when it was sampled; missing where the \
            strategy has none";
        round: POSITIVE, "Round in which it was sampled";
        architecture: ARCHITECTURE, "The network's layers";
        of_iteration: POSITIVE, "Iteration whose result it took (reused) or awaits (pending)";
        attempt: POSITIVE,
            "The attempt that decided it, or the newest; names the curve and the checkpoint";
        reward: SHARE, "What Q-learning learns from; missing when the iteration is no row of the \
            replay memory";
        best_validation_accuracy: SHARE, "Greatest validation accuracy over the epochs";
        best_epoch: POSITIVE, "Epoch of the greatest validation accuracy";
        last_validation_accuracy: SHARE, "Validation accuracy after the last epoch";
        epochs: COUNT, "Number of epochs trained";
        predicted_accuracy: NUMBER, "Predicted validation accuracy after the last epoch, at the \
            verdict of the stopping rule";
        sigma: NOT_NEGATIVE, "Standard deviation of the prediction";
        y_best: SHARE, "Accuracy to beat when the verdict was given";
        stop_probability: SHARE,
            "Probability, under the prediction, that the network stays below y_best";
        threshold: SHARE, "Stop probability from which training is ended";
        audit: BOOLEAN,
            "Whether the stopping rule would have ended the training, which went on to audit it";
        parameters: COUNT, "Weights and biases of the network";
        macs: COUNT, "Multiply-accumulates for one image";
        layers: COUNT, "Number of layers, the softmax not counted";
        learning_rate: NOT_NEGATIVE, "First learning rate that passed the first-epoch test";
        restarts: COUNT, "Number of learning rates that failed the first-epoch test";
        train_seconds: SECONDS, "Time spent on training";
        saved_seconds: SECONDS, "Time that the stopping rule is estimated to have saved";
        lost_seconds: SECONDS, "Time of training that came to nothing, not part of train_seconds";
        view: COUNT, "Rows of the replay log behind the predictor that judged its newest attempt; \
            of a first attempt also those behind the Q-values it was sampled with";
        reason: TEXT, "Why it failed, was lost, or the like";
        device: TEXT, "Device that trained";
        host: TEXT, "Machine that trained";
        // What a local process has in their place is no number.
        job: COUNT, "Slurm array; missing for local processes",
            |row| row.job.as_ref()?.parse::<u64>().ok();
        task: COUNT, "Element of the array; missing for local processes",
            |row| row.task.as_ref()?.parse::<u64>().ok();
        started_at: TIME, "When the attempt began";
        time: TIME, "When the newest row of the replay log was written";
        trainer: TRAINER, WHO_TRAINED, |row| {
            let result = row.of_iteration.or(row.iteration).and_then(|it| search.row_of(it));
            let is_imported = result.is_some_and(|row| row.event == Event::Imported);
            if is_imported { IMPORTED } else { search.trainer }
        };
        repeat: POSITIVE, "Which training of the architecture it is; above 1 only where a list of \
            networks is trained several times";
        predictor: POSITIVE, "Full learning curves behind the predictor that judges its newest \
            attempt; missing without a predictor";
        strategy: TEXT, "Why the strategy drew the architecture; missing for Q-learning";
    }
}

const TOP: usize = 100;

pub(super) fn add_by_architecture(set: &mut TableSet, search: &SearchData) {
    let models = "architecture first_iteration times_sampled iteration status epsilon attempt \
        reward best_validation_accuracy best_epoch last_validation_accuracy epochs \
        predicted_accuracy sigma stop_probability parameters macs layers learning_rate \
        restarts train_seconds saved_seconds reason device time trainer repeat";
    let top = "rank architecture best_validation_accuracy best_epoch last_validation_accuracy \
        parameters macs layers epsilon iteration times_sampled attempt learning_rate \
        train_seconds trainer repeat";
    let rows = ArchitectureRecord::gather(&search.iterations);
    // Those that are kept, unless one of them was sampled again.
    let kept = set.kept.files.get("models.csv").map_or(0, |place| place.rows as usize);
    let is_new = |row: &ArchitectureRecord| row.newest >= Some(Iteration(set.kept.before));
    let is_changed = rows.iter().take(kept).any(is_new);
    if is_changed {
        set.kept.files.remove("models.csv");
    }
    let new = &rows[if is_changed { 0 } else { kept }..];
    set.add_growing("models", &pick(architecture_columns(search), models), new, |row| row.newest);
    set.add("top_models", &pick(architecture_columns(search), top), &ranking(rows, TOP));
}

/// The columns of an architecture, then those of its deciding iteration.
fn architecture_columns(search: &SearchData) -> Vec<Column<'_, ArchitectureRecord<'_>>> {
    let mut columns = columns! { ArchitectureRecord:
        rank: POSITIVE, "Rank by best validation accuracy among networks trained to the end or \
            imported; of equals the one with fewer parameters comes first, then the earlier one";
        architecture: ARCHITECTURE, "The network's layers", |of| of.architecture.to_owned();
        first_iteration: POSITIVE, "The first iteration that sampled the architecture",
            |of| of.first.iteration;
        iteration: POSITIVE, "The iteration that the row tells of: the one with the result of the \
            architecture; without a result the newest that trains it, else the newest",
            |of| of.deciding.iteration;
        times_sampled: POSITIVE, "Number of iterations that sampled the architecture";
    };
    columns.extend(iteration_columns(search));
    columns
}
