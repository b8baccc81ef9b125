//! `epsilon_summary.csv`: one row per epsilon.

use super::super::epsilons::EpsilonSummary;
use super::super::records::Status;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column};
use super::iterations::trainer;
use super::table::Table;

type Row = EpsilonSummary;

/// Returns the epsilons of the schedule in its order, then others downwards.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, Row> {
    let mut columns = size_columns();
    columns.extend(Status::ALL.map(|status| {
        column(status.name(), AtLeast(0), iterations_that(status), move |row: &Row| {
            row.counts.of(status)
        })
    }));
    columns.extend(reward_columns());
    columns.push(trainer(search.settings.trainer));
    let rows = EpsilonSummary::of_each(search.settings, search.iterations);
    Table { name: "epsilon_summary", columns, rows }
}

fn size_columns<'a>() -> Vec<Column<'a, Row>> {
    vec![
        column("epsilon", Share, "Share of random actions", |row: &Row| row.epsilon),
        column(
            "wanted",
            AtLeast(0),
            "Architectures that are to get a result at this epsilon; missing when the schedule \
             does not have it",
            |row: &Row| row.wanted,
        ),
        column(
            "exhausted",
            Boolean,
            "Whether it was closed because nothing new could be drawn",
            |row: &Row| row.exhausted,
        ),
        column(
            "results",
            AtLeast(0),
            "Architectures that got their result at this epsilon",
            |row: &Row| row.results,
        ),
        column("iterations", AtLeast(0), "Iterations sampled at this epsilon", |row: &Row| {
            row.iterations
        }),
        column(
            "distinct_architectures",
            AtLeast(0),
            "Distinct architectures among the iterations, known before or not",
            |row: &Row| row.distinct_architectures,
        ),
        column("first_iteration", AtLeast(1), "First of the iterations", |row: &Row| {
            row.first_iteration
        }),
        column("last_iteration", AtLeast(1), "Last of the iterations", |row: &Row| {
            row.last_iteration
        }),
    ]
}

const fn iterations_that(status: Status) -> &'static str {
    match status {
        Status::Claimed => "Iterations being trained",
        Status::Pending => "Iterations that wait for another one with the same architecture",
        Status::Trained => "Iterations trained to the end",
        Status::Stopped => "Iterations ended by the stopping rule",
        Status::Failed => "Iterations that failed by the network's own fault",
        Status::OutOfMemory => "Iterations whose network does not fit into the device's memory",
        Status::Imported => "Iterations taken over from another search",
        Status::Reused => "Iterations that took the result of another one",
        Status::Lost => "Iterations that ended without a result",
        Status::Void => "Iterations whose row of the log was damaged and blanked",
    }
}

fn reward_columns<'a>() -> Vec<Column<'a, Row>> {
    vec![
        column(
            "memory_rows",
            AtLeast(0),
            "Rows of the replay memory: iterations with a reward, repeats included",
            |row: &Row| row.memory_rows,
        ),
        column(
            "mean_reward",
            Share,
            "Mean reward over all rows of the replay memory, repeats included",
            |row: &Row| row.mean_reward,
        ),
        column(
            "mean_reward_of_results",
            Share,
            "Mean reward over the results alone, so that each architecture counts once",
            |row: &Row| row.mean_reward_of_results,
        ),
        column(
            "best_validation_accuracy",
            Share,
            "Greatest validation accuracy of a network trained to the end or imported",
            |row: &Row| row.best_validation_accuracy,
        ),
        column("train_seconds", NotNegative, "Time spent on training", |row: &Row| {
            row.seconds.train_seconds
        })
        .in_unit("seconds"),
        column(
            "saved_seconds",
            NotNegative,
            "Time that the stopping rule is estimated to have saved",
            |row: &Row| row.seconds.saved_seconds,
        )
        .in_unit("seconds"),
        column(
            "lost_seconds",
            NotNegative,
            "Time of training that came to nothing, not part of train_seconds",
            |row: &Row| row.seconds.lost_seconds,
        )
        .in_unit("seconds"),
    ]
}
