//! Which hosts are at fault when tasks fail, rather than the network (it may kill its trainer on
//! every host) or a cause common to all hosts. The rule:
//!
//! 1. A host is *suspect* when the last three tasks that ended on it all failed so, and not all
//!    with one architecture (a trainer that refuses to work names none). One result clears it.
//! 2. The failure is *common* when all suspect hosts fail for one reason ([`gist`]), at least two
//!    hosts do (suspect or not; one is enough when no other has been tried), and no other host
//!    works: none has had a result since the first of these tasks began, and none that has not
//!    failed has a task in training.
//! 3. Suspect hosts are *bad* unless the failure is common.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use itertools::Itertools;

use crate::ops::rounds::plan::scheduler_of_plan;
use crate::ops::train::LOCAL;
use crate::ops::{Experiment, Refusal};
use crate::report::HostTally;
use crate::slurm::Asked;
use crate::storage::{
    Event, RoundDir, RoundPlan, Row, StorageError, TaskRefusal, counts_as_loss, is_for_want_of_time,
};

const IN_A_ROW: usize = 3;

/// `began` and `ended` are places in time: row n of the log has 2 n + 1, a refusal before it 2 n.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostTask<'a> {
    pub host: &'a str,
    pub job: &'a str,
    /// `None` where the trainer refused to work, whatever the network.
    pub architecture: Option<&'a str>,
    pub began: usize,
    /// `None` while it trains.
    pub ended: Option<usize>,
    /// Why it ended without a result.
    pub failure: Option<&'a str>,
}

pub(crate) fn refusals(experiment: &Experiment) -> Result<Vec<TaskRefusal>, StorageError> {
    let rounds = experiment.dir().list_rounds()?.into_iter();
    let of_round = |(round, _)| RoundDir::of(experiment.dir(), round).refusals();
    rounds.map(of_round).flatten_ok().collect()
}

/// In the order in which they ended, then those under way. A claim counts for the host of its
/// attempt.
pub(crate) fn tasks<'a>(rows: &'a [Row], refusals: &'a [TaskRefusal]) -> Vec<HostTask<'a>> {
    let mut open = BTreeMap::new();
    let (mut tasks, mut halted) = (Vec::new(), 0);
    for (row, place) in rows.iter().zip((1..).step_by(2)) {
        if row.event == Event::Halted {
            halted = place;
        }
        let Some(iteration) = row.iteration else { continue };
        let is_end = row.event.is_result() || matches!(row.event, Event::Claimed | Event::Lost);
        let claim: Option<HostTask<'_>> = is_end.then(|| open.remove(&iteration)).flatten();
        tasks.extend(claim.and_then(|claim| ended(claim, row, place, halted)));
        if let (Event::Claimed, Some(host), Some(job), Some(architecture)) =
            (row.event, &row.host, &row.job, &row.architecture)
        {
            let (architecture, began) = (Some(&**architecture), place);
            let task = HostTask { host, job, architecture, began, ended: None, failure: None };
            open.insert(iteration, task);
        }
    }
    tasks.extend(refusals.iter().map(|TaskRefusal { host, job, reason, time, .. }| {
        let place = 2 * rows.partition_point(|row| row.time <= Some(*time));
        let (ended, failure) = (Some(place), Some(reason.as_str()));
        HostTask { host, job, architecture: None, began: place, ended, failure }
    }));
    tasks.sort_by_key(|task| task.ended);
    tasks.extend(open.into_values());
    tasks
}

/// How the next row of its iteration ends a claim. `None` when that counts for no host: its time
/// was too short, or a person had halted the search.
fn ended<'a>(
    claim: HostTask<'a>,
    row: &'a Row,
    place: usize,
    halted: usize,
) -> Option<HostTask<'a>> {
    let reason = row.reason.as_deref();
    let (architecture, failure) = match row.event {
        event if event.is_result() => (claim.architecture, None),
        _ if claim.began < halted || is_for_want_of_time(reason) => return None,
        // Taken up again: lost only when the row says so.
        Event::Claimed => (claim.architecture, Some(reason?)),
        _ if !counts_as_loss(reason) => (None, reason),
        _ => (claim.architecture, reason.or(Some("without a reason"))),
    };
    Some(HostTask { architecture, failure, ended: Some(place), ..claim })
}

#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Each host on which a task has ended, in order of name.
    pub tallies: Vec<HostTally>,
    /// In a sentence.
    pub common_failure: Option<String>,
}

impl Hosts {
    /// `tasks` in the order in which they ended.
    pub fn judge<'a>(tasks: impl IntoIterator<Item = HostTask<'a>>) -> Self {
        let mut histories: BTreeMap<&str, History<'_>> = BTreeMap::new();
        for task in tasks {
            histories.entry(task.host).or_default().add(task);
        }
        let common_failure = common_failure(&histories);
        let tallies = histories.into_iter().map(|(host, history)| HostTally {
            host: host.to_owned(),
            failures_in_a_row: history.failures.len() as u64,
            bad: history.is_suspect() && common_failure.is_none(),
            ..history.tally
        });
        let has_ended = |it: &HostTally| it.results + it.lost + it.refused > 0;
        Self { tallies: tallies.filter(has_ended).collect(), common_failure }
    }

    /// The nodes that seem to be at fault; the only one that was tried, if all fail there.
    fn bad_nodes(&self) -> Vec<String> {
        let is_only_host = self.common_failure.is_some() && self.tallies.len() == 1;
        let bad = self.tallies.iter().filter(|it| it.bad || is_only_host);
        bad.map(|it| it.host.clone()).collect()
    }
}

/// Adds the nodes to avoid to what is asked of a chain; says which, or why none.
pub(crate) fn avoid_bad_hosts(
    experiment: &Experiment,
    rows: &[Row],
    asked: &mut RoundPlan,
) -> anyhow::Result<String> {
    let refusals = refusals(experiment)?;
    let hosts = Hosts::judge(tasks(rows, &refusals).into_iter().filter(|task| task.job != LOCAL));
    let bad = hosts.bad_nodes();
    if bad.is_empty() {
        let why = hosts.common_failure.map_or_else(String::new, |why| format!(": {why}"));
        return Ok(format!("no host is bad{why}"));
    }
    let names = bad.join(", ");
    let (nodes, of) = match usable_nodes(experiment, asked) {
        Some(nodes) => (nodes, "that can run its tasks"),
        None => (hosts.tallies.iter().map(|it| it.host.clone()).collect(), "that have been tried"),
    };
    if nodes.iter().all(|node| bad.contains(node)) {
        bail!(Refusal::Environment(format!(
            "`--exclude-bad-hosts` would leave no node: {names} are all {of}, so nothing is \
             submitted (`metaqnn status` has their reasons)"
        )));
    }
    // An option on the line of `sbatch` takes the place of the one in the script.
    let all = experiment.config().slurm.exclude.iter().chain(&bad).join(",");
    asked.sbatch_options.push(format!("--exclude={all}"));
    Ok(format!("bad hosts are avoided: {names}"))
}

/// The nodes that may run the tasks; `None` when the scheduler does not answer.
fn usable_nodes(experiment: &Experiment, asked: &RoundPlan) -> Option<BTreeSet<String>> {
    let params = &experiment.config().slurm;
    let scheduler = scheduler_of_plan(asked);
    let asked = Asked { options: &asked.sbatch_options, variables: &asked.sbatch_variables };
    let partition = asked.value("partition", "-p", params.partition.as_deref());
    let nodes = scheduler.nodes(partition).and_then(|mut nodes| {
        if let Some(exclude) = &params.exclude {
            let excluded = scheduler.host_names(exclude)?;
            nodes.retain(|node| !excluded.contains(node));
        }
        Ok(nodes)
    });
    nodes.inspect_err(|error| log::info!("the nodes cannot be asked for: {error}")).ok()
}

fn common_failure(histories: &BTreeMap<&str, History<'_>>) -> Option<String> {
    let hosts: BTreeSet<&str> = histories.keys().copied().collect();
    let gist = |failure: &HostTask<'_>| gist(failure.failure.unwrap_or_default(), &hosts);
    let (suspects, others): (Vec<_>, Vec<_>) = histories.values().partition(|it| it.is_suspect());
    let common = suspects.iter().map(|it| it.main_reason(&gist)).all_equal_value().ok()?;
    let since = suspects.iter().flat_map(|it| &it.failures).map(|it| it.began).min()?;
    let works = |it: &&History<'_>| {
        it.last_result.is_some_and(|ended| ended > since)
            || (it.is_under_way && it.failures.is_empty())
    };
    let all = histories.values().flat_map(|it| &it.failures);
    let alike = all.filter(|it| gist(it) == common).collect_vec();
    let (failures, newest) = (alike.len(), alike.iter().max_by_key(|it| it.ended)?);
    let (host, reason) = (newest.host, newest.failure?);
    match alike.iter().map(|it| it.host).unique().count() {
        _ if others.iter().any(works) => None,
        1 if histories.len() > 1 => None,
        1 => Some(format!(
            "{failures} tasks in a row failed on {host}, the only host tried: {reason}"
        )),
        hosts => Some(format!(
            "{failures} tasks failed on {hosts} hosts for one reason, so it is not the hosts: \
             {reason}"
        )),
    }
}

#[derive(Default)]
struct History<'a> {
    tally: HostTally,
    /// Those since the last result.
    failures: Vec<HostTask<'a>>,
    last_result: Option<usize>,
    is_under_way: bool,
}

impl<'a> History<'a> {
    fn add(&mut self, task: HostTask<'a>) {
        match (task.ended, task.failure) {
            (None, _) => self.is_under_way = true,
            (Some(_), None) => {
                self.tally.results += 1;
                self.last_result = task.ended;
                self.failures.clear();
            }
            (Some(_), Some(reason)) => {
                let is_refusal = task.architecture.is_none();
                self.tally.refused += u64::from(is_refusal);
                self.tally.lost += u64::from(!is_refusal);
                self.tally.last_reason = Some(reason.to_owned());
                self.failures.push(task);
            }
        }
    }

    fn is_suspect(&self) -> bool {
        let mut networks = self.failures.iter().map(|it| it.architecture);
        self.failures.len() >= IN_A_ROW && !matches!(networks.all_equal_value(), Ok(Some(_)))
    }

    /// The gist of most failures since the last result; of the newest of them in a tie.
    fn main_reason(&self, gist: &impl Fn(&HostTask<'_>) -> String) -> String {
        let counts = self.failures.iter().map(gist).counts();
        let main = self.failures.iter().max_by_key(|it| (counts[&gist(it)], it.ended));
        main.map(gist).unwrap_or_default()
    }
}

/// A reason without what differs from task to task: names of these hosts, paths, and words with a
/// digit (numbers, process ids, lines, temporary names).
fn gist(reason: &str, hosts: &BTreeSet<&str>) -> String {
    let is_end = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let gist_of = |text: &str| {
        let part = text.trim_end_matches(is_end);
        let name = part.trim_end_matches('.');
        let varies = name.contains(|c: char| c.is_ascii_digit()) || hosts.contains(name);
        text.replacen(part, if varies { "#" } else { part }, 1)
    };
    let mut words = reason.split_whitespace().map(|word| {
        let parts = word.split_inclusive(is_end);
        if word.contains('/') { "/".to_owned() } else { parts.map(gist_of).collect() }
    });
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Iteration, Time};

    /// Whether it has ended, the architecture, and a reason.
    type End<'a> = (bool, Option<&'a str>, Option<&'a str>);

    const RESULT: End<'_> = (true, None, None);
    const UNDER_WAY: End<'_> = (false, None, None);

    const fn lost(architecture: &str) -> End<'_> {
        (true, Some(architecture), Some("gone"))
    }

    const fn refused(reason: &str) -> End<'_> {
        (true, None, Some(reason))
    }

    fn task<'a>(host: &'a str, end: End<'a>, began: usize, ended: usize) -> HostTask<'a> {
        let (has_ended, architecture, failure) = end;
        let ended = Some(ended).filter(|_| has_ended);
        HostTask { host, job: "7", architecture, began, ended, failure }
    }

    /// Tasks that end as soon as they begin.
    fn made_up<'a>(ends: &[(&'a str, End<'a>)]) -> Vec<HostTask<'a>> {
        let ends = ends.iter().enumerate();
        ends.map(|(place, &(host, end))| task(host, end, place, place)).collect()
    }

    fn failures(common: &str) -> usize {
        common.split(' ').next().unwrap().parse().unwrap()
    }

    /// The bad hosts, and how many tasks failed for the common reason.
    fn judged(ends: &[(&str, End<'_>)]) -> (Vec<String>, Option<usize>) {
        let hosts = Hosts::judge(made_up(ends));
        let bad = hosts.tallies.into_iter().filter(|tally| tally.bad).map(|tally| tally.host);
        (bad.collect(), hosts.common_failure.as_deref().map(failures))
    }

    /// On `n1`, beside a host that works.
    fn is_bad(ends: &[End<'_>]) -> bool {
        let n1 = ends.iter().map(|&end| ("n1", end));
        judged(&n1.chain([("n2", RESULT)]).collect::<Vec<_>>()).0 == ["n1"]
    }

    #[test]
    fn three_losses_of_several_architectures_make_a_host_bad_and_a_result_clears_it() {
        assert!(!is_bad(&[lost("A"), lost("B")]));
        assert!(is_bad(&[lost("A"), lost("B"), lost("A")]));
        assert!(is_bad(&[RESULT, lost("A"), lost("B"), lost("C")]));
        assert!(!is_bad(&[lost("A"), RESULT, lost("C"), lost("D")]));
        assert!(!is_bad(&[lost("A"), lost("B"), lost("C"), RESULT]));
        assert!(!is_bad(&[lost("A"), lost("A"), lost("A")]), "that is the network's fault");
    }

    #[test]
    fn a_trainer_that_refuses_needs_no_other_network() {
        let no_gpu = refused("no GPU");
        assert!(is_bad(&[no_gpu; 3]) && !is_bad(&[no_gpu; 2]));
        assert!(is_bad(&[lost("A"), no_gpu, lost("A")]));
        assert!(!is_bad(&[no_gpu, no_gpu, no_gpu, RESULT]));
    }

    #[test]
    fn what_fails_everywhere_for_one_reason_is_no_hosts_fault() {
        let three = |host, reason| [(host, refused(reason)); 3];
        let (n1, n2, n3) = (three("n1", "a"), three("n2", "a"), three("n3", "a"));
        let works = [("n4", RESULT)];
        let trains = [("n4", UNDER_WAY)];
        for (case, ends, bad, common) in [
            ("all of two", [&n1[..], &n2].concat(), &[][..], Some(6)),
            ("two for different reasons", [n1, three("n2", "b")].concat(), &["n1", "n2"], None),
            (
                "one reason with other numbers",
                [three("n1", "pid 1"), three("n2", "pid 22")].concat(),
                &[],
                Some(6),
            ),
            ("the only host tried", n1.to_vec(), &[], Some(3)),
            ("three, the fourth not tried", [n1, n2, n3].concat(), &[], Some(9)),
            (
                "three, the fourth works",
                [&n1[..], &n2, &n3, &works].concat(),
                &["n1", "n2", "n3"],
                None,
            ),
            (
                "three, the fourth trains its first",
                [&n1[..], &n2, &n3, &trains].concat(),
                &["n1", "n2", "n3"],
                None,
            ),
            ("three, the fourth worked before", [&works[..], &n1, &n2, &n3].concat(), &[], Some(9)),
            (
                "three, the fourth begins to fail",
                [&n1[..], &n2, &n3, &[("n4", refused("a"))]].concat(),
                &[],
                Some(10),
            ),
            ("one, beside one that worked before", [&works[..], &n1].concat(), &["n1"], None),
            (
                "one, beside one that fails for another reason",
                [&n1[..], &[("n4", refused("b"))]].concat(),
                &["n1"],
                None,
            ),
            (
                "one, beside one that begins to fail alike",
                [&n1[..], &[("n4", refused("a"))]].concat(),
                &[],
                Some(4),
            ),
            ("one, beside one that trains", [&n1[..], &trains].concat(), &["n1"], None),
            (
                "all have worked before",
                [&[("n1", RESULT), ("n2", RESULT)], &n1[..], &n2].concat(),
                &[],
                Some(6),
            ),
            (
                "a few of another reason",
                [&n1[..], &n1[..1], &[("n1", refused("b"))], &n2].concat(),
                &[],
                Some(7),
            ),
            ("nothing fails", works.to_vec(), &[], None),
        ] {
            let bad = bad.iter().map(ToString::to_string).collect();
            assert_eq!(judged(&ends), (bad, common), "{case}");
        }
    }

    #[test]
    fn a_host_with_a_result_while_others_lost_their_claims_works() {
        // Losses are recorded when a round ends: after all its results.
        let mut tasks = vec![task("n2", RESULT, 4, 5)];
        tasks.extend((0..3).map(|began| task("n1", refused("array has ended"), began, began + 6)));
        tasks.push(task("n2", refused("array has ended"), 3, 9));
        let hosts = Hosts::judge(tasks);
        assert_eq!(hosts.common_failure, None);
        assert!(hosts.tallies[0].bad && !hosts.tallies[1].bad);
    }

    #[test]
    fn reasons_are_alike_whatever_numbers_paths_and_hosts_they_name() {
        let hosts = BTreeSet::from(["gandalf", "n1", "n2"]);
        for (one, other) in [
            ("exit status 1 (pid 4711)", "exit status 1 (pid 12)"),
            ("cannot open `/tmp/job1/x`: no such file", "cannot open `/scratch/a`: no such file"),
            ("no GPU on gandalf.", "no GPU on n2."),
            ("trainer.py:12: KeyError", "trainer.py:240: KeyError"),
            ("CUDA error at 0x7f3a", "CUDA error at 0x11"),
        ] {
            assert_eq!(gist(one, &hosts), gist(other, &hosts));
        }
        assert_ne!(gist("no GPU", &hosts), gist("no data", &hosts));
        assert_ne!(gist("wizard is gone", &hosts), gist("gandalf is gone", &hosts));
    }

    #[test]
    fn each_host_has_a_tally_in_order_of_name() {
        let ends = [("n2", lost("A")), ("n1", RESULT), ("n2", refused("two")), ("n3", UNDER_WAY)];
        let tallies = Hosts::judge(made_up(&ends)).tallies;
        let names: Vec<&str> = tallies.iter().map(|tally| tally.host.as_str()).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert_eq!((tallies[0].results, tallies[0].lost), (1, 0));
        assert_eq!((tallies[1].lost, tallies[1].refused), (1, 1));
        assert_eq!(tallies[1].last_reason.as_deref(), Some("two"));
    }

    fn claimed(iteration: u64, attempt: u32, host: &str) -> Row {
        Row {
            iteration: Some(Iteration(iteration)),
            attempt: Some(attempt),
            architecture: Some(format!("A{iteration}").into()),
            host: Some(host.into()),
            job: Some("7".into()),
            ..Row::new(Event::Claimed)
        }
    }

    fn after(claim: &Row, event: Event, reason: Option<&str>) -> Row {
        Row { event, host: None, reason: reason.map(Into::into), ..claim.clone() }
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
                    let claim = Row { job: Some(job.into()), ..claimed(iteration, 1, "n1") };
                    let lost = after(&claim, Event::Lost, Some("gone"));
                    [claim, lost]
                })
                .collect()
        };
        let bad_nodes = |rows: &[Row]| judge(rows, &[]).bad_nodes();
        assert_eq!(bad_nodes(&rows("7")), ["n1"], "the only one tried");
        assert_eq!(failures(&judge(&rows(LOCAL), &[]).common_failure.unwrap()), 3);
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
