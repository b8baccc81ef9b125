//! `epsilon_summary.csv`: one row per epsilon.

use super::super::counts::Ledger;
use super::super::epsilons::EpsilonSummary;
use super::super::records::Status;
use super::super::settings::TrainedBy;
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, fields, of_part};
use super::iterations::trainer_by;
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
    columns.extend(of_part(seconds_columns(), |row: &Row| &row.seconds));
    let of_search = search.settings.trainer;
    columns.push(trainer_by(move |row: &Row| {
        let imported = row.counts.of(Status::Imported);
        if imported > 0 && imported == row.results { TrainedBy::Imported } else { of_search }
    }));
    columns.extend(newest_columns());
    let rows = EpsilonSummary::of_each(search.settings, search.iterations);
    Table { name: "epsilon_summary", columns, rows }
}

fn size_columns<'a>() -> Vec<Column<'a, Row>> {
    fields! { Row:
        epsilon: Share, "Share of random actions";
        wanted: AtLeast(0),
            "Architectures that are to get a result at this epsilon; missing when the schedule \
             does not have it";
        exhausted: Boolean, "Whether it was closed because nothing new could be drawn";
        results: AtLeast(0), "Architectures that got their result at this epsilon";
        iterations: AtLeast(0), "Iterations sampled at this epsilon";
        distinct_architectures: AtLeast(0),
            "Distinct architectures among the iterations, known before or not";
        first_iteration: AtLeast(1), "First of the iterations";
        last_iteration: AtLeast(1), "Last of the iterations";
    }
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
    fields! { Row:
        memory_rows: AtLeast(0),
            "Rows of the replay memory: iterations with a reward, repeats included";
        mean_reward_of_new: Share,
            "Mean reward of the networks that are new at this epsilon, each once";
        mean_reward_with_repeats: Share,
            "Mean reward over all rows of the replay memory, as the paper counts: a network that is \
             drawn again counts again";
        best_validation_accuracy: Share,
            "Greatest validation accuracy of a network trained to the end or imported";
    }
}

/// The column that came last: new ones go to the end.
fn newest_columns<'a>() -> Vec<Column<'a, Row>> {
    fields! { Row:
        repeats: AtLeast(0),
            "Rows of the replay memory that repeat a network that has its result already";
    }
}

fn seconds_columns<'a>() -> Vec<Column<'a, Ledger>> {
    fields! { Ledger:
        train_seconds: Seconds, "Time spent on training";
        saved_seconds: Seconds, "Time that the stopping rule is estimated to have saved";
        lost_seconds: Seconds, "Time of training that came to nothing, not part of train_seconds";
    }
}
