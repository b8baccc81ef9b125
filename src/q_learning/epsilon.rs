//! How much the agent explores, and for how long.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// The probability of a random action, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, derive_more::Into)]
#[serde(try_from = "f64", into = "f64")]
pub struct Epsilon(f64);

impl Epsilon {
    pub const RANDOM: Self = Self(1.0);

    pub fn new(value: f64) -> Result<Self, Invalid> {
        Invalid::unless_in(0.0..=1.0, "epsilon", value)?;
        Ok(Self(value + 0.0))
    }

    pub const fn value(self) -> f64 {
        self.0
    }
}

/// The shortest decimal that reads back as the same number, never without its point: `1.0`.
impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromStr for Epsilon {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let value = text.parse().map_err(|_| Invalid::new("epsilon", text, "must be 0 to 1"))?;
        Self::new(value)
    }
}

impl TryFrom<f64> for Epsilon {
    type Error = Invalid;
    fn try_from(value: f64) -> Result<Self, Invalid> {
        Self::new(value)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpsilonStage {
    /// `None` for a strategy without epsilons, whose schedule is one stage.
    pub epsilon: Option<Epsilon>,
    /// How many distinct architectures get their result at this epsilon.
    pub architectures: u64,
}

/// The `epsilon_schedule` section of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpsilonScheduleParams(pub Vec<EpsilonStage>);

/// The paper's schedule (its Table 2): 2,700 architectures, 1,500 of them at random. It ends at
/// 0.1, so that several different good networks are found.
impl Default for EpsilonScheduleParams {
    fn default() -> Self {
        // At epsilon 1.0, 0.9 .. 0.1.
        let architectures = [1500, 100, 100, 100, 150, 150, 150, 150, 150, 150];
        let stage = |(tenths, architectures)| EpsilonStage {
            epsilon: Some(Epsilon(f64::from(tenths) / 10.0)),
            architectures,
        };
        Self((1..=10).rev().zip(architectures).map(stage).collect())
    }
}

/// Sums over stages stay far below 2^64.
const MOST_ARCHITECTURES: u64 = 1_000_000_000;

/// Its stages are known by their index, in the order of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct EpsilonSchedule(Vec<EpsilonStage>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageCounts {
    /// Architectures whose first result belongs to an iteration of this stage; one met again later
    /// counts where it was first met.
    pub results: u64,
    /// Architectures being trained now.
    pub open: u64,
    /// Closed because nothing new could be drawn.
    pub exhausted: bool,
}

impl EpsilonScheduleParams {
    pub fn check(self) -> Result<EpsilonSchedule, Invalid> {
        let (key, needs) = ("epsilon_schedule", "a search needs at least one stage");
        Invalid::unless(!self.0.is_empty(), key, "[]", needs)?;
        for (index, stage) in self.0.iter().enumerate() {
            let key = "epsilon_schedule.architectures";
            Invalid::unless_in(1..=MOST_ARCHITECTURES, key, stage.architectures)?;
            let key = "epsilon_schedule.epsilon";
            let given = stage.epsilon;
            let epsilon = given.ok_or_else(|| Invalid::new(key, "null", "must be 0 to 1"))?;
            let is_new = self.0[..index].iter().all(|earlier| earlier.epsilon != given);
            Invalid::unless(is_new, key, epsilon, "stands twice: join the two stages")?;
        }
        Ok(EpsilonSchedule(self.0))
    }
}

impl EpsilonSchedule {
    /// Of a strategy without epsilons.
    pub fn of_networks(architectures: u64) -> Result<Self, Invalid> {
        Invalid::unless_in(1..=MOST_ARCHITECTURES, "strategy.architectures", architectures)?;
        Ok(Self(vec![EpsilonStage { epsilon: None, architectures }]))
    }

    /// Results that end the search.
    pub fn networks(&self) -> u64 {
        self.0.iter().map(|stage| stage.architectures).sum()
    }

    pub fn stages(&self) -> &[EpsilonStage] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn stage_of(&self, epsilon: Epsilon) -> Option<usize> {
        self.0.iter().position(|stage| stage.epsilon == Some(epsilon))
    }

    /// The index of the first stage that lacks architectures; `None` when none is to be begun.
    pub fn stage_in_force(&self, counts: &[StageCounts]) -> Option<usize> {
        self.with_counts(counts).position(|(stage, counts)| stage.lacks(counts) > 0)
    }

    /// How many architectures are still to be begun in a stage.
    pub fn still_wanted(&self, stage: usize, counts: StageCounts) -> u64 {
        self.0[stage].lacks(counts)
    }

    /// Every stage is exhausted or has its number of results, and nothing is open.
    pub fn is_finished(&self, counts: &[StageCounts]) -> bool {
        self.with_counts(counts).all(|(stage, counts)| counts.open == 0 && stage.lacks(counts) == 0)
    }

    fn with_counts<'a>(
        &'a self,
        counts: &'a [StageCounts],
    ) -> impl Iterator<Item = (&'a EpsilonStage, StageCounts)> {
        assert_eq!(self.0.len(), counts.len(), "every stage has its counts");
        self.0.iter().zip(counts.iter().copied())
    }
}

impl EpsilonStage {
    fn lacks(&self, counts: StageCounts) -> u64 {
        let wanted = if counts.exhausted { 0 } else { self.architectures };
        wanted.saturating_sub(counts.results).saturating_sub(counts.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(stages: &[(f64, u64)]) -> Result<EpsilonSchedule, Invalid> {
        let stage = |&(epsilon, architectures): &(f64, u64)| {
            Ok(EpsilonStage { epsilon: Some(Epsilon::new(epsilon)?), architectures })
        };
        let stages: Result<_, Invalid> = stages.iter().map(stage).collect();
        EpsilonScheduleParams(stages?).check()
    }

    fn counts(results: u64, open: u64) -> StageCounts {
        StageCounts { results, open, exhausted: false }
    }

    #[test]
    fn the_default_is_the_papers_table() {
        let schedule = EpsilonScheduleParams::default().check().unwrap();
        let total = schedule.networks();
        assert_eq!((schedule.stages().len(), total), (10, 2700));
        let printed: Vec<String> =
            schedule.stages().iter().map(|stage| stage.epsilon.unwrap().to_string()).collect();
        assert_eq!(printed, ["1.0", "0.9", "0.8", "0.7", "0.6", "0.5", "0.4", "0.3", "0.2", "0.1"]);
    }

    #[test]
    fn the_first_stage_that_lacks_architectures_is_in_force() {
        let schedule = schedule(&[(1.0, 3), (0.5, 2)]).unwrap();
        let in_force = |counts: [StageCounts; 2]| schedule.stage_in_force(&counts);
        assert_eq!(in_force([counts(0, 0), counts(0, 0)]), Some(0));
        assert_eq!(in_force([counts(2, 0), counts(0, 0)]), Some(0));
        // Open claims count as if they had their result already.
        assert_eq!(in_force([counts(1, 2), counts(0, 0)]), Some(1));
        // A claim that was lost makes room in its stage again.
        assert_eq!(in_force([counts(2, 0), counts(1, 1)]), Some(0));
        // Late results can exceed what a stage wants.
        assert_eq!(in_force([counts(4, 1), counts(2, 1)]), None);
    }

    #[test]
    fn an_exhausted_stage_is_passed_over() {
        let schedule = schedule(&[(1.0, 3), (0.5, 2)]).unwrap();
        let exhausted = StageCounts { results: 1, open: 0, exhausted: true };
        assert_eq!(schedule.stage_in_force(&[exhausted, counts(0, 0)]), Some(1));
        assert_eq!(schedule.still_wanted(0, exhausted), 0);
        assert_eq!(schedule.still_wanted(1, counts(0, 1)), 1);
        assert!(schedule.is_finished(&[exhausted, counts(2, 0)]));
    }

    #[test]
    fn a_schedule_is_finished_when_its_last_claim_has_ended() {
        let schedule = schedule(&[(1.0, 3), (0.5, 2)]).unwrap();
        assert!(!schedule.is_finished(&[counts(3, 0), counts(1, 0)]));
        assert!(!schedule.is_finished(&[counts(3, 0), counts(1, 1)]));
        assert!(!schedule.is_finished(&[counts(3, 1), counts(2, 0)]));
        assert!(schedule.is_finished(&[counts(3, 0), counts(2, 0)]));
    }

    #[test]
    fn each_rule_has_its_error() {
        let refused = |stages: &[(f64, u64)]| schedule(stages).unwrap_err().to_string();
        assert_eq!(refused(&[]), "`epsilon_schedule` is `[]` (a search needs at least one stage)");
        assert_eq!(
            refused(&[(0.5, 1), (0.5, 2)]),
            "`epsilon_schedule.epsilon` is `0.5` (stands twice: join the two stages)"
        );
        assert_eq!(refused(&[(1.5, 1)]), "`epsilon` is `1.5` (must be 0 to 1)");
        for architectures in [0, MOST_ARCHITECTURES + 1, u64::MAX] {
            let problem = refused(&[(0.5, architectures)]);
            assert!(problem.ends_with("(must be 1 to 1000000000)"), "{problem}");
        }
    }

    #[test]
    fn a_stage_is_found_by_its_printed_epsilon() {
        let schedule = EpsilonScheduleParams::default().check().unwrap();
        for (index, stage) in schedule.stages().iter().enumerate() {
            let read: Epsilon = stage.epsilon.unwrap().to_string().parse().unwrap();
            assert_eq!(schedule.stage_of(read), Some(index));
        }
        assert_eq!(schedule.stage_of(Epsilon::new(0.85).unwrap()), None);
    }

    #[test]
    fn an_epsilon_out_of_range_is_not_readable() {
        for text in ["1.1", "-0.1", "NaN", "half", ""] {
            assert!(text.parse::<Epsilon>().is_err(), "{text}");
        }
        let section = "- { epsilon: 1.1, architectures: 3 }";
        assert!(serde_yaml::from_str::<EpsilonScheduleParams>(section).is_err());
    }
}
