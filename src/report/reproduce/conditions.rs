//! Under which conditions published numbers were found, and what a search lacks of these.

use itertools::Itertools;
use serde::Deserialize;

use super::{ClaimValue, PaperClaim, SearchEvidence};
use crate::report::search::{IMPORTED, SearchData};
use crate::report::summary::EpsilonSummary;
use crate::report::terminal::with_commas;

/// Of a search of the first paper.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    pub training_images: u64,
    pub max_layers: u32,
    pub epochs: u32,
    /// Epsilons, and how many new networks each wants.
    pub networks: Vec<(f64, u64)>,
}

impl PaperClaim {
    /// What the experiment lacks of what the published numbers are of.
    pub(super) fn missing(
        &self,
        values: &[ClaimValue],
        of: &SearchEvidence,
        runs: usize,
        conditions: Option<&Conditions>,
    ) -> Vec<String> {
        let curves = of.replay.as_ref().map_or(0, |replay| replay.networks as u64);
        let counts = [
            (of.networks(), self.networks, "networks"),
            (runs as u64, self.runs, "searches"),
            (curves, self.curves, "curves"),
            (of.final_epochs(), self.final_epochs, "epochs of the long training"),
        ];
        let short = counts.into_iter().filter(|(has, wants, _)| has < wants);
        let mut missing = short
            .map(|(has, wants, what)| {
                format!("{} of {} {what}", with_commas(has), with_commas(wants))
            })
            .collect_vec();
        let is_short = |value: &&ClaimValue| match conditions.filter(|_| self.by_epsilon) {
            Some(conditions) => conditions.is_short(value, &of.search),
            None => value.ours.is_none(),
        };
        let short = values.iter().filter(is_short).map(|value| &*value.of).collect_vec();
        if !short.is_empty() {
            missing.push(format!("all of: {}", short.join(", ")));
        }
        if let Some(conditions) = conditions.filter(|_| of.search.trainer != IMPORTED) {
            missing.extend(self.differing(conditions, of));
        }
        missing
    }

    fn differing(&self, conditions: &Conditions, of: &SearchEvidence) -> Vec<String> {
        let wanted = self.training_images.unwrap_or(conditions.training_images);
        let has = of.training_images.map_or("an unknown number".to_owned(), with_commas);
        // Replayed networks are drawn at random in the paper.
        let is_other = self.curves == 0 && of.strategy != "q_learning";
        let differing = [
            (of.training_images != Some(wanted))
                .then(|| format!("{} training images (here {has})", with_commas(wanted))),
            (of.max_layers != conditions.max_layers).then(|| {
                format!("up to {} layers (here {})", conditions.max_layers, of.max_layers)
            }),
            (of.search.epochs != conditions.epochs)
                .then(|| format!("{} epochs (here {})", conditions.epochs, of.search.epochs)),
            is_other.then(|| format!("Q-learning (here `{}`)", of.strategy)),
        ];
        differing.into_iter().flatten().collect()
    }
}

impl Conditions {
    /// Whether the epsilon with which the name of a value begins has too few networks.
    fn is_short(&self, value: &ClaimValue, search: &SearchData) -> bool {
        let epsilon = value.of.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        let wanted = self.networks.iter().find(|of| Some(of.0) == epsilon).map_or(0, |of| of.1);
        let summaries = EpsilonSummary::of_each(search);
        let found = summaries.iter().find(|of| of.epsilon == epsilon).map_or(0, |of| of.results);
        value.ours.is_none() || found < wanted
    }
}
