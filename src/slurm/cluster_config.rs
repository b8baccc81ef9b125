//! Answers of `scontrol show config` and `sinfo`.

use std::collections::BTreeSet;

/// The settings of a cluster. A line that is missing or unreadable is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    pub version: Option<String>,
    /// `MaxArraySize`: one more than the greatest index of an array.
    pub max_array_size: Option<u32>,
    pub max_job_count: Option<u32>,
    pub requeues_by_default: Option<bool>,
    /// What becomes of a job that is preempted (`PreemptMode`): `OFF`, `REQUEUE`, `CANCEL`,
    /// `SUSPEND`. Without `GANG` and `WITHIN`, which only say which jobs share.
    pub preempt_mode: Option<String>,
    /// `KillWait`: seconds between TERM and KILL.
    pub kill_wait_seconds: Option<u32>,
}

impl ClusterConfig {
    pub(super) fn parse(answer: &str) -> Self {
        let pairs = || answer.lines().filter_map(|line| line.split_once('='));
        let value = |key| pairs().find(|(name, _)| name.trim() == key).map(|(_, it)| it.trim());
        let number = |key| value(key)?.split_whitespace().next()?.parse().ok();
        Self {
            version: value("SLURM_VERSION").map(str::to_owned),
            max_array_size: number("MaxArraySize"),
            max_job_count: number("MaxJobCount"),
            requeues_by_default: number("JobRequeue").map(|number| number != 0),
            preempt_mode: value("PreemptMode").map(preempt_mode),
            kill_wait_seconds: number("KillWait"),
        }
    }
}

fn preempt_mode(text: &str) -> String {
    let mut modes = text.split(',').map(|mode| mode.trim().to_ascii_uppercase());
    let mode = modes.find(|mode| mode != "GANG" && mode != "WITHIN").unwrap_or_default();
    if mode.is_empty() { "OFF".to_owned() } else { mode }
}

/// Node, partition, state.
pub(super) const SINFO_FORMAT: &str = "--format=%N|%P|%T";

/// Reads the nodes that take jobs from the answer of `sinfo --noheader --Node` in our columns; with
/// `of_default` those of the default partition, which is marked with a `*`. The error is the first
/// line that is not a node.
pub(super) fn parse_sinfo(answer: &str, of_default: bool) -> Result<BTreeSet<String>, String> {
    let mut nodes = BTreeSet::new();
    for line in answer.lines().filter(|line| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[node, partition, state] = &columns[..] else { return Err(line.to_owned()) };
        // A `*` behind a state: the node does not answer.
        let is_out = ["down", "drain", "fail", "error", "unk", "inval", "maint"];
        let takes_jobs = !state.ends_with('*') && !is_out.iter().any(|out| state.starts_with(out));
        if takes_jobs && (!of_default || partition.ends_with('*')) {
            nodes.insert(node.to_owned());
        }
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_answer_of_a_cluster_is_read() {
        let answer = include_str!("../../tests/fixtures/slurm/scontrol_show_config.txt");
        assert_eq!(
            ClusterConfig::parse(answer),
            ClusterConfig {
                version: Some("22.05.8".into()),
                max_array_size: Some(1001),
                max_job_count: Some(10_000),
                requeues_by_default: Some(true),
                preempt_mode: Some("REQUEUE".into()),
                kill_wait_seconds: Some(5),
            }
        );
    }

    #[test]
    fn modes_of_preemption_are_read_without_gang() {
        for (text, mode) in [
            ("OFF", "OFF"),
            ("GANG", "OFF"),
            ("GANG,SUSPEND", "SUSPEND"),
            ("requeue", "REQUEUE"),
            ("NEW", "NEW"),
        ] {
            assert_eq!(preempt_mode(text), mode);
        }
    }

    #[test]
    fn nodes_that_take_jobs_are_those_that_are_not_out() {
        // As printed by Slurm 22.05.8, but for the states of n5 to n9.
        let answer = "n1|batch*|idle\nn1|urgent|idle\nn2|batch*|mixed\nn3|batch*|down*\nn4|urgent|allocated\n\
                      n5|batch*|drained\nn6|batch*|idle~\nn7|batch*|idle*\nn8|batch*|draining\nn9|batch*|planned\n";
        let nodes = |of_default| Vec::from_iter(parse_sinfo(answer, of_default).unwrap());
        assert_eq!(nodes(true), ["n1", "n2", "n6", "n9"]);
        assert_eq!(nodes(false), ["n1", "n2", "n4", "n6", "n9"]);
        assert_eq!(parse_sinfo("n1 idle", false), Err("n1 idle".to_owned()));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(answer in "[A-Za-z= \n0-9,]{0,200}") {
            let _ = ClusterConfig::parse(&answer);
        }
    }
}
