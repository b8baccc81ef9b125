//! Which machine each claim ended on, read from the rows of the log.

use std::collections::BTreeMap;

use super::task::LOCAL;
use crate::report::{ClaimEnd, EndedClaim, HostTally};
use crate::storage::{Event, Iteration, Row};

/// What came of the claims of each host.
///
/// A claim counts for the host of its attempt, as its `claimed` row has it. One that was lost after the search was
/// halted counts for nobody: a person ended it.
pub(super) fn tallies(rows: &[Row]) -> Vec<HostTally> {
    HostTally::of_each(ended_claims(rows).into_iter().map(|(_, claim)| claim))
}

/// Returns the nodes of the scheduler that seem to be at fault for their losses.
pub(super) fn bad_nodes(rows: &[Row]) -> Vec<String> {
    let of_scheduler = ended_claims(rows).into_iter().filter(|(job, _)| *job != LOCAL);
    let tallies = HostTally::of_each(of_scheduler.map(|(_, claim)| claim));
    tallies.into_iter().filter(|tally| tally.bad).map(|tally| tally.host).collect()
}

/// An attempt under way.
struct Open<'a> {
    host: &'a str,
    job: &'a str,
    architecture: &'a str,
    was_halted: bool,
}

/// Returns the claims that have ended, each with the job that made it, in the order in which they ended.
fn ended_claims(rows: &[Row]) -> Vec<(&str, EndedClaim<'_>)> {
    let mut open: BTreeMap<Iteration, Open<'_>> = BTreeMap::new();
    let mut ended = Vec::new();
    for row in rows {
        if row.event == Event::Halted {
            open.values_mut().for_each(|open| open.was_halted = true);
        }
        let Some(iteration) = row.iteration else { continue };
        let before = match row.event {
            Event::Claimed | Event::Lost => open.remove(&iteration),
            event if event.is_result() => open.remove(&iteration),
            _ => None,
        };
        if let Some(Open { host, job, architecture, was_halted }) = before {
            let end = match row.event {
                // Taken up again: lost only when the row says so.
                Event::Claimed => row.reason.as_deref().map(ClaimEnd::Lost),
                Event::Lost => {
                    Some(ClaimEnd::Lost(row.reason.as_deref().unwrap_or("without a reason")))
                }
                _ => Some(ClaimEnd::Result),
            };
            let counts = |end: &ClaimEnd<'_>| *end == ClaimEnd::Result || !was_halted;
            ended.extend(
                end.filter(counts).map(|end| (job, EndedClaim { host, architecture, end })),
            );
        }
        if let (Event::Claimed, Some(host), Some(job), Some(architecture)) =
            (row.event, &row.host, &row.job, &row.architecture)
        {
            open.insert(iteration, Open { host, job, architecture, was_halted: false });
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(iteration: u64, attempt: u32, host: &str) -> Row {
        Row {
            iteration: Some(Iteration(iteration)),
            attempt: Some(attempt),
            architecture: Some(format!("A{iteration}")),
            host: Some(host.to_owned()),
            job: Some("7".to_owned()),
            ..Row::new(Event::Claimed)
        }
    }

    fn after(claim: &Row, event: Event, reason: Option<&str>) -> Row {
        Row { event, host: None, reason: reason.map(str::to_owned), ..claim.clone() }
    }

    fn losses(rows: &[Row]) -> Vec<(String, u64)> {
        tallies(rows).into_iter().map(|tally| (tally.host, tally.lost)).collect()
    }

    #[test]
    fn a_loss_counts_for_the_host_of_the_attempt_that_was_lost() {
        let first = claimed(1, 1, "n1");
        // Taken up on another node: the attempt before came to nothing, on the first.
        let second = Row { reason: Some("it added no epoch".into()), ..claimed(1, 2, "n2") };
        let third = claimed(1, 3, "n3");
        let lost = after(&third, Event::Lost, Some("its array has ended"));
        let rows = [first, second, third, lost];
        assert_eq!(losses(&rows), [("n1".to_owned(), 1), ("n3".to_owned(), 1)]);
    }

    #[test]
    fn what_a_person_halted_counts_for_nobody() {
        let claim = claimed(1, 1, "n1");
        let lost = after(&claim, Event::Lost, Some("its array has ended"));
        assert!(losses(&[claim, Row::new(Event::Halted), lost]).is_empty());
    }

    #[test]
    fn bad_nodes_are_those_of_a_scheduler() {
        let rows = |job: &str| -> Vec<Row> {
            (1..=3)
                .flat_map(|iteration| {
                    let claim = Row { job: Some(job.to_owned()), ..claimed(iteration, 1, "n1") };
                    let lost = after(&claim, Event::Lost, Some("gone"));
                    [claim, lost]
                })
                .collect()
        };
        assert_eq!(bad_nodes(&rows("7")), ["n1"]);
        assert!(bad_nodes(&rows(LOCAL)).is_empty());
        assert!(tallies(&rows(LOCAL))[0].bad);
        let failed = after(&claimed(3, 1, "n1"), Event::Failed, Some("no learning rate passed"));
        assert!(bad_nodes(&[rows("7"), vec![claimed(3, 1, "n1"), failed]].concat()).is_empty());
    }
}
