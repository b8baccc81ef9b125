//! `models.csv` and `top_models.csv`: one row per architecture.

use super::column::*;
use super::iterations::{iteration_columns, trainer_of};
use super::table::Table;
use crate::report::architectures::{ArchitectureRecord, ranking};
use crate::report::search::SearchData;

/// Most rows of `top_models.csv`.
const TOP: usize = 100;

pub(super) fn table<'a>(
    search: &SearchData,
    architectures: &[ArchitectureRecord<'a>],
) -> Table<'a, ArchitectureRecord<'a>> {
    let names = "architecture first_iteration times_sampled iteration status epsilon attempt \
        reward best_validation_accuracy best_epoch last_validation_accuracy epochs \
        predicted_accuracy sigma stop_probability parameters macs layers learning_rate \
        restarts train_seconds saved_seconds reason device time trainer";
    let columns = pick(architecture_columns(search), names);
    Table { name: "models", columns, rows: architectures.to_vec() }
}

/// Returns the best architectures, the best first.
pub(super) fn top<'a>(
    search: &SearchData,
    architectures: &[ArchitectureRecord<'a>],
) -> Table<'a, (u64, ArchitectureRecord<'a>)> {
    let names = "architecture best_validation_accuracy best_epoch last_validation_accuracy \
        parameters macs layers epsilon iteration times_sampled attempt learning_rate \
        train_seconds trainer";
    let mut columns = columns! { (u64, ArchitectureRecord):
        rank: POSITIVE,
            "Rank by best validation accuracy among networks trained to the end or imported; of \
             equals the one with fewer parameters comes first, then the earlier one",
            |(rank, _)| *rank;
    };
    let picked = pick(architecture_columns(search), names);
    columns.extend(of_part(picked, |row: &(_, ArchitectureRecord<'a>)| &row.1));
    Table { name: "top_models", columns, rows: (1..).zip(ranking(architectures, TOP)).collect() }
}

/// The columns of an architecture, then those of its deciding iteration.
fn architecture_columns<'a>(search: &SearchData) -> Vec<Column<'a, ArchitectureRecord<'a>>> {
    let mut columns = columns! { ArchitectureRecord:
        architecture: ARCHITECTURE, "The network's layers", |of| of.architecture.to_owned();
        first_iteration: POSITIVE, "The first iteration that sampled the architecture",
            |of| of.first.iteration;
        iteration: POSITIVE,
            "The iteration that the row tells of: the one with the result of the architecture; \
             without a result the newest that trains it, else the newest",
            |of| of.deciding.iteration;
        times_sampled: POSITIVE, "Number of iterations that sampled the architecture";
    };
    let mut of_iteration = iteration_columns();
    of_iteration.push(trainer_of(search));
    columns.extend(of_part(of_iteration, |of: &ArchitectureRecord<'a>| of.deciding));
    columns
}
