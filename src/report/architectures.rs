//! Iterations put together by architecture, and the ranking of architectures.

use std::collections::HashMap;

use super::iterations::final_accuracy;
use crate::storage::{Event, Row};

#[derive(Debug, Clone, Copy)]
pub struct ArchitectureRecord<'a> {
    pub architecture: &'a str,
    pub first: &'a Row,
    /// The iteration with its result, else the newest being trained, else the newest.
    pub deciding: &'a Row,
    pub times_sampled: u64,
}

impl<'a> ArchitectureRecord<'a> {
    /// In the order in which architectures were first sampled.
    pub fn gather(iterations: &'a [Row]) -> Vec<Self> {
        let weight = |row: &Row| (row.event.is_result(), row.event == Event::Claimed);
        let mut gathered: Vec<Self> = Vec::new();
        let mut places = HashMap::new();
        for row in iterations {
            let Some(architecture) = row.architecture.as_deref() else { continue };
            let place = *places.entry(architecture).or_insert(gathered.len());
            if let Some(known) = gathered.get_mut(place) {
                known.times_sampled += 1;
                if weight(row) >= weight(known.deciding) {
                    known.deciding = row;
                }
            } else {
                gathered.push(Self { architecture, first: row, deciding: row, times_sampled: 1 });
            }
        }
        gathered
    }
}

/// Returns the best architectures, greatest validation accuracy first; of equals the one with
/// fewer parameters, then the earlier one.
pub fn ranking<'a>(
    architectures: &[ArchitectureRecord<'a>],
    at_most: usize,
) -> Vec<ArchitectureRecord<'a>> {
    let mut ranked: Vec<(f64, &ArchitectureRecord)> = architectures
        .iter()
        .filter_map(|architecture| Some((final_accuracy(architecture.deciding)?, architecture)))
        .collect();
    let order = |of: &ArchitectureRecord| {
        (of.deciding.parameters.unwrap_or(u64::MAX), of.deciding.iteration)
    };
    ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(order(one).cmp(&order(other))));
    ranked.into_iter().take(at_most).map(|(_, architecture)| *architecture).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, iteration};
    use super::*;

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
        let ranked = ranking(&ArchitectureRecord::gather(&iterations), 10);
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
        let ranked = ranking(&ArchitectureRecord::gather(&iterations), 3);
        let order: Vec<u64> = ranked.iter().map(|of| number(of.deciding)).collect();
        assert_eq!(order, [3, 4, 2]);
    }
}
