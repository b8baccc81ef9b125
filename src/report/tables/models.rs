//! `models.csv` and `top_models.csv`: one row per architecture.

use super::super::architectures::{ArchitectureRecord, ranking};
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, of_part, pick};
use super::iterations;
use super::table::Table;

/// Number of rows of `top_models.csv` at most.
const TOP: usize = 100;

/// Returns every architecture, in the order in which they were first sampled.
pub(super) fn table<'a>(
    search: &Search<'a>,
    architectures: &[ArchitectureRecord<'a>],
) -> Table<'a, ArchitectureRecord<'a>> {
    let names = "architecture first_iteration times_sampled iteration status epsilon attempt reward \
        best_validation_accuracy best_epoch last_validation_accuracy epochs \
        predicted_accuracy sigma stop_probability parameters macs layers learning_rate \
        restarts train_seconds saved_seconds reason device time";
    let mut columns = pick(columns(), names);
    columns.extend(trainer_of(search));
    Table { name: "models", columns, rows: architectures.to_vec() }
}

fn trainer_of<'a>(search: &Search<'a>) -> Vec<Column<'a, ArchitectureRecord<'a>>> {
    of_part(vec![iterations::trainer_of(search)], |of: &ArchitectureRecord<'a>| of.deciding)
}

/// An architecture with its rank.
pub(super) type Ranked<'a> = (u64, ArchitectureRecord<'a>);

/// Returns the best architectures, the best first.
pub(super) fn top<'a>(
    search: &Search<'a>,
    architectures: &[ArchitectureRecord<'a>],
) -> Table<'a, Ranked<'a>> {
    let names = "architecture best_validation_accuracy best_epoch last_validation_accuracy \
        parameters macs layers epsilon iteration times_sampled attempt learning_rate \
        train_seconds";
    let mut columns = vec![column(
        "rank",
        AtLeast(1),
        "Rank by best validation accuracy among networks trained to the end or imported; of \
         equals the one with fewer parameters comes first, then the earlier one",
        |(rank, _): &Ranked| *rank,
    )];
    columns.extend(of_part(pick(self::columns(), names), |(_, ranked): &Ranked<'a>| ranked));
    columns.extend(of_part(trainer_of(search), |(_, ranked): &Ranked<'a>| ranked));
    Table { name: "top_models", columns, rows: (1..).zip(ranking(architectures, TOP)).collect() }
}

/// The columns of an architecture, then those of its deciding iteration, to be picked from: of two with one name the
/// first is meant.
fn columns<'a>() -> Vec<Column<'a, ArchitectureRecord<'a>>> {
    let mut columns = vec![
        column("architecture", Architecture, "The network's layers", |of: &ArchitectureRecord| {
            of.architecture.to_owned()
        }),
        column(
            "first_iteration",
            AtLeast(1),
            "The first iteration that sampled the architecture",
            |of: &ArchitectureRecord| of.first.iteration,
        ),
        column(
            "iteration",
            AtLeast(1),
            "The iteration that the row tells of: the one with the result of the architecture; \
             without a result the newest that trains it, else the newest",
            |of: &ArchitectureRecord| of.deciding.iteration,
        ),
        column(
            "times_sampled",
            AtLeast(1),
            "Number of iterations that sampled the architecture",
            |of: &ArchitectureRecord| of.times_sampled,
        ),
    ];
    columns.extend(of_part(iterations::columns(), |of: &ArchitectureRecord<'a>| of.deciding));
    columns
}
