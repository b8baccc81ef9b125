//! The long trainings after a search, as values: which networks, what came of them, which are
//! chosen.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use itertools::Itertools;
use serde::{Deserialize, Serialize};

use super::iterations::ordered_bits;
use super::search::Condition;
use super::summary::{Summary, are_apart};
use super::tables::without_absolute_paths;
use crate::maths::{mean_if_any, variance};
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
    /// Of these the part that was drawn at random.
    pub results_at_random: u64,
    pub seconds_at_random: f64,
    pub uses_accelerator: bool,
    pub stopped: u64,
    pub audited: u64,
    pub false_stops: u64,
}

impl SearchFacts {
    pub fn of(summary: &Summary, seed: u64) -> Self {
        let stopping = &summary.early_stopping;
        Self {
            experiment: summary.experiment.clone(),
            seed,
            trainer: summary.trainer.to_owned(),
            finished: summary.condition == Condition::Finished,
            results: summary.results,
            seconds: summary.seconds.spent(),
            results_at_random: summary.results_at_random,
            seconds_at_random: summary.seconds_at_random,
            uses_accelerator: summary.uses_accelerator,
            stopped: stopping.stopped,
            audited: stopping.audited,
            false_stops: stopping.false_stops,
        }
    }
}

/// What `certificate.json` holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Finals {
    pub search: SearchFacts,
    /// The search that the control is from, where it is another one.
    pub control: Option<SearchFacts>,
    /// Of the long trainings, which may be of another configuration than the search.
    pub seed: u64,
    pub trainer: String,
    /// Which images the long trainings had, as a phrase.
    pub images: String,
    pub search_epochs: u32,
    pub final_epochs: u32,
    /// The images by which networks are chosen; `None` where the trainer does not say.
    pub validation_images: Option<u64>,
    /// How many members an ensemble has, where there are so many.
    pub ensemble: usize,
    pub has_test_images: bool,
    /// Why no test error is known.
    pub untested: Option<String>,
    /// On which other images than those of the search, as a sentence.
    pub transfer: Option<String>,
    /// They follow from the networks.
    pub results: Vec<FinalResult>,
    pub networks: Vec<FinalNetwork>,
    /// Each opening of the test part.
    pub reads: Vec<Read>,
    pub versions: BTreeMap<String, String>,
    /// Of files, by their paths below the experiment.
    pub sha256: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// Its name below `final/`: `1-validate-000001.1`.
    pub model: Option<String>,
    #[serde(skip)]
    pub validation: Option<Outputs>,
    /// The trainings on training and validation part together, of the networks that were chosen.
    pub repeats: Vec<FinalRepeat>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FinalRepeat {
    /// From 1.
    pub repeat: u32,
    pub seconds: f64,
    pub model: Option<String>,
    pub problem: Option<String>,
    #[serde(skip)]
    pub test: Option<Outputs>,
    /// Follows from these outputs.
    pub test_error: Option<f64>,
}

/// How good a network is, or several whose outputs are averaged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FinalResult {
    pub name: String,
    pub architectures: Vec<String>,
    pub validation: Option<MeasuredError>,
    /// By repeat. Repeat r of several is made of the repeats r of each.
    pub test: BTreeMap<u32, MeasuredError>,
    pub mean_test_error: Option<f64>,
    /// The standard deviation over the repeats (n - 1); `None` of one.
    pub test_error_spread: Option<f64>,
    /// Whether the intervals say that it differs from the top model; `None` of what is no rival.
    pub resolved: Option<bool>,
}

/// What a network says of images in a fixed order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs {
    /// The name of their file.
    pub file: String,
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
    /// The error of the mean of several networks' outputs for the same images, of one its own. Of
    /// equally likely classes the first is taken. `None` where one is missing.
    fn error_of_mean<'a>(members: impl Iterator<Item = Option<&'a Self>>) -> Option<MeasuredError> {
        let members = members.collect::<Option<Vec<_>>>()?;
        let Self { labels, classes, .. } = members.first()?;
        // Sums serve as well as means, and round less.
        let sum = |at: usize| members.iter().map(|of| f64::from(of.probabilities[at])).sum::<f64>();
        let likeliest = |image: usize| {
            let sums = (0..*classes).map(|class| (class, sum(image * classes + class)));
            sums.reduce(|best, next| if next.1 > best.1 { next } else { best })
        };
        let is_wrong = |&(image, label): &(usize, &i64)| {
            likeliest(image).is_none_or(|(class, _)| class as i64 != *label)
        };
        let (wrong, images) = (labels.iter().enumerate().filter(is_wrong).count(), labels.len());
        Some(MeasuredError::of(wrong as f64 / images as f64, images as u64))
    }
}

impl FinalResult {
    pub fn of(name: &str, members: &[&FinalNetwork], validation_images: u64) -> Self {
        let error = |repeat: u32| {
            let outputs = members
                .iter()
                .map(|of| of.repeats.iter().find(|of| of.repeat == repeat)?.test.as_ref());
            Some((repeat, Outputs::error_of_mean(outputs)?))
        };
        let repeats = members.iter().flat_map(|of| &of.repeats).map(|of| of.repeat);
        let test: BTreeMap<_, _> = repeats.unique().filter_map(error).collect();
        let errors = test.values().map(|of| of.error).collect_vec();
        let accuracy = |of: &FinalNetwork| of.validation_accuracy;
        Self {
            name: name.to_owned(),
            architectures: members.iter().map(|of| of.architecture.clone()).collect(),
            validation: match members {
                [one] => accuracy(one).map(|it| MeasuredError::of(1.0 - it, validation_images)),
                _ => validation_error(members),
            },
            test,
            mean_test_error: mean_if_any(&errors),
            test_error_spread: variance(&errors).map(f64::sqrt),
            resolved: None,
        }
    }

    /// By which errors two are compared, and these.
    pub fn beside<'a>(&'a self, other: &'a Self) -> Option<(&'static str, [&'a MeasuredError; 2])> {
        let both = |errors: fn(&'a Self) -> Option<&'a MeasuredError>| {
            Some([errors(self)?, errors(other)?])
        };
        let of_test = both(|of| of.test.get(&1)).map(|it| ("test error of the first training", it));
        of_test.or_else(|| Some(("validation error", both(|of| of.validation.as_ref())?)))
    }
}

fn validation_error(members: &[&FinalNetwork]) -> Option<MeasuredError> {
    Outputs::error_of_mean(members.iter().map(|of| of.validation.as_ref()))
}

/// Members, added one at a time while the validation error of their mean outputs falls; none
/// without validation outputs.
pub fn picked<'a>(members: &[&'a FinalNetwork]) -> Vec<&'a FinalNetwork> {
    let (mut picked, mut least) = (Vec::<&FinalNetwork>::new(), f64::INFINITY);
    loop {
        let is_left = |of: &&&FinalNetwork| !picked.iter().any(|it| std::ptr::eq(*it, **of));
        let with = members.iter().filter(is_left).map(|of| [&picked[..], &[*of]].concat());
        let judged = with.filter_map(|with| Some((validation_error(&with)?.error, with)));
        match judged.min_by(|(one, _), (other, _)| one.total_cmp(other)) {
            Some((error, with)) if error < least => (picked, least) = (with, error),
            _ => return picked,
        }
    }
}

impl Finals {
    /// What was trained in the last step: chosen once.
    pub fn selection(&self) -> Selection<'_> {
        Selection::of(self.networks.iter().filter(|of| !of.repeats.is_empty()), self.ensemble)
    }

    /// With the results, and without the places of files in the words of others.
    pub fn summed_up(mut self) -> Self {
        let Selection { members, control, baseline } = self.selection();
        // An ensemble of one network is that network.
        let [all, picked] = match members.len() {
            0 | 1 => [Vec::new(), Vec::new()],
            _ => [members.clone(), picked(&members)],
        };
        let parts = [
            ("top model", members.into_iter().take(1).collect_vec()),
            ("ensemble", all),
            ("greedy ensemble", picked),
            ("control", Vec::from_iter(control)),
            ("baseline", Vec::from_iter(baseline)),
        ];
        let images = self.validation_images.unwrap_or(0);
        let results = parts.iter().map(|(name, of)| FinalResult::of(name, of, images));
        let is_known = |of: &FinalResult| of.validation.is_some() || !of.test.is_empty();
        let mut results = results.filter(is_known).collect_vec();
        let top = results.first().cloned().unwrap_or_default();
        for rival in results.iter_mut().filter(|of| ["control", "baseline"].contains(&&*of.name)) {
            let ends = top
                .beside(rival)
                .and_then(|(_, [top, rival])| Some(are_apart(top.interval()?, rival.interval()?)));
            rival.resolved = ends;
        }
        self.results = results;
        for repeat in self.networks.iter_mut().flat_map(|of| &mut of.repeats) {
            let error = Outputs::error_of_mean([repeat.test.as_ref()].into_iter());
            repeat.test_error = error.map(|it| it.error);
        }
        let problems = self.networks.iter_mut().flat_map(|of| {
            of.repeats.iter_mut().map(|of| &mut of.problem).chain([&mut of.problem])
        });
        for text in problems.chain([&mut self.untested]).flatten() {
            *text = without_absolute_paths(text);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
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
        let probabilities = probabilities.to_vec();
        Outputs { probabilities, labels: vec![0, 1], classes: 2, ..Outputs::default() }
    }

    #[test]
    fn the_error_of_a_mean_is_not_the_mean_of_errors() {
        // Each is wrong on one image, and surer of the other one.
        let [one, other] = [outputs(&[0.9, 0.1, 0.6, 0.4]), outputs(&[0.4, 0.6, 0.1, 0.9])];
        let error = |of: &[&Outputs]| {
            Outputs::error_of_mean(of.iter().copied().map(Some)).map(|of| of.error)
        };
        assert_eq!([error(&[&one]), error(&[&other])], [Some(0.5); 2]);
        assert_eq!(error(&[&one, &other]), Some(0.0));
        // Of equals the first: image 0 right, image 1 wrong.
        assert_eq!(error(&[&outputs(&[0.5; 4])]), Some(0.5));
        assert_eq!(error(&[]), None);
    }
    #[test]
    fn errors_worked_by_hand() {
        let finals = sample::finals();
        let names = finals.results.iter().map(|of| &*of.name).collect_vec();
        assert_eq!(names, ["top model", "ensemble", "greedy ensemble", "control"]);
        let wrong = finals
            .results
            .iter()
            .map(|of| of.test.values().map(|of| (4.0 * of.error) as u32).collect_vec());
        assert_eq!(wrong.collect_vec(), [[1, 2], [1, 0], [1, 2], [2, 3]]);
        let [top, control] = [&finals.results[0], &finals.results[3]];
        // sqrt((0.125 ^ 2 + 0.125 ^ 2) / 1).
        assert_eq!(top.mean_test_error, Some(0.375));
        assert!((top.test_error_spread.unwrap() - 0.176_776_695).abs() < 1e-9);
        // 1 of 4 by tables; wide enough for that of the control.
        let [low, high] = top.test[&1].interval;
        assert!((low - 0.0063).abs() < 1e-4 && (high - 0.8059).abs() < 1e-4, "{low} {high}");
        assert_eq!((top.resolved, control.resolved), (None, Some(false)));
    }

    #[test]
    fn members_are_picked_while_the_validation_error_falls() {
        let network = |wrong: &[usize]| {
            let outputs =
                |image| [0.9, 0.1].map(|it| if wrong.contains(&image) { 1.0 - it } else { it });
            let probabilities = (0..8).flat_map(outputs).collect();
            let validation = Some(Outputs {
                probabilities,
                labels: vec![0; 8],
                classes: 2,
                ..Outputs::default()
            });
            FinalNetwork { validation, ..FinalNetwork::default() }
        };
        // Of two that differ the first class is taken, which is right. Then nothing is wrong.
        let networks = [&[1, 2, 3][..], &[1, 2], &[1, 2, 4], &[5, 6, 7]].map(network);
        let members = networks.iter().collect_vec();
        let places = |picked: Vec<&FinalNetwork>| {
            let place =
                |of: &FinalNetwork| members.iter().position(|it| std::ptr::eq(*it, of)).unwrap();
            picked.into_iter().map(place).collect_vec()
        };
        assert_eq!(places(picked(&members)), [1, 3]);
        assert_eq!(places(picked(&members[..3])), [1], "two errors stay two");
        assert!(picked(&[&FinalNetwork::default()]).is_empty());
    }

    #[test]
    fn a_training_that_failed_leaves_out_its_repeat() {
        let mut finals = sample::finals();
        finals.networks[1].repeats[0].test = None;
        let finals = finals.summed_up();
        let repeats = |place: usize| finals.results[place].test.keys().copied().collect_vec();
        assert_eq!((repeats(0), repeats(1)), (vec![1, 2], vec![2]));
        assert_eq!(finals.results[1].test_error_spread, None);
    }
}
