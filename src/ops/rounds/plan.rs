//! What a round is to do: planned by what is known now, and by what a person has asked of its chain.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::num::NonZeroU32;

use anyhow::ensure;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::ops::Experiment;
use crate::ops::rounds::size::{AwaitedPredictor, NextRound, next_round};
use crate::ops::snapshot::Snapshot;
use crate::ops::train::task::host;
use crate::slurm::{ArraySize, Scheduler, SlurmParams};
use crate::storage::RoundPlan;

/// What every round of a chain is asked; passed on through the plans.
pub(crate) struct Order {
    pub job_prefix: String,
    pub last_round: Option<u32>,
    pub array_size: Option<u32>,
    pub max_parallel: Option<u32>,
    pub sbatch_options: Vec<String>,
    pub sbatch_variables: BTreeMap<String, String>,
}

impl Order {
    /// Returns what the rounds after one with this plan are asked.
    pub fn of(plan: &RoundPlan) -> Self {
        Self {
            job_prefix: plan.job_prefix.clone(),
            last_round: plan.last_round,
            array_size: plan.asked_array_size,
            max_parallel: plan.asked_max_parallel,
            sbatch_options: plan.sbatch_options.clone(),
            sbatch_variables: plan.sbatch_variables.clone(),
        }
    }

    /// Plans a round by what is known now; `None` when the schedule is finished and learned.
    pub fn plan(
        &self,
        experiment: &Experiment,
        state: &Snapshot,
        number: u32,
        scheduler: &dyn Scheduler,
    ) -> anyhow::Result<Option<RoundPlan>> {
        let config = experiment.config();
        let knowledge = state.knowledge();
        let params = self.params(&config.slurm);
        let counts = knowledge.stage_counts(&config.schedule);
        let next =
            next_round(&config.schedule, &counts, &params, awaited_predictor(experiment, state));
        let (epsilon, tasks, not_before) = match next {
            NextRound::Train { epsilon, tasks } => (Some(epsilon), tasks, None),
            NextRound::Wait => {
                (None, 0, knowledge.state().open.values().map(|open| open.expires_at).min())
            }
            NextRound::Nothing if state.view_is_behind() => (None, 0, None),
            NextRound::Nothing => return Ok(None),
        };
        Ok(Some(RoundPlan {
            round: number,
            job_prefix: self.job_prefix.clone(),
            epsilon,
            array_size: tasks,
            parts: if tasks == 0 { Vec::new() } else { parts(tasks, scheduler.max_array_size()?)? },
            max_parallel: params.max_parallel.get(),
            not_before,
            last_round: self.last_round,
            asked_array_size: self.array_size,
            asked_max_parallel: self.max_parallel,
            sbatch_options: self.sbatch_options.clone(),
            sbatch_variables: self.sbatch_variables.clone(),
            created_at: Timestamp::now().into(),
            host: host().unwrap_or_default(),
        }))
    }

    /// Returns whether a plan has what is asked.
    pub fn is_kept_by(&self, plan: &RoundPlan) -> bool {
        let Self { job_prefix: _, last_round, array_size, max_parallel, .. } = self;
        (*last_round, *array_size, *max_parallel)
            == (plan.last_round, plan.asked_array_size, plan.asked_max_parallel)
            && (&self.sbatch_options, &self.sbatch_variables)
                == (&plan.sbatch_options, &plan.sbatch_variables)
    }

    /// The `slurm` section with what the person asked in its place.
    fn params(&self, configured: &SlurmParams) -> SlurmParams {
        let mut params = configured.clone();
        if let Some(tasks) = self.array_size.and_then(NonZeroU32::new) {
            params.array_size = ArraySize::Tasks(tasks);
        }
        if let Some(parallel) = self.max_parallel.and_then(NonZeroU32::new) {
            params.max_parallel = parallel;
        }
        params
    }
}

fn awaited_predictor(experiment: &Experiment, state: &Snapshot) -> AwaitedPredictor {
    let params = &experiment.config().early_stopping;
    if params.enabled && !state.has_predictor() {
        AwaitedPredictor::AfterBurnIn(params.burn_in as u64)
    } else {
        AwaitedPredictor::No
    }
}

/// Returns what the names of an experiment's jobs begin with: its name, and a digest of its folder, since two
/// experiments may have one name. The plan of each round keeps it: the folder may have another path on another node.
pub(crate) fn job_prefix(experiment: &Experiment) -> String {
    let root = experiment.dir().root();
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let place: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{place}", experiment.config().experiment().name)
}

/// Splits a round into arrays that the scheduler accepts, each with the indices from 0 on:
/// `MaxArraySize` limits the index (1001 allows 0 to 1000), not only the number of tasks.
fn parts(tasks: u32, max_array_size: u32) -> anyhow::Result<Vec<u32>> {
    ensure!(max_array_size > 0, "this cluster allows no arrays (`MaxArraySize` is 0)");
    let whole = iter::repeat_n(max_array_size, (tasks / max_array_size) as usize);
    Ok(whole.chain(Some(tasks % max_array_size).filter(|&rest| rest > 0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_larger_than_an_array_is_several() {
        assert_eq!(parts(5, 10).unwrap(), [5]);
        assert_eq!(parts(20, 10).unwrap(), [10, 10]);
        assert_eq!(parts(23, 10).unwrap(), [10, 10, 3]);
        assert!(parts(0, 10).unwrap().is_empty());
        assert!(parts(5, 0).unwrap_err().to_string().contains("MaxArraySize"));
    }
}
