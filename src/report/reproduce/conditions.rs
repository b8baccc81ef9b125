//! Under which conditions published numbers were found, and what a search lacks of these.

use indexmap::IndexMap;
use itertools::Itertools;
use serde::Deserialize;

use super::facts::{Facts, count};
use super::{ClaimValue, PaperClaim, SearchEvidence};
use crate::report::search::IMPORTED;
use crate::report::terminal::with_commas;

/// Of a search of the first paper; the head of `claims.yaml` explains the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    pub config: String,
    pub dir: String,
    training_images: u64,
    max_layers: u32,
    epochs: u32,
    final_epochs: u64,
    /// By epsilon.
    pub networks: IndexMap<String, u64>,
}

impl Conditions {
    /// What the experiment lacks of what the published numbers of a claim are of.
    pub fn missing(
        &self,
        claim: &PaperClaim,
        values: &[ClaimValue],
        evidence: &SearchEvidence,
        facts: &Facts,
    ) -> Vec<String> {
        let by_epsilon = claim.of.ends_with("epsilon");
        let all = if by_epsilon || claim.curves > 0 { 0 } else { self.networks.values().sum() };
        let wanted = [
            ("networks", claim.networks.unwrap_or(all)),
            ("searches", claim.runs),
            ("curves", claim.curves),
            (
                "epochs of the long training",
                if claim.long_training { self.final_epochs } else { 0 },
            ),
        ];
        let short = wanted.into_iter().map(|(what, wanted)| (count(facts, what), wanted, what));
        let short = short.filter(|(has, wanted, _)| has < wanted).map(|(has, wanted, what)| {
            format!("{} of {} {what}", with_commas(has), with_commas(wanted))
        });
        let lacks_networks = |epsilon: &str| {
            let has = count(facts, &format!("networks at epsilon {epsilon}"));
            self.networks.get(epsilon).is_some_and(|wanted| has < *wanted)
        };
        let is_missing = |value: &&ClaimValue| {
            let epsilon = value.of.split(' ').next().filter(|_| by_epsilon);
            value.ours.is_none() || epsilon.is_some_and(lacks_networks)
        };
        let names = values.iter().filter(is_missing).map(|value| &value.of).join(", ");
        let names = (!names.is_empty()).then(|| format!("all of: {names}"));
        let images = claim.training_images.unwrap_or(self.training_images);
        let has = evidence.training_images.map_or("an unknown number".to_owned(), with_commas);
        // Replayed networks are drawn at random in the paper.
        let is_other = claim.curves == 0 && evidence.strategy != "q_learning";
        let (layers, epochs) = (evidence.max_layers, evidence.search.epochs);
        let differing = [
            (evidence.training_images != Some(images))
                .then(|| format!("{} training images (here {has})", with_commas(images))),
            (layers != self.max_layers)
                .then(|| format!("up to {} layers (here {layers})", self.max_layers)),
            (epochs != self.epochs).then(|| format!("{} epochs (here {epochs})", self.epochs)),
            is_other.then(|| format!("Q-learning (here `{}`)", evidence.strategy)),
        ];
        let is_imported = evidence.search.trainer == IMPORTED;
        let differing = differing.into_iter().flatten().filter(|_| !is_imported);
        short.chain(names).chain(differing).collect()
    }
}
