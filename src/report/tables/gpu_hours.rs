//! `gpu_hours.csv`: what training has cost, and what stopping has saved.

use super::column::*;
use super::table::Table;
use crate::report::iterations::{Ledger, StatusCounts, epsilon_bits, grouped};
use crate::report::search::SearchData;
use crate::storage::{Event, Row};

/// Seconds of training of some iterations, by what came of them.
pub(super) struct HoursRow {
    scope: &'static str,
    epsilon: Option<f64>,
    round: Option<u32>,
    counts: StatusCounts,
    epochs: u64,
    trained_seconds: f64,
    stopped_seconds: f64,
    failed_seconds: f64,
    ledger: Ledger,
}

impl HoursRow {
    fn of(scope: &'static str, rows: &[&Row]) -> Self {
        let spent = |on: &[Event]| {
            let rows = rows.iter().filter(|row| on.contains(&row.event));
            rows.fold(0.0, |sum, row| sum + row.train_seconds.unwrap_or(0.0))
        };
        Self {
            scope,
            epsilon: None,
            round: None,
            counts: StatusCounts::over(rows.iter().copied()),
            epochs: rows.iter().filter_map(|row| row.epochs).map(u64::from).sum(),
            trained_seconds: spent(&[Event::Trained]),
            stopped_seconds: spent(&[Event::Stopped]),
            failed_seconds: spent(&[Event::Failed, Event::OutOfMemory]),
            ledger: Ledger::over(rows.iter().copied()),
        }
    }

    fn spent_seconds(&self) -> f64 {
        self.trained_seconds + self.stopped_seconds + self.failed_seconds + self.ledger.lost_seconds
    }

    /// Of the cost without stopping.
    fn saved_share(&self) -> Option<f64> {
        let all = self.spent_seconds() + self.ledger.saved_seconds;
        (all > 0.0).then(|| self.ledger.saved_seconds / all)
    }
}

/// Returns the whole search, then each epsilon downwards, then each round.
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
        trained: COUNT, "Networks trained to the end", |row| row.counts.of(Event::Trained);
        stopped: COUNT, "Networks ended by the stopping rule",
            |row| row.counts.of(Event::Stopped);
        epochs: COUNT, "Epochs trained, of trainings with a result";
        spent_hours: HOURS,
            "Time of training, of one GPU each where a GPU trains: the sum of the next four",
            |row| row.spent_seconds() / 3600.0;
        trained_hours: HOURS, "Spent on networks trained to the end",
            |row| row.trained_seconds / 3600.0;
        stopped_hours: HOURS, "Spent on networks that were stopped",
            |row| row.stopped_seconds / 3600.0;
        failed_hours: HOURS, "Spent on networks that failed or did not fit into memory",
            |row| row.failed_seconds / 3600.0;
        lost_hours: HOURS,
            "Spent on epochs that came to nothing: of attempts that were lost, or trained again",
            |row| row.ledger.lost_seconds / 3600.0;
        saved_hours: HOURS, "Saved by the stopping rule, as estimated",
            |row| row.ledger.saved_seconds / 3600.0;
        saved_share: SHARE,
            "saved_hours as a share of spent_hours and saved_hours together: an estimate, as they \
             are",
            HoursRow::saved_share;
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
        assert_eq!((total.trained_seconds, total.stopped_seconds), (721.0, 120.0));
        assert_eq!((total.failed_seconds, total.ledger.lost_seconds), (90.0, 12.0));
        assert_eq!(total.spent_seconds(), 943.0);
        // 240 of 943 + 240.
        assert!((total.saved_share().unwrap() - 240.0 / 1183.0).abs() < 1e-12);
        for scope in ["epsilon", "round"] {
            let parts = rows.iter().filter(|row| row.scope == scope);
            assert_eq!(parts.map(HoursRow::spent_seconds).sum::<f64>(), 943.0);
        }
        assert_eq!(HoursRow::of("round", &[]).saved_share(), None);
    }
}
