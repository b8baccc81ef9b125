//! One order of recorded networks walked through the stopping rule.

use super::recorded::RecordedCurves;
use crate::invalid::Invalid;
use crate::predictor::{BestFinals, Prediction, StoppingRule};

/// A rule, and which of the best networks it compares with: the `top_n`-th.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleSetting {
    pub rule: StoppingRule,
    pub top_n: usize,
}

impl RuleSetting {
    /// Thresholds outermost, offsets innermost.
    pub(super) fn grid(
        thresholds: &[f64],
        top_ns: &[usize],
        offsets: &[f64],
    ) -> Result<Vec<Self>, Invalid> {
        let mut grid = Vec::new();
        for &threshold in thresholds {
            for &top_n in top_ns {
                for &offset in offsets {
                    grid.push(Self { rule: StoppingRule::new(threshold, offset)?, top_n });
                }
            }
        }
        Ok(grid)
    }
}

/// The predictions of a network at each epoch but the last; none without a predictor.
pub(super) type Predictions = Vec<Option<Prediction>>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalkedNetwork {
    pub network: usize,
    /// Else it was trained to the end.
    pub stopped: bool,
    /// Epoch of its stop, or of its last verdict, from 1.
    pub epoch: usize,
    pub prediction: Option<Prediction>,
    /// What it was compared with at that epoch, before the offset.
    pub best: Option<f64>,
    pub stop_probability: Option<f64>,
}

/// Walks networks in their order under a setting, after those of the burn-in were trained to the
/// end. Every network trained to the end counts for those that come later; predictions never do.
pub(super) fn walk(
    recorded: &RecordedCurves,
    burn_in: &[usize],
    walked: &[usize],
    predictions: &[Predictions],
    setting: &RuleSetting,
) -> Vec<WalkedNetwork> {
    let finals = burn_in.iter().map(|&network| recorded.last(network));
    let mut best = BestFinals::of(setting.top_n, finals);
    let walk_one = |(&network, predictions)| {
        let walked = judge(network, predictions, best.nth(setting.top_n), setting.rule);
        if !walked.stopped {
            best.add(recorded.last(network));
        }
        walked
    };
    walked.iter().zip(predictions).map(walk_one).collect()
}

fn judge(
    network: usize,
    predictions: &Predictions,
    best: Option<f64>,
    rule: StoppingRule,
) -> WalkedNetwork {
    let mut last = WalkedNetwork {
        network,
        stopped: false,
        // Of a single epoch there is no verdict; the training ends there all the same.
        epoch: predictions.len().max(1),
        prediction: None,
        best,
        stop_probability: None,
    };
    for (epoch, &prediction) in (1..).zip(predictions) {
        let verdict = rule.judge(prediction, best);
        let (stopped, stop_probability) = (verdict.is_stop(), verdict.stop_probability());
        last = WalkedNetwork { stopped, epoch, prediction, stop_probability, ..last };
        if stopped {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{Example, Features, LearningCurve};

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
        let setting = RuleSetting::grid(&[0.99], &[top_n], &[0.0]).unwrap()[0];
        walk(&recorded, &order[..2], &order[2..], &predictions, &setting)
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
        let rule = StoppingRule::default();
        let step = judge(0, &Vec::new(), Some(0.9), rule);
        assert_eq!((step.stopped, step.epoch, step.stop_probability), (false, 1, None));
    }

    #[test]
    fn lists_cross_to_a_grid() {
        let grid = RuleSetting::grid(&[0.9, 0.99], &[1, 3], &[0.0, 0.1]).unwrap();
        let flat: Vec<_> =
            grid.iter().map(|s| (s.rule.threshold, s.top_n, s.rule.offset)).collect();
        assert_eq!(flat[..3], [(0.9, 1, 0.0), (0.9, 1, 0.1), (0.9, 3, 0.0)]);
        assert_eq!(flat.len(), 8);
        assert!(RuleSetting::grid(&[1.5], &[1], &[0.0]).is_err());
    }
}
