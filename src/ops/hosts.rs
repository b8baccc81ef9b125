//! What became of tasks on each machine, read from the rows of the log and from the refusals of each round.

use std::collections::BTreeMap;

use super::Experiment;
use super::task::LOCAL;
use crate::report::{HostTally, WorkEnd};
use crate::storage::{
    Event, Iteration, RoundDir, Row, StorageError, TaskRefusal, Time, counts_as_loss,
};

/// Reads the refusals of all rounds.
///
/// # Errors
/// A folder cannot be listed, or a file cannot be read.
pub(super) fn refusals(experiment: &Experiment) -> Result<Vec<TaskRefusal>, StorageError> {
    let mut refusals = Vec::new();
    for (round, _) in experiment.dir().list_rounds()? {
        refusals.extend(RoundDir::of(experiment.dir(), round).refusals()?);
    }
    Ok(refusals)
}

/// What came of the tasks on each host.
///
/// A claim counts for the host of its attempt, as its `claimed` row has it. One that was lost after the search was
/// halted counts for nobody: a person ended it.
pub(super) fn tallies(rows: &[Row], refusals: &[TaskRefusal]) -> Vec<HostTally> {
    HostTally::of_each(ends(rows, refusals).into_iter().map(|end| (end.host, end.end)))
}

/// Returns the nodes of the scheduler that seem to be at fault.
pub(super) fn bad_nodes(rows: &[Row], refusals: &[TaskRefusal]) -> Vec<String> {
    let of_scheduler = ends(rows, refusals).into_iter().filter(|end| end.job != LOCAL);
    let tallies = HostTally::of_each(of_scheduler.map(|end| (end.host, end.end)));
    tallies.into_iter().filter(|tally| tally.bad).map(|tally| tally.host).collect()
}

/// What ended, where, by which job, when.
struct End<'a> {
    host: &'a str,
    job: &'a str,
    end: WorkEnd<'a>,
    time: Option<Time>,
}

/// Returns all that ended, in the order of the log, refusals where their time puts them.
fn ends<'a>(rows: &'a [Row], refusals: &'a [TaskRefusal]) -> Vec<End<'a>> {
    let mut ends = ended_claims(rows);
    ends.extend(refusals.iter().map(|refusal| End {
        host: &refusal.host,
        job: &refusal.job,
        end: WorkEnd::Refused(&refusal.reason),
        time: Some(refusal.time),
    }));
    ends.sort_by_key(|end| end.time);
    ends
}

/// An attempt under way.
struct Open<'a> {
    host: &'a str,
    job: &'a str,
    architecture: &'a str,
    was_halted: bool,
}

impl<'a> Open<'a> {
    /// Returns how the next row of its iteration ends it; `None` when it counts for nobody.
    fn end(&self, row: &'a Row) -> Option<WorkEnd<'a>> {
        let reason = row.reason.as_deref();
        match row.event {
            event if event.is_result() => Some(WorkEnd::Result),
            _ if self.was_halted => None,
            // Taken up again: lost only when the row says so.
            Event::Claimed => reason.map(|reason| self.lost(reason)),
            _ if !counts_as_loss(reason) => reason.map(WorkEnd::Refused),
            _ => Some(self.lost(reason.unwrap_or("without a reason"))),
        }
    }

    const fn lost(&self, reason: &'a str) -> WorkEnd<'a> {
        WorkEnd::Lost { architecture: self.architecture, reason }
    }
}

/// Returns the claims that have ended, in the order in which they did.
fn ended_claims(rows: &[Row]) -> Vec<End<'_>> {
    let mut open: BTreeMap<Iteration, Open<'_>> = BTreeMap::new();
    let mut ended = Vec::new();
    for row in rows {
        if row.event == Event::Halted {
            open.values_mut().for_each(|open| open.was_halted = true);
        }
        let Some(iteration) = row.iteration else { continue };
        let is_end = row.event.is_result() || matches!(row.event, Event::Claimed | Event::Lost);
        if let Some(before) = is_end.then(|| open.remove(&iteration)).flatten()
            && let Some(end) = before.end(row)
        {
            ended.push(End { host: before.host, job: before.job, end, time: row.time });
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
        tallies(rows, &[]).into_iter().map(|tally| (tally.host, tally.lost)).collect()
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
        assert_eq!(bad_nodes(&rows("7"), &[]), ["n1"]);
        assert!(bad_nodes(&rows(LOCAL), &[]).is_empty());
        assert!(tallies(&rows(LOCAL), &[])[0].bad);
        let failed = after(&claimed(3, 1, "n1"), Event::Failed, Some("no learning rate passed"));
        assert!(
            bad_nodes(&[rows("7"), vec![claimed(3, 1, "n1"), failed]].concat(), &[]).is_empty()
        );
    }

    #[test]
    fn refusals_stand_among_the_claims_by_their_time() {
        let at = |second: i64| Some(Time::from(jiff::Timestamp::from_second(second).unwrap()));
        let refusal = |second: i64| TaskRefusal {
            host: "n1".into(),
            job: "7".into(),
            task: second.to_string(),
            reason: "no GPU".into(),
            time: at(second).unwrap(),
        };
        let claim = Row { time: at(1), ..claimed(1, 1, "n1") };
        let trained = |second| Row { time: at(second), ..after(&claim, Event::Trained, None) };
        let refusals: Vec<TaskRefusal> = (10..13).map(refusal).collect();
        assert_eq!(bad_nodes(&[claim.clone(), trained(5)], &refusals), ["n1"]);
        assert!(bad_nodes(&[claim.clone(), trained(20)], &refusals).is_empty());
        let tally = &tallies(&[claim.clone(), trained(5)], &refusals)[0];
        assert_eq!((tally.results, tally.refused, tally.failures_in_a_row), (1, 3, 3));
        // A claim that was lost because its trainer refused says the same.
        let reason = crate::storage::refusal_as_reason("no GPU");
        let lost = after(&claim, Event::Lost, Some(&reason));
        assert_eq!(tallies(&[claim, lost], &[])[0].refused, 1);
    }
}
