//! Which hosts are at fault when tasks fail, as opposed to the network or a cause common to all
//! hosts.
//!
//! A network that fails is a result. A claim that ends without one is a loss, and says little by
//! itself: the architecture may kill its trainer on every host. A trainer that refuses to work on a
//! host is conclusive. The rule:
//!
//! 1. A host is *suspect* when the last three tasks that ended on it all failed so, and not all
//!    with one architecture. One result there clears it.
//! 2. The failure is *common* when all suspect hosts fail for one reason ([`gist`]), at least two
//!    hosts do (suspect or not; one is enough when no other has been tried), and no other host
//!    works: none has had a result since the first of these tasks began, and none that has not
//!    failed has a task in training.
//! 3. Suspect hosts are *bad* unless the failure is common.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::ops::rounds::host_tasks::{HostTask, TaskEnd, refusals, tasks};
use crate::ops::train::LOCAL;
use crate::ops::{Experiment, Refusal};
use crate::report::HostTally;
use crate::storage::Row;

const IN_A_ROW: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommonFailure {
    pub sentence: String,
    /// How many tasks failed for it, since the last result of each host.
    pub failures: u64,
    only_host: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Each host on which a task has ended, in order of name.
    pub tallies: Vec<HostTally>,
    pub common_failure: Option<CommonFailure>,
}

impl Hosts {
    /// `tasks` in the order in which they ended.
    pub fn judge<'a>(tasks: impl IntoIterator<Item = HostTask<'a>>) -> Self {
        let mut histories: BTreeMap<&str, History<'_>> = BTreeMap::new();
        for task in tasks {
            histories.entry(task.host).or_default().add(task);
        }
        let common_failure = common_failure(&histories);
        let is_common = common_failure.is_some();
        let has_ended = |it: &HostTally| it.results + it.lost + it.refused > 0;
        let ended = histories.into_iter().filter(|(_, history)| has_ended(&history.tally));
        let tallies = ended.map(|(host, history)| HostTally {
            host: host.to_owned(),
            failures_in_a_row: history.failures.len() as u64,
            bad: history.is_suspect() && !is_common,
            ..history.tally
        });
        Self { tallies: tallies.collect(), common_failure }
    }

    /// The nodes that seem to be at fault; the only one that was tried, if all fail there.
    pub(super) fn bad_nodes(self) -> Vec<String> {
        let only_host = self.common_failure.and_then(|common| common.only_host);
        let bad = self.tallies.into_iter().filter(|it| it.bad).map(|it| it.host);
        bad.chain(only_host).collect()
    }
}

/// Returns the nodes to avoid, and a sentence with the reason for these or for none. `usable`: the
/// nodes that may run the tasks, as far as the scheduler answers; asked only when some are bad.
pub(crate) fn nodes_to_avoid(
    experiment: &Experiment,
    rows: &[Row],
    usable: impl FnOnce() -> Option<BTreeSet<String>>,
) -> anyhow::Result<(Vec<String>, String)> {
    let refusals = refusals(experiment)?;
    let hosts = Hosts::judge(tasks(rows, &refusals).into_iter().filter(|task| task.job != LOCAL));
    let tried: BTreeSet<String> = hosts.tallies.iter().map(|it| it.host.clone()).collect();
    let common = hosts.common_failure.as_ref();
    let why = common.map_or_else(String::new, |common| format!(": {}", common.sentence));
    let bad = hosts.bad_nodes();
    if bad.is_empty() {
        return Ok((bad, format!("no host is bad{why}")));
    }
    let nodes = usable();
    if nodes.as_ref().unwrap_or(&tried).iter().all(|node| bad.contains(node)) {
        let of = if nodes.is_some() { "that can run its tasks" } else { "that have been tried" };
        bail!(Refusal::Environment(format!(
            "`--exclude-bad-hosts` would leave no node: {} are all {of}, so nothing is \
             submitted (`metaqnn status` has their reasons)",
            bad.join(", ")
        )));
    }
    let said = format!("bad hosts are avoided: {}", bad.join(", "));
    Ok((bad, said))
}

fn common_failure(histories: &BTreeMap<&str, History<'_>>) -> Option<CommonFailure> {
    let hosts: BTreeSet<&str> = histories.keys().copied().collect();
    let gist = |reason: &str| gist(reason, &hosts);
    let suspects: Vec<&History<'_>> = histories.values().filter(|it| it.is_suspect()).collect();
    let reasons: BTreeSet<String> = suspects.iter().map(|it| it.main_reason(&gist)).collect();
    let [common] = &Vec::from_iter(reasons)[..] else { return None };
    let since = suspects.iter().flat_map(|it| &it.failures).map(|it| it.began).min()?;
    let works = |it: &History<'_>| {
        !it.is_suspect()
            && (it.last_result.is_some_and(|ended| ended > since)
                || (it.is_under_way && it.failures.is_empty()))
    };
    let all = histories.iter().flat_map(|(host, it)| it.failures.iter().map(move |it| (host, it)));
    let alike: Vec<_> = all.filter(|(_, failure)| gist(failure.reason) == *common).collect();
    let failing: BTreeSet<&str> = alike.iter().map(|(host, _)| **host).collect();
    let is_compared = failing.len() >= 2 || histories.len() == 1;
    if !is_compared || histories.values().any(works) {
        return None;
    }
    let reason = alike.iter().max_by_key(|(_, failure)| failure.ended)?.1.reason;
    let failures = alike.len() as u64;
    let only_host = failing.first().filter(|_| failing.len() == 1).map(|host| (*host).to_owned());
    let sentence = match &only_host {
        Some(host) => {
            format!("{failures} tasks in a row failed on {host}, the only host tried: {reason}")
        }
        None => format!(
            "{failures} tasks failed on {} hosts for one reason, so it is not the hosts: {reason}",
            failing.len()
        ),
    };
    Some(CommonFailure { sentence, failures, only_host })
}

#[derive(Default)]
struct History<'a> {
    tally: HostTally,
    /// Those since the last result.
    failures: Vec<Failure<'a>>,
    last_result: Option<usize>,
    is_under_way: bool,
}

struct Failure<'a> {
    began: usize,
    ended: usize,
    /// `None` when it failed whatever the network.
    architecture: Option<&'a str>,
    reason: &'a str,
}

impl<'a> History<'a> {
    fn add(&mut self, task: HostTask<'a>) {
        let HostTask { end, began, ended, .. } = task;
        match end {
            TaskEnd::Result => {
                self.tally.results += 1;
                self.last_result = Some(ended);
                self.failures.clear();
            }
            TaskEnd::UnderWay => self.is_under_way = true,
            TaskEnd::Failed { architecture, reason } => {
                let is_refusal = architecture.is_none();
                self.tally.refused += u64::from(is_refusal);
                self.tally.lost += u64::from(!is_refusal);
                self.tally.last_reason = Some(reason.to_owned());
                self.failures.push(Failure { began, ended, architecture, reason });
            }
        }
    }

    fn is_suspect(&self) -> bool {
        let first = self.failures.first().and_then(|failure| failure.architecture);
        let is_of_one_network =
            first.is_some() && self.failures.iter().all(|it| it.architecture == first);
        self.failures.len() >= IN_A_ROW && !is_of_one_network
    }

    /// The gist of most failures since the last result; of the newest of them in a tie.
    fn main_reason(&self, gist: &impl Fn(&str) -> String) -> String {
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for failure in &self.failures {
            let (count, ended) = counts.entry(gist(failure.reason)).or_default();
            (*count, *ended) = (*count + 1, failure.ended);
        }
        let most = counts.into_iter().max_by_key(|(_, count_and_end)| *count_and_end);
        most.map_or_else(String::new, |(gist, _)| gist)
    }
}

/// A reason without what differs from task to task: names of these hosts, paths, and words with a
/// digit (numbers, process ids, lines, temporary names).
fn gist(reason: &str, hosts: &BTreeSet<&str>) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let gist_of = |word: &str| {
        if word.contains('/') {
            return "/".to_owned();
        }
        let mut text = String::new();
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            let name = part.trim_end_matches('.');
            let varies = name.contains(|c: char| c.is_ascii_digit()) || hosts.contains(name);
            text.push_str(if varies && is_part(first) { "#" } else { part });
            rest = after;
        }
        text
    };
    reason.split_whitespace().map(gist_of).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::TaskEnd::{Failed, Result, UnderWay};
    use super::*;

    const fn lost(architecture: &str) -> TaskEnd<'_> {
        Failed { architecture: Some(architecture), reason: "gone" }
    }

    const fn refused(reason: &str) -> TaskEnd<'_> {
        Failed { architecture: None, reason }
    }

    /// Tasks that end as soon as they begin.
    fn made_up<'a>(ends: &[(&'a str, TaskEnd<'a>)]) -> Vec<HostTask<'a>> {
        let task =
            |(place, &(host, end))| HostTask { host, job: "7", end, began: place, ended: place };
        ends.iter().enumerate().map(task).collect()
    }

    /// The bad hosts, and how many tasks failed for the common reason.
    fn judged(ends: &[(&str, TaskEnd<'_>)]) -> (Vec<String>, Option<u64>) {
        let hosts = Hosts::judge(made_up(ends));
        let bad = hosts.tallies.into_iter().filter(|tally| tally.bad).map(|tally| tally.host);
        (bad.collect(), hosts.common_failure.map(|common| common.failures))
    }

    /// On `n1`, beside a host that works.
    fn is_bad(ends: &[TaskEnd<'_>]) -> bool {
        let n1 = ends.iter().map(|&end| ("n1", end));
        judged(&n1.chain([("n2", Result)]).collect::<Vec<_>>()).0 == ["n1"]
    }

    #[test]
    fn three_losses_of_several_architectures_make_a_host_bad_and_a_result_clears_it() {
        assert!(!is_bad(&[lost("A"), lost("B")]));
        assert!(is_bad(&[lost("A"), lost("B"), lost("A")]));
        assert!(is_bad(&[Result, lost("A"), lost("B"), lost("C")]));
        assert!(!is_bad(&[lost("A"), Result, lost("C"), lost("D")]));
        assert!(!is_bad(&[lost("A"), lost("B"), lost("C"), Result]));
        assert!(!is_bad(&[lost("A"), lost("A"), lost("A")]), "that is the network's fault");
    }

    #[test]
    fn a_trainer_that_refuses_needs_no_other_network() {
        let no_gpu = refused("no GPU");
        assert!(is_bad(&[no_gpu; 3]) && !is_bad(&[no_gpu; 2]));
        assert!(is_bad(&[lost("A"), no_gpu, lost("A")]));
        assert!(!is_bad(&[no_gpu, no_gpu, no_gpu, Result]));
    }

    #[test]
    fn what_fails_everywhere_for_one_reason_is_no_hosts_fault() {
        let three = |host, reason| [(host, refused(reason)); 3];
        let (n1, n2, n3) = (three("n1", "a"), three("n2", "a"), three("n3", "a"));
        let works = [("n4", Result)];
        let trains = [("n4", UnderWay)];
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
                [&[("n1", Result), ("n2", Result)], &n1[..], &n2].concat(),
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
        let task = |host, end, began, ended| HostTask { host, job: "7", end, began, ended };
        let mut tasks = vec![task("n2", Result, 4, 5)];
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
        let ends = [("n2", lost("A")), ("n1", Result), ("n2", refused("two")), ("n3", UnderWay)];
        let tallies = Hosts::judge(made_up(&ends)).tallies;
        let names: Vec<&str> = tallies.iter().map(|tally| tally.host.as_str()).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert_eq!((tallies[0].results, tallies[0].lost), (1, 0));
        assert_eq!((tallies[1].lost, tallies[1].refused), (1, 1));
        assert_eq!(tallies[1].last_reason.as_deref(), Some("two"));
    }
}
