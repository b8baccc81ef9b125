//! `epsilon_summary.csv`: one row per epsilon.

use super::table::*;
use crate::report::iterations::STATUSES;
use crate::report::search::{IMPORTED, SearchData};
use crate::report::summary::EpsilonSummary;
use crate::storage::Event;

pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    let mut columns = columns! { EpsilonSummary:
        epsilon: SHARE, "Share of random actions; missing where the strategy has none";
        wanted: COUNT, "Architectures that are to get a result at this epsilon; missing when the \
            schedule does not have it";
        exhausted: BOOLEAN, "Whether it was closed because nothing new could be drawn";
        results: COUNT, "Architectures that got their result at this epsilon";
        iterations: COUNT, "Iterations sampled at this epsilon";
        distinct_architectures: COUNT,
            "Distinct architectures among the iterations, known before or not";
        first_iteration: POSITIVE, "First of the iterations";
        last_iteration: POSITIVE, "Last of the iterations";
    };
    columns.extend(STATUSES.map(|(status, of_it)| {
        let meaning = format!("Iterations {of_it}");
        column(status, COUNT, meaning, move |row: &EpsilonSummary| row.counts.of(status))
    }));
    columns.extend(columns! { EpsilonSummary:
        memory_rows: COUNT, "Rows of the replay memory: iterations with a reward, repeats included";
        mean_reward_of_new: SHARE,
            "Mean reward of the networks that are new at this epsilon, each once";
        mean_reward_with_repeats: SHARE, "Mean reward over all rows of the replay memory, as the \
            paper counts: a network that is drawn again counts again";
        best_validation_accuracy: SHARE,
            "Greatest validation accuracy of a network trained to the end or imported";
        train_seconds: SECONDS, "Time spent on training", |row| row.seconds.train_seconds;
        saved_seconds: SECONDS, "Time that the stopping rule is estimated to have saved",
            |row| row.seconds.saved_seconds;
        lost_seconds: SECONDS, "Time of training that came to nothing, not part of train_seconds",
            |row| row.seconds.lost_seconds;
        trainer: TRAINER, WHO_TRAINED, |row| {
            let imported = row.counts.of(Event::Imported);
            if imported > 0 && imported == row.results { IMPORTED } else { search.trainer }
        };
        repeats: COUNT,
            "Rows of the replay memory that repeat a network that has its result already";
    });
    set.add("epsilon_summary", &columns, &EpsilonSummary::of_each(search));
}
