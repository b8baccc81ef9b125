//! The `strategy` section: who says which network is trained next.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use crate::invalid::Invalid;
use crate::space::{Candidate, Space};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategyParams {
    pub kind: StrategyKind,
    pub list: ListParams,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    #[default]
    QLearning,
    List,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    QLearning,
    /// All that are to be trained, in this order: by architecture, then by repeat.
    List(Vec<Candidate>),
}

/// What `experiment.yaml` can hold, in bytes.
const LONGEST_LIST: usize = 512 * 1024;

impl ListParams {
    /// Whether `init` took the architectures from elsewhere.
    pub const fn is_taken(&self) -> bool {
        self.file.is_some() || self.from.experiment.is_some()
    }
}

impl StrategyParams {
    /// In a list every network is legal that can be built.
    pub fn check(self, space: &Space) -> Result<Strategy, Invalid> {
        let has_none = self.list == ListParams::default();
        let ListParams { architectures, repeats, .. } = self.list;
        Invalid::unless_in(1..=1000, "strategy.list.repeats", repeats)?;
        if self.kind == StrategyKind::QLearning {
            let needs = "a search trains no `strategy.list`: give `strategy.kind: list`, or leave \
                         the list out";
            Invalid::unless(has_none, "strategy.kind", "q_learning", needs)?;
            return Ok(Strategy::QLearning);
        }
        let (key, bytes) = ("strategy.list.architectures", architectures.concat().len());
        let needs = "name networks here, a `file` with one a line, or `from.experiment`";
        Invalid::unless(bytes > 0, key, "[]", needs)?;
        let length = format!("a list of {bytes} bytes");
        Invalid::unless(bytes <= LONGEST_LIST, key, length, "must have at most 512 KiB")?;
        let (mut candidates, mut seen) = (Vec::new(), BTreeSet::new());
        for (number, text) in (1..).zip(&architectures) {
            let problem = |why: String| Invalid::new(format!("{key}[{number}]"), text, why);
            let own = space.parse(text).map_err(|error| problem(error.to_string()))?;
            let own = Candidate::once(own.to_string());
            if !seen.insert(own.architecture.clone()) {
                let why = "stands twice: leave it out, `strategy.list.repeats` trains each again";
                return Err(problem(why.to_owned()));
            }
            candidates.extend((1..=repeats).map(|repeat| Candidate { repeat, ..own.clone() }));
        }
        Ok(Strategy::List(candidates))
    }
}

impl Strategy {
    /// Why a draw, or `exhausted`, cannot be of this strategy.
    pub fn problem_of(&self, drawn: Option<&Candidate>, epsilon: Option<f64>) -> Option<String> {
        match (self, epsilon) {
            (Self::QLearning, None) => Some("column `epsilon` is empty".to_owned()),
            (Self::List(_), Some(_)) => Some("column `epsilon`: a list has none".to_owned()),
            (Self::QLearning, Some(_)) => drawn
                .filter(|candidate| candidate.repeat != 1)
                .map(|candidate| format!("column `repeat` is {}, not 1", candidate.repeat)),
            (Self::List(list), None) => {
                drawn.filter(|candidate| !list.contains(candidate)).map(|candidate| {
                    let Candidate { architecture, repeat } = candidate;
                    format!("repeat {repeat} of `{architecture}` is not in `strategy.list`")
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{DataShape, SpaceParams};

    fn check(architectures: &[&str], repeats: u32) -> Result<Strategy, Invalid> {
        let image = DataShape { size: 16, channels: 1, classes: 10 };
        let space = SpaceParams::default().check(image).unwrap().buildable();
        let architectures = architectures.iter().map(|&text| text.to_owned()).collect();
        let list = ListParams { architectures, repeats, ..ListParams::default() };
        StrategyParams { kind: StrategyKind::List, list }.check(&space)
    }

    #[test]
    fn a_list_holds_every_repeat_of_every_architecture_by_its_name() {
        let Ok(Strategy::List(list)) =
            check(&["[C(8,3,1),C(8,3,1),SM(10)]", "[P(2,2), SM(10)]"], 2)
        else {
            panic!("a list")
        };
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
        let image = DataShape { size: 16, channels: 1, classes: 10 };
        let problem = unused.check(&SpaceParams::default().check(image).unwrap()).unwrap_err();
        assert!(problem.to_string().contains("give `strategy.kind: list`"), "{problem}");
    }

    #[test]
    fn rows_of_another_strategy_are_named() {
        let list = check(&["[SM(10)]"], 2).unwrap();
        let repeat = |repeat| Candidate { repeat, ..Candidate::once("[SM(10)]") };
        assert_eq!(list.problem_of(Some(&repeat(2)), None), None);
        assert!(list.problem_of(Some(&repeat(3)), None).unwrap().contains("is not in"));
        assert!(list.problem_of(Some(&repeat(1)), Some(1.0)).is_some());
        let search = Strategy::QLearning;
        assert_eq!(search.problem_of(Some(&repeat(1)), Some(1.0)), None);
        assert!(search.problem_of(Some(&repeat(2)), Some(1.0)).is_some());
        assert!(search.problem_of(Some(&repeat(1)), None).is_some());
        assert!(search.problem_of(None, None).is_some(), "an epsilon is exhausted, not a search");
        assert_eq!(list.problem_of(None, None), None);
    }
}
