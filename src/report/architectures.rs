//! Iterations put together by architecture, and the ranking of architectures.

use std::collections::BTreeMap;

use super::records::{IterationRecord, Status};

/// One architecture with every iteration that sampled it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArchitectureRecord<'a> {
    /// The architecture with its dropout marks.
    pub architecture: &'a str,
    /// The first iteration that sampled it.
    pub first: &'a IterationRecord,
    /// The iteration that says most of it: the one with its result, else the newest being
    /// trained, else the newest.
    pub deciding: &'a IterationRecord,
    /// How often it was sampled.
    pub times_sampled: u64,
}

impl<'a> ArchitectureRecord<'a> {
    /// Puts iterations together by architecture, in the order in which they were first sampled.
    pub fn gather(iterations: &'a [IterationRecord]) -> Vec<Self> {
        let mut gathered = BTreeMap::<&str, Self>::new();
        for record in iterations {
            let Some(architecture) = record.architecture.as_deref() else { continue };
            gathered.entry(architecture).and_modify(|known| known.add(record)).or_insert(Self {
                architecture,
                first: record,
                deciding: record,
                times_sampled: 1,
            });
        }
        let mut architectures: Vec<Self> = gathered.into_values().collect();
        architectures.sort_by_key(|one| one.first.iteration);
        architectures
    }

    fn add(&mut self, record: &'a IterationRecord) {
        self.times_sampled += 1;
        if record.iteration < self.first.iteration {
            self.first = record;
        }
        let weight = |of: &IterationRecord| {
            (of.status.is_result(), of.status == Status::Claimed, of.iteration)
        };
        if weight(record) > weight(self.deciding) {
            self.deciding = record;
        }
    }

    /// Returns what the architecture is ranked by: its best validation accuracy, when it was
    /// trained to the end or imported. A stopped or failed network has shown no final accuracy.
    fn ranked_by(&self) -> Option<f64> {
        match self.deciding.status {
            Status::Trained | Status::Imported => self.deciding.best_validation_accuracy,
            _ => None,
        }
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
        .filter_map(|architecture| Some((architecture.ranked_by()?, architecture)))
        .collect();
    let cost = |of: &ArchitectureRecord| of.deciding.parameters.unwrap_or(u64::MAX);
    ranked.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a)
            .then(cost(one).cmp(&cost(other)))
            .then(one.deciding.iteration.cmp(&other.deciding.iteration))
    });
    ranked.into_iter().take(at_most).map(|(_, architecture)| *architecture).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn an_architecture_has_the_result_of_its_iterations() {
        let iterations = sample::iterations();
        let gathered = ArchitectureRecord::gather(&iterations);
        let small = gathered.iter().find(|of| of.architecture == sample::SMALL).unwrap();
        assert_eq!((small.first.iteration, small.deciding.iteration), (1, 1));
        assert_eq!(small.times_sampled, 2);
        // Iteration 9 trains it and 10 waits for that.
        let open = gathered.last().unwrap();
        assert_eq!((open.first.iteration, open.deciding.iteration), (9, 9));
        assert_eq!((open.deciding.status, open.times_sampled), (Status::Claimed, 2));
    }

    #[test]
    fn architectures_come_in_the_order_of_their_first_iterations() {
        let iterations = sample::iterations();
        let firsts: Vec<u64> =
            ArchitectureRecord::gather(&iterations).iter().map(|of| of.first.iteration).collect();
        assert_eq!(firsts, [1, 2, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn only_final_accuracies_are_ranked() {
        let iterations = sample::iterations();
        let ranked = ranking(&ArchitectureRecord::gather(&iterations), 10);
        let order: Vec<u64> = ranked.iter().map(|of| of.deciding.iteration).collect();
        assert_eq!(order, [7, 1, 2]);
    }

    #[test]
    fn of_equals_the_smaller_network_comes_first_then_the_earlier() {
        let equal = |iteration, architecture: &str, parameters| IterationRecord {
            architecture: Some(architecture.into()),
            best_validation_accuracy: Some(0.9),
            parameters,
            ..IterationRecord::new(iteration, Status::Trained)
        };
        let iterations = [
            equal(1, "[A]", None),
            equal(2, "[B]", Some(20)),
            equal(3, "[C]", Some(10)),
            equal(4, "[D]", Some(10)),
        ];
        let ranked = ranking(&ArchitectureRecord::gather(&iterations), 3);
        let order: Vec<u64> = ranked.iter().map(|of| of.deciding.iteration).collect();
        assert_eq!(order, [3, 4, 2]);
    }
}
