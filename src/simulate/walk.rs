//! Recorded curves, the orders in which they are replayed, and one order walked through the rule.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::predictor::{BestFinals, Example, Prediction, PredictorError, StoppingRule};

/// Networks trained to the end, all equally long, in the order of their file.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCurves {
    pub(super) ids: Vec<String>,
    pub(super) examples: Vec<Example>,
}

impl RecordedCurves {
    pub fn new(networks: Vec<(String, Example)>) -> Result<Self, PredictorError> {
        let (ids, examples): (_, Vec<Example>) = networks.into_iter().unzip();
        Example::check_alike(&examples, 1)?;
        Ok(Self { ids, examples })
    }

    pub fn networks(&self) -> usize {
        self.examples.len()
    }

    pub fn epochs(&self) -> usize {
        self.examples[0].curve.epochs()
    }

    pub(super) fn last(&self, network: usize) -> f64 {
        self.examples[network].curve.last()
    }

    pub(super) fn shortened(&self, networks: &[usize], epochs: usize) -> Vec<Example> {
        let shorten = |&network: &usize| {
            let Example { features, curve } = &self.examples[network];
            Example { features: features.clone(), curve: curve.up_to(epochs) }
        };
        networks.iter().map(shorten).collect()
    }

    /// From the best y_T to the worst, equal ones in the order of the file.
    pub(super) fn ranking(&self) -> Vec<usize> {
        let mut ranking: Vec<usize> = (0..self.networks()).collect();
        ranking.sort_by(|&a, &b| self.last(b).total_cmp(&self.last(a)));
        ranking
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    File,
    /// So many; all are drawn before the first is walked.
    Random(usize),
}

impl Orders {
    /// Each with the generator of its fits.
    pub(super) fn draw(self, networks: usize, rng: &mut impl Rng) -> Vec<(Vec<usize>, ChaCha8Rng)> {
        let count = if let Self::Random(count) = self { count } else { 1 };
        let mut orders: Vec<Vec<usize>> = vec![(0..networks).collect(); count];
        if self != Self::File {
            orders.iter_mut().for_each(|order| order.shuffle(rng));
        }
        orders.into_iter().map(|order| (order, ChaCha8Rng::from_rng(rng))).collect()
    }
}

/// A rule, and which of the best networks it compares with: the `top_n`-th.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RuleSetting {
    pub delta: f64,
    pub top_n: usize,
    /// In units of the curves.
    pub offset: f64,
}

impl RuleSetting {
    /// Thresholds outermost, offsets innermost; their values are checked where they are parsed.
    pub fn grid(thresholds: &[f64], top_ns: &[usize], offsets: &[f64]) -> Vec<Self> {
        let mut grid = Vec::new();
        for &delta in thresholds {
            for &top_n in top_ns {
                grid.extend(offsets.iter().map(|&offset| Self { delta, top_n, offset }));
            }
        }
        grid
    }

    pub(super) const fn rule(self) -> StoppingRule {
        StoppingRule { threshold: self.delta, offset: self.offset }
    }
}

/// At each epoch but the last; none without a predictor.
pub type Predictions = Vec<Option<Prediction>>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalkedNetwork {
    pub network: usize,
    pub stopped: bool,
    /// Epoch of its stop, or of its last verdict, from 1.
    pub epoch: usize,
    pub prediction: Option<Prediction>,
    /// What it was compared with at that epoch, before the offset.
    pub best: Option<f64>,
    pub stop_probability: Option<f64>,
}

/// Every network trained to the end counts for those that come later; predictions never do.
pub(super) fn walk(
    recorded: &RecordedCurves,
    burn_in: &[usize],
    walked: &[usize],
    predictions: &[Predictions],
    setting: RuleSetting,
) -> Vec<WalkedNetwork> {
    let finals = burn_in.iter().map(|&network| recorded.last(network));
    let mut best = BestFinals::of(setting.top_n, finals);
    let walk_one = |(&network, predictions): (&usize, &Predictions)| {
        let mut walked = WalkedNetwork {
            network,
            stopped: false,
            // Of a single epoch there is no verdict; the training ends there all the same.
            epoch: predictions.len().max(1),
            prediction: None,
            best: best.nth(setting.top_n),
            stop_probability: None,
        };
        for (epoch, &prediction) in (1..).zip(predictions) {
            let verdict = setting.rule().judge(prediction, walked.best);
            let (stopped, stop_probability) = (verdict.is_stop(), verdict.stop_probability());
            walked = WalkedNetwork { stopped, epoch, prediction, stop_probability, ..walked };
            if stopped {
                return walked;
            }
        }
        best.add(recorded.last(network));
        walked
    };
    walked.iter().zip(predictions).map(walk_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{Features, LearningCurve, synthetic_curves};

    /// Networks of three epochs with given last values, each predicted as it ends with sigma 0.01.
    fn walked_by_hand(finals: &[f64], top_n: usize) -> Vec<WalkedNetwork> {
        let network = |(id, y): (usize, &f64)| {
            let curve = LearningCurve::try_from(vec![0.0, 0.0, *y]).unwrap();
            (id.to_string(), Example { features: Features::try_from(vec![]).unwrap(), curve })
        };
        let recorded =
            RecordedCurves::new(finals.iter().enumerate().map(network).collect()).unwrap();
        let order: Vec<usize> = (0..finals.len()).collect();
        let predict = |y: &f64| vec![Some(Prediction { mean: *y, sigma: 0.01 }); 2];
        let predictions: Vec<Predictions> = finals[2..].iter().map(predict).collect();
        let setting = RuleSetting::grid(&[0.99], &[top_n], &[0.0])[0];
        walk(&recorded, &order[..2], &order[2..], &predictions, setting)
    }

    fn stopped(steps: &[WalkedNetwork]) -> Vec<bool> {
        steps.iter().map(|step| step.stopped).collect()
    }

    #[test]
    fn a_finished_network_raises_the_bar_and_a_stopped_one_does_not() {
        // 0.6 beats 0.5 and finishes; 0.55 then is 5 sigmas below 0.6; 0.59 is 1 below.
        let steps = walked_by_hand(&[0.5, 0.4, 0.6, 0.55, 0.59], 1);
        assert_eq!(stopped(&steps), [false, true, false]);
        assert_eq!(
            steps.iter().map(|step| step.best).collect::<Vec<_>>(),
            [Some(0.5), Some(0.6), Some(0.6)]
        );
        assert_eq!(steps.iter().map(|step| step.epoch).collect::<Vec<_>>(), [2, 1, 2]);
    }

    #[test]
    fn the_best_n_are_trained_to_the_end() {
        // Second best is 0.4, then 0.5, then 0.55.
        let steps = walked_by_hand(&[0.5, 0.4, 0.6, 0.55, 0.52], 2);
        assert_eq!(stopped(&steps), [false, false, true]);
        // With fewer than three trained, none is compared.
        let steps = walked_by_hand(&[0.5, 0.4, 0.1], 3);
        assert_eq!(
            (steps[0].stopped, steps[0].best, steps[0].stop_probability),
            (false, None, None)
        );
    }

    #[test]
    fn a_training_of_one_epoch_ends_there_without_a_verdict() {
        let recorded = RecordedCurves::new(synthetic_curves::named(4, 1)).unwrap();
        let setting = RuleSetting::grid(&[0.99], &[1], &[0.0])[0];
        let step = walk(&recorded, &[0, 1, 2], &[3], &[Vec::new()], setting)[0];
        assert_eq!((step.stopped, step.epoch, step.stop_probability), (false, 1, None));
    }

    #[test]
    fn lists_cross_to_a_grid() {
        let grid = RuleSetting::grid(&[0.9, 0.99], &[1, 3], &[0.0, 0.1]);
        let flat: Vec<_> = grid.iter().map(|s| (s.delta, s.top_n, s.offset)).collect();
        assert_eq!(flat[..3], [(0.9, 1, 0.0), (0.9, 1, 0.1), (0.9, 3, 0.0)]);
        assert_eq!(flat.len(), 8);
    }

    #[test]
    fn networks_of_different_length_are_refused() {
        let mut networks = synthetic_curves::named(4, 5);
        networks[2].1.curve = networks[2].1.curve.up_to(3);
        let refused = RecordedCurves::new(networks);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with("learning curve 3 has 3 epochs where the first has 5"));
        assert!(RecordedCurves::new(vec![]).is_err());
    }

    #[test]
    fn every_order_has_every_network() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let mut orders = Orders::Random(3).draw(20, rng);
        assert_ne!(orders[0].0, orders[1].0);
        for (order, _) in &mut orders {
            order.sort_unstable();
            assert_eq!(*order, Orders::File.draw(20, rng)[0].0);
        }
    }

    #[test]
    fn the_best_comes_first() {
        let recorded = RecordedCurves::new(synthetic_curves::named(20, 5)).unwrap();
        let ranking = recorded.ranking();
        assert!(ranking.windows(2).all(|pair| recorded.last(pair[0]) >= recorded.last(pair[1])));
    }
}
