//! Which scheduler a search is submitted to.

use std::collections::BTreeMap;

use crate::ops::Experiment;
use crate::slurm::{CLUSTER, Slurm, Variables, submit_variables};
use crate::storage::RoundDir;

/// Returns the scheduler of the chain: the plan of its newest round names the cluster, or, before there is one, the
/// environment of this process.
pub(crate) fn scheduler(experiment: &Experiment) -> anyhow::Result<Slurm> {
    let newest = experiment.dir().newest_round()?.unwrap_or(0);
    match RoundDir::of(experiment.dir(), newest).plan()? {
        Some(plan) => Ok(scheduler_with(&plan.sbatch_variables)),
        None => scheduler_of_this_process(),
    }
}

/// Returns the scheduler that this process's environment leads to.
pub(crate) fn scheduler_of_this_process() -> anyhow::Result<Slurm> {
    Ok(scheduler_with(&submit_variables(&std::env::vars_os().collect())?))
}

/// Returns the scheduler of a chain that was submitted with these variables.
pub(crate) fn scheduler_with(sbatch_variables: &BTreeMap<String, String>) -> Slurm {
    let variables: Variables = std::env::vars_os().collect();
    Slurm::new(&variables).on_cluster(sbatch_variables.get(CLUSTER).map(String::as_str))
}
