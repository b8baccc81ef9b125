//! How well a regressor predicts recorded curves it was not fitted to, epoch by epoch.

use rand::Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::simulation::{OrderedFits, SimulationParams};
use super::summary::{mean, standard_error};
use super::walk::RecordedCurves;
use crate::invalid::Invalid;
use crate::predictor::features::EpochTable;
use crate::predictor::regressor::{EpochModel, Hyperparameters};
use crate::predictor::{PredictorParams, Regressor, Scores};

/// Means over the orders, on the networks after the burn-in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochScore {
    pub regressor: Regressor,
    pub epoch: usize,
    pub r_squared: Option<f64>,
    /// None with a single order.
    pub r_squared_standard_error: Option<f64>,
    /// In units of the curves.
    pub mean_absolute_error: f64,
}

/// `rng` gives the same generator each time: both are scored over the same orders.
pub fn score_beside_last_seen<R: Rng>(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: impl Fn() -> R,
) -> Result<Vec<EpochScore>, Invalid> {
    let mut scores = score_regressor(recorded, params, &mut rng());
    if params.predictor.regressor != Regressor::LastSeen {
        let mut predictor = PredictorParams::clone(&params.predictor);
        predictor.regressor = Regressor::LastSeen;
        let params = SimulationParams { predictor: predictor.check()?, ..params.clone() };
        scores.extend(score_regressor(recorded, &params, &mut rng()));
    }
    Ok(scores)
}

/// Fits the regressor to the burn-in of each order and scores it on the rest (section 4 of the
/// paper): a row per epoch but the last; none where the burn-in leaves no network.
pub fn score_regressor(
    recorded: &RecordedCurves,
    params: &SimulationParams,
    rng: &mut impl Rng,
) -> Vec<EpochScore> {
    let fits = OrderedFits::new(recorded, params, rng);
    if !fits.walks_any() {
        return Vec::new();
    }
    let score_order = |number: usize| -> Vec<Scores> {
        let (burn_in, others) = fits.parts(number);
        let [training, unseen] =
            [burn_in, others].map(|part| recorded.shortened(part, recorded.epochs()));
        let score = |(at, chosen): (usize, &Hyperparameters)| {
            let model = EpochModel::fit(&EpochTable::new(&training, at + 1), *chosen);
            let table = EpochTable::new(&unseen, at + 1);
            let rows = table.rows.iter().zip(&table.last_seen);
            let predictions: Vec<f64> = rows.map(|(row, seen)| model.predict(row, *seen)).collect();
            Scores::of(&table.targets, &predictions)
        };
        fits.choose(number).par_iter().enumerate().map(score).collect()
    };
    let by_order: Vec<_> = (0..fits.orders.len()).into_par_iter().map(score_order).collect();
    let row = |epoch: usize| {
        let of_epoch = || by_order.iter().map(move |scores| scores[epoch - 1]);
        let r_squared: Vec<f64> = of_epoch().filter_map(|scores| scores.r_squared).collect();
        let errors = of_epoch().map(|scores| scores.mean_absolute_error);
        EpochScore {
            regressor: params.predictor.regressor,
            epoch,
            r_squared: mean(r_squared.iter().copied()),
            r_squared_standard_error: standard_error(&r_squared),
            mean_absolute_error: mean(errors).expect("there is an order"),
        }
    };
    (1..recorded.epochs()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::simulation::SearchScope;
    use super::super::walk::Orders;
    use super::*;
    use crate::predictor::{Example, Features, FoldScaling, LearningCurve, synthetic_curves};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use strum::VariantArray;

    fn params(predictor: PredictorParams) -> SimulationParams {
        SimulationParams {
            predictor: predictor.check().unwrap(),
            orders: Orders::Random(3),
            settings: vec![],
            search: SearchScope::Once,
            scaling: FoldScaling::Refit,
        }
    }

    fn scores(regressor: Regressor, burn_in: usize) -> Vec<EpochScore> {
        let predictor =
            PredictorParams { regressor, burn_in, draws: 5, ..PredictorParams::default() };
        let recorded = RecordedCurves::new(synthetic_curves::named(60, 12)).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        score_regressor(&recorded, &params(predictor), rng)
    }

    #[test]
    fn every_regressor_beats_the_last_value_seen_at_a_quarter_of_the_curve() {
        let baseline = scores(Regressor::LastSeen, 40)[2].r_squared.unwrap();
        for regressor in &Regressor::VARIANTS[..4] {
            let found = &scores(*regressor, 40)[2];
            assert_eq!((found.regressor, found.epoch), (*regressor, 3));
            assert!(found.r_squared.unwrap() > baseline, "{found:?} {baseline}");
        }
    }

    #[test]
    fn only_networks_after_the_burn_in_are_scored() {
        let network = |(id, values): (usize, [f64; 2])| {
            let curve = LearningCurve::try_from(values.to_vec()).unwrap();
            (id.to_string(), Example { features: Features::try_from(vec![]).unwrap(), curve })
        };
        // Three of the burn-in, which the last value seen predicts exactly, and two that it does
        // not.
        let curves = [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.5, 0.4], [0.5, 0.6]];
        let named = curves.into_iter().enumerate().map(network).collect();
        let predictor = PredictorParams {
            regressor: Regressor::LastSeen,
            burn_in: 3,
            ..PredictorParams::default()
        };
        let params = SimulationParams { orders: Orders::File, ..params(predictor) };
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let found = score_regressor(&RecordedCurves::new(named).unwrap(), &params, rng);
        // Errors of 0.1 around a mean of 0.5, from which the targets are 0.1 away: 1 - 0.02 / 0.02.
        assert!(found[0].r_squared.unwrap().abs() < 1e-12);
        assert!((found[0].mean_absolute_error - 0.1).abs() < 1e-12);
    }

    #[test]
    fn without_networks_after_the_burn_in_there_are_no_scores() {
        assert!(scores(Regressor::Ols, 60).is_empty());
    }
}
