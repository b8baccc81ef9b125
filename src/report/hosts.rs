//! Machines that fail: a failure of a machine told from that of a network.
//!
//! A network that fails is a result. A claim that ends without one is a loss, and says little by itself: the
//! architecture may kill its trainer wherever it is. A trainer that refuses to work somewhere says all. A host is
//! *bad* when the last three tasks that ended on it all failed so, and not all with one architecture. One result there
//! clears it.

use std::collections::BTreeMap;

use serde::Serialize;

/// How a task's work ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkEnd<'a> {
    /// With a result, whatever it is.
    Result,
    /// Its claim was lost.
    Lost {
        /// What was trained.
        architecture: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The trainer refused to work there, whatever the network: why.
    Refused(&'a str),
}

/// What came of the tasks on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostTally {
    /// The machine.
    pub host: String,
    /// Claims that ended with a result.
    pub results: u64,
    /// Claims that ended without one.
    pub lost: u64,
    /// Tasks whose trainer refused to work.
    pub refused: u64,
    /// How many of the newest failed, one after the other.
    pub failures_in_a_row: u64,
    /// Why the newest failed one did.
    pub last_reason: Option<String>,
    /// Whether it seems to be the host's fault.
    pub bad: bool,
}

/// How many failures in a row make a host bad.
const IN_A_ROW: u64 = 3;

impl HostTally {
    /// Sums up what ended on each host, given in the order in which it ended; hosts in order of name.
    pub fn of_each<'a>(ends: impl IntoIterator<Item = (&'a str, WorkEnd<'a>)>) -> Vec<Self> {
        let mut hosts: BTreeMap<&str, (Self, Row<'_>)> = BTreeMap::new();
        for (host, end) in ends {
            let (tally, row) =
                hosts.entry(host).or_insert_with(|| (Self::new(host), Row::default()));
            match end {
                WorkEnd::Result => {
                    tally.results += 1;
                    tally.failures_in_a_row = 0;
                    *row = Row::default();
                }
                WorkEnd::Lost { architecture, reason } => {
                    tally.lost += 1;
                    tally.fail(reason);
                    row.is_of_no_network |= row.first.is_some_and(|first| first != architecture);
                    row.first = row.first.or(Some(architecture));
                }
                WorkEnd::Refused(reason) => {
                    tally.refused += 1;
                    tally.fail(reason);
                    row.is_of_no_network = true;
                }
            }
            tally.bad = tally.failures_in_a_row >= IN_A_ROW && row.is_of_no_network;
        }
        hosts.into_values().map(|(tally, _)| tally).collect()
    }

    fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            results: 0,
            lost: 0,
            refused: 0,
            failures_in_a_row: 0,
            last_reason: None,
            bad: false,
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failures_in_a_row += 1;
        self.last_reason = Some(reason.to_owned());
    }
}

/// Failures one after the other.
#[derive(Default)]
struct Row<'a> {
    first: Option<&'a str>,
    /// Whether no single network can be at fault for all of them.
    is_of_no_network: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(architecture: &str) -> WorkEnd<'_> {
        WorkEnd::Lost { architecture, reason: "gone" }
    }

    fn bad(ends: &[WorkEnd<'_>]) -> bool {
        HostTally::of_each(ends.iter().map(|&end| ("n1", end)))[0].bad
    }

    #[test]
    fn three_losses_of_several_architectures_make_a_host_bad_and_a_result_clears_it() {
        use WorkEnd::Result;
        assert!(!bad(&[lost("A"), lost("B")]));
        assert!(bad(&[lost("A"), lost("B"), lost("A")]));
        assert!(bad(&[Result, lost("A"), lost("B"), lost("C")]));
        assert!(!bad(&[lost("A"), Result, lost("C"), lost("D")]));
        assert!(!bad(&[lost("A"), lost("B"), lost("C"), Result]));
        assert!(!bad(&[lost("A"), lost("A"), lost("A")]), "that is the network's fault");
    }

    #[test]
    fn a_trainer_that_refuses_needs_no_other_network() {
        let refused = WorkEnd::Refused("no GPU");
        assert!(bad(&[refused; 3]) && !bad(&[refused; 2]));
        assert!(bad(&[lost("A"), refused, lost("A")]));
        assert!(!bad(&[refused, refused, refused, WorkEnd::Result]));
    }

    #[test]
    fn hosts_are_told_apart_and_in_order() {
        let ends = [("n2", lost("A")), ("n1", WorkEnd::Result), ("n2", WorkEnd::Refused("two"))];
        let tallies = HostTally::of_each(ends);
        let names: Vec<&str> = tallies.iter().map(|tally| tally.host.as_str()).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert_eq!((tallies[0].results, tallies[0].lost), (1, 0));
        assert_eq!((tallies[1].lost, tallies[1].refused), (1, 1));
        assert_eq!(tallies[1].last_reason.as_deref(), Some("two"));
    }
}
