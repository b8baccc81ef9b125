//! What `squeue`, `scontrol` and `sinfo` answer, and what a refusal by `sbatch` means.

use std::collections::BTreeMap;

use itertools::Itertools;
use jiff::Timestamp;

use super::JobId;
use super::reasons::can_never_start;

pub(super) const FORGOTTEN: &str = "Invalid job id specified";

/// Array or job, index, state, reason. The reason comes last since it is free text.
pub(super) const SQUEUE_FORMAT: &str = "--format=%F|%K|%T|%r";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    Held,
    Pending,
    /// Stays pending until a person changes the request or the cluster.
    Stuck,
    Running,
    /// Is cleaned up, or has a dependency that can never be satisfied. It may still be requeued.
    Ending,
    Ended,
    /// Counted as live: a state of a later release of Slurm.
    Unknown,
}

impl TaskState {
    fn from_words(state: &str, reason: &str) -> Self {
        match state {
            "REQUEUE_HOLD" | "SPECIAL_EXIT" => Self::Held,
            "PENDING" if reason.to_ascii_lowercase().contains("held") => Self::Held,
            // Slurm cancels it soon: every job is submitted with `--kill-on-invalid-dep=yes`.
            "PENDING" if reason == "DependencyNeverSatisfied" => Self::Ending,
            "PENDING" if can_never_start(reason) => Self::Stuck,
            "PENDING" | "REQUEUED" | "REQUEUE_FED" => Self::Pending,
            "RUNNING" | "CONFIGURING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT"
            | "RESIZING" => Self::Running,
            "COMPLETING" => Self::Ending,
            "COMPLETED" | "FAILED" | "BOOT_FAIL" | "NODE_FAIL" | "LAUNCH_FAILED"
            | "RECONFIG_FAIL" | "CANCELLED" | "PREEMPTED" | "REVOKED" | "TIMEOUT" | "DEADLINE"
            | "OUT_OF_MEMORY" => Self::Ended,
            _ => Self::Unknown,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStates {
    tasks: Vec<TaskState>,
    pub is_array: bool,
    /// How many tasks wait, by the reason that Slurm gives.
    pub waiting: BTreeMap<String, u64>,
}

impl JobStates {
    pub fn is_live(&self) -> bool {
        self.live_tasks() > 0
    }

    /// Tasks that may still run, or be requeued.
    pub fn live_tasks(&self) -> usize {
        self.tasks.iter().filter(|state| **state != TaskState::Ended).count()
    }

    pub fn goes_on(&self) -> bool {
        self.tasks.iter().any(|state| !matches!(state, TaskState::Ended | TaskState::Ending))
    }

    pub fn running_tasks(&self) -> usize {
        self.tasks.iter().filter(|state| **state == TaskState::Running).count()
    }

    pub fn is_held(&self) -> bool {
        self.all_are(TaskState::Held)
    }

    pub fn cannot_start(&self) -> Option<&str> {
        let reason = self.waiting.keys().next().filter(|_| self.all_are(TaskState::Stuck));
        reason.map(String::as_str)
    }

    /// The scheduler has not considered the job yet.
    pub fn is_unseen(&self) -> bool {
        self.all_are(TaskState::Pending) && self.waiting.contains_key("None")
    }

    fn all_are(&self, state: TaskState) -> bool {
        self.tasks.iter().all(|it| *it == state)
    }
}

/// The error is the first line that is not a job.
pub(super) fn parse_squeue(answer: &str) -> Result<BTreeMap<JobId, JobStates>, String> {
    let mut jobs = BTreeMap::<JobId, JobStates>::new();
    // Some releases put `CLUSTER: NAME` before the jobs of a cluster that was named.
    let is_job = |line: &&str| !line.trim().is_empty() && !line.starts_with("CLUSTER: ");
    for line in answer.lines().filter(is_job) {
        let columns = line.splitn(4, '|').map(str::trim).collect_tuple();
        let (job, index, state, reason) = columns.ok_or(line)?;
        let states = jobs.entry(job.parse().map_err(|_| line)?).or_default();
        let state = TaskState::from_words(state, reason);
        states.is_array = index != "N/A";
        if matches!(state, TaskState::Pending | TaskState::Stuck | TaskState::Held) {
            *states.waiting.entry(reason.to_owned()).or_default() += 1;
        }
        states.tasks.push(state);
    }
    Ok(jobs)
}

/// Reads the answer of `scontrol show job --oneliner` in UTC; `None` without a time limit. A name
/// or a comment may hold any text: the field is the one that follows the start time.
pub(super) fn parse_end_time(answer: &str) -> Result<Option<Timestamp>, String> {
    let words = answer.split_ascii_whitespace();
    let mut ends = words.tuple_windows().filter(|(start, _)| start.starts_with("StartTime="));
    match ends.find_map(|(_, end)| end.strip_prefix("EndTime=")) {
        Some("Unknown" | "None" | "N/A") => Ok(None),
        Some(time) => format!("{time}Z").parse().map(Some).map_err(|_| answer.to_owned()),
        None => Err(answer.to_owned()),
    }
}

/// A line that is missing or unreadable is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    pub version: Option<String>,
    pub max_array_size: Option<u32>,
    pub max_job_count: Option<u32>,
    pub requeues_by_default: Option<bool>,
    /// Not `GANG` and `WITHIN`, which say which jobs share.
    pub preempt_mode: Option<String>,
    /// Between TERM and KILL.
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
    let mode = modes.find(|mode| !["", "GANG", "WITHIN"].contains(&&**mode));
    mode.unwrap_or_else(|| "OFF".to_owned())
}

pub(super) const SINFO_FORMAT: &str = "--format=%N|%P|%T";

/// A node in one of its partitions.
#[derive(Debug, PartialEq)]
pub(super) struct PartitionNode {
    pub name: String,
    /// Whether the partition is the default one.
    pub is_of_default: bool,
    pub takes_jobs: bool,
}

/// The error is the first line that is not a node.
pub(super) fn parse_sinfo(answer: &str) -> Result<Vec<PartitionNode>, String> {
    const OUT: [&str; 7] = ["down", "drain", "fail", "error", "unk", "inval", "maint"];
    let lines = answer.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let columns = line.split('|').map(str::trim).collect_tuple();
            let (node, partition, state) = columns.ok_or(line)?;
            // A `*` behind a state: the node does not answer.
            let is_out = state.ends_with('*') || OUT.iter().any(|out| state.starts_with(out));
            let is_of_default = partition.ends_with('*');
            Ok(PartitionNode { name: node.to_owned(), is_of_default, takes_jobs: !is_out })
        })
        .collect()
}

/// An error is one line, in a log file and in a reason of a row.
pub(super) fn one_line(stderr: &str) -> String {
    stderr.lines().map(str::trim).filter(|line| !line.is_empty()).join("; ")
}

/// The policy message also stands for limits on size and time, which waiting does not help; then
/// most releases name one in the line before (`QOSMaxWallDurationPerJobLimit`).
pub(super) fn is_submit_limit(stderr: &str) -> bool {
    let reason = stderr.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        word.ends_with("Limit") && (word.starts_with("Assoc") || word.starts_with("QOS"))
    });
    // The second: `MaxJobCount` of the whole cluster; sbatch itself has tried for two minutes.
    let limits = ["Job violates accounting/QOS policy", "temporarily unable to accept job"];
    reason.map_or_else(
        || limits.iter().any(|limit| stderr.contains(limit)),
        |reason| reason.contains("Submit"),
    )
}

/// Precedes the scheduler's verdict in an answer of `sbatch --test-only`.
pub(super) const ALLOCATION_FAILURE: &str = "allocation failure: ";

/// The words by which `sbatch --test-only` says that a job can never start; `None` also where a
/// wrapper or an option is at fault: then the submission itself decides.
pub(super) fn refused_for_good(words: &str) -> Option<&str> {
    const FOR_GOOD: [&str; 12] = [
        "node configuration is not available",
        "invalid",
        "exceed",
        "more processors requested than permitted",
        "task is not available",
        "not permitted",
        "permission denied",
        "not allowed",
        "not in this",
        "unsupported",
        "deprecated",
        "unspecified gres",
    ];
    // Temporary, though the text has "invalid".
    const FOR_NOW: [&str; 4] = ["credential", "job id", "protocol", "not usable now"];
    let (_, verdict) = words.split_once(ALLOCATION_FAILURE)?;
    let verdict = verdict.lines().next().unwrap_or_default().trim();
    let said = verdict.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    (has(&FOR_GOOD) && !has(&FOR_NOW)).then_some(verdict)
}

/// Options, the keys that set them, and words of refusals; the first that fits: "Invalid account or
/// account/partition combination specified".
const OPTIONS: [(&str, &str, &[&str]); 10] = [
    ("time", "time=VALUE", &["wallduration"]),
    ("array", "array_size=VALUE", &["submitjob"]),
    ("gres", "gres=VALUE", &["gres", "generic resource"]),
    ("constraint", "constraint=VALUE", &["feature", "constraint"]),
    ("time", "time=VALUE", &["time limit is invalid", "--time", "partitiontimelimit"]),
    ("reservation", "extra_options=[--reservation=VALUE]", &["reservation"]),
    ("qos", "qos=VALUE", &["invalid qos", "job's qos"]),
    ("account", "account=VALUE", &["invalidaccount", "account or", "--account", "job's account"]),
    ("partition", "partition=VALUE", &["partition"]),
    ("mem", "memory=VALUE", &["memory"]),
];

/// The option of `sbatch` that a refusal is about, if its text names one, and the key that sets it.
pub fn refused_option(words: &str) -> Option<(&'static str, &'static str)> {
    let words = words.to_ascii_lowercase();
    let is_named = |names: &[&str]| names.iter().any(|name| words.contains(name));
    OPTIONS.iter().find(|(.., names)| is_named(names)).map(|&(option, key, _)| (option, key))
}

#[cfg(test)]
mod tests {
    //! The fixtures are answers of Slurm 22.05.8, one round in time: the parts 50 and 51 of an
    //! array, its reduce 52 and its second reduce 53. Only folders were renamed.
    use super::*;
    use proptest::prelude::*;

    const HELD: &str = include_str!("../../tests/fixtures/slurm/squeue_held.txt");
    const RUNNING: &str = include_str!("../../tests/fixtures/slurm/squeue_running.txt");
    const REQUEUED: &str = include_str!("../../tests/fixtures/slurm/squeue_requeued.txt");
    const ENDED: &str = include_str!("../../tests/fixtures/slurm/squeue_ended.txt");

    fn job(answer: &str, id: u32) -> JobStates {
        parse_squeue(answer).unwrap().remove(&JobId(id)).unwrap()
    }

    fn count(job: &JobStates, state: TaskState) -> usize {
        job.tasks.iter().filter(|it| **it == state).count()
    }

    #[test]
    fn held_parts_are_held_even_when_they_wait_for_another() {
        assert!(job(HELD, 50).is_held() && job(HELD, 51).is_held());
        assert_eq!(count(&job(HELD, 50), TaskState::Held), 4);
        assert!(!job(HELD, 52).is_held());
    }

    #[test]
    fn a_released_array_runs_as_many_tasks_as_it_may() {
        let array = job(RUNNING, 50);
        assert_eq!((count(&array, TaskState::Running), count(&array, TaskState::Pending)), (2, 2));
        assert!(array.is_live() && !array.is_held());
    }

    #[test]
    fn a_requeued_task_waits_again() {
        let array = job(REQUEUED, 50);
        assert_eq!((count(&array, TaskState::Running), count(&array, TaskState::Pending)), (2, 2));
    }

    #[test]
    fn ended_jobs_are_not_live() {
        let jobs = parse_squeue(ENDED).unwrap();
        assert_eq!(jobs.len(), 4);
        assert!(jobs.values().all(|job| !job.is_live()));
        assert_eq!(count(&job(ENDED, 50), TaskState::Ended), 4);
        // The first reduce succeeded, so the second could never start.
        assert_eq!(count(&job(ENDED, 52), TaskState::Ended), 1);
        assert_eq!(count(&job(ENDED, 53), TaskState::Ended), 1);
    }

    #[test]
    fn arrays_are_told_from_single_jobs() {
        assert!(job(HELD, 50).is_array && job(RUNNING, 51).is_array);
        assert!(!job(HELD, 52).is_array && !job(ENDED, 53).is_array);
    }

    #[test]
    fn a_job_told_to_end_is_live_and_does_not_go_on() {
        for line in ["7|0|COMPLETING|None", "7|N/A|PENDING|DependencyNeverSatisfied"] {
            let states = job(line, 7);
            assert!(states.is_live() && !states.goes_on(), "{line}");
        }
        assert!(job("7|0|COMPLETING|None\n7|1|RUNNING|None", 7).goes_on());
    }

    #[test]
    fn a_state_of_a_later_release_counts_as_live() {
        let states = job("7|0|HIBERNATING|None\n", 7);
        assert!(states.is_live() && !states.is_held());
    }

    #[test]
    fn a_job_requeued_in_held_state_is_held() {
        assert!(job("7|N/A|PENDING|job requeued in held state\n", 7).is_held());
        assert!(job("7|N/A|REQUEUE_HOLD|None\n", 7).is_held());
    }

    #[test]
    fn what_can_never_start_is_told_from_what_waits() {
        for reason in [
            "BadConstraints",
            "PartitionTimeLimit",
            "InvalidQOS",
            "QOSMaxWallDurationPerJobLimit",
            "AssocMaxCpuPerJobLimit",
            "QOSMaxGRESPerNode",
            "QOSMinGRES",
        ] {
            let states = job(&format!("7|0|PENDING|{reason}\n7|1|PENDING|{reason}"), 7);
            assert_eq!(states.cannot_start(), Some(reason));
            assert!(states.is_live() && states.goes_on() && !states.is_held(), "{reason}");
            let one_runs = job(&format!("7|0|RUNNING|None\n7|1|PENDING|{reason}"), 7);
            assert_eq!(one_runs.cannot_start(), None, "{reason}");
        }
        for reason in [
            "Priority",
            "Resources",
            "Dependency",
            "BeginTime",
            "JobHeldUser",
            "PartitionDown",
            "ReqNodeNotAvail, UnavailableNodes:n[1-4]",
            "AssocGrpCPUMinutesLimit",
            "QOSMaxJobsPerUserLimit",
            "QOSMaxCpuPerUserLimit",
            "None",
        ] {
            let states = job(&format!("7|0|PENDING|{reason}"), 7);
            assert_eq!(states.cannot_start(), None, "{reason}");
            assert_eq!(states.is_unseen(), reason == "None");
        }
    }

    #[test]
    fn an_empty_queue_is_no_error() {
        assert!(parse_squeue("\n").unwrap().is_empty());
        assert!(parse_squeue("CLUSTER: north\n").unwrap().is_empty());
    }

    #[test]
    fn a_line_of_something_else_is_named() {
        assert_eq!(parse_squeue("50|0|RUNNING|None\nhello\n"), Err("hello".to_owned()));
        assert_eq!(parse_squeue("x|0|RUNNING|None"), Err("x|0|RUNNING|None".to_owned()));
    }

    #[test]
    fn the_end_of_a_task_is_read_in_utc() {
        let answer = include_str!("../../tests/fixtures/slurm/scontrol_show_job.txt");
        let end = parse_end_time(answer).unwrap().unwrap();
        assert_eq!(end.to_string(), "2026-11-24T09:02:08Z");
    }

    #[test]
    fn a_task_without_limit_has_no_end() {
        let answer = include_str!("../../tests/fixtures/slurm/scontrol_show_job_unlimited.txt");
        assert_eq!(parse_end_time(answer), Ok(None));
    }

    #[test]
    fn an_end_within_another_text_is_not_read() {
        assert!(
            parse_end_time("JobId=1 JobName=x EndTime=2026-01-01T00:00:00 Partition=batch")
                .is_err()
        );
        assert!(parse_end_time("").is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(answer in "(\\PC|\n|\\|){0,80}|StartTime=\\PC{0,9} EndTime=[0-9T:-]{0,30}") {
            let _ = parse_squeue(&answer);
            let _ = parse_end_time(&answer);
        }
    }

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
        let nodes = |of_default: bool| -> Vec<String> {
            let all = parse_sinfo(answer).unwrap().into_iter();
            let taken = all.filter(|it| it.takes_jobs && (it.is_of_default || !of_default));
            taken.map(|node| node.name).dedup().collect()
        };
        assert_eq!(nodes(true), ["n1", "n2", "n6", "n9"]);
        assert_eq!(nodes(false), ["n1", "n2", "n4", "n6", "n9"]);
        assert_eq!(parse_sinfo("n1 idle"), Err("n1 idle".to_owned()));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(answer in "[A-Za-z= \n0-9,]{0,200}") {
            let _ = ClusterConfig::parse(&answer);
        }
    }

    #[test]
    fn limits_on_submitted_jobs_are_told_from_other_refusals() {
        // As printed by Slurm 22.05.8 for limits on an association, a user of a QOS, a QOS and an
        // account.
        let captured = include_str!("../../tests/fixtures/slurm/sbatch_limits.txt");
        assert!(captured.split("--\n").all(is_submit_limit));
        let policy = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)";
        assert!(is_submit_limit(policy));
        assert!(is_submit_limit(
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"
        ));
        assert!(!is_submit_limit(&format!(
            "sbatch: error: QOSMaxWallDurationPerJobLimit\n{policy}"
        )));
        assert!(!is_submit_limit(
            "sbatch: error: Batch job submission failed: Invalid qos specification"
        ));
    }

    #[test]
    fn what_can_never_start_is_told_from_what_cannot_start_now() {
        // The first four as printed by Slurm 22.05.8.
        for words in [
            "allocation failure: Requested node configuration is not available",
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified",
            "allocation failure: Invalid feature specification",
            "sbatch: error: Invalid generic resource (gres) specification\nallocation failure: Invalid generic resource (gres) specification",
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            "allocation failure: User's group not permitted to use this partition",
        ] {
            assert!(refused_for_good(words).is_some(), "{words}");
        }
        for words in [
            "sbatch: Job 15 to start at 2026-11-28T21:04:17 using 1 processors on nodes n1 in partition batch",
            "allocation failure: Requested nodes are busy",
            "allocation failure: Required node not available (down, drained or reserved)",
            "allocation failure: Requested partition configuration not available now",
            "allocation failure: Requested reservation not usable now",
            "allocation failure: Unable to contact slurm controller (connect failure)",
            "sbatch: unrecognized option '--test-only'",
            "sbatch: error: invalid option --test-only of this site's sbatch",
            "",
        ] {
            assert_eq!(refused_for_good(words), None, "{words}");
        }
    }

    #[test]
    fn a_refusal_names_the_option_to_correct() {
        for (words, option) in [
            ("sbatch: error: invalid partition specified: gpux", Some("partition")),
            ("Invalid account or account/partition combination specified", Some("account")),
            ("sbatch: error: several accounts are yours, name one with --account", Some("account")),
            ("Invalid qos specification", Some("qos")),
            ("sbatch: error: Invalid generic resource (gres) specification", Some("gres")),
            ("Invalid feature specification", Some("constraint")),
            ("Requested time limit is invalid (missing or exceeds some limit)", Some("time")),
            ("Requested reservation is invalid", Some("reservation")),
            ("sbatch: error: Memory specification can not be satisfied", Some("mem")),
            (
                "sbatch: error: QOSMaxWallDurationPerJobLimit; Job violates accounting/QOS policy",
                Some("time"),
            ),
            ("Requested node configuration is not available", None),
        ] {
            assert_eq!(refused_option(words).map(|(it, _)| it), option, "{words}");
        }
    }
}
