//! What the scheduler allows.

use crate::ops::doctor::check::Check;
use crate::ops::rounds::scheduler::scheduler_of_this_process;
use crate::slurm::{ClusterConfig, JobName, Scheduler, SlurmError};

const SLURM: &str = "slurm";

/// Asks the scheduler, if there is one.
pub(crate) fn examine() -> Vec<Check> {
    let slurm = match scheduler_of_this_process() {
        Ok(slurm) => slurm,
        Err(error) => return vec![Check::failure(SLURM, error.to_string(), "name one cluster")],
    };
    let config = match slurm.config() {
        Ok(config) => config,
        Err(SlurmError::Missing { .. }) => {
            let seen = "there is none here: `metaqnn run` searches on this machine alone";
            return vec![Check::ok(SLURM, seen)];
        }
        // Its programs are installed, and lead nowhere.
        Err(error) if error.to_string().contains("configuration source") => {
            let seen = "its programs find no cluster: `metaqnn run` searches on this machine alone";
            return vec![Check::warning(SLURM, seen, "on a cluster, set SLURM_CONF or ask why")];
        }
        Err(error) => {
            let remedy = "ask for it with `scontrol ping`: nothing can be submitted now";
            return vec![Check::failure(SLURM, error.to_string(), remedy)];
        }
    };
    let mut checks = vec![match slurm.find(&[JobName::new("metaqnn-doctor")]) {
        Ok(_) => {
            let version = config.version.as_deref().unwrap_or("of an unknown version");
            Check::ok(SLURM, format!("version {version} answers"))
        }
        Err(error) => {
            Check::failure(SLURM, error.to_string(), "`squeue` must work where `submit` is run")
        }
    }];
    checks.extend(judge(&config));
    checks
}

fn judge(config: &ClusterConfig) -> Vec<Check> {
    vec![arrays(config), preemption(config), requeue(config)]
}

fn arrays(config: &ClusterConfig) -> Check {
    const NAME: &str = "arrays";
    let (Some(array), Some(jobs)) = (config.max_array_size, config.max_job_count) else {
        return Check::warning(
            NAME,
            "`MaxArraySize` or `MaxJobCount` is not told",
            "see `scontrol show config`",
        );
    };
    let seen = format!(
        "an array has {array} tasks at most (larger rounds are submitted in parts), the queue {jobs} jobs"
    );
    if array < 2 {
        return Check::failure(NAME, seen, "this cluster allows no job arrays");
    }
    if jobs < 500 {
        let remedy = "keep rounds small (`slurm.array_size`): every task of an array counts";
        return Check::warning(NAME, seen, remedy);
    }
    Check::ok(NAME, seen)
}

fn preemption(config: &ClusterConfig) -> Check {
    const NAME: &str = "preemption";
    match config.preempt_mode.as_deref() {
        Some("OFF") => Check::ok(NAME, "no job has to make room for another"),
        Some("REQUEUE") => Check::ok(
            NAME,
            "a task that has to make room is queued again, and goes on from its checkpoint",
        ),
        Some("CANCEL") => Check::warning(
            NAME,
            "a task that has to make room is ended for good: what it trained is lost",
            "choose a partition or QOS that is not preempted, or short trainings",
        ),
        Some("SUSPEND") => Check::warning(
            NAME,
            "a task that has to make room stands still, and its claim may end meanwhile",
            "choose a partition or QOS that is not preempted",
        ),
        Some(mode) => Check::warning(
            NAME,
            format!("`PreemptMode` is `{mode}`"),
            "ask what becomes of a job that has to make room",
        ),
        None => Check::warning(NAME, "`PreemptMode` is not told", "see `scontrol show config`"),
    }
}

fn requeue(config: &ClusterConfig) -> Check {
    const NAME: &str = "requeue";
    let wait = config.kill_wait_seconds.unwrap_or(30);
    let seen = match config.requeues_by_default {
        Some(false) => {
            "jobs are not queued again unless they ask, which the scripts do (`--requeue`)"
        }
        _ => "jobs may be queued again",
    };
    let seen = format!("{seen}; a task has {wait} s between TERM and KILL");
    if wait < 10 {
        let remedy =
            "too short to save a checkpoint: only the warning before the time limit saves one";
        return Check::warning(NAME, seen, remedy);
    }
    Check::ok(NAME, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Verdict;

    fn usual() -> ClusterConfig {
        ClusterConfig {
            version: Some("23.11.4".into()),
            max_array_size: Some(1001),
            max_job_count: Some(10_000),
            requeues_by_default: Some(true),
            preempt_mode: Some("OFF".into()),
            kill_wait_seconds: Some(30),
        }
    }

    fn verdicts(config: &ClusterConfig) -> Vec<Verdict> {
        judge(config).into_iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn a_usual_cluster_is_fine() {
        assert_eq!(verdicts(&usual()), [Verdict::Ok; 3]);
        let asks = ClusterConfig { requeues_by_default: Some(false), ..usual() };
        assert_eq!(verdicts(&asks), [Verdict::Ok; 3]);
    }

    #[test]
    fn what_loses_work_is_told() {
        let first =
            |config: &ClusterConfig| judge(config).into_iter().map(|check| check.verdict).max();
        for mode in ["CANCEL", "SUSPEND"] {
            let config = ClusterConfig { preempt_mode: Some(mode.into()), ..usual() };
            assert_eq!(first(&config), Some(Verdict::Warning));
        }
        let without = ClusterConfig { max_array_size: Some(1), ..usual() };
        assert_eq!(first(&without), Some(Verdict::Failure));
        let untold = ClusterConfig { max_array_size: None, preempt_mode: None, ..usual() };
        assert_eq!(first(&untold), Some(Verdict::Warning));
        let hasty = ClusterConfig { kill_wait_seconds: Some(2), ..usual() };
        assert_eq!(first(&hasty), Some(Verdict::Warning));
    }
}
