//! `gpu_hours.csv`: what training has cost, and what stopping has saved.

use super::table::*;
use crate::report::iterations::{Ledger, epsilon_bits, grouped};
use crate::report::search::SearchData;
use crate::storage::{Event, Row};

#[derive(Default)]
pub(super) struct HoursRow<'a> {
    scope: &'static str,
    epsilon: Option<f64>,
    round: Option<u32>,
    iterations: Vec<&'a Row>,
    seconds: Ledger,
}

impl HoursRow<'_> {
    fn on(&self, events: &[Event]) -> impl Iterator<Item = &Row> {
        self.iterations.iter().copied().filter(|row| events.contains(&row.event))
    }

    fn train_seconds(&self, events: &[Event]) -> f64 {
        Ledger::over(self.on(events)).train_seconds
    }

    fn spent_seconds(&self) -> f64 {
        let trained = self.train_seconds(&[Event::Trained]);
        let stopped = self.train_seconds(&[Event::Stopped]);
        trained + stopped + self.train_seconds(&FAILED) + self.seconds.lost_seconds
    }

    fn saved_share(&self) -> Option<f64> {
        let (spent, saved) = (self.spent_seconds(), self.seconds.saved_seconds);
        (spent + saved > 0.0).then(|| saved / (spent + saved))
    }
}

const FAILED: [Event; 2] = [Event::Failed, Event::OutOfMemory];

/// The whole search, then each epsilon downwards, then each round.
fn rows(search: &SearchData) -> Vec<HoursRow<'_>> {
    let all = &search.iterations;
    let row = |scope, iterations: Vec<_>| {
        let seconds = Ledger::over(iterations.iter().copied());
        HoursRow { scope, iterations, seconds, ..HoursRow::default() }
    };
    let mut rows = Vec::new();
    rows.extend(grouped(all, |_| Some(())).into_values().map(|all| row("total", all)));
    for (bits, part) in grouped(all, epsilon_bits).into_iter().rev() {
        rows.push(HoursRow { epsilon: Some(f64::from_bits(bits)), ..row("epsilon", part) });
    }
    for (round, part) in grouped(all, |row| row.round) {
        rows.push(HoursRow { round: Some(round), ..row("round", part) });
    }
    rows
}

pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    let columns = columns! { HoursRow:
        scope: one_of("total | epsilon | round"), "What the row sums up: the whole search, one \
            epsilon or one round. Rows of different scopes hold the same iterations: choose one \
            before adding up";
        epsilon: SHARE, "The epsilon, in rows of an epsilon";
        round: POSITIVE, "The round, in rows of a round";
        trained: COUNT, "Networks trained to the end",
            |row| row.on(&[Event::Trained]).count() as u64;
        stopped: COUNT, "Networks ended by the stopping rule",
            |row| row.on(&[Event::Stopped]).count() as u64;
        epochs: COUNT, "Epochs trained, of trainings with a result",
            |row| row.iterations.iter().filter_map(|row| row.epochs).map(u64::from).sum::<u64>();
        spent_hours: HOURS,
            "Time of training, of one GPU each where a GPU trains: the sum of the next four",
            |row| row.spent_seconds() / 3600.0;
        trained_hours: HOURS, "Spent on networks trained to the end",
            |row| row.train_seconds(&[Event::Trained]) / 3600.0;
        stopped_hours: HOURS, "Spent on networks that were stopped",
            |row| row.train_seconds(&[Event::Stopped]) / 3600.0;
        failed_hours: HOURS, "Spent on networks that failed or did not fit into memory",
            |row| row.train_seconds(&FAILED) / 3600.0;
        lost_hours: HOURS,
            "Spent on epochs that came to nothing: of attempts that were lost, or trained again",
            |row| row.seconds.lost_seconds / 3600.0;
        saved_hours: HOURS, "Saved by the stopping rule, as estimated",
            |row| row.seconds.saved_seconds / 3600.0;
        saved_share: SHARE, "saved_hours as a share of spent_hours and saved_hours together: an \
            estimate, as they are", |row| row.saved_share();
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
    };
    set.add("gpu_hours", &columns, &rows(search));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_second_of_a_scope_is_counted_once() {
        let search = sample::search("torch");
        let rows = rows(&search);
        let total = &rows[0];
        // Trained 1 and 2, 360.5 s each; stopped 8; failed 3; lost 5.
        let hours = [&[Event::Trained][..], &[Event::Stopped], &FAILED];
        assert_eq!(hours.map(|events| total.train_seconds(events)), [721.0, 120.0, 90.0]);
        assert_eq!((total.seconds.lost_seconds, total.spent_seconds()), (12.0, 943.0));
        // 240 of 943 + 240.
        assert!((total.saved_share().unwrap() - 240.0 / 1183.0).abs() < 1e-12);
        for scope in ["epsilon", "round"] {
            let parts = rows.iter().filter(|row| row.scope == scope);
            let spent: f64 = parts.map(HoursRow::spent_seconds).sum();
            assert!((spent - total.spent_seconds()).abs() < 1e-9);
        }
        assert_eq!(HoursRow::default().saved_share(), None);
    }
}
