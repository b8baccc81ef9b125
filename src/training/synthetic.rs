//! Learning curves made up without a process, for trying a search out: some designs are better than
//! others for reasons that can be learned. With the paper's schedule of 2,700 networks the mean
//! reward goes the way of its figure 3: from 0.53 at epsilon 1.0 to 0.88 at 0.1 (mean of 20 seeds;
//! SVHN in the paper: 0.52 to 0.88). A tenth of random networks fail.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rand::Rng;
use rand::distr::Open01;
use rand_chacha::ChaCha8Rng;

use super::protocol::{EpochReport, LayerDescription, Request};
use super::recipe::ValidRecipe;
use super::trainer::{Interrupt, Report, Trainer, TrainingEnd, TrainingError};
use crate::maths::{exp, ln, normal_quantile, pow};
use crate::outcome::Accuracy;
use crate::seed::{self, Purpose};

/// Accuracy of a network without a fault.
const CEILING: f64 = 0.95;
/// Standard deviations, as below.
const PLATEAU_NOISE: f64 = 0.01;
const EPOCH_NOISE: f64 = 0.015;
/// Share of networks.
const DIVERGE: f64 = 0.02;
/// Share of starts that learn nothing in their first epoch.
const FALSE_START: f64 = 0.05;

/// The same curves for the same request. A network has a plateau `chance + (0.95 - chance) m + N(0,
/// 0.01)`, m the merit of its design, and a pace p, uniform in [0.2, 0.4]. After epoch e of start s
/// its validation accuracy is
///
/// ```text
/// plateau - (plateau - chance) (1 - p 0.9^(s-1))^e 0.5^d + N(0, 0.015 / 2^d)
/// ```
///
/// where d counts the falls of the learning rate so far (before epochs 6, 11, 16), brought into [0,
/// 1]. Some starts stay at chance, some networks diverge. A training taken up again begins at its
/// first epoch and goes the same way.
#[derive(Debug)]
pub struct SyntheticTrainer {
    interrupt: Interrupt,
}

impl SyntheticTrainer {
    pub const fn new(interrupt: Interrupt) -> Self {
        Self { interrupt }
    }
}

impl Trainer for SyntheticTrainer {
    fn train(
        &mut self,
        request: &Request,
        _log: &Path,
        on_report: &mut dyn FnMut(Report) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError> {
        let recipe = request.recipe.clone().check(request.classes);
        let recipe = recipe.expect("a request has a checked recipe");
        let (curve, end) = SyntheticNetwork::draw(request, &recipe).train(request.epochs);
        let epoch = Duration::from_secs_f64(recipe.synthetic_epoch_seconds);
        for report in &curve {
            if self.interrupt.arrives_within(epoch) {
                return Ok(TrainingEnd::Interrupted);
            }
            if on_report(Report::Epoch(report)).is_break() {
                return Ok(TrainingEnd::Stopped);
            }
        }
        Ok(end)
    }
}

struct SyntheticNetwork<'a> {
    recipe: &'a ValidRecipe,
    random: ChaCha8Rng,
    chance: f64,
    plateau: f64,
    pace: f64,
    diverges: bool,
    /// Whether there are images for validation.
    is_judged: bool,
}

impl<'a> SyntheticNetwork<'a> {
    fn draw(request: &Request, recipe: &'a ValidRecipe) -> Self {
        let key = (request.experiment_seed, request.stream);
        let mut random = seed::generator(key.0, Purpose::Synthetic, key.1, 0);
        let chance = Accuracy::chance(request.classes).value();
        let plateau = chance
            + (CEILING - chance) * merit(&request.layers)
            + PLATEAU_NOISE * normal(&mut random);
        let pace = random.random_range(0.2..0.4);
        let diverges = random.random_bool(DIVERGE);
        let is_judged = request.has_validation();
        Self { recipe, random, chance, plateau, pace, diverges, is_judged }
    }

    /// Trains as the paper does: starts until a first epoch passes the test, then the other epochs.
    fn train(mut self, epochs: u32) -> (Vec<EpochReport>, TrainingEnd) {
        let failed = |reason: &str| TrainingEnd::Failed { reason: format!("{reason} (made up)") };
        let mut curve = Vec::new();
        let passing = (1..=self.recipe.learning_rate_tries).find(|&start| {
            let is_false = self.random.random_bool(FALSE_START);
            let accuracy = if is_false { self.chance } else { self.accuracy(start, 1) };
            curve.push(self.report(start, 1, accuracy));
            !self.is_judged || self.recipe.passes_first_epoch(accuracy)
        });
        let Some(start) = passing else {
            return (curve, failed("no learning rate passed the first-epoch test"));
        };
        let end = if self.diverges { self.random.random_range(2..epochs.max(2) + 1) } else { 0 };
        for epoch in 2..=epochs {
            if epoch == end {
                return (curve, failed(&format!("the loss is not a number in epoch {epoch}")));
            }
            let accuracy = self.accuracy(start, epoch);
            curve.push(self.report(start, epoch, accuracy));
        }
        (curve, TrainingEnd::Done)
    }

    fn accuracy(&mut self, start: u32, epoch: u32) -> f64 {
        let falls = (epoch - 1) / self.recipe.decay_every;
        let calm = pow(0.5, f64::from(falls));
        let pace = self.pace * pow(0.9, f64::from(start - 1));
        let left = pow(1.0 - pace, f64::from(epoch)) * calm;
        let noise = EPOCH_NOISE * calm * normal(&mut self.random);
        (self.plateau - (self.plateau - self.chance) * left + noise).clamp(0.0, 1.0)
    }

    /// The losses are those of a classifier that is as sure as it is often right.
    fn report(&self, start: u32, epoch: u32, accuracy: f64) -> EpochReport {
        let training_accuracy = accuracy + 0.2 * (1.0 - accuracy);
        let judged = Some(accuracy).filter(|_| self.is_judged);
        let loss = |accuracy: f64| -ln(accuracy.max(self.chance / 2.0));
        EpochReport {
            epoch,
            start,
            learning_rate: Some(self.recipe.learning_rate(start, epoch)),
            training_loss: Some(loss(training_accuracy)),
            training_accuracy: Some(training_accuracy),
            validation_loss: judged.map(loss),
            validation_accuracy: judged,
            seconds: Some(self.recipe.synthetic_epoch_seconds),
        }
    }
}

fn normal(random: &mut impl Rng) -> f64 {
    normal_quantile(random.sample(Open01))
}

/// Returns the share of the way from chance to the ceiling that a training can get, in (0, 1).
/// It is the logistic function of a sum over the layers that follows the authors' reading of their
/// results: convolutions and pooling early, large kernels deep, fully connected layers late, depth
/// helps, and a global average pooling mostly fails (paper, first version, appendix, figures A3
/// and A4). The numbers of filters and neurons do not matter. `depth` counts from 1.
fn merit(layers: &[LayerDescription]) -> f64 {
    let (mut depth, mut convs, mut pools) = (0, 0, 0);
    let mut sum = -2.4;
    for layer in layers {
        depth += 1;
        sum += match layer {
            LayerDescription::Conv { kernel, .. } => {
                convs += 1;
                let worth_of_kernel: f64 = match (depth, *kernel) {
                    (..5, _) | (_, 2..5) => 0.0,
                    (_, ..2) => -0.25,
                    (_, 5..) => 0.25,
                };
                pow(0.88, f64::from(convs - 1)) + worth_of_kernel
            }
            LayerDescription::Pool { .. } => {
                pools += 1;
                match (pools, depth) {
                    (1, ..7) => 0.6,
                    (2, ..11) => 0.3,
                    _ => -0.4,
                }
            }
            LayerDescription::FullyConnected { .. } if depth < 6 => -0.5,
            LayerDescription::FullyConnected { .. } => 0.1,
            LayerDescription::GlobalAveragePool { .. } => -2.0,
            LayerDescription::Softmax { .. } => 0.0,
            LayerDescription::Dropout { .. } => {
                depth -= 1; // has no depth of its own
                0.0
            }
        };
    }
    1.0 / (1.0 + exp(-sum))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{request, request_for};
    use super::super::trainer::Signal;
    use super::*;

    const GOOD: &str = "[C(64,3,1), C(64,3,1), P(2,2), C(64,3,1), C(64,3,1), C(64,5,1), P(2,2), \
                        C(64,5,1), SM(10)]";

    fn train(
        request: &Request,
        mut then: impl FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> (TrainingEnd, Vec<EpochReport>) {
        let mut curve = Vec::new();
        let mut trainer = SyntheticTrainer::new(Interrupt::default());
        let ending = trainer
            .train(request, Path::new("unused"), &mut |report| {
                let Report::Epoch(report) = report else { unreachable!() };
                curve.push(report.clone());
                then(report)
            })
            .unwrap();
        (ending, curve)
    }

    /// Trains the same design in many iterations.
    fn train_often(architecture: &str) -> Vec<(TrainingEnd, Vec<EpochReport>)> {
        (1..=500)
            .map(|stream| Request { stream, ..request_for(architecture, 20) })
            .map(|request| train(&request, |_| ControlFlow::Continue(())))
            .collect()
    }

    fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
        values.clone().sum::<f64>() / values.count() as f64
    }

    #[test]
    fn the_same_request_has_the_same_curve_whatever_the_attempt() {
        let go_on = |_: &EpochReport| ControlFlow::Continue(());
        let again = Request { attempt: 2, resume: true, ..request(20) };
        assert_eq!(train(&request(20), go_on), train(&again, go_on));
        let other = Request { stream: 2, ..request(20) };
        assert_ne!(train(&request(20), go_on), train(&other, go_on));
    }

    #[test]
    fn curves_rise_and_step_up_where_the_learning_rate_falls() {
        let whole: Vec<_> = train_often(GOOD)
            .into_iter()
            .filter(|(ending, _)| *ending == TrainingEnd::Done)
            .map(|(_, curve)| curve)
            .collect();
        let at = |epoch: u32| {
            mean(whole.iter().map(|curve| {
                let report = curve.iter().rfind(|report| report.epoch == epoch).unwrap();
                report.validation_accuracy.unwrap()
            }))
        };
        assert!((2..=20).all(|epoch| at(epoch) > at(epoch - 1)));
        for step in [6, 11, 16] {
            assert!(at(step) - at(step - 1) > at(step + 1) - at(step), "epoch {step}");
            assert!(at(step) - at(step - 1) > at(step - 1) - at(step - 2), "epoch {step}");
        }
    }

    #[test]
    fn few_good_designs_fail_and_most_poor_ones_do() {
        let failed = |architecture| {
            let endings = train_often(architecture);
            mean(endings.iter().map(|(ending, _)| match ending {
                TrainingEnd::Failed { .. } => 1.0,
                _ => 0.0,
            }))
        };
        // One in fifty diverges.
        assert!((0.005..0.04).contains(&failed(GOOD)), "{}", failed(GOOD));
        assert!(failed("[GAP(10), SM(10)]") > 0.9);
    }

    #[test]
    fn a_start_that_fails_the_test_is_followed_by_the_next_learning_rate() {
        let trainings = train_often(GOOD);
        let (_, curve) = trainings.iter().find(|(_, curve)| curve[1].start == 2).unwrap();
        let accuracies: Vec<_> =
            curve.iter().map(|report| report.validation_accuracy.unwrap()).collect();
        assert!(accuracies[0] <= 0.15 && accuracies[1] > 0.15);
        assert_eq!((curve[1].epoch, curve[2].epoch, curve[2].start), (1, 2, 2));
        assert_eq!(curve[1].learning_rate, Some(0.0004));
    }

    #[test]
    fn without_validation_images_every_first_epoch_passes() {
        let data = serde_json::json!({"validation": {"images": 0}});
        let curves = (1..=50).map(|iteration| {
            let request = Request { iteration, data: data.clone(), ..request(3) };
            train(&request, |_| ControlFlow::Continue(())).1
        });
        for report in curves.flatten() {
            assert_eq!((report.start, report.validation_accuracy), (1, None));
            assert!(report.validation_loss.is_none() && report.training_loss.is_some());
        }
    }

    #[test]
    fn a_break_stops_the_training() {
        let (ending, curve) = train(&request(20), |report| match report.epoch {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!((ending, curve.len()), (TrainingEnd::Stopped, 3));
    }

    #[test]
    fn a_signal_ends_the_training_even_within_an_epoch() {
        let interrupt = Interrupt::default();
        let mut slow = request(20);
        slow.recipe.synthetic_epoch_seconds = 1e6;
        interrupt.raise(Signal::TimeNearlyUp);
        let mut trainer = SyntheticTrainer::new(interrupt);
        let ending = trainer.train(&slow, Path::new("unused"), &mut |_| unreachable!());
        assert_eq!(ending.unwrap(), TrainingEnd::Interrupted);
    }

    fn of(architecture: &str) -> f64 {
        merit(&request_for(architecture, 1).layers)
    }

    #[test]
    fn hand_worked_merits() {
        let logistic = |sum: f64| 1.0 / (1.0 + exp(-sum));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(of("[SM(10)]"), logistic(-2.4)));
        // -2.4 + 1 + 0.88 + 0.6 = 0.08; the dropout after the second layer counts for nothing.
        assert!(close(of("[C(64,5,1), C(64,1,1), P(2,2), SM(10)]"), logistic(0.08)));
        // -2.4 + (1 + 0.88 + 0.7744 + 0.681472) + (0.59969536 + 0.25) = 1.78...
        let five = "[C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,5,1), SM(10)]";
        assert!(close(of(five), logistic(1.785_567_36)));
    }

    #[test]
    fn merit_follows_the_authors_reading() {
        let better = |a: &str, b: &str| assert!(of(a) > of(b), "{a} {b}");
        better("[C(64,3,1), C(64,3,1), SM(10)]", "[C(64,3,1), SM(10)]");
        better("[C(64,3,1), C(64,3,1), SM(10)]", "[C(64,3,1), C(64,3,1), GAP(10), SM(10)]");
        better("[C(64,3,1), P(2,2), C(64,3,1), SM(10)]", "[C(64,3,1), C(64,3,1), SM(10)]");
        let deep = |kernel: u32| {
            let conv = "C(64,3,1), ".repeat(6);
            of(&format!("[{conv}C(64,{kernel},1), SM(10)]"))
        };
        assert!(deep(5) > deep(3) && deep(3) > deep(1));
        assert!(of("[C(512,3,1), SM(10)]") == of("[C(64,3,1), SM(10)]"));
    }
}
