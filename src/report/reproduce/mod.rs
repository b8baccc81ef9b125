//! What the two papers and the talk claim, beside what experiments here say of it.
//!
//! `claims.yaml` is the list of claims; `facts` has the numbers of experiments by name, `conditions`
//! what they lack of the published ones; `shown` writes all for people and as a table.

mod conditions;
mod facts;
mod shown;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use itertools::Itertools;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::figures::Replay;
use super::finals::Finals;
use super::search::SearchData;
use conditions::Conditions;
use facts::{Fact, Facts, count, facts};
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
    /// Why there is none although one was wanted.
    pub no_replay: Option<String>,
}

/// The head of `claims.yaml` explains the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Papers {
    conditions: BTreeMap<String, Conditions>,
    /// By source.
    claims: IndexMap<String, Vec<PaperClaim>>,
}

#[derive(Debug, Clone, SmartDefault, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PaperClaim {
    claim: String,
    above: Vec<[String; 2]>,
    of: String,
    #[serde(with = "serde_yaml::with::singleton_map")]
    agrees: Agreement,
    digits: Option<usize>,
    training_images: Option<u64>,
    networks: Option<u64>,
    runs: u64,
    curves: u64,
    long_training: bool,
    /// By data set and name.
    values: IndexMap<String, IndexMap<String, f64>>,
    #[default = "metaqnn run CONFIG"]
    run: String,
}

#[derive(Debug, Clone, Copy, SmartDefault, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Agreement {
    #[default]
    Within(f64),
    AtMost,
    AtLeast,
}

/// `reproduce --help` says exactly what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum ClaimState {
    Reproduced,
    Differs,
    Partly,
    #[default]
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
#[derive(Debug, Clone, Default, Serialize)]
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
    digits: Option<usize>,
}

/// Of a claim without published numbers, one of those that are compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ClaimValue {
    of: String,
    published: Option<f64>,
    ours: Option<f64>,
    interval: Option<[f64; 2]>,
}

fn papers() -> Papers {
    serde_yaml::from_str(include_str!("claims.yaml")).expect("a test reads it")
}

/// Each claim with each experiment that says something of it.
pub fn judge(all: &[SearchEvidence]) -> Vec<ClaimRow> {
    let Papers { conditions, claims } = papers();
    let facts = all.iter().map(|search| {
        let siblings = all.iter().filter(|other| other.search.family == search.search.family);
        (search, facts(search, &siblings.collect_vec()))
    });
    let facts = facts.collect_vec();
    let claims = claims.iter().flat_map(|(source, of)| of.iter().map(move |of| (source, of)));
    let mut rows = Vec::new();
    for (source, claim) in claims {
        for published in claim.values.iter().map(Some).pad_using(1, |_| None) {
            let conditions = published.and_then(|(data, _)| conditions.get(data));
            let claimed = claim.row(source, published, conditions);
            let judged = facts.iter().filter_map(|(search, facts)| {
                let row = ClaimRow {
                    experiment: Some(search.search.experiment.clone()),
                    data: Some(search.data.clone()),
                    networks: Some(count(facts, "networks")),
                    trainer: Some(search.search.trainer),
                    ..claimed.clone()
                };
                match published {
                    None => claim.compared(row, facts),
                    Some((data, _)) if *data == search.data => {
                        claim.beside_published(row, conditions?, search, facts)
                    }
                    Some(_) => None,
                }
            });
            let judged = judged.collect_vec();
            rows.extend(if judged.is_empty() { vec![claimed.unjudged(all)] } else { judged });
        }
    }
    rows
}

impl ClaimValue {
    fn of(name: &str, published: Option<f64>, fact: Option<Fact>) -> Self {
        let interval = fact.map(|(_, interval)| interval).filter(|[low, high]| low < high);
        Self { of: name.to_owned(), published, ours: fact.map(|(ours, _)| ours), interval }
    }
}

impl ClaimRow {
    fn unjudged(self, all: &[SearchEvidence]) -> Self {
        let is_of_it = |of: &&SearchEvidence| {
            self.run.contains("--replay") && self.data.as_ref().is_none_or(|it| *it == of.data)
        };
        let why = all.iter().filter(is_of_it).filter_map(|of| of.no_replay.clone());
        Self { missing: why.collect(), ..self }
    }
}

impl PaperClaim {
    /// Before it is judged.
    fn row(
        &self,
        source: &str,
        published: Option<(&String, &IndexMap<String, f64>)>,
        conditions: Option<&Conditions>,
    ) -> ClaimRow {
        let values = published.iter().flat_map(|(_, values)| *values);
        let run = |of: &Conditions| self.run.replace("CONFIG", &of.config).replace("DIR", &of.dir);
        ClaimRow {
            source: source.to_owned(),
            claim: self.claim.clone(),
            values: values.map(|(name, it)| ClaimValue::of(name, Some(*it), None)).collect(),
            data: published.map(|(data, _)| data.clone()),
            run: conditions.map_or_else(|| self.run.clone(), run),
            digits: self.digits,
            ..ClaimRow::default()
        }
    }

    /// It holds where the interval of each first one lies above that of the second one. Of several
    /// pairs those are compared that there are: not every space has each kind of layer.
    fn compared(&self, mut row: ClaimRow, facts: &Facts) -> Option<ClaimRow> {
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
                let value = ClaimValue::of(name, None, Some(fact));
                if name.parse::<f64>().is_err() && !row.values.contains(&value) {
                    row.values.push(value);
                }
            }
        }
        (!row.values.is_empty()).then_some(row)
    }

    /// `None` where the experiment has no such number.
    fn beside_published(
        &self,
        mut row: ClaimRow,
        conditions: &Conditions,
        search: &SearchEvidence,
        facts: &Facts,
    ) -> Option<ClaimRow> {
        for value in &mut row.values {
            let Some(fact) = facts.get(&format!("{} {}", self.of, value.of)) else { continue };
            let agrees = self.agrees(value.published?, *fact);
            row.agrees = Some(row.agrees.unwrap_or(true) && agrees);
            *value = ClaimValue::of(&value.of, value.published, Some(*fact));
        }
        row.missing = conditions.missing(self, &row.values, search, facts);
        row.state = match (row.missing.is_empty(), row.agrees?) {
            (false, _) => ClaimState::Partly,
            (true, true) => ClaimState::Reproduced,
            (true, false) => ClaimState::Differs,
        };
        Some(row)
    }

    /// Only an error is known by an interval that says how far to trust it; a mean of all networks
    /// is what it is.
    fn agrees(&self, published: f64, (ours, [low, high]): Fact) -> bool {
        match self.agrees {
            Agreement::Within(most) => (ours - published).abs() <= most + 1e-9,
            Agreement::AtMost => low <= published,
            Agreement::AtLeast => high >= published,
        }
    }
}

#[cfg(test)]
mod tests;
