//! The rows of the log folded into one an iteration; counts and sums of these; the ranking.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::Hash;

use derive_more::Deref;
use indexmap::IndexMap;
use itertools::Itertools;
use rustc_hash::FxBuildHasher;
use serde::Serialize;

use crate::storage::{Event, Iteration, Row, Time};

/// The events that an iteration can stand at, in the order of reports, and what is said of it.
pub const STATUSES: [(Event, &str); 10] = [
    (Event::Claimed, "being trained"),
    (Event::Pending, "that wait for another one with the same architecture"),
    (Event::Trained, "trained to the end"),
    (Event::Stopped, "ended by the stopping rule"),
    (Event::Failed, "that failed by the network's own fault"),
    (Event::OutOfMemory, "whose network does not fit into the device's memory"),
    (Event::Imported, "taken over from another search"),
    (Event::Reused, "that took the result of another one"),
    (Event::Lost, "that ended without a result"),
    (Event::Void, "whose row of the log was damaged and blanked"),
];

/// Returns of each iteration its newest row, seconds summed over all of them.
pub fn by_iteration(rows: &[Row]) -> Vec<Row> {
    let is_status = |row: &&Row| STATUSES.iter().any(|(event, _)| *event == row.event);
    let rows = rows.iter().filter(|row| row.iteration.is_some()).filter(is_status);
    let rows = rows.sorted_by_key(|row| row.iteration).collect_vec();
    let of_one = rows.chunk_by(|one, other| one.iteration == other.iteration);
    let newest = of_one.filter_map(|rows| rows.iter().copied().cloned().reduce(merged));
    newest.collect()
}

/// What the newer row lacks of draw and attempt stays; what it lacks of a result is not known.
fn merged(before: Row, row: Row) -> Row {
    let sum = |total: Option<f64>, more: Option<f64>| {
        total.into_iter().chain(more).reduce(|total, more| total + more)
    };
    // The late result of a lost claim holds the seconds that were counted as lost.
    let came_late =
        row.event.is_result() && before.event == Event::Lost && before.attempt == row.attempt;
    let lost_before = before.lost_seconds.filter(|_| !came_late);
    Row {
        attempt: row.attempt.or(before.attempt),
        round: row.round.or(before.round),
        epsilon: row.epsilon.or(before.epsilon),
        architecture: row.architecture.or(before.architecture),
        train_seconds: sum(before.train_seconds, row.train_seconds),
        saved_seconds: sum(before.saved_seconds, row.saved_seconds),
        lost_seconds: sum(lost_before, row.lost_seconds),
        view: row.view.or(before.view),
        device: row.device.or(before.device),
        host: row.host.or(before.host),
        job: row.job.or(before.job),
        task: row.task.or(before.task),
        started_at: row.started_at.or(before.started_at),
        time: row.time.or(before.time),
        repeat: row.repeat.or(before.repeat),
        predictor: row.predictor.or(before.predictor),
        strategy: row.strategy.or(before.strategy),
        ..row
    }
}

/// A stopped or failed network has shown none.
pub fn final_accuracy(row: &Row) -> Option<f64> {
    let is_final = matches!(row.event, Event::Trained | Event::Imported);
    row.best_validation_accuracy.filter(|_| is_final)
}

pub fn grouped<K: Ord + Hash>(
    iterations: &[Row],
    key: impl Fn(&Row) -> Option<K>,
) -> BTreeMap<K, Vec<&Row>> {
    let rows = iterations.iter().filter_map(|row| Some((key(row)?, row)));
    rows.into_group_map().into_iter().collect()
}

/// Those of floats from 0 up are ordered as the floats.
pub fn ordered_bits(share: f64) -> u64 {
    share.max(0.0).to_bits()
}

pub fn epsilon_bits(row: &Row) -> Option<u64> {
    row.epsilon.map(ordered_bits)
}

/// The time of a claim is when its attempt began.
pub fn first_start(rows: &[Row]) -> Option<Time> {
    let start = |row: &Row| row.started_at.or(row.time.filter(|_| row.event == Event::Claimed));
    rows.iter().filter_map(start).min()
}

/// How many iterations stand at each of [`STATUSES`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StatusCounts(IndexMap<Event, u64>);

impl StatusCounts {
    pub fn over<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut counts = IndexMap::from(STATUSES.map(|(status, _)| (status, 0)));
        rows.into_iter().for_each(|row| *counts.entry(row.event).or_default() += 1);
        Self(counts)
    }

    pub fn of(&self, status: Event) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    pub fn results(&self) -> u64 {
        self.0.iter().filter(|(status, _)| status.is_result()).map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Ledger {
    pub train_seconds: f64,
    pub saved_seconds: f64,
    pub lost_seconds: f64,
}

impl Ledger {
    pub fn over<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        rows.into_iter().fold(Self::default(), |sums, row| Self {
            train_seconds: sums.train_seconds + row.train_seconds.unwrap_or(0.0),
            saved_seconds: sums.saved_seconds + row.saved_seconds.unwrap_or(0.0),
            lost_seconds: sums.lost_seconds + row.lost_seconds.unwrap_or(0.0),
        })
    }

    pub fn spent(self) -> f64 {
        self.train_seconds + self.lost_seconds
    }
}

#[derive(Debug, Clone, Copy, Deref)]
pub struct ArchitectureRecord<'a> {
    /// In a [`ranking`], from 1.
    pub rank: Option<u64>,
    pub architecture: &'a str,
    pub first: &'a Row,
    /// The iteration with its result, else the newest being trained, else the newest.
    #[deref(forward)]
    pub deciding: &'a Row,
    pub times_sampled: u64,
    /// The newest of the iterations that sampled it.
    pub newest: Option<Iteration>,
}

impl<'a> ArchitectureRecord<'a> {
    /// With the number of its repeat.
    pub fn name(&self) -> String {
        let repeat = self.repeat.filter(|&repeat| repeat > 1);
        let repeat = repeat.map_or(String::new(), |repeat| format!(" (repeat {repeat})"));
        self.architecture.to_owned() + &repeat
    }

    /// One an architecture and repeat, in the order of their first iterations.
    pub fn gather(iterations: &'a [Row]) -> Vec<Self> {
        let weight = |row: &Row| (row.event.is_result(), row.event == Event::Claimed);
        let mut gathered = IndexMap::<(&str, Option<u32>), Self, FxBuildHasher>::default();
        for row in iterations {
            let Some(architecture) = row.architecture.as_deref() else { continue };
            let (first, deciding, newest) = (row, row, row.iteration);
            let new = Self { rank: None, architecture, first, deciding, times_sampled: 0, newest };
            let record = gathered.entry((architecture, row.repeat)).or_insert(new);
            record.times_sampled += 1;
            record.newest = row.iteration;
            if weight(row) >= weight(record.deciding) {
                record.deciding = row;
            }
        }
        gathered.into_values().collect()
    }
}

/// The best first; of equals the one with fewer parameters, then the earlier one.
pub fn ranking(mut ranked: Vec<ArchitectureRecord>, at_most: usize) -> Vec<ArchitectureRecord> {
    ranked.retain(|of| final_accuracy(of).is_some());
    ranked.sort_by_cached_key(|of| {
        let accuracy = final_accuracy(of).map(ordered_bits);
        (Reverse(accuracy), of.parameters.unwrap_or(u64::MAX), of.iteration)
    });
    ranked.truncate(at_most);
    ranked.iter_mut().zip(1..).for_each(|(record, rank)| record.rank = Some(rank));
    ranked
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::sample::{self, iteration};
    use super::*;

    fn row(iteration: u64, event: Event) -> Row {
        Row { iteration: Some(Iteration(iteration)), ..Row::new(event) }
    }

    #[test]
    fn seconds_of_a_late_result_are_lost_no_more() {
        let lost = |attempt| Row {
            attempt: Some(attempt),
            lost_seconds: Some(50.0),
            ..row(1, Event::Lost)
        };
        let late = Row {
            attempt: Some(1),
            train_seconds: Some(60.0),
            lost_seconds: Some(1.0),
            ..row(1, Event::Trained)
        };
        let seconds = |rows: [Row; 2]| {
            let iteration = &by_iteration(&rows)[0];
            (iteration.train_seconds, iteration.lost_seconds)
        };
        assert_eq!(seconds([lost(1), late.clone()]), (Some(60.0), Some(1.0)));
        // Another attempt has spent its own.
        assert_eq!(seconds([lost(2), late]), (Some(60.0), Some(51.0)));
    }

    #[test]
    fn a_search_began_with_its_first_attempt() {
        let [first, second] = [5, 9].map(|second| Timestamp::from_second(second).unwrap());
        let claim = |at: Timestamp| Row { time: Some(at.into()), ..row(1, Event::Claimed) };
        let result = Row { started_at: Some(second.into()), ..row(1, Event::Trained) };
        let rows = vec![claim(first), claim(second), result];
        assert_eq!(first_start(&rows), Some(first.into()));
        assert_eq!(by_iteration(&rows)[0].started_at, Some(second.into()));
    }

    #[test]
    fn the_last_event_decides_and_seconds_add_up() {
        let rows = vec![
            Row { attempt: Some(1), job: Some("7".into()), ..row(1, Event::Claimed) },
            Row {
                lost_seconds: Some(5.0),
                attempt: Some(1),
                reason: Some("gone".into()),
                ..row(1, Event::Lost)
            },
            Row { train_seconds: Some(60.0), reward: Some(0.5), ..row(1, Event::Trained) },
            row(2, Event::Claimed),
            Row::new(Event::Halted),
        ];
        let [first, second] = &by_iteration(&rows)[..] else { panic!("two iterations") };
        assert_eq!((first.event, second.event), (Event::Trained, Event::Claimed));
        assert_eq!((first.train_seconds, first.lost_seconds), (Some(60.0), Some(5.0)));
        assert_eq!((first.job.as_deref(), first.reason.as_deref()), (Some("7"), None));
    }

    fn number(row: &Row) -> u64 {
        row.iteration.unwrap().0
    }

    #[test]
    fn an_architecture_has_the_result_of_its_iterations() {
        let iterations = sample::iterations();
        let gathered = ArchitectureRecord::gather(&iterations);
        let small = gathered.iter().find(|of| of.architecture == sample::SMALL).unwrap();
        assert_eq!((number(small.first), number(small.deciding)), (1, 1));
        assert_eq!(small.times_sampled, 2);
        // Iteration 9 trains it and 10 waits for that.
        let open = gathered.last().unwrap();
        assert_eq!((number(open.first), number(open.deciding)), (9, 9));
        assert_eq!((open.deciding.event, open.times_sampled), (Event::Claimed, 2));
    }

    #[test]
    fn architectures_come_in_the_order_of_their_first_iterations() {
        let iterations = sample::iterations();
        let gathered = ArchitectureRecord::gather(&iterations);
        let firsts: Vec<u64> = gathered.iter().map(|of| number(of.first)).collect();
        assert_eq!(firsts, [1, 2, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn only_final_accuracies_are_ranked() {
        let iterations = sample::iterations();
        let ranked = ranking(ArchitectureRecord::gather(&iterations), 10);
        let order: Vec<u64> = ranked.iter().map(|of| number(of.deciding)).collect();
        assert_eq!(order, [7, 1, 2]);
    }

    #[test]
    fn of_equals_the_smaller_network_comes_first_then_the_earlier() {
        let equal = |number, architecture: &str, parameters| Row {
            architecture: Some(architecture.into()),
            best_validation_accuracy: Some(0.9),
            parameters,
            ..iteration(number, Event::Trained)
        };
        let iterations = [
            equal(1, "[A]", None),
            equal(2, "[B]", Some(20)),
            equal(3, "[C]", Some(10)),
            equal(4, "[D]", Some(10)),
        ];
        let ranked = ranking(ArchitectureRecord::gather(&iterations), 3);
        let order: Vec<u64> = ranked.iter().map(|of| number(of.deciding)).collect();
        assert_eq!(order, [3, 4, 2]);
    }
}
