//! What the two papers and the talk claim, beside what experiments here say of it.
//!
//! `claims.yaml` is the list of claims; `facts` has the numbers of experiments by name, `conditions`
//! what they lack of the published ones; `shown` writes all for people and as a table.

mod conditions;
mod facts;
mod shown;

use std::collections::BTreeMap;

use itertools::Itertools;
use serde::{Deserialize, Serialize};

use super::figures::Replay;
use super::finals::Finals;
use super::search::SearchData;
use conditions::Conditions;
use facts::{Fact, Facts, facts};
pub use shown::{table, text};

/// A search and what was made of it, with what of its conditions claims ask for.
#[derive(Default)]
pub struct SearchEvidence {
    pub search: SearchData,
    /// By its name in the claims, or in words.
    pub data: String,
    pub strategy: &'static str,
    pub training_images: Option<u64>,
    pub max_layers: u32,
    /// Final trainings on its own images and on others: these images, and what came of them.
    pub finals: Vec<(String, Finals)>,
    pub replay: Option<Replay>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Papers {
    conditions: BTreeMap<String, Conditions>,
    claims: Vec<PaperClaim>,
}

/// The head of `claims.yaml` explains the fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperClaim {
    source: String,
    claim: String,
    data: Option<String>,
    #[serde(default)]
    above: Vec<[String; 2]>,
    #[serde(default)]
    of: String,
    #[serde(default)]
    values: Vec<(String, f64)>,
    #[serde(default)]
    within: f64,
    #[serde(default)]
    at_most: bool,
    #[serde(default)]
    at_least: bool,
    #[serde(default)]
    digits: usize,
    #[serde(default)]
    by_epsilon: bool,
    training_images: Option<u64>,
    #[serde(default)]
    networks: u64,
    #[serde(default)]
    runs: u64,
    #[serde(default)]
    curves: u64,
    #[serde(default)]
    final_epochs: u64,
    run: String,
}

/// `reproduce --help` says exactly what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum ClaimState {
    Reproduced,
    Differs,
    Partly,
    #[strum(to_string = "not run")]
    NotRun,
    #[strum(to_string = "holds here")]
    HoldsHere,
    #[strum(to_string = "does not hold")]
    DoesNotHold,
    #[strum(to_string = "not resolved")]
    NotResolved,
}

/// A claim and an experiment that says something of it, or none.
#[derive(Debug, Clone, Serialize)]
pub struct ClaimRow {
    source: String,
    claim: String,
    pub state: ClaimState,
    values: Vec<ClaimValue>,
    /// Whether those published values agree of which ours are there.
    agrees: Option<bool>,
    missing: Vec<String>,
    experiment: Option<String>,
    data: Option<String>,
    networks: Option<u64>,
    trainer: Option<&'static str>,
    run: String,
    #[serde(skip)]
    digits: usize,
}

/// Of a claim without published numbers, one of those that are compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ClaimValue {
    of: String,
    published: Option<f64>,
    ours: Option<f64>,
    interval: Option<[f64; 2]>,
}

impl SearchEvidence {
    fn networks(&self) -> u64 {
        self.search.iterations.iter().filter(|row| row.event.is_result()).count() as u64
    }

    fn final_epochs(&self) -> u64 {
        let own = self.finals.iter().find(|(_, finals)| finals.transfer.is_none());
        own.map_or(0, |(_, finals)| finals.final_epochs.into())
    }
}

/// Each claim with each experiment that says something of it.
pub fn judge(all: &[SearchEvidence]) -> Vec<ClaimRow> {
    let papers: Papers =
        serde_yaml::from_str(include_str!("claims.yaml")).expect("a test reads it");
    let facts = all.iter().map(|of| {
        let siblings = all.iter().filter(|it| it.search.family == of.search.family).collect_vec();
        // What is about all of them is said by the first.
        let is_first = std::ptr::eq(siblings[0], of);
        (of, siblings.len(), facts(of, if is_first { &siblings } else { &[] }))
    });
    let facts = facts.collect_vec();
    let rows = papers.claims.iter().flat_map(|claim| {
        let conditions = claim.data.as_ref().and_then(|data| papers.conditions.get(data));
        let rows = facts.iter().filter_map(|(of, runs, facts)| match claim.data {
            None => claim.compared(of, facts),
            Some(_) => claim.beside_published(of, *runs, facts, conditions),
        });
        let rows = rows.collect_vec();
        if rows.is_empty() { vec![claim.row(None)] } else { rows }
    });
    rows.collect()
}

impl PaperClaim {
    /// Before it is judged.
    fn row(&self, of: Option<&SearchEvidence>) -> ClaimRow {
        let value = |(name, published): &(String, f64)| ClaimValue {
            of: name.clone(),
            published: Some(*published),
            ours: None,
            interval: None,
        };
        ClaimRow {
            source: self.source.clone(),
            claim: self.claim.clone(),
            state: ClaimState::NotRun,
            values: self.values.iter().map(value).collect(),
            agrees: None,
            missing: Vec::new(),
            experiment: of.map(|of| of.search.experiment.clone()),
            data: of.map(|of| of.data.clone()).or_else(|| self.data.clone()),
            networks: of.map(SearchEvidence::networks),
            trainer: of.map(|of| of.search.trainer),
            run: self.run.clone(),
            digits: self.digits,
        }
    }

    /// It holds where the interval of each first one lies above that of the second one. Of several
    /// pairs those are compared that there are: not every space has each kind of layer.
    fn compared(&self, of: &SearchEvidence, facts: &Facts) -> Option<ClaimRow> {
        let mut row = self.row(Some(of));
        row.state = ClaimState::HoldsHere;
        for pair in &self.above {
            let [above, below] = pair.each_ref().map(|name| match name.parse::<f64>() {
                Ok(number) => Some((number, [number; 2])),
                Err(_) => facts.get(name).copied(),
            });
            let (Some(above), Some(below)) = (above, below) else { continue };
            let ([low, high], [other_low, other_high]) = (above.1, below.1);
            // The least sure of several decides, and one that fails above all.
            if high < other_low {
                row.state = ClaimState::DoesNotHold;
            } else if low <= other_high && row.state == ClaimState::HoldsHere {
                row.state = ClaimState::NotResolved;
            }
            for (name, fact) in pair.iter().zip([above, below]) {
                let (ours, interval) = (Some(fact.0), Some(fact.1).filter(|[a, b]| a < b));
                let value = ClaimValue { of: name.clone(), published: None, ours, interval };
                if name.parse::<f64>().is_err() && !row.values.contains(&value) {
                    row.values.push(value);
                }
            }
        }
        (!row.values.is_empty()).then_some(row)
    }

    /// `None` where the experiment is on another data set or has no such number.
    fn beside_published(
        &self,
        of: &SearchEvidence,
        runs: usize,
        facts: &Facts,
        conditions: Option<&Conditions>,
    ) -> Option<ClaimRow> {
        let mut row = self.row(Some(of));
        let is_of_it = self.data == row.data && !self.of.is_empty();
        let found = row.values.iter().map(|it| facts.get(&format!("{} {}", self.of, it.of)));
        let found = found.collect_vec();
        let is_there = is_of_it && found.iter().flatten().next().is_some();
        is_there.then_some(())?;
        let mut agrees = true;
        for (value, fact) in row.values.iter_mut().zip(found) {
            let Some(fact) = fact else { continue };
            agrees &= self.agrees(value.published?, *fact);
            (value.ours, value.interval) = (Some(fact.0), Some(fact.1).filter(|[a, b]| a < b));
        }
        row.missing = self.missing(&row.values, of, runs, conditions);
        row.state = match (row.missing.is_empty(), agrees) {
            (false, _) => ClaimState::Partly,
            (true, true) => ClaimState::Reproduced,
            (true, false) => ClaimState::Differs,
        };
        row.agrees = Some(agrees);
        Some(row)
    }

    fn agrees(&self, published: f64, (ours, [low, high]): Fact) -> bool {
        // Only an error is known by an interval that says how far to trust it; a mean of all
        // networks is what it is.
        let [low, high] = if self.at_most { [low, high] } else { [ours; 2] };
        let within = self.within + 1e-9;
        (self.at_least || low - within <= published) && (self.at_most || published <= high + within)
    }
}

#[cfg(test)]
mod tests;
