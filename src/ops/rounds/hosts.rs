//! What became of tasks on each machine, read from the rows of the log and from the refusals of each round.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::ops::snapshot::Snapshot;
use crate::ops::train::task::LOCAL;
use crate::ops::{Experiment, Refusal};
use crate::report::{CommonFailure, HostTask, Hosts, WorkEnd};
use crate::storage::{
    Event, Iteration, RoundDir, Row, StorageError, TaskRefusal, counts_as_loss, is_for_want_of_time,
};

/// Reads the refusals of all rounds.
///
/// # Errors
/// A folder cannot be listed, or a file cannot be read.
pub(crate) fn refusals(experiment: &Experiment) -> Result<Vec<TaskRefusal>, StorageError> {
    let mut refusals = Vec::new();
    for (round, _) in experiment.dir().list_rounds()? {
        refusals.extend(RoundDir::of(experiment.dir(), round).refusals()?);
    }
    Ok(refusals)
}

/// Judges the hosts.
///
/// A claim counts for the host of its attempt, as its `claimed` row has it. One that was lost after the search was
/// halted counts for nobody: a person ended it.
pub(crate) fn judge(rows: &[Row], refusals: &[TaskRefusal]) -> Hosts {
    Hosts::judge(tasks(rows, refusals).into_iter().map(|task| task.task))
}

/// Returns the nodes of the scheduler that seem to be at fault; the only one that was tried, if all fail there.
fn bad_nodes(hosts: Hosts) -> Vec<String> {
    match hosts.common_failure {
        Some(common) if common.hosts.len() == 1 => common.hosts,
        _ => hosts.tallies.into_iter().filter(|it| it.bad).map(|it| it.host).collect(),
    }
}

/// Returns the nodes to avoid, and says why these or why none.
///
/// `usable` are the nodes that may run the tasks, as far as the scheduler answers: it is asked only when some are bad.
///
/// # Errors
/// [`Refusal::NoNodeLeft`]; a file cannot be read.
pub(crate) fn nodes_to_avoid(
    experiment: &Experiment,
    usable: impl FnOnce() -> Option<BTreeSet<String>>,
) -> anyhow::Result<(Vec<String>, String)> {
    let rows = Snapshot::read(experiment)?.all_rows(experiment)?;
    let refusals = refusals(experiment)?;
    let of_scheduler = tasks(&rows, &refusals).into_iter().filter(|task| task.job != LOCAL);
    let hosts = Hosts::judge(of_scheduler.map(|task| task.task));
    let tried: BTreeSet<String> = hosts.tallies.iter().map(|it| it.host.clone()).collect();
    let sentence = hosts.common_failure.as_ref().map(sentence);
    let bad = bad_nodes(hosts);
    if bad.is_empty() {
        let why = sentence.map_or_else(String::new, |sentence| format!(": {sentence}"));
        return Ok((bad, format!("no host is bad{why}")));
    }
    let nodes = usable();
    if nodes.as_ref().unwrap_or(&tried).iter().all(|node| bad.contains(node)) {
        let of = if nodes.is_some() { "that can run its tasks" } else { "that have been tried" };
        bail!(Refusal::NoNodeLeft { bad: bad.join(", "), of });
    }
    let said = format!("bad hosts are avoided: {}", bad.join(", "));
    Ok((bad, said))
}

/// Says what fails everywhere.
pub(crate) fn sentence(common: &CommonFailure) -> String {
    let CommonFailure { reason, failures, hosts } = common;
    match &hosts[..] {
        [host] => {
            format!("{failures} tasks in a row failed on {host}, the only host tried: {reason}")
        }
        hosts => format!(
            "{failures} tasks failed on {} hosts for one reason, so it is not the hosts: {reason}",
            hosts.len()
        ),
    }
}

/// What a job did on a host. The place of row n of the log, from 0, is 2 n + 1; before it a refusal has 2 n.
struct JobTask<'a> {
    job: &'a str,
    task: HostTask<'a>,
}

/// Returns all tasks, in the order in which they ended, refusals where their time puts them, then what is under way.
fn tasks<'a>(rows: &'a [Row], refusals: &'a [TaskRefusal]) -> Vec<JobTask<'a>> {
    let (mut tasks, under_way) = claims(rows);
    tasks.extend(refusals.iter().map(|refusal| {
        let place = 2 * rows.partition_point(|row| row.time <= Some(refusal.time));
        let end = WorkEnd::Refused(&refusal.reason);
        let task = HostTask { host: &refusal.host, end, began: place, ended: place };
        JobTask { job: &refusal.job, task }
    }));
    tasks.sort_by_key(|task| task.task.ended);
    tasks.extend(under_way);
    tasks
}

/// An attempt under way.
struct Open<'a> {
    began: usize,
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
            _ if self.was_halted || is_for_want_of_time(reason) => None,
            // Taken up again: lost only when the row says so.
            Event::Claimed => reason.map(|reason| self.lost(reason)),
            _ if !counts_as_loss(reason) => reason.map(WorkEnd::Refused),
            _ => Some(self.lost(reason.unwrap_or("without a reason"))),
        }
    }

    const fn task(&self, end: WorkEnd<'a>, ended: usize) -> JobTask<'a> {
        let task = HostTask { host: self.host, end, began: self.began, ended };
        JobTask { job: self.job, task }
    }

    const fn lost(&self, reason: &'a str) -> WorkEnd<'a> {
        WorkEnd::Lost { architecture: self.architecture, reason }
    }
}

/// Returns the claims that have ended, in the order in which they did, and those that have not.
fn claims(rows: &[Row]) -> (Vec<JobTask<'_>>, Vec<JobTask<'_>>) {
    let mut open: BTreeMap<Iteration, Open<'_>> = BTreeMap::new();
    let mut ended = Vec::new();
    for (row, place) in rows.iter().zip((1..).step_by(2)) {
        if row.event == Event::Halted {
            open.values_mut().for_each(|open| open.was_halted = true);
        }
        let Some(iteration) = row.iteration else { continue };
        let is_end = row.event.is_result() || matches!(row.event, Event::Claimed | Event::Lost);
        if let Some(before) = is_end.then(|| open.remove(&iteration)).flatten()
            && let Some(end) = before.end(row)
        {
            ended.push(before.task(end, place));
        }
        if let (Event::Claimed, Some(host), Some(job), Some(architecture)) =
            (row.event, &row.host, &row.job, &row.architecture)
        {
            let claim = Open { began: place, host, job, architecture, was_halted: false };
            open.insert(iteration, claim);
        }
    }
    let under_way = open.into_values().map(|open| open.task(WorkEnd::UnderWay, usize::MAX));
    (ended, under_way.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn losses(rows: &[Row]) -> Vec<(String, u64)> {
        judge(rows, &[]).tallies.into_iter().map(|tally| (tally.host, tally.lost)).collect()
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
        let bad_nodes = |rows: &[Row]| super::bad_nodes(judge(rows, &[]));
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
        assert_eq!(bad_nodes(judge(&[claim.clone(), trained(5)], &refusals)), ["n1"]);
        assert!(bad_nodes(judge(&[claim.clone(), trained(20)], &refusals)).is_empty());
        let tally = &judge(&[claim.clone(), trained(5)], &refusals).tallies[0];
        assert_eq!((tally.results, tally.refused, tally.failures_in_a_row), (1, 3, 3));
        // A claim that was lost because its trainer refused says the same.
        let reason = crate::storage::refusal_as_reason("no GPU");
        let lost = after(&claim, Event::Lost, Some(&reason));
        assert_eq!(judge(&[claim, lost], &[]).tallies[0].refused, 1);
    }
}
