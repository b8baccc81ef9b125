//! `gpu_hours.csv`: what training has cost, and what stopping has saved.

use super::table::*;
use crate::report::iterations::{Ledger, StatusCounts, epsilon_bits, grouped};
use crate::report::search::SearchData;
use crate::storage::{Event, Row};

pub(super) struct HoursRow {
    scope: &'static str,
    epsilon: Option<f64>,
    round: Option<u32>,
    trained: u64,
    stopped: u64,
    epochs: u64,
    spent_hours: f64,
    trained_hours: f64,
    stopped_hours: f64,
    failed_hours: f64,
    lost_hours: f64,
    saved_hours: f64,
    saved_share: Option<f64>,
}

impl HoursRow {
    fn of(scope: &'static str, rows: &[&Row]) -> Self {
        let counts = StatusCounts::over(rows.iter().copied());
        let Ledger { lost_seconds: lost, saved_seconds: saved, .. } =
            Ledger::over(rows.iter().copied());
        let seconds = |on: &[Event]| {
            let rows = rows.iter().filter(|row| on.contains(&row.event));
            rows.fold(0.0, |sum, row| sum + row.train_seconds.unwrap_or(0.0))
        };
        let (trained, stopped) = (seconds(&[Event::Trained]), seconds(&[Event::Stopped]));
        let failed = seconds(&[Event::Failed, Event::OutOfMemory]);
        let spent = trained + stopped + failed + lost;
        Self {
            scope,
            epsilon: None,
            round: None,
            trained: counts.of(Event::Trained),
            stopped: counts.of(Event::Stopped),
            epochs: rows.iter().filter_map(|row| row.epochs).map(u64::from).sum(),
            spent_hours: spent / 3600.0,
            trained_hours: trained / 3600.0,
            stopped_hours: stopped / 3600.0,
            failed_hours: failed / 3600.0,
            lost_hours: lost / 3600.0,
            saved_hours: saved / 3600.0,
            saved_share: (spent + saved > 0.0).then(|| saved / (spent + saved)),
        }
    }
}

/// The whole search, then each epsilon downwards, then each round.
pub(super) fn table(search: &SearchData) -> Table<'_, HoursRow> {
    let iterations = &search.iterations;
    let total = grouped(iterations, |_| Some(()));
    let mut rows: Vec<_> = total.into_values().map(|all| HoursRow::of("total", &all)).collect();
    for (bits, of_epsilon) in grouped(iterations, epsilon_bits).into_iter().rev() {
        let epsilon = Some(f64::from_bits(bits));
        rows.push(HoursRow { epsilon, ..HoursRow::of("epsilon", &of_epsilon) });
    }
    for (round, of_round) in grouped(iterations, |row| row.round) {
        rows.push(HoursRow { round: Some(round), ..HoursRow::of("round", &of_round) });
    }
    let mut columns = columns! { HoursRow:
        scope: one_of("total | epsilon | round"),
            "What the row sums up: the whole search, one epsilon or one round. Rows of different \
             scopes hold the same iterations: choose one before adding up";
        epsilon: SHARE, "The epsilon, in rows of an epsilon";
        round: POSITIVE, "The round, in rows of a round";
        trained: COUNT, "Networks trained to the end";
        stopped: COUNT, "Networks ended by the stopping rule";
        epochs: COUNT, "Epochs trained, of trainings with a result";
        spent_hours: HOURS,
            "Time of training, of one GPU each where a GPU trains: the sum of the next four";
        trained_hours: HOURS, "Spent on networks trained to the end";
        stopped_hours: HOURS, "Spent on networks that were stopped";
        failed_hours: HOURS, "Spent on networks that failed or did not fit into memory";
        lost_hours: HOURS,
            "Spent on epochs that came to nothing: of attempts that were lost, or trained again";
        saved_hours: HOURS, "Saved by the stopping rule, as estimated";
        saved_share: SHARE,
            "saved_hours as a share of spent_hours and saved_hours together: an estimate, as they \
             are";
    };
    columns.push(trainer(|_| search.trainer));
    Table { name: "gpu_hours", columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_second_of_a_scope_is_counted_once() {
        let search = sample::search("torch");
        let rows = table(&search).rows;
        let total = &rows[0];
        // Trained 1 and 2, 360.5 s each; stopped 8; failed 3; lost 5.
        let hours = [total.trained_hours, total.stopped_hours, total.failed_hours];
        assert_eq!(hours, [721.0, 120.0, 90.0].map(|seconds| seconds / 3600.0));
        assert_eq!((total.lost_hours, total.spent_hours), (12.0 / 3600.0, 943.0 / 3600.0));
        // 240 of 943 + 240.
        assert!((total.saved_share.unwrap() - 240.0 / 1183.0).abs() < 1e-12);
        for scope in ["epsilon", "round"] {
            let parts = rows.iter().filter(|row| row.scope == scope);
            let spent: f64 = parts.map(|row| row.spent_hours).sum();
            assert!((spent - total.spent_hours).abs() < 1e-12);
        }
        assert_eq!(HoursRow::of("round", &[]).saved_share, None);
    }
}
