//! Why a job waits: the reason that `squeue` gives (`%r`), in words.
//!
//! The names are those of `job_reason_codes` in Slurm's manual of `squeue`; there are more of limits
//! than a list could hold, so these are recognised by parts of their names.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// Until others have ended, or a time has come.
    Waits,
    /// Until a person changes the request or the cluster.
    Never,
}

use Outlook::{Never, Waits};

/// Names of reasons (`*` stands for any text) and what they say of a job; the first that fits.
const REASONS: &[(Outlook, &[&str], &str)] = &[
    (Never, &["PartitionTimeLimit"], "more time is asked for than the partition allows"),
    (Never, &["*TimeLimit", "*WallDuration*"], "more time is asked for than QOS or account allow"),
    (Never, &["PartitionNodeLimit"], "more nodes are asked for than the partition has"),
    (Never, &["BadConstraints"], "no node has what is asked for"),
    (Never, &["InvalidAccount", "AccountNotAllowed"], "the account may not be used here"),
    (Never, &["InvalidQOS", "QOSNotAllowed"], "the QOS may not be used here"),
    (Never, &["ReservationDeleted"], "the reservation is gone"),
    (Never, &["MaxMemPerLimit"], "more memory is asked for than the partition allows"),
    (Never, &["DeadLine"], "the deadline has passed"),
    (Never, &["*PerJob*", "*PerNode*"], "more is asked for than QOS or account allow a job"),
    (Never, &["QOSMin*", "AssocMin*"], "less is asked for than QOS or account demand"),
    (Waits, &["None"], "the scheduler has not looked at it yet"),
    (Waits, &["Priority"], "waits for others with higher priority"),
    (Waits, &["Resources"], "waits until what is asked for is free"),
    (Waits, &["Dependency"], "waits for the jobs before it"),
    (Waits, &["BeginTime"], "the time to begin has not come"),
    (Waits, &["JobArrayTaskLimit"], "as many tasks run as `slurm.max_parallel` allows"),
    (Waits, &["JobHeldUser"], "held: `scontrol release` lets it start"),
    (Waits, &["JobHeldAdmin"], "held by an administrator, who alone can release it"),
    (Waits, &["launch failed*"], "held since its launch failed: `scontrol release` tries again"),
    (Waits, &["*held*"], "held since it was requeued: `scontrol release` lets it start"),
    (Waits, &["*eserved for maintenance*"], "maintenance would begin before its end"),
    (Waits, &["ReqNodeNotAvail", "Nodes required*"], "its nodes are down, drained or reserved"),
    (Waits, &["PartitionDown", "PartitionInactive"], "the partition starts no jobs now"),
    (Waits, &["Reservation"], "the reservation has not begun"),
    (Waits, &["Licenses"], "waits for licences"),
    (Waits, &["*Minutes*"], "the hours granted to account or QOS are used up or in use"),
    (Waits, &["*PerUser*"], "you use as much as QOS or account allow a user"),
    (Waits, &["QOSGrp*", "AssocGrp*"], "all users together use as much as QOS or account allow"),
    (Waits, &["QOS*", "Assoc*"], "waits for others, by a limit of QOS or account"),
];

fn find(reason: &str) -> Option<&'static (Outlook, &'static [&'static str], &'static str)> {
    // Details may follow: `ReqNodeNotAvail, UnavailableNodes:n[1-4]`.
    let name = reason.split([',', ' ', '(']).next().unwrap_or_default();
    let fits = |pattern: &&str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(part), Some(_)) => reason.contains(part.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(begin)) => reason.starts_with(begin),
        (None, None) => name == *pattern,
    };
    REASONS.iter().find(|(_, patterns, _)| patterns.iter().any(&fits))
}

/// Limits on a user, an account or a group wait for other jobs; nodes and partitions that are down
/// come back.
pub(super) fn can_never_start(reason: &str) -> bool {
    find(reason).is_some_and(|(outlook, ..)| *outlook == Never)
}

/// What a reason means, where that is known.
pub fn meaning(reason: &str) -> Option<String> {
    let (outlook, _, words) = find(reason)?;
    Some(format!("{words}{}", if *outlook == Never { ": it will never start" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_reason_has_its_words() {
        for (reason, words) in [
            ("Priority", "higher priority"),
            ("Resources", "is free"),
            ("Dependency", "jobs before it"),
            ("BeginTime", "time to begin"),
            ("JobArrayTaskLimit", "`slurm.max_parallel`"),
            ("JobHeldUser", "`scontrol release`"),
            ("JobHeldAdmin", "administrator"),
            ("launch failed requeued held", "launch failed"),
            ("job requeued in held state", "was requeued"),
            ("ReqNodeNotAvail, Reserved for maintenance", "maintenance"),
            ("ReqNodeNotAvail, UnavailableNodes:n[1-4]", "down, drained or reserved"),
            (
                "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority \
                 partitions",
                "down, drained or reserved",
            ),
            ("QOSMaxCpuPerUserLimit", "allow a user"),
            ("QOSMaxJobsPerUserLimit", "allow a user"),
            ("AssocGrpGRES", "all users"),
            ("QOSTimeLimit", "QOS or account allow: it will never start"),
            ("AssocGrpCPUMinutesLimit", "hours granted"),
            ("AssocMaxJobsLimit", "by a limit"),
            ("PartitionTimeLimit", "partition allows: it will never start"),
            ("QOSMaxWallDurationPerJobLimit", "more time"),
            ("AssocMaxCpuPerJobLimit", "allow a job: it will never start"),
            ("QOSMinGRES", "demand: it will never start"),
        ] {
            let found = meaning(reason).unwrap();
            assert!(found.contains(words), "{reason}: {found}");
            assert_eq!(can_never_start(reason), found.ends_with("never start"), "{reason}");
        }
    }

    #[test]
    fn what_a_later_release_says_has_no_words_and_may_start() {
        for reason in ["TeaBreak", "", "held", "MaxQOS"] {
            assert!(reason == "held" || meaning(reason).is_none(), "{reason}");
            assert!(!can_never_start(reason), "{reason}");
        }
    }
}
