//! How many tasks the next round has, as a pure function of what is known.

use crate::q_learning::{Epsilon, EpsilonSchedule, StageCounts};
use crate::slurm::{ArraySize, SlurmParams};

/// What the next round is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NextRound {
    /// Train so many architectures at this epsilon.
    Train {
        /// The epsilon in force.
        epsilon: Epsilon,
        /// Tasks of the array.
        tasks: u32,
    },
    /// Nothing can be claimed before open claims end: wait for them and reduce.
    Wait,
    /// The schedule is finished.
    Nothing,
}

/// Array size while epsilon is 1: the Q-table is not read, so no round is too long.
const RANDOM_ROUND: u64 = 500;

/// Whether early stopping waits for its predictor, which only a reduce can fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwaitedPredictor {
    /// No: there is one, or nobody is to be stopped.
    No,
    /// Yes, and so many networks have to be trained to the end for it.
    AfterBurnIn(u64),
}

/// Returns what the next round is to do.
///
/// A round never crosses an epsilon boundary. `auto` is 500 tasks while epsilon is 1, then ten
/// times `max_parallel`, at most half of the epsilon's architectures: rounds as small as the
/// number of GPUs leave most of them idle at the barrier, and rounds up to 100 cost no learning.
/// Until there is a predictor it is no more than the burn-in, after which trainings can be stopped.
pub(crate) fn next_round(
    schedule: &EpsilonSchedule,
    counts: &[StageCounts],
    params: &SlurmParams,
    awaited: AwaitedPredictor,
) -> NextRound {
    let Some(stage) = schedule.stage_in_force(counts) else {
        let is_open = counts.iter().any(|counts| counts.open > 0);
        return if is_open { NextRound::Wait } else { NextRound::Nothing };
    };
    let epsilon = schedule.stages()[stage].epsilon;
    let wanted = schedule.still_wanted(stage, counts[stage]);
    let most = match params.array_size {
        ArraySize::Tasks(tasks) => u64::from(tasks.get()),
        ArraySize::Auto if epsilon == Epsilon::RANDOM => RANDOM_ROUND,
        ArraySize::Auto => {
            let half = schedule.stages()[stage].architectures.div_ceil(2);
            half.min(10 * u64::from(params.max_parallel.get()))
        }
    };
    let most = match (params.array_size, awaited) {
        (ArraySize::Auto, AwaitedPredictor::AfterBurnIn(burn_in)) => most.min(burn_in),
        _ => most,
    };
    let per_task = u64::from(params.architectures_per_task.get());
    let tasks = most.min(wanted.div_ceil(per_task)).max(1);
    NextRound::Train { epsilon, tasks: u32::try_from(tasks).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::q_learning::{EpsilonScheduleParams, EpsilonStage};

    fn size(results: [u64; 2], open: [u64; 2], change: impl Fn(&mut SlurmParams)) -> NextRound {
        size_awaiting(AwaitedPredictor::No, results, open, change)
    }

    fn size_awaiting(
        awaited: AwaitedPredictor,
        results: [u64; 2],
        open: [u64; 2],
        change: impl Fn(&mut SlurmParams),
    ) -> NextRound {
        let stage = |epsilon, architectures| EpsilonStage {
            epsilon: Epsilon::new(epsilon).unwrap(),
            architectures,
        };
        let schedule =
            EpsilonScheduleParams(vec![stage(1.0, 1500), stage(0.5, 150)]).check().unwrap();
        let counts =
            [0, 1].map(|i| StageCounts { results: results[i], open: open[i], exhausted: false });
        let mut params = SlurmParams::default();
        change(&mut params);
        next_round(&schedule, &counts, &params, awaited)
    }

    fn tasks(round: NextRound) -> u32 {
        match round {
            NextRound::Train { tasks, .. } => tasks,
            other => panic!("{other:?}"),
        }
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
        let burn_in = AwaitedPredictor::AfterBurnIn(100);
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
        let NextRound::Train { epsilon, .. } = size([1499, 0], [0, 0], |_| {}) else { panic!() };
        assert_eq!(epsilon, Epsilon::RANDOM);
    }

    #[test]
    fn what_is_claimed_by_others_is_waited_for() {
        assert_eq!(size([1500, 149], [0, 1], |_| {}), NextRound::Wait);
        assert_eq!(size([1500, 150], [0, 0], |_| {}), NextRound::Nothing);
    }
}
