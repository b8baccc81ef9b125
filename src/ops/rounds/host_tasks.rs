//! What became of tasks on each host, read from the rows of the log and from the refusals of each
//! round.

use std::collections::BTreeMap;

use crate::ops::Experiment;
use crate::storage::{
    Event, Iteration, RoundDir, Row, StorageError, TaskRefusal, counts_as_loss, is_for_want_of_time,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskEnd<'a> {
    Result,
    /// Its claim was lost, or without `architecture`: the trainer refused to work there.
    Failed {
        architecture: Option<&'a str>,
        reason: &'a str,
    },
    /// Not yet: it trains.
    UnderWay,
}

/// A task on a host. `began` and `ended` are places in the order of time: row n of the log, from 0,
/// has 2 n + 1; a refusal before it has 2 n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostTask<'a> {
    pub host: &'a str,
    pub job: &'a str,
    pub end: TaskEnd<'a>,
    pub began: usize,
    /// Arbitrary for a task under way.
    pub ended: usize,
}

pub(crate) fn refusals(experiment: &Experiment) -> Result<Vec<TaskRefusal>, StorageError> {
    let mut refusals = Vec::new();
    for (round, _) in experiment.dir().list_rounds()? {
        refusals.extend(RoundDir::of(experiment.dir(), round).refusals()?);
    }
    Ok(refusals)
}

/// Returns all tasks, in the order in which they ended, refusals where their time puts them, then
/// those under way.
///
/// A claim counts for the host of its attempt, as its `claimed` row has it. One that was lost after
/// a person halted the search counts for no host.
pub(crate) fn tasks<'a>(rows: &'a [Row], refusals: &'a [TaskRefusal]) -> Vec<HostTask<'a>> {
    let mut open: BTreeMap<Iteration, OpenClaim<'_>> = BTreeMap::new();
    let mut tasks = Vec::new();
    for (row, place) in rows.iter().zip((1..).step_by(2)) {
        if row.event == Event::Halted {
            open.values_mut().for_each(|claim| claim.was_halted = true);
        }
        let Some(iteration) = row.iteration else { continue };
        let is_end = row.event.is_result() || matches!(row.event, Event::Claimed | Event::Lost);
        if let Some(claim) = is_end.then(|| open.remove(&iteration)).flatten()
            && let Some(end) = claim.end(row)
        {
            tasks.push(HostTask { end, ended: place, ..claim.task });
        }
        if let (Event::Claimed, Some(host), Some(job), Some(architecture)) =
            (row.event, &row.host, &row.job, &row.architecture)
        {
            let end = TaskEnd::UnderWay;
            let task = HostTask { host, job, end, began: place, ended: usize::MAX };
            open.insert(iteration, OpenClaim { task, architecture, was_halted: false });
        }
    }
    tasks.extend(refusals.iter().map(|refusal| {
        let place = 2 * rows.partition_point(|row| row.time <= Some(refusal.time));
        let end = TaskEnd::Failed { architecture: None, reason: &refusal.reason };
        HostTask { host: &refusal.host, job: &refusal.job, end, began: place, ended: place }
    }));
    tasks.sort_by_key(|task| task.ended);
    tasks.extend(open.into_values().map(|claim| claim.task));
    tasks
}

struct OpenClaim<'a> {
    task: HostTask<'a>,
    architecture: &'a str,
    was_halted: bool,
}

impl<'a> OpenClaim<'a> {
    /// How the next row of its iteration ends it; `None` when that counts for no host.
    fn end(&self, row: &'a Row) -> Option<TaskEnd<'a>> {
        let lost = |reason| TaskEnd::Failed { architecture: Some(self.architecture), reason };
        let refused = |reason| TaskEnd::Failed { architecture: None, reason };
        let reason = row.reason.as_deref();
        match row.event {
            event if event.is_result() => Some(TaskEnd::Result),
            _ if self.was_halted || is_for_want_of_time(reason) => None,
            // Taken up again: lost only when the row says so.
            Event::Claimed => reason.map(lost),
            _ if !counts_as_loss(reason) => reason.map(refused),
            _ => Some(lost(reason.unwrap_or("without a reason"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::rounds::hosts::Hosts;
    use crate::ops::train::LOCAL;
    use crate::storage::Time;

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

    fn judge(rows: &[Row], refusals: &[TaskRefusal]) -> Hosts {
        Hosts::judge(tasks(rows, refusals))
    }

    fn losses(rows: &[Row]) -> Vec<(String, u64)> {
        judge(rows, &[]).tallies.into_iter().map(|tally| (tally.host, tally.lost)).collect()
    }

    #[test]
    fn a_loss_counts_for_the_host_of_the_attempt_that_was_lost() {
        let first = claimed(1, 1, "n1");
        // Taken up on another node: the attempt before was lost, on the first.
        let second = Row { reason: Some("it added no epoch".into()), ..claimed(1, 2, "n2") };
        let third = claimed(1, 3, "n3");
        let lost = after(&third, Event::Lost, Some("its array has ended"));
        let rows = [first, second, third, lost];
        assert_eq!(losses(&rows), [("n1".to_owned(), 1), ("n3".to_owned(), 1)]);
    }

    #[test]
    fn what_a_person_halted_counts_for_no_host() {
        let claim = claimed(1, 1, "n1");
        let lost = after(&claim, Event::Lost, Some("its array has ended"));
        assert!(losses(&[claim, Row::new(Event::Halted), lost]).is_empty());
    }

    #[test]
    fn a_host_that_was_the_only_one_tried_may_be_bad() {
        let rows = |job: &str| -> Vec<Row> {
            (1..=3)
                .flat_map(|iteration| {
                    let claim = Row { job: Some(job.to_owned()), ..claimed(iteration, 1, "n1") };
                    let lost = after(&claim, Event::Lost, Some("gone"));
                    [claim, lost]
                })
                .collect()
        };
        let bad_nodes = |rows: &[Row]| judge(rows, &[]).bad_nodes();
        assert_eq!(bad_nodes(&rows("7")), ["n1"], "the only one tried");
        assert_eq!(judge(&rows(LOCAL), &[]).common_failure.unwrap().failures, 3);
        let failed = after(&claimed(3, 1, "n1"), Event::Failed, Some("no learning rate passed"));
        assert!(bad_nodes(&[rows("7"), vec![claimed(3, 1, "n1"), failed]].concat()).is_empty());
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
        assert_eq!(judge(&[claim.clone(), trained(5)], &refusals).bad_nodes(), ["n1"]);
        assert!(judge(&[claim.clone(), trained(20)], &refusals).bad_nodes().is_empty());
        let tally = &judge(&[claim.clone(), trained(5)], &refusals).tallies[0];
        assert_eq!((tally.results, tally.refused, tally.failures_in_a_row), (1, 3, 3));
        // A claim that was lost because its trainer refused says the same.
        let reason = crate::storage::refusal_as_reason("no GPU");
        let lost = after(&claim, Event::Lost, Some(&reason));
        assert_eq!(judge(&[claim, lost], &[]).tallies[0].refused, 1);
    }
}
