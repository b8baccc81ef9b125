//! What `scontrol show config` says of a cluster, as far as a search depends on it.

use super::job_state::parse_config;

/// What becomes of a job that has to make room for another one (`PreemptMode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preemption {
    /// Nobody has to.
    Off,
    /// It is queued again.
    Requeue,
    /// It is ended for good.
    Cancel,
    /// It stands still, and keeps its memory.
    Suspend,
    /// Something that this program does not know.
    Other(String),
}

impl Preemption {
    /// Reads `PreemptMode`: `GANG` beside another mode says only that both may share.
    fn parse(text: &str) -> Self {
        let mut modes = text.split(',').map(|mode| mode.trim().to_ascii_uppercase());
        let mode = modes.find(|mode| mode != "GANG" && mode != "WITHIN").unwrap_or_default();
        match mode.as_str() {
            "" | "OFF" => Self::Off,
            "REQUEUE" => Self::Requeue,
            "CANCEL" => Self::Cancel,
            "SUSPEND" => Self::Suspend,
            _ => Self::Other(text.to_owned()),
        }
    }
}

/// The settings of a cluster. A line that is missing or unreadable is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `SLURM_VERSION`.
    pub version: Option<String>,
    /// `MaxArraySize`: one more than the greatest index of an array.
    pub max_array_size: Option<u32>,
    /// `MaxJobCount`: jobs in the queue at once, those of everybody and every task of an array counted.
    pub max_job_count: Option<u32>,
    /// `JobRequeue`: whether jobs may be queued again unless they ask otherwise.
    pub requeues_by_default: Option<bool>,
    /// `PreemptMode`; `None` when there is no such line.
    pub preemption: Option<Preemption>,
    /// `KillWait`: seconds between TERM and KILL.
    pub kill_wait_seconds: Option<u32>,
}

impl ClusterConfig {
    /// Reads an answer of `scontrol show config`.
    pub(super) fn parse(answer: &str) -> Self {
        let number = |key| parse_config(answer, key)?.split_whitespace().next()?.parse().ok();
        Self {
            version: parse_config(answer, "SLURM_VERSION").map(str::to_owned),
            max_array_size: number("MaxArraySize"),
            max_job_count: number("MaxJobCount"),
            requeues_by_default: number("JobRequeue").map(|number| number != 0),
            preemption: parse_config(answer, "PreemptMode").map(Preemption::parse),
            kill_wait_seconds: number("KillWait"),
        }
    }
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
                preemption: Some(Preemption::Requeue),
                kill_wait_seconds: Some(5),
            }
        );
    }

    #[test]
    fn modes_of_preemption_are_told_apart() {
        let read = Preemption::parse;
        assert_eq!([read("OFF"), read("GANG")], [Preemption::Off, Preemption::Off]);
        assert_eq!(read("GANG,SUSPEND"), Preemption::Suspend);
        assert_eq!([read("CANCEL"), read("REQUEUE")], [Preemption::Cancel, Preemption::Requeue]);
        assert_eq!(read("NEW"), Preemption::Other("NEW".into()));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(answer in "[A-Za-z= \n0-9,]{0,200}") {
            let _ = ClusterConfig::parse(&answer);
        }
    }
}
