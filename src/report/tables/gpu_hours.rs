//! `gpu_hours.csv`: what training has cost, and what stopping has saved.

use std::collections::BTreeSet;

use super::super::records::{IterationRecord, Status};
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, fields};
use super::iterations::trainer;
use super::table::Table;

/// What a row sums up.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scope {
    /// The whole search.
    Total,
    /// One epsilon.
    Epsilon(f64),
    /// One round.
    Round(u32),
}

impl Scope {
    const WORDS: &[&str] = &["total", "epsilon", "round"];

    const fn name(self) -> &'static str {
        match self {
            Self::Total => Self::WORDS[0],
            Self::Epsilon(_) => Self::WORDS[1],
            Self::Round(_) => Self::WORDS[2],
        }
    }

    fn holds(self, record: &IterationRecord) -> bool {
        match self {
            Self::Total => true,
            Self::Epsilon(epsilon) => record.epsilon == Some(epsilon),
            Self::Round(round) => record.round == Some(round),
        }
    }
}

/// Seconds of the iterations of a scope, by what came of them.
pub(super) struct Row {
    scope: Scope,
    trained: u64,
    stopped: u64,
    epochs: u64,
    /// Of networks trained to the end.
    trained_seconds: f64,
    stopped_seconds: f64,
    failed_seconds: f64,
    lost_seconds: f64,
    saved_seconds: f64,
}

impl Row {
    fn of(scope: Scope, iterations: &[IterationRecord]) -> Self {
        let records: Vec<_> = iterations.iter().filter(|record| scope.holds(record)).collect();
        let count = |status| records.iter().filter(|record| record.status == status).count() as u64;
        let sum = |seconds: &dyn Fn(&IterationRecord) -> Option<f64>| {
            records.iter().filter_map(|record| seconds(record)).fold(0.0, |sum, more| sum + more)
        };
        let spent_on = |wanted: &[Status]| {
            sum(&|record| record.train_seconds.filter(|_| wanted.contains(&record.status)))
        };
        Self {
            scope,
            trained: count(Status::Trained),
            stopped: count(Status::Stopped),
            epochs: records.iter().map(|record| u64::from(record.epochs.unwrap_or(0))).sum(),
            trained_seconds: spent_on(&[Status::Trained]),
            stopped_seconds: spent_on(&[Status::Stopped]),
            failed_seconds: spent_on(&[Status::Failed, Status::OutOfMemory]),
            lost_seconds: sum(&|record| record.lost_seconds),
            saved_seconds: sum(&|record| record.saved_seconds),
        }
    }

    fn spent_seconds(&self) -> f64 {
        self.trained_seconds + self.stopped_seconds + self.failed_seconds + self.lost_seconds
    }

    /// The share of the cost without stopping; none of nothing.
    fn saved_share(&self) -> Option<f64> {
        let all = self.spent_seconds() + self.saved_seconds;
        (all > 0.0).then(|| self.saved_seconds / all)
    }
}

/// Returns the whole search, then each epsilon downwards, then each round.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, Row> {
    // Bits of floats from 0 up are ordered as the floats.
    let epsilons: BTreeSet<u64> = search
        .iterations
        .iter()
        .filter_map(|record| record.epsilon)
        .map(|epsilon| epsilon.max(0.0).to_bits())
        .collect();
    let rounds: BTreeSet<u32> =
        search.iterations.iter().filter_map(|record| record.round).collect();
    let total = (!search.iterations.is_empty()).then_some(Scope::Total);
    let epsilons = epsilons.into_iter().rev().map(|bits| Scope::Epsilon(f64::from_bits(bits)));
    let scopes = total.into_iter().chain(epsilons).chain(rounds.into_iter().map(Scope::Round));
    let rows = scopes.map(|scope| Row::of(scope, search.iterations)).collect();
    let mut columns = scope_columns();
    columns.extend(count_columns());
    columns.extend(hour_columns());
    columns.push(trainer(search.settings.trainer));
    Table { name: "gpu_hours", columns, rows }
}

fn scope_columns<'a>() -> Vec<Column<'a, Row>> {
    vec![
        column(
            "scope",
            OneOf(Scope::WORDS),
            "What the row sums up: the whole search, one epsilon or one round. Rows of different \
             scopes hold the same iterations: choose one before adding up",
            |row: &Row| row.scope.name(),
        ),
        column("epsilon", Share, "The epsilon, in rows of an epsilon", |row: &Row| {
            match row.scope {
                Scope::Epsilon(epsilon) => Some(epsilon),
                _ => None,
            }
        }),
        column("round", AtLeast(1), "The round, in rows of a round", |row: &Row| match row.scope {
            Scope::Round(round) => Some(round),
            _ => None,
        }),
    ]
}

fn count_columns<'a>() -> Vec<Column<'a, Row>> {
    fields! { Row:
        trained: AtLeast(0), "Networks trained to the end";
        stopped: AtLeast(0), "Networks ended by the stopping rule";
        epochs: AtLeast(0), "Epochs trained, of trainings with a result";
    }
}

fn hour_columns<'a>() -> Vec<Column<'a, Row>> {
    type Seconds = fn(&Row) -> f64;
    let hours = |name, meaning, seconds: Seconds| {
        column(name, Hours, meaning, move |row: &Row| seconds(row) / 3600.0)
    };
    vec![
        hours(
            "spent_hours",
            "Time of training, of one GPU each where a GPU trains: the sum of the next four",
            Row::spent_seconds,
        ),
        hours("trained_hours", "Spent on networks trained to the end", |row| row.trained_seconds),
        hours("stopped_hours", "Spent on networks that were stopped", |row| row.stopped_seconds),
        hours("failed_hours", "Spent on networks that failed or did not fit into memory", |row| {
            row.failed_seconds
        }),
        hours(
            "lost_hours",
            "Spent on epochs that came to nothing: of attempts that were lost, or trained again",
            |row| row.lost_seconds,
        ),
        hours("saved_hours", "Saved by the stopping rule, as estimated", |row| row.saved_seconds),
        column(
            "saved_share",
            Share,
            "saved_hours as a share of spent_hours and saved_hours together: an estimate, as they are",
            Row::saved_share,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn every_second_of_a_scope_is_counted_once() {
        let iterations = sample::iterations();
        let total = Row::of(Scope::Total, &iterations);
        // Trained 1 and 2, 360.5 s each; stopped 8; failed 3; lost 5.
        assert_eq!((total.trained_seconds, total.stopped_seconds), (721.0, 120.0));
        assert_eq!((total.failed_seconds, total.lost_seconds), (90.0, 12.0));
        assert_eq!(total.spent_seconds(), 943.0);
        // 240 of 943 + 240.
        assert!((total.saved_share().unwrap() - 240.0 / 1183.0).abs() < 1e-12);
        let parts: f64 = [1.0, 0.5]
            .map(|epsilon| Row::of(Scope::Epsilon(epsilon), &iterations).spent_seconds())
            .iter()
            .sum();
        assert_eq!(parts, total.spent_seconds());
        assert_eq!(Row::of(Scope::Round(9), &iterations).saved_share(), None);
    }
}
