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
    let mut columns = vec![architecture(), first_iteration(), times_sampled(), iteration()];
    columns.extend(of_deciding(&[
        "status",
        "epsilon",
        "attempt",
        "reward",
        "best_validation_accuracy",
        "best_epoch",
        "last_validation_accuracy",
        "epochs",
        "predicted_accuracy",
        "sigma",
        "stop_probability",
        "parameters",
        "macs",
        "layers",
        "learning_rate",
        "restarts",
        "train_seconds",
        "saved_seconds",
        "reason",
        "device",
        "time",
    ]));
    columns.push(iterations::trainer(search.settings.trainer));
    Table { name: "models", columns, rows: architectures.to_vec() }
}

/// An architecture with its rank.
pub(super) type Ranked<'a> = (u64, ArchitectureRecord<'a>);

/// Returns the best architectures, the best first.
pub(super) fn top<'a>(
    search: &Search<'a>,
    architectures: &[ArchitectureRecord<'a>],
) -> Table<'a, Ranked<'a>> {
    let mut columns = vec![column(
        "rank",
        AtLeast(1),
        "Rank by best validation accuracy among networks trained to the end or imported; of \
         equals the one with fewer parameters comes first, then the earlier one",
        |(rank, _): &Ranked| *rank,
    )];
    let mut of_architecture = vec![architecture()];
    of_architecture.extend(of_deciding(&[
        "best_validation_accuracy",
        "best_epoch",
        "last_validation_accuracy",
        "parameters",
        "macs",
        "layers",
        "epsilon",
    ]));
    of_architecture.extend([iteration(), times_sampled()]);
    of_architecture.extend(of_deciding(&["attempt", "learning_rate", "train_seconds"]));
    columns.extend(of_part(of_architecture, |(_, ranked): &Ranked<'a>| ranked));
    columns.push(iterations::trainer(search.settings.trainer));
    Table { name: "top_models", columns, rows: (1..).zip(ranking(architectures, TOP)).collect() }
}

fn architecture<'a>() -> Column<'a, ArchitectureRecord<'a>> {
    column("architecture", Architecture, "The network's layers", |of: &ArchitectureRecord| {
        of.architecture.to_owned()
    })
}

fn first_iteration<'a>() -> Column<'a, ArchitectureRecord<'a>> {
    column(
        "first_iteration",
        AtLeast(1),
        "The first iteration that sampled the architecture",
        |of: &ArchitectureRecord| of.first.iteration,
    )
}

fn iteration<'a>() -> Column<'a, ArchitectureRecord<'a>> {
    column(
        "iteration",
        AtLeast(1),
        "The iteration that the row tells of: the one with the result of the architecture; \
         without a result the newest that trains it, else the newest",
        |of: &ArchitectureRecord| of.deciding.iteration,
    )
}

fn times_sampled<'a>() -> Column<'a, ArchitectureRecord<'a>> {
    column(
        "times_sampled",
        AtLeast(1),
        "Number of iterations that sampled the architecture",
        |of: &ArchitectureRecord| of.times_sampled,
    )
}

/// Columns of the iteration with the architecture's result, else of its newest.
fn of_deciding<'a>(names: &[&str]) -> Vec<Column<'a, ArchitectureRecord<'a>>> {
    of_part(pick(iterations::columns(), names), |of: &ArchitectureRecord<'a>| of.deciding)
}
