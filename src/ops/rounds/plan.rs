//! The plan of a round, from what is known and what is asked of the chain; its batch scripts.

use std::num::NonZeroU32;
use std::path::Path;
use std::{fs, iter};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::predictor_curves;
use crate::ops::train::host;
use crate::q_learning::{Epsilon, EpsilonSchedule, EpsilonStage, StageCounts};
use crate::slurm::{
    ArraySize, Asked, BatchScript, CLUSTER, Slurm, SlurmParams, Work, submit_variables,
};
use crate::storage::{Rendering, RoundDir, RoundPlan, Trust};

pub(crate) const TRAIN_SCRIPT: &str = "train.sbatch";
pub(crate) const REDUCE_SCRIPT: &str = "reduce.sbatch";

/// The plan of the newest round names the cluster; before there is one, the environment does.
pub(crate) fn scheduler(experiment: &Experiment) -> anyhow::Result<Slurm> {
    let plan = newest_plan(experiment)?;
    plan.map_or_else(scheduler_of_this_process, |plan| Ok(scheduler_of_plan(&plan)))
}

/// Of the newest round.
pub(crate) fn newest_plan(experiment: &Experiment) -> anyhow::Result<Option<RoundPlan>> {
    let newest = experiment.dir().newest_round()?.unwrap_or(0);
    Ok(RoundDir::of(experiment.dir(), newest).plan()?)
}

pub(crate) fn scheduler_of_plan(plan: &RoundPlan) -> Slurm {
    let cluster = plan.sbatch_variables.get(CLUSTER);
    Slurm::new(&std::env::vars_os().collect(), cluster.map(String::as_str))
}

pub(crate) fn scheduler_of_this_process() -> anyhow::Result<Slurm> {
    let sbatch_variables = submit_variables(&std::env::vars_os().collect())?;
    Ok(scheduler_of_plan(&RoundPlan { sbatch_variables, ..RoundPlan::default() }))
}

/// `None` when the schedule is finished and learned. `asked`: by the round before, or a person.
pub(crate) fn plan_round(
    experiment: &Experiment,
    number: u32,
    asked: &RoundPlan,
    max_array_size: u32,
) -> anyhow::Result<Option<RoundPlan>> {
    let config = experiment.config();
    let journal = Journal::open_to_look(experiment)?;
    let knowledge = journal.state();
    let mut params = SlurmParams::clone(&config.slurm);
    if let Some(tasks) = asked.asked_array_size.and_then(NonZeroU32::new) {
        params.array_size = ArraySize::Tasks(tasks);
    }
    if let Some(parallel) = asked.asked_max_parallel.and_then(NonZeroU32::new) {
        params.max_parallel = parallel;
    }
    let stopping = &config.early_stopping;
    let awaits_predictor = stopping.enabled && predictor_curves(experiment, &journal)?.is_none();
    let burn_in = awaits_predictor.then_some(stopping.burn_in as u64);
    let counts = knowledge.stage_counts(&config.strategy.schedule);
    let next = next_round(&config.strategy.schedule, &counts, &params, burn_in);
    let is_claimed = counts.iter().any(|counts| counts.open > 0);
    // The last results may not be learned yet.
    if next.is_none() && !is_claimed && journal.new_rows().is_empty() {
        return Ok(None);
    }
    let ends = knowledge.open.values().map(|open| open.expires_at);
    let tasks = next.map_or(0, |(_, tasks)| tasks);
    Ok(Some(RoundPlan {
        round: number,
        epsilon: next.and_then(|(epsilon, _)| epsilon),
        array_size: tasks,
        parts: if tasks == 0 { Vec::new() } else { parts(tasks, max_array_size)? },
        max_parallel: params.max_parallel.get(),
        not_before: ends.min().filter(|_| next.is_none() && is_claimed),
        created_at: Timestamp::now().into(),
        host: host().unwrap_or_default(),
        ..asked.clone()
    }))
}

/// The name of the experiment and a digest of its folder, since two may have one name.
pub(crate) fn job_prefix(experiment: &Experiment) -> String {
    let root = experiment.dir().root();
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let place: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{place}", experiment.config().experiment.name)
}

/// The epsilon and the tasks of the next round, which never crosses an epsilon boundary; `None`
/// when nothing can be claimed before open claims end, if ever.
///
/// `auto` is 500 tasks while epsilon is 1, when the Q-table is not read, then ten times
/// `max_parallel`, at most half of the epsilon's architectures: rounds as small as the number of
/// GPUs leave most of them idle at the barrier, and rounds up to 100 cost no learning. A list has
/// ten times `max_parallel`, so that tables and what was lost are seen to now and then. While early
/// stopping has no predictor, which only a reduce can fit, it is no more than `burn_in`.
fn next_round(
    schedule: &EpsilonSchedule,
    counts: &[StageCounts],
    params: &SlurmParams,
    burn_in: Option<u64>,
) -> Option<(Option<Epsilon>, u32)> {
    let stage = schedule.stage_in_force(counts)?;
    let EpsilonStage { epsilon, architectures } = schedule.stages()[stage];
    let parallel = u64::from(params.max_parallel.get());
    let burn_in = burn_in.unwrap_or(u64::MAX);
    let most = match params.array_size {
        ArraySize::Tasks(tasks) => u64::from(tasks.get()),
        ArraySize::Auto if epsilon == Some(Epsilon::RANDOM) => burn_in.min(500),
        ArraySize::Auto if epsilon.is_none() => (10 * parallel).min(burn_in),
        ArraySize::Auto => architectures.div_ceil(2).min(10 * parallel).min(burn_in),
    };
    let per_task = u64::from(params.architectures_per_task.get());
    let wanted = schedule.still_wanted(stage, counts[stage]).div_ceil(per_task);
    let tasks = most.min(wanted).max(1);
    Some((epsilon, u32::try_from(tasks).unwrap_or(u32::MAX)))
}

/// Splits a round into arrays of indices from 0 on, which `MaxArraySize` limits (1001: 0 to 1000).
fn parts(tasks: u32, max_array_size: u32) -> anyhow::Result<Vec<u32>> {
    ensure!(max_array_size > 0, "this cluster allows no arrays (`MaxArraySize` is 0)");
    let whole = iter::repeat_n(max_array_size, (tasks / max_array_size) as usize);
    Ok(whole.chain(Some(tasks % max_array_size).filter(|&rest| rest > 0)).collect())
}

pub(crate) struct Rendered {
    pub plan: RoundPlan,
    pub scripts: [(&'static str, String); 2],
}

/// Returns the batch script of a job, whose logs go to `log_folder`.
pub(crate) fn batch_script(
    experiment: &Experiment,
    work: Work<'_>,
    log_folder: &Path,
    asked: &RoundPlan,
) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("failed to find the running program")?;
    let script = BatchScript {
        work,
        program: &program,
        experiment: experiment.dir().root(),
        log_folder,
        trust_group: experiment.trust == Trust::Group,
        params: &experiment.config().slurm,
        asked: Asked { options: &asked.sbatch_options, variables: &asked.sbatch_variables },
    };
    Ok(script.render()?)
}

impl Rendered {
    pub fn of(experiment: &Experiment, plan: RoundPlan) -> anyhow::Result<Self> {
        let folder = experiment.dir().round(plan.round);
        let script = |work| batch_script(experiment, work, &folder, &plan);
        let train = (TRAIN_SCRIPT, script(Work::Train(plan.round))?);
        let scripts = [train, (REDUCE_SCRIPT, script(Work::Reduce(plan.round))?)];
        Ok(Self { plan, scripts })
    }

    pub fn is(&self, rendering: &Rendering) -> bool {
        let same_plan = rendering.plan().is_ok_and(|plan| plan.asks_the_same(&self.plan));
        same_plan && self.scripts.iter().all(|(name, text)| rendering.has_script(name, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::q_learning::EpsilonScheduleParams;

    fn size(
        results: [u64; 2],
        open: [u64; 2],
        change: impl Fn(&mut SlurmParams),
    ) -> Option<(Option<Epsilon>, u32)> {
        size_awaiting(None, results, open, change)
    }

    fn size_awaiting(
        burn_in: Option<u64>,
        results: [u64; 2],
        open: [u64; 2],
        change: impl Fn(&mut SlurmParams),
    ) -> Option<(Option<Epsilon>, u32)> {
        let stage = |epsilon, architectures| EpsilonStage {
            epsilon: Some(Epsilon::new(epsilon).unwrap()),
            architectures,
        };
        let schedule =
            EpsilonScheduleParams(vec![stage(1.0, 1500), stage(0.5, 150)]).check().unwrap();
        let counts =
            [0, 1].map(|i| StageCounts { results: results[i], open: open[i], exhausted: false });
        let mut params = SlurmParams::default();
        change(&mut params);
        next_round(&schedule, &counts, &params, burn_in)
    }

    fn tasks(round: Option<(Option<Epsilon>, u32)>) -> u32 {
        round.unwrap().1
    }

    #[test]
    fn random_rounds_are_long_and_learning_rounds_short() {
        assert_eq!(tasks(size([0, 0], [0, 0], |_| {})), 500);
        // Ten times ten tasks at a time are 100, half of 150 is 75.
        assert_eq!(tasks(size([1500, 0], [0, 0], |_| {})), 75);
        assert_eq!(tasks(size([1500, 0], [0, 0], |p| p.max_parallel = 2.try_into().unwrap())), 20);
    }

    #[test]
    fn until_there_is_a_predictor_a_round_is_no_longer_than_the_burn_in() {
        let burn_in = Some(100);
        assert_eq!(tasks(size_awaiting(burn_in, [0, 0], [0, 0], |_| {})), 100);
        assert_eq!(tasks(size_awaiting(burn_in, [1450, 0], [0, 0], |_| {})), 50);
        assert_eq!(tasks(size_awaiting(burn_in, [1500, 0], [0, 0], |_| {})), 75);
        let given = |p: &mut SlurmParams| p.array_size = ArraySize::Tasks(300.try_into().unwrap());
        assert_eq!(tasks(size_awaiting(burn_in, [0, 0], [0, 0], given)), 300);
    }

    #[test]
    fn a_round_asks_for_no_more_than_is_wanted() {
        assert_eq!(tasks(size([1490, 0], [4, 0], |_| {})), 6);
        let by_three = |p: &mut SlurmParams| p.architectures_per_task = 3.try_into().unwrap();
        assert_eq!(tasks(size([1490, 0], [0, 0], by_three)), 4);
    }

    #[test]
    fn a_round_never_crosses_an_epsilon() {
        assert_eq!(size([1499, 0], [0, 0], |_| {}).unwrap().0, Some(Epsilon::RANDOM));
    }

    #[test]
    fn a_round_of_a_list_is_ten_times_what_runs_at_once_and_no_more_than_is_left() {
        let size = |list, results, open| {
            let counts = [StageCounts { results, open, exhausted: false }];
            let schedule = EpsilonSchedule::of_networks(list).unwrap();
            next_round(&schedule, &counts, &SlurmParams::default(), None)
        };
        assert_eq!(size(2700, 0, 0), Some((None, 100)));
        assert_eq!(size(30, 10, 5), Some((None, 15)));
        assert_eq!(size(30, 25, 5), None);
    }

    #[test]
    fn open_claims_are_waited_for() {
        assert_eq!(size([1500, 149], [0, 1], |_| {}), None);
        assert_eq!(size([1500, 150], [0, 0], |_| {}), None);
    }

    #[test]
    fn a_round_larger_than_an_array_is_several() {
        assert_eq!(parts(5, 10).unwrap(), [5]);
        assert_eq!(parts(20, 10).unwrap(), [10, 10]);
        assert_eq!(parts(23, 10).unwrap(), [10, 10, 3]);
        assert!(parts(0, 10).unwrap().is_empty());
        assert!(parts(5, 0).unwrap_err().to_string().contains("MaxArraySize"));
    }
}
