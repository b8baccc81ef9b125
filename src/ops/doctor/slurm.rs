//! What the scheduler allows.

use crate::ops::{doctor::check::Check, rounds::plan::scheduler_of_this_process};
use crate::slurm::{ClusterConfig, Scheduler, SlurmError};

pub(crate) fn examine() -> Vec<Check> {
    let slurm = match scheduler_of_this_process() {
        Ok(slurm) => slurm,
        Err(error) => return vec![Check::error("slurm", error, "name one cluster")],
    };
    let config = match slurm.config() {
        Ok(config) => config,
        Err(error) => return vec![without_config(&error)],
    };
    let version = config.version.as_deref().unwrap_or("of an unknown version");
    let answers = match slurm.find(&["metaqnn-doctor".to_owned()]) {
        Ok(_) => Check::ok("slurm", format!("version {version} answers")),
        Err(error) => {
            Check::failure("slurm", error.to_string(), "`squeue` must work where `submit` is run")
        }
    };
    [vec![answers], judge(&config)].concat()
}

fn without_config(error: &SlurmError) -> Check {
    const HERE: &str = "`metaqnn run` searches on this machine alone";
    let said = error.to_string();
    if matches!(error, SlurmError::Missing { .. }) {
        Check::ok("slurm", format!("there is none here: {HERE}"))
    } else if said.contains("configuration source") {
        let seen = format!("its programs find no cluster: {HERE}");
        Check::warning("slurm", seen, "on a cluster, set SLURM_CONF or ask why")
    } else {
        let remedy = "ask for it with `scontrol ping`: nothing can be submitted now";
        Check::failure("slurm", said, remedy)
    }
}

fn judge(config: &ClusterConfig) -> Vec<Check> {
    vec![arrays(config), preemption(config), requeue(config)]
}

fn arrays(config: &ClusterConfig) -> Check {
    let (Some(array), Some(jobs)) = (config.max_array_size, config.max_job_count) else {
        let seen = "`MaxArraySize` or `MaxJobCount` is not given";
        return Check::warning("arrays", seen, "see `scontrol show config`");
    };
    if array < 2 {
        let seen = format!("`MaxArraySize` is {array}");
        return Check::failure("arrays", seen, "this cluster allows no job arrays");
    }
    let seen = format!(
        "an array has {array} tasks at most (larger rounds are submitted in parts), the queue \
         {jobs} jobs"
    );
    let remedy = "keep rounds small (`slurm.array_size`): every task of an array counts";
    Check::ok_if(jobs >= 500, "arrays", seen, remedy)
}

fn preemption(config: &ClusterConfig) -> Check {
    let another = "choose a partition or QOS that is not preempted";
    let (seen, remedy) = match config.preempt_mode.as_deref().unwrap_or("not given") {
        "OFF" => ("no job is preempted", ""),
        "REQUEUE" => ("a preempted task is requeued and goes on from its checkpoint", ""),
        "CANCEL" => ("a preempted task is ended, and what it trained is lost", another),
        "SUSPEND" => ("a preempted task is suspended, and its claim may expire", another),
        mode => {
            let remedy = "see `scontrol show config`, and ask what becomes of a preempted job";
            return Check::warning("preemption", format!("`PreemptMode` is {mode}"), remedy);
        }
    };
    Check::ok_if(remedy.is_empty(), "preemption", seen, remedy)
}

fn requeue(config: &ClusterConfig) -> Check {
    let wait = config.kill_wait_seconds.unwrap_or(30);
    let may = match config.requeues_by_default {
        Some(false) => "jobs are not requeued unless they ask, which the scripts do (`--requeue`)",
        _ => "jobs may be requeued",
    };
    let seen = format!("{may}; a task has {wait} s between TERM and KILL");
    let remedy = "too short to save a checkpoint: only the warning before the time limit saves one";
    Check::ok_if(wait >= 10, "requeue", seen, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Health;

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

    fn verdicts(config: &ClusterConfig) -> Vec<Health> {
        judge(config).into_iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn a_usual_cluster_is_fine() {
        assert_eq!(verdicts(&usual()), [Health::Ok; 3]);
        let asks = ClusterConfig { requeues_by_default: Some(false), ..usual() };
        assert_eq!(verdicts(&asks), [Health::Ok; 3]);
    }

    #[test]
    fn what_loses_work_is_a_warning() {
        let first = |config: &ClusterConfig| {
            verdicts(config).into_iter().find(|verdict| *verdict != Health::Ok)
        };
        for mode in ["CANCEL", "SUSPEND"] {
            let config = ClusterConfig { preempt_mode: Some(mode.into()), ..usual() };
            assert_eq!(first(&config), Some(Health::Warning));
        }
        let without = ClusterConfig { max_array_size: Some(1), ..usual() };
        assert_eq!(first(&without), Some(Health::Failure));
        let untold = ClusterConfig { max_array_size: None, preempt_mode: None, ..usual() };
        assert_eq!(first(&untold), Some(Health::Warning));
        let hasty = ClusterConfig { kill_wait_seconds: Some(2), ..usual() };
        assert_eq!(first(&hasty), Some(Health::Warning));
    }
}
