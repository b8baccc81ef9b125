//! The long trainings after a search, as values: which networks, what came of them, which are
//! chosen.

use std::cmp::Reverse;

use itertools::Itertools;
use serde::{Deserialize, Serialize};

use super::iterations::ordered_bits;
use super::search::Condition;
use super::summary::Summary;
use crate::model::MeasuredError;
use crate::storage::Time;

/// Why a network is trained for long. Of several roles it has the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NetworkRole {
    /// Among the best of the search.
    #[default]
    Top,
    /// Among the best of its depth.
    PerDepth,
    /// Given by a person, to compare with.
    Baseline,
    /// Among the best that were drawn at random.
    Control,
}

/// A search as it was when the networks were taken from it: later results change nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFacts {
    pub experiment: String,
    pub seed: u64,
    pub trainer: String,
    pub finished: bool,
    pub results: u64,
    pub seconds: f64,
    /// Of these the part that was drawn at epsilon 1.
    pub results_at_random: u64,
    pub seconds_at_random: f64,
    pub uses_accelerator: bool,
    pub stopped: u64,
    pub audited: u64,
    pub false_stops: u64,
}

impl SearchFacts {
    pub fn of(summary: &Summary, seed: u64) -> Self {
        let random = summary.epsilons.iter().filter(|of| of.epsilon == Some(1.0));
        let stopping = &summary.early_stopping;
        Self {
            experiment: summary.experiment.clone(),
            seed,
            trainer: summary.trainer.to_owned(),
            finished: summary.condition == Condition::Finished,
            results: summary.results,
            seconds: summary.seconds.spent(),
            results_at_random: random.clone().map(|of| of.results).sum(),
            seconds_at_random: random.map(|of| of.seconds.spent()).sum(),
            uses_accelerator: summary.uses_accelerator,
            stopped: stopping.stopped,
            audited: stopping.audited,
            false_stops: stopping.false_stops,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Finals {
    pub search: SearchFacts,
    /// The search that the control is from, where it is another one.
    pub control: Option<SearchFacts>,
    /// By which networks are chosen; `None` where the trainer does not say.
    pub validation_images: Option<u64>,
    /// How many members an ensemble has, where there are so many.
    pub ensemble: usize,
    pub networks: Vec<FinalNetwork>,
    /// Each opening of the test part.
    pub reads: Vec<Read>,
    /// Why no test error is known, as a sentence.
    pub untested: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct FinalNetwork {
    pub role: NetworkRole,
    pub architecture: String,
    pub layers: Option<u32>,
    pub parameters: Option<u64>,
    /// In the search, after its few epochs.
    pub search_accuracy: Option<f64>,
    /// After the long training on the training part alone, by which networks are chosen.
    pub validation_accuracy: Option<f64>,
    /// Of that training, where it has no accuracy, in words.
    pub problem: Option<String>,
    /// Spent on that training.
    pub seconds: f64,
    /// The folder of its model, as the name of its outputs.
    pub model: Option<String>,
    /// Of the validation images.
    pub validation: Option<Outputs>,
    /// The trainings on training and validation part together, of the networks that were chosen.
    pub repeats: Vec<FinalRepeat>,
}

#[derive(Debug, Clone, Default)]
pub struct FinalRepeat {
    /// From 1.
    pub repeat: u32,
    pub seconds: f64,
    pub model: Option<String>,
    pub problem: Option<String>,
    /// Of the test images.
    pub test: Option<Outputs>,
}

/// What a network says of images in a fixed order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs {
    /// `[N, classes]`.
    pub probabilities: Vec<f32>,
    /// `[N]`.
    pub labels: Vec<i64>,
    pub classes: usize,
}

/// An opening of the test part, published before the first image is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub host: String,
    pub process: u32,
    pub time: Time,
    /// Which plan it follows, from 1.
    pub plan: u32,
    /// Whose outputs were still missing.
    pub models: Vec<String>,
}

/// The networks that are trained on all images but those for testing: by the validation accuracy
/// after the long training, and by nothing else.
#[derive(Debug, Clone, Default)]
pub struct Selection<'a> {
    /// The winner, then the other members of the ensemble.
    pub members: Vec<&'a FinalNetwork>,
    pub control: Option<&'a FinalNetwork>,
    pub baseline: Option<&'a FinalNetwork>,
}

impl<'a> Selection<'a> {
    pub fn of(networks: impl IntoIterator<Item = &'a FinalNetwork>, ensemble: usize) -> Self {
        let judged = networks.into_iter().filter(|of| of.validation_accuracy.is_some());
        // Of equals the better in the search, then the first.
        let best_first = |of: &&FinalNetwork| {
            Reverse([of.validation_accuracy, of.search_accuracy].map(|it| it.map(ordered_bits)))
        };
        let judged = judged.sorted_by_key(best_first).collect_vec();
        let best = |role| judged.iter().copied().find(|of| of.role == role);
        let is_found =
            |of: &&FinalNetwork| matches!(of.role, NetworkRole::Top | NetworkRole::PerDepth);
        let members = judged.iter().copied().filter(is_found).take(ensemble.max(1));
        Self {
            members: members.collect(),
            control: best(NetworkRole::Control),
            baseline: best(NetworkRole::Baseline),
        }
    }

    /// None where no network of the search could be trained.
    pub fn winner(&self) -> Option<&'a FinalNetwork> {
        self.members.first().copied()
    }

    /// All that are trained anew, in this order.
    pub fn networks(&self) -> impl Iterator<Item = &'a FinalNetwork> {
        self.members.iter().copied().chain(self.control).chain(self.baseline)
    }
}

impl Outputs {
    /// The error of the mean of their outputs; of one its own. Of equally likely classes the first
    /// is taken. None of none, and of outputs of other images or classes than the first's.
    pub fn error_of_mean(members: &[&Self]) -> Option<MeasuredError> {
        let Self { labels, classes, .. } = members.first()?;
        if members.iter().any(|of| (&of.labels, &of.classes) != (labels, classes)) {
            return None;
        }
        // Sums serve as well as means, and round less.
        let sum = |at: usize| members.iter().map(|of| f64::from(of.probabilities[at])).sum::<f64>();
        let likeliest = |image: usize| {
            let sums = (0..*classes).map(|class| sum(image * classes + class));
            let first_best = |best: (usize, f64), next: (usize, f64)| {
                if next.1 > best.1 { next } else { best }
            };
            sums.enumerate().reduce(first_best).map(|(class, _)| class as i64)
        };
        let is_wrong = |(image, label): &(usize, &i64)| likeliest(*image) != Some(**label);
        let (wrong, images) = (labels.iter().enumerate().filter(is_wrong).count(), labels.len());
        Some(MeasuredError::of(wrong as f64 / images as f64, images as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(
        role: NetworkRole,
        name: &str,
        search: f64,
        validation: Option<f64>,
    ) -> FinalNetwork {
        FinalNetwork {
            role,
            architecture: name.to_owned(),
            search_accuracy: Some(search).filter(|it| *it > 0.0),
            validation_accuracy: validation,
            ..FinalNetwork::default()
        }
    }

    fn chosen(networks: &[FinalNetwork], ensemble: usize) -> String {
        Selection::of(networks, ensemble).networks().map(|of| of.architecture.as_str()).collect()
    }

    #[test]
    fn the_best_on_validation_are_chosen_whatever_the_search_said() {
        let mut networks = vec![
            network(NetworkRole::Top, "a", 0.9, Some(0.5)),
            network(NetworkRole::Top, "b", 0.8, None),
            network(NetworkRole::PerDepth, "c", 0.1, Some(0.75)),
            network(NetworkRole::PerDepth, "d", 0.2, Some(0.5)),
            network(NetworkRole::Baseline, "e", 0.0, Some(1.0)),
            network(NetworkRole::Control, "f", 0.7, Some(0.25)),
            network(NetworkRole::Control, "g", 0.3, Some(0.375)),
        ];
        // Of a and d, which are as good, a was better in the search.
        assert_eq!(["cage", "cadge", "cadge"], [2, 3, 9].map(|count| chosen(&networks, count)));
        assert_eq!(chosen(&networks, 0), "cge", "a winner there must be");
        networks[3].search_accuracy = networks[0].search_accuracy;
        assert_eq!(chosen(&networks, 3), "cadge", "the first of equals");
        networks.retain(|of| of.role != NetworkRole::Control);
        assert_eq!(chosen(&networks, 1), "ce");
        networks.retain(|of| of.architecture == "b");
        assert!(Selection::of(&networks, 5).winner().is_none());
    }

    fn outputs(probabilities: &[f32]) -> Outputs {
        Outputs { probabilities: probabilities.to_vec(), labels: vec![0, 1], classes: 2 }
    }

    #[test]
    fn the_error_of_a_mean_is_not_the_mean_of_errors() {
        // Each is wrong on one image, and surer of the other one.
        let [one, other] = [outputs(&[0.9, 0.1, 0.6, 0.4]), outputs(&[0.4, 0.6, 0.1, 0.9])];
        let error = |of: &[&Outputs]| Outputs::error_of_mean(of).map(|of| of.error);
        assert_eq!([error(&[&one]), error(&[&other])], [Some(0.5); 2]);
        assert_eq!(error(&[&one, &other]), Some(0.0));
        // Of equals the first: image 0 right, image 1 wrong.
        assert_eq!(error(&[&outputs(&[0.5; 4])]), Some(0.5));
        let of_others = Outputs { labels: vec![1, 0], ..one.clone() };
        assert_eq!([error(&[]), error(&[&one, &of_others])], [None; 2]);
    }
}
