//! What stopping saved and lost: one setting of the rule over many orders.

use serde::Serialize;

use super::recorded::RecordedCurves;
use super::walk::{Setting, Step};

/// Best networks of a set that are counted as kept or lost.
const TOP: usize = 10;

/// What one setting of the rule did, over all orders. The field names are those of `simulate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingSummary {
    /// Stop probability from which networks are stopped.
    pub delta: f64,
    /// The rule compares with the n-th best.
    pub top_n: usize,
    /// Networks predicted within this of the best may finish.
    pub offset: f64,
    /// Mean over orders of N T / epochs spent, burn-in included.
    pub speedup: f64,
    /// The same of the walked networks alone; none where the burn-in leaves none.
    pub speedup_after_burn_in: Option<f64>,
    /// Mean share of the walked networks that were stopped, 0 to 1.
    pub share_stopped: f64,
    /// Orders among those of the next field in which the best network was trained to the end.
    pub best_kept: usize,
    /// Orders in which the best network of all came after the burn-in.
    pub orders_best_in_walk: usize,
    /// Mean number of the ten best networks trained to the end, burn-in included.
    pub top10_kept: f64,
    /// Mean over orders of the best of all minus the best trained to the end, in units of the curves.
    pub regret_mean: f64,
    /// The greatest such difference.
    pub regret_max: f64,
    /// Mean absolute error of the predictions by which networks were stopped; none where none was.
    /// For people only: the columns of `simulate --json` are fixed.
    #[serde(skip)]
    pub stopped_mean_absolute_error: Option<f64>,
}

impl SettingSummary {
    /// Sums up what a setting did in each of the orders, at least one.
    pub(super) fn of(setting: &Setting, orders: &[&OrderResult]) -> Self {
        let over_orders = |of: &dyn Fn(&OrderResult) -> f64| {
            mean(orders.iter().copied().map(of)).expect("there is an order")
        };
        let in_walk = orders.iter().filter(|order| order.best_is_walked);
        Self {
            delta: setting.threshold,
            top_n: setting.top_n,
            offset: setting.offset,
            speedup: over_orders(&|order| order.speedup),
            speedup_after_burn_in: mean(
                orders.iter().filter_map(|order| order.speedup_after_burn_in),
            ),
            share_stopped: over_orders(&|order| order.share_stopped),
            best_kept: in_walk.clone().filter(|order| order.best_is_kept).count(),
            orders_best_in_walk: in_walk.count(),
            top10_kept: over_orders(&|order| order.top_kept as f64),
            regret_mean: over_orders(&|order| order.regret),
            regret_max: orders.iter().map(|order| order.regret).fold(0.0, f64::max),
            stopped_mean_absolute_error: mean(
                orders.iter().flat_map(|order| order.stopped_errors.iter().copied()),
            ),
        }
    }
}

/// What one setting did in one order.
pub(super) struct OrderResult {
    speedup: f64,
    speedup_after_burn_in: Option<f64>,
    share_stopped: f64,
    best_is_walked: bool,
    best_is_kept: bool,
    top_kept: usize,
    regret: f64,
    /// |yhat - y_T| of each stopped network.
    stopped_errors: Vec<f64>,
}

impl OrderResult {
    /// Counts what became of the walked networks; those not among `steps` were the burn-in.
    pub fn of(recorded: &RecordedCurves, steps: &[Step]) -> Self {
        let (networks, epochs) = (recorded.networks(), recorded.epochs());
        let spent: usize =
            steps.iter().map(|step| if step.stopped { step.epoch } else { epochs }).sum();
        let burn_in = (networks - steps.len()) * epochs;
        let mut is_kept = vec![true; networks];
        steps.iter().filter(|step| step.stopped).for_each(|step| is_kept[step.network] = false);
        let ranking = recorded.ranking();
        let best = ranking[0];
        let best_kept =
            *ranking.iter().find(|network| is_kept[**network]).expect("a burn-in is kept");
        let error = |step: &Step| {
            let predicted = step.prediction.filter(|_| step.stopped)?.mean;
            Some((predicted - recorded.last(step.network)).abs())
        };
        let walked = steps.len() as f64;
        let stopped_errors: Vec<f64> = steps.iter().filter_map(error).collect();
        Self {
            speedup: (networks * epochs) as f64 / (burn_in + spent) as f64,
            speedup_after_burn_in: (!steps.is_empty())
                .then(|| walked * epochs as f64 / spent as f64),
            share_stopped: stopped_errors.len() as f64 / walked.max(1.0),
            best_is_walked: steps.iter().any(|step| step.network == best),
            best_is_kept: is_kept[best],
            top_kept: ranking.iter().take(TOP).filter(|network| is_kept[**network]).count(),
            regret: recorded.last(best) - recorded.last(best_kept),
            stopped_errors,
        }
    }
}

/// Returns the mean of some values, if there are any.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::synthetic_curves;

    #[test]
    fn speedup_and_regret_by_hand() {
        // Four networks of four epochs, the best last and in the burn-in none of the best two; three
        // are walked: one stopped after 1 epoch, one trained, one (the best) stopped after 2.
        let finals = [0.5, 0.1, 0.7, 0.9];
        let named = |(id, mut network): (usize, (String, crate::predictor::Example))| {
            let curve =
                crate::predictor::LearningCurve::new(vec![0.0, 0.0, 0.0, finals[id]]).unwrap();
            network.1.curve = curve;
            network
        };
        let networks = synthetic_curves::named(4, 4).into_iter().enumerate().map(named).collect();
        let recorded = RecordedCurves::new(networks).unwrap();
        let step = |network, stopped, epoch, mean| Step {
            network,
            stopped,
            epoch,
            prediction: Some(crate::predictor::Prediction { mean, sigma: 0.1 }),
            best: Some(0.5),
            stop_probability: Some(0.5),
        };
        let steps = [step(1, true, 1, 0.2), step(2, false, 3, 0.7), step(3, true, 2, 0.6)];
        let result = OrderResult::of(&recorded, &steps);
        // 16 epochs in all; spent 4 in the burn-in, then 1 + 4 + 2 of 12.
        assert_eq!(result.speedup, 16.0 / 11.0);
        assert_eq!(result.speedup_after_burn_in, Some(12.0 / 7.0));
        assert_eq!(result.share_stopped, 2.0 / 3.0);
        assert!(result.best_is_walked && !result.best_is_kept);
        assert_eq!(result.top_kept, 2);
        assert!((result.regret - 0.2).abs() < 1e-12);
        // |0.2 - 0.1| and |0.6 - 0.9|.
        let setting = Setting::grid(&[0.9], &[1], &[0.0]).unwrap()[0];
        let summary = SettingSummary::of(&setting, &[&result]);
        assert!((summary.stopped_mean_absolute_error.unwrap() - 0.2).abs() < 1e-12);
        assert_eq!((summary.best_kept, summary.orders_best_in_walk), (0, 1));
    }
}
