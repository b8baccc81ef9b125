//! `epsilon_summary.csv`: one row per epsilon.

use super::table::*;
use crate::report::iterations::STATUSES;
use crate::report::search::{IMPORTED, SearchData};
use crate::report::summary::EpsilonSummary;
use crate::storage::Event;

pub(super) fn table(search: &SearchData) -> Table<'_, EpsilonSummary> {
    let mut columns = columns! { EpsilonSummary:
        epsilon: SHARE, "Share of random actions";
        wanted: COUNT,
            "Architectures that are to get a result at this epsilon; missing when the schedule \
             does not have it";
        exhausted: BOOLEAN, "Whether it was closed because nothing new could be drawn";
        results: COUNT, "Architectures that got their result at this epsilon";
        iterations: COUNT, "Iterations sampled at this epsilon";
        distinct_architectures: COUNT,
            "Distinct architectures among the iterations, known before or not";
        first_iteration: POSITIVE, "First of the iterations";
        last_iteration: POSITIVE, "Last of the iterations";
    };
    columns.extend(STATUSES.map(|status| {
        let meaning = format!("Iterations {}", whose(status));
        column(status.to_string(), COUNT, meaning, move |row: &EpsilonSummary| {
            row.counts.of(status)
        })
    }));
    columns.extend(columns! { EpsilonSummary:
        memory_rows: COUNT,
            "Rows of the replay memory: iterations with a reward, repeats included";
        mean_reward_of_new: SHARE,
            "Mean reward of the networks that are new at this epsilon, each once";
        mean_reward_with_repeats: SHARE,
            "Mean reward over all rows of the replay memory, as the paper counts: a network \
             that is drawn again counts again";
        best_validation_accuracy: SHARE,
            "Greatest validation accuracy of a network trained to the end or imported";
        train_seconds: SECONDS, "Time spent on training", |row| row.seconds.train_seconds;
        saved_seconds: SECONDS, "Time that the stopping rule is estimated to have saved",
            |row| row.seconds.saved_seconds;
        lost_seconds: SECONDS, "Time of training that came to nothing, not part of train_seconds",
            |row| row.seconds.lost_seconds;
    });
    columns.push(trainer(|row: &EpsilonSummary| {
        let imported = row.counts.of(Event::Imported);
        if imported > 0 && imported == row.results { IMPORTED } else { search.trainer }
    }));
    // At the end, since it came later.
    columns.extend(columns! { EpsilonSummary:
        repeats: COUNT,
            "Rows of the replay memory that repeat a network that has its result already";
    });
    Table { name: "epsilon_summary", columns, rows: EpsilonSummary::of_each(search) }
}

const fn whose(status: Event) -> &'static str {
    match status {
        Event::Claimed => "being trained",
        Event::Pending => "that wait for another one with the same architecture",
        Event::Trained => "trained to the end",
        Event::Stopped => "ended by the stopping rule",
        Event::Failed => "that failed by the network's own fault",
        Event::OutOfMemory => "whose network does not fit into the device's memory",
        Event::Imported => "taken over from another search",
        Event::Reused => "that took the result of another one",
        Event::Lost => "that ended without a result",
        // Void; the others are no status.
        _ => "whose row of the log was damaged and blanked",
    }
}
