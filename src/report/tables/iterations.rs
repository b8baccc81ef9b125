//! `iterations.csv`: one row per iteration.

use std::collections::BTreeSet;

use super::column::Domain::*;
use super::column::{Column, columns, of_part, trainer};
use super::table::Table;
use crate::report::search::{IMPORTED, SearchData};
use crate::storage::{Event, Row};

pub(super) fn table<'a>(search: &'a SearchData) -> Table<'a, &'a Row> {
    let mut columns = iteration_columns();
    columns.push(trainer_of(search));
    // At the end, since they came later.
    columns.extend(columns! { Row:
        repeat: AtLeast(1),
            "Which training of the architecture it is; above 1 only where a list of networks is \
             trained several times";
        predictor: AtLeast(1),
            "Full learning curves behind the predictor that judges its newest attempt; missing \
             without a predictor";
        strategy: FreeText, "Why the strategy drew the architecture; missing for Q-learning";
    });
    let columns = of_part(columns, |row: &&'a Row| *row);
    Table { name: "iterations", columns, rows: search.iterations.iter().collect() }
}

/// Who trained the network of an iteration: an imported one was not trained here.
pub(super) fn trainer_of<'a>(search: &SearchData) -> Column<'a, Row> {
    let of_search = search.trainer;
    let is_imported = |row: &&Row| row.event == Event::Imported;
    let imported: BTreeSet<_> =
        search.iterations.iter().filter(is_imported).map(|row| row.iteration).collect();
    trainer(move |row: &Row| {
        let result = row.of_iteration.or(row.iteration);
        if imported.contains(&result) { IMPORTED } else { of_search }
    })
}

/// What a column of statuses may hold.
const WORDS: &str = "claimed | pending | trained | stopped | failed | out_of_memory | imported | \
    reused | lost | void";

/// A job or task of Slurm; what a local process has in its place is no number.
fn number(text: &Option<String>) -> Option<u64> {
    text.as_ref()?.parse().ok()
}

/// The columns of an iteration, from which other tables pick.
pub(super) fn iteration_columns<'a>() -> Vec<Column<'a, Row>> {
    columns! { Row:
        iteration: AtLeast(1), "Number of the sampled architecture";
        status: OneOf(WORDS),
            "What has become of the iteration: claimed and pending are under way; lost and void \
             have no result; reused took the result of of_iteration",
            |row| row.event;
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
        job: AtLeast(0), "Slurm array; missing for local processes", |row| number(&row.job);
        task: AtLeast(0), "Element of the array; missing for local processes",
            |row| number(&row.task);
        started_at: Time, "When the attempt began";
        time: Time, "When the newest row of the replay log was written";
    }
}
