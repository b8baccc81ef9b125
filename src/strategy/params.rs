//! The `strategy` section: who says which network is trained next.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::Strategy;
use super::bayesian::{Bayesian, BayesianParams};
use super::controller::PolicyGradientParams;
use super::evolution::{Evolution, EvolutionParams};
use super::exhaustive::{Exhaustive, MOST_NETWORKS};
use super::exploit_best::{ExploitBest, ExploitBestParams};
use super::list::List;
use super::policy_gradient::PolicyGradient;
use super::q_learning::QLearning;
use super::random::Random;
use crate::invalid::Invalid;
use crate::q_learning::{EpsilonSchedule, EpsilonScheduleParams};
use crate::space::{Candidate, Space};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategyParams {
    pub kind: StrategyKind,
    /// Results that end the search; null: those of the schedule, or all networks that are given.
    pub architectures: Option<u64>,
    pub list: ListParams,
    pub evolution: EvolutionParams,
    pub bayesian: BayesianParams,
    pub exploit_best: ExploitBestParams,
    pub policy_gradient: PolicyGradientParams,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StrategyKind {
    #[default]
    QLearning,
    List,
    Random,
    PolicyGradient,
    Bayesian,
    Exhaustive,
    Evolution,
    ExploitBest,
}

/// `init` fills `architectures` in, once, from `file` or `from`, which stay as their origin.
#[derive(Debug, Clone, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListParams {
    pub architectures: Vec<String>,
    pub file: Option<PathBuf>,
    pub from: ListSource,
    #[default = 1]
    pub repeats: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListSource {
    pub experiment: Option<PathBuf>,
    #[default = 10]
    pub top: u32,
    #[default = 1]
    pub per_depth: u32,
}

#[derive(Debug, Clone, derive_more::Deref)]
pub struct ValidStrategyParams {
    #[deref]
    /// Scaled to the search.
    params: StrategyParams,
    /// All that a list trains, in this order: by architecture, then by repeat.
    pub list: Option<Arc<IndexSet<Candidate>>>,
    /// How many networks the strategy goes on to.
    pub schedule: EpsilonSchedule,
}

/// What `experiment.yaml` can hold, in bytes.
const LONGEST_LIST: usize = 512 * 1024;

impl ListParams {
    /// Whether `init` took the architectures from elsewhere.
    pub const fn is_taken(&self) -> bool {
        self.file.is_some() || self.from.experiment.is_some()
    }
}

impl StrategyKind {
    /// Whether networks are drawn at an epsilon, and learned from with Q-values.
    pub const fn has_epsilon(self) -> bool {
        matches!(self, Self::QLearning | Self::ExploitBest)
    }

    /// Whether the networks are given, and what is drawn does not depend on what came of others.
    pub const fn is_given(self) -> bool {
        matches!(self, Self::List | Self::Exhaustive)
    }
}

impl StrategyParams {
    /// In a list every network is legal that can be built.
    pub fn check(
        self,
        space: &Space,
        schedule: &EpsilonScheduleParams,
    ) -> Result<ValidStrategyParams, Invalid> {
        let (kind, key) = (self.kind, "strategy.architectures");
        self.check_ranges()?;
        let schedule = schedule.clone().check()?;
        let is_list = kind == StrategyKind::List;
        let is_fit = is_list || self.list == ListParams::default();
        let needs = "only `strategy.kind: list` trains one: give that, or leave the list out";
        Invalid::unless(is_fit, "strategy.kind", kind, needs)?;
        let list = is_list.then(|| self.list.check(space)).transpose()?;
        let given = match kind {
            StrategyKind::List => list.as_ref().map(|list| list.len() as u64),
            StrategyKind::Exhaustive => {
                let all = space.count_architectures();
                let needs = "`exhaustive` trains every network of `search_space`: it must have at \
                             most 100000";
                let size = format!("exhaustive, with a space of {all} networks");
                Invalid::unless(all <= MOST_NETWORKS.into(), "strategy.kind", size, needs)?;
                all.try_into().ok()
            }
            _ => None,
        };
        if let Some(wanted) = self.architectures {
            let needs = "the networks of this strategy are counted elsewhere, in the list, the \
                         space or `epsilon_schedule`: leave it null";
            Invalid::unless(!kind.has_epsilon() && given.is_none(), key, wanted, needs)?;
        }
        let networks = given.or(self.architectures).unwrap_or_else(|| schedule.networks());
        let schedule = match kind.has_epsilon() {
            true => schedule,
            false => EpsilonSchedule::of_networks(networks)?,
        };
        let most = || networks.min(space.count_architectures().try_into().unwrap_or(u64::MAX));
        let params = match kind {
            StrategyKind::Evolution => Self { evolution: self.evolution.scaled(most()), ..self },
            StrategyKind::Bayesian => Self { bayesian: self.bayesian.scaled(most()), ..self },
            _ => self,
        };
        Ok(ValidStrategyParams { params, list: list.map(Arc::new), schedule })
    }

    /// Of the kinds that are not chosen, too.
    fn check_ranges(&self) -> Result<(), Invalid> {
        let Self { evolution, bayesian, exploit_best, policy_gradient, .. } = self;
        Invalid::unless_in(1..=10_000, "strategy.evolution.population", evolution.population)?;
        Invalid::unless_in(1..=10_000, "strategy.evolution.sample", evolution.sample)?;
        Invalid::unless_in(2..=1_000, "strategy.bayesian.burn_in", bayesian.burn_in)?;
        Invalid::unless_in(20..=500, "strategy.bayesian.points", bayesian.points)?;
        Invalid::unless_in(1_000..=10_000, "strategy.bayesian.candidates", bayesian.candidates)?;
        Invalid::unless_in(0.0..=1.0, "strategy.exploit_best.share", exploit_best.share)?;
        Invalid::unless_in(1..=10_000, "strategy.exploit_best.best", exploit_best.best)?;
        let of_controller = |name| format!("strategy.policy_gradient.{name}");
        let PolicyGradientParams { units, learning_rate, baseline_decay } = *policy_gradient;
        Invalid::unless_in(1..=1024, &of_controller("units"), units)?;
        Invalid::unless_in(1e-6..=1.0, &of_controller("learning_rate"), learning_rate)?;
        Invalid::unless_in(0.0..=0.999_999, &of_controller("baseline_decay"), baseline_decay)
    }
}

impl ListParams {
    fn check(&self, space: &Space) -> Result<IndexSet<Candidate>, Invalid> {
        let Self { architectures, repeats, .. } = self;
        Invalid::unless_in(1..=1000, "strategy.list.repeats", *repeats)?;
        let (key, bytes) = ("strategy.list.architectures", architectures.concat().len());
        let needs = "name networks here, a `file` with one a line, or `from.experiment`";
        Invalid::unless(bytes > 0, key, "[]", needs)?;
        let length = format!("a list of {bytes} bytes");
        Invalid::unless(bytes <= LONGEST_LIST, key, length, "must have at most 512 KiB")?;
        let mut candidates = IndexSet::new();
        for (number, text) in (1..).zip(architectures) {
            let problem = |why: String| Invalid::new(format!("{key}[{number}]"), text, why);
            let own = space.parse(text).map_err(|error| problem(error.to_string()))?;
            let own = Candidate::once(own.to_string());
            if candidates.contains(&own) {
                let why = "stands twice: leave it out, `strategy.list.repeats` trains each again";
                return Err(problem(why.to_owned()));
            }
            candidates.extend((1..=*repeats).map(|repeat| Candidate { repeat, ..own.clone() }));
        }
        Ok(candidates)
    }
}

impl ValidStrategyParams {
    /// `seed`: of the experiment.
    pub fn strategy(&self, seed: u64) -> Box<dyn Strategy> {
        match self.kind {
            StrategyKind::QLearning => Box::new(QLearning),
            StrategyKind::List => Box::new(List(self.list.clone().expect("checked"))),
            StrategyKind::Random => Box::new(Random),
            StrategyKind::PolicyGradient => {
                Box::new(PolicyGradient::new(self.policy_gradient, seed))
            }
            StrategyKind::Bayesian => Box::new(Bayesian::new(self.bayesian)),
            StrategyKind::Exhaustive => Box::<Exhaustive>::default(),
            StrategyKind::Evolution => Box::new(Evolution(self.evolution)),
            StrategyKind::ExploitBest => Box::new(ExploitBest(self.exploit_best)),
        }
    }

    /// Why a draw, or `exhausted`, cannot be of this strategy.
    pub fn problem_of(&self, drawn: Option<&Candidate>, epsilon: Option<f64>) -> Option<String> {
        let kind = self.kind;
        if kind.has_epsilon() != epsilon.is_some() {
            return Some(match epsilon {
                None => "column `epsilon` is empty".to_owned(),
                Some(_) => format!("column `epsilon`: the strategy `{kind}` has none"),
            });
        }
        let Candidate { architecture, repeat } = drawn?;
        match &self.list {
            None => (*repeat != 1).then(|| format!("column `repeat` is {repeat}, not 1")),
            Some(list) => (!list.contains(drawn?))
                .then(|| format!("repeat {repeat} of `{architecture}` is not in `strategy.list`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{DataShape, SpaceParams};

    const IMAGE: DataShape = DataShape { size: 16, channels: 1, classes: 10 };

    fn checked(params: StrategyParams) -> Result<ValidStrategyParams, Invalid> {
        let space = SpaceParams::default().check(IMAGE).unwrap();
        params.check(&space, &EpsilonScheduleParams::default())
    }

    fn check(architectures: &[&str], repeats: u32) -> Result<ValidStrategyParams, Invalid> {
        let space = SpaceParams::default().check(IMAGE).unwrap().buildable();
        let architectures = architectures.iter().map(|&text| text.to_owned()).collect();
        let list = ListParams { architectures, repeats, ..ListParams::default() };
        let kind = StrategyKind::List;
        let params = StrategyParams { kind, list, ..StrategyParams::default() };
        params.check(&space, &EpsilonScheduleParams::default())
    }

    #[test]
    fn a_list_holds_every_repeat_of_every_architecture_by_its_name() {
        let checked = check(&["[C(8,3,1),C(8,3,1),SM(10)]", "[P(2,2), SM(10)]"], 2).unwrap();
        let list = checked.list.unwrap();
        let found: Vec<_> = list.iter().map(|it| (&*it.architecture, it.repeat)).collect();
        let first = "[C(8,3,1), C(8,3,1), D(1,1), SM(10)]";
        let second = "[P(2,2), SM(10)]";
        assert_eq!(found, [(first, 1), (first, 2), (second, 1), (second, 2)]);
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_place_and_the_remedy() {
        let problem = |texts: &[&str]| check(texts, 1).unwrap_err().to_string();
        assert!(problem(&[]).contains("name networks here"));
        assert_eq!(
            problem(&["[SM(10)]", "[ SM(10) ]"]),
            "`strategy.list.architectures[2]` is `[ SM(10) ]` (stands twice: leave it out, \
             `strategy.list.repeats` trains each again)"
        );
        let illegal = problem(&["[SM(10)]", "[C(8,3,1), SM(9)]"]);
        assert!(illegal.contains("architectures[2]") && illegal.contains("classes"), "{illegal}");
        assert!(problem(&[&"x".repeat(LONGEST_LIST + 1)]).contains("at most 512 KiB"));
        assert!(check(&["[SM(10)]"], 0).is_err());
        let list = ListParams { file: Some("nets.txt".into()), ..ListParams::default() };
        let unused = StrategyParams { list, ..StrategyParams::default() };
        let problem = checked(unused).unwrap_err().to_string();
        assert!(problem.contains("only `strategy.kind: list` trains one"), "{problem}");
    }

    #[test]
    fn rows_of_another_strategy_are_named() {
        let list = check(&["[SM(10)]"], 2).unwrap();
        let repeat = |repeat| Candidate { repeat, ..Candidate::once("[SM(10)]") };
        assert_eq!(list.problem_of(Some(&repeat(2)), None), None);
        assert!(list.problem_of(Some(&repeat(3)), None).unwrap().contains("is not in"));
        assert!(list.problem_of(Some(&repeat(1)), Some(1.0)).is_some());
        let search = checked(StrategyParams::default()).unwrap();
        assert_eq!(search.problem_of(Some(&repeat(1)), Some(1.0)), None);
        assert!(search.problem_of(Some(&repeat(2)), Some(1.0)).is_some());
        assert!(search.problem_of(Some(&repeat(1)), None).is_some());
        assert!(search.problem_of(None, None).is_some(), "an epsilon is exhausted, not a search");
        assert_eq!(list.problem_of(None, None), None);
    }

    #[test]
    fn a_search_without_epsilons_ends_after_so_many_networks() {
        let wanted = |kind, architectures| {
            let params = StrategyParams { kind, architectures, ..StrategyParams::default() };
            checked(params).map(|valid| valid.schedule.networks())
        };
        assert_eq!(wanted(StrategyKind::Random, None).unwrap(), 2700, "those of the schedule");
        assert_eq!(wanted(StrategyKind::Random, Some(50)).unwrap(), 50);
        assert!(wanted(StrategyKind::Random, Some(0)).is_err());
        let problem = wanted(StrategyKind::QLearning, Some(50)).unwrap_err().to_string();
        assert!(problem.contains("are counted elsewhere"), "{problem}");
        let problem = wanted(StrategyKind::Exhaustive, None).unwrap_err().to_string();
        assert!(problem.contains("at most 100000"), "{problem}");
    }
}
