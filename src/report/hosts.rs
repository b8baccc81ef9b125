//! Machines on which claims are lost: a failure of a machine told from that of a network.
//!
//! A network that fails is a result. A claim that ends without one is a loss, and says little by itself: the
//! architecture may kill its trainer wherever it is. A host is *bad* when the last three claims that ended on it were
//! all lost, and not all of one architecture. One result there clears it.

use serde::Serialize;

/// How a claim ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimEnd<'a> {
    /// With a result, whatever it is.
    Result,
    /// Without one: the reason.
    Lost(&'a str),
}

/// A claim that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedClaim<'a> {
    /// The machine.
    pub host: &'a str,
    /// What was trained.
    pub architecture: &'a str,
    /// How it ended.
    pub end: ClaimEnd<'a>,
}

/// What came of the claims of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostTally {
    /// The machine.
    pub host: String,
    /// Claims that ended with a result.
    pub results: u64,
    /// Claims that ended without one.
    pub lost: u64,
    /// How many of the newest were lost, one after the other.
    pub lost_in_a_row: u64,
    /// Why the newest loss is one.
    pub last_reason: Option<String>,
    /// Whether it seems to be the host's fault.
    pub bad: bool,
}

/// How many losses in a row make a host bad.
const IN_A_ROW: u64 = 3;

impl HostTally {
    /// Sums up the claims of each host, which are given in the order in which they ended; hosts in order of name.
    pub fn of_each<'a>(claims: impl IntoIterator<Item = EndedClaim<'a>>) -> Vec<Self> {
        let mut hosts: std::collections::BTreeMap<&str, (Self, Row<'_>)> = Default::default();
        for claim in claims {
            let (tally, row) =
                hosts.entry(claim.host).or_insert_with(|| (Self::new(claim.host), Row::default()));
            match claim.end {
                ClaimEnd::Result => {
                    tally.results += 1;
                    tally.lost_in_a_row = 0;
                    *row = Row::default();
                }
                ClaimEnd::Lost(reason) => {
                    tally.lost += 1;
                    tally.lost_in_a_row += 1;
                    tally.last_reason = Some(reason.to_owned());
                    row.several |= row.first.is_some_and(|first| first != claim.architecture);
                    row.first = row.first.or(Some(claim.architecture));
                }
            }
            tally.bad = tally.lost_in_a_row >= IN_A_ROW && row.several;
        }
        hosts.into_values().map(|(tally, _)| tally).collect()
    }

    fn new(host: &str) -> Self {
        let (results, lost, lost_in_a_row) = (0, 0, 0);
        Self { host: host.to_owned(), results, lost, lost_in_a_row, last_reason: None, bad: false }
    }
}

/// Losses one after the other.
#[derive(Default)]
struct Row<'a> {
    first: Option<&'a str>,
    /// Whether they are of several architectures.
    several: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(ends: &[(&str, bool)]) -> bool {
        let claims = ends.iter().map(|&(architecture, is_lost)| EndedClaim {
            host: "n1",
            architecture,
            end: if is_lost { ClaimEnd::Lost("gone") } else { ClaimEnd::Result },
        });
        HostTally::of_each(claims)[0].bad
    }

    #[test]
    fn three_losses_of_several_architectures_make_a_host_bad_and_a_result_clears_it() {
        assert!(!bad(&[("A", true), ("B", true)]));
        assert!(bad(&[("A", true), ("B", true), ("A", true)]));
        assert!(bad(&[("A", false), ("A", true), ("B", true), ("C", true)]));
        assert!(!bad(&[("A", true), ("B", false), ("C", true), ("D", true)]));
        assert!(!bad(&[("A", true), ("B", true), ("C", true), ("D", false)]));
        assert!(!bad(&[("A", true), ("A", true), ("A", true)]), "that is the network's fault");
    }

    #[test]
    fn hosts_are_told_apart_and_in_order() {
        let claim = |host, end| EndedClaim { host, architecture: "A", end };
        let tallies = HostTally::of_each([
            claim("n2", ClaimEnd::Lost("one")),
            claim("n1", ClaimEnd::Result),
            claim("n2", ClaimEnd::Lost("two")),
        ]);
        let names: Vec<&str> = tallies.iter().map(|tally| tally.host.as_str()).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert_eq!((tallies[0].results, tallies[0].lost), (1, 0));
        assert_eq!((tallies[1].lost, tallies[1].last_reason.as_deref()), (2, Some("two")));
    }
}
