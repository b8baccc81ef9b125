//! The fitted predictor: one model per observed epoch, saved and loaded as one.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::{EpochTable, Example, Features, PredictorError, feature_row};
use super::params::{LEAST_CURVES, ValidPredictorParams};
use super::regressor::{EpochModel, Hyperparameters, Model};
use super::scores::Scores;
use super::search;
use super::stopping::Prediction;
use super::uncertainty::{FoldScaling, LEAST_SIGMA, predict_held_out, sigma};

/// T - 1 separate regressors, one for each number of observed epochs ("sequential regression
/// models", Baker et al., 2017, section 3). Saved are the training set and, per epoch, what was
/// learned and sigma; the rest follows by arithmetic that gives the same bits everywhere, from a
/// format that keeps every digit (YAML; not `serde_json` without `float_roundtrip`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedPredictor")]
pub struct FittedPredictor {
    examples: Vec<Example>,
    epochs: Vec<FittedEpoch<EpochModel>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FittedEpoch<M> {
    sigma: f64,
    held_out: Scores,
    model: M,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPredictor {
    examples: Vec<Example>,
    epochs: Vec<FittedEpoch<Model>>,
}

impl FittedPredictor {
    /// The result does not depend on the number of threads.
    pub fn fit(
        examples: Vec<Example>,
        params: &ValidPredictorParams,
        rng: &mut impl Rng,
    ) -> Result<Self, PredictorError> {
        Example::check_alike(&examples, LEAST_CURVES)?;
        let chosen = search::hyperparameters(&examples, params, rng);
        Ok(Self::fit_with(examples, &chosen, FoldScaling::Refit))
    }

    /// `chosen` has one for each epoch but the last; the examples are alike, at least three.
    pub(crate) fn fit_with(
        examples: Vec<Example>,
        chosen: &[Hyperparameters],
        scaling: FoldScaling,
    ) -> Self {
        let fit_epoch = |(at, chosen): (usize, &Hyperparameters)| {
            let table = EpochTable::new(&examples, at + 1);
            let model = EpochModel::fit(&table, *chosen);
            let held_out = predict_held_out(&table, *chosen, scaling, &model);
            FittedEpoch {
                model,
                sigma: sigma(&table.targets, &held_out),
                held_out: Scores::of(&table.targets, &held_out),
            }
        };
        let epochs = chosen.par_iter().enumerate().map(fit_epoch).collect();
        Self { examples, epochs }
    }

    /// None before the first epoch, after the last, for a network with another number of features,
    /// or when the prediction is no number.
    pub fn predict(&self, observed: &[f64], features: &Features) -> Option<Prediction> {
        let last_seen = *observed.last()?;
        let epoch = self.epochs.get(observed.len() - 1)?;
        if features.values().len() != self.examples[0].features.values().len() {
            return None;
        }
        let mean = epoch.model.predict(&feature_row(features, observed), last_seen);
        mean.is_finite().then_some(Prediction { mean, sigma: epoch.sigma })
    }

    /// T, the epochs of a whole training.
    pub fn epochs(&self) -> usize {
        self.epochs.len() + 1
    }

    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Sigma and the scores of held-out predictions after 1 .. T-1 observed epochs.
    pub fn scores(&self) -> impl Iterator<Item = (f64, Scores)> {
        self.epochs.iter().map(|epoch| (epoch.sigma, epoch.held_out))
    }
}

impl TryFrom<SavedPredictor> for FittedPredictor {
    type Error = PredictorError;

    fn try_from(SavedPredictor { examples, epochs }: SavedPredictor) -> Result<Self, Self::Error> {
        Example::check_alike(&examples, LEAST_CURVES)?;
        if epochs.len() + 1 != examples[0].curve.epochs() {
            return Err(PredictorError::Saved("the number of models".to_owned()));
        }
        let restore = |(at, saved): (usize, FittedEpoch<Model>)| {
            let table = EpochTable::new(&examples, at + 1);
            let refuse = |part| PredictorError::Saved(format!("{part} of epoch {}", at + 1));
            if !(saved.sigma >= LEAST_SIGMA && saved.sigma.is_finite()) {
                return Err(refuse("`sigma`"));
            }
            let model = EpochModel::restore(&table, saved.model).map_err(refuse)?;
            Ok(FittedEpoch { model, sigma: saved.sigma, held_out: saved.held_out })
        };
        let epochs = epochs.into_par_iter().enumerate().map(restore).collect::<Result<_, _>>()?;
        Ok(Self { examples, epochs })
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::LearningCurve;
    use super::super::params::PredictorParams;
    use super::super::regressor::Regressor;
    use super::super::synthetic_curves;
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use strum::VariantArray;

    const EPOCHS: usize = 6;

    fn fit(
        examples: Vec<Example>,
        regressor: Regressor,
    ) -> Result<FittedPredictor, PredictorError> {
        let params = PredictorParams { regressor, draws: 4, ..PredictorParams::default() };
        FittedPredictor::fit(examples, &params.check().unwrap(), &mut ChaCha8Rng::seed_from_u64(1))
    }

    fn predictions(predictor: &FittedPredictor, of: &[Example]) -> Vec<Option<Prediction>> {
        let each = |example: &Example| {
            (1..=EPOCHS)
                .map(|epoch| predictor.predict(&example.curve.values()[..epoch], &example.features))
                .collect::<Vec<_>>()
        };
        of.iter().flat_map(each).collect()
    }

    #[test]
    fn saved_and_loaded_it_predicts_the_same() {
        for regressor in Regressor::VARIANTS.iter().copied() {
            let predictor = fit(synthetic_curves::examples(20, EPOCHS), regressor).unwrap();
            let text = serde_yaml::to_string(&predictor).unwrap();
            let loaded: FittedPredictor = serde_yaml::from_str(&text).unwrap();
            let others = synthetic_curves::examples(30, EPOCHS);
            assert_eq!(predictions(&loaded, &others), predictions(&predictor, &others));
            assert_eq!(loaded, predictor, "{regressor}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_predictor_on_any_number_of_threads() {
        for regressor in [Regressor::NuSvrRbf, Regressor::RandomForest] {
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| fit(synthetic_curves::examples(20, EPOCHS), regressor).unwrap())
            };
            assert_eq!(on(1), on(3));
        }
    }

    #[test]
    fn the_last_epoch_is_not_predicted() {
        let examples = synthetic_curves::examples(20, EPOCHS);
        let predictor = fit(examples.clone(), Regressor::Ols).unwrap();
        let of_one = predictions(&predictor, &examples[..1]);
        assert!(of_one[..EPOCHS - 1].iter().all(Option::is_some) && of_one[EPOCHS - 1].is_none());
        assert_eq!(predictor.scores().count(), EPOCHS - 1);
    }

    #[test]
    fn a_network_with_other_features_is_not_predicted() {
        let examples = synthetic_curves::examples(20, EPOCHS);
        let predictor = fit(examples.clone(), Regressor::Ols).unwrap();
        let other = Features::try_from(vec![1.0]).unwrap();
        assert_eq!(predictor.predict(&examples[0].curve.values()[..2], &other), None);
    }

    #[test]
    fn constant_and_equal_curves_are_predicted_as_they_are() {
        for regressor in Regressor::VARIANTS.iter().copied() {
            let flat = Example {
                features: Features::try_from(vec![]).unwrap(),
                curve: LearningCurve::try_from(vec![0.1; EPOCHS]).unwrap(),
            };
            let predictor = fit(vec![flat.clone(); 10], regressor).unwrap();
            for prediction in &predictions(&predictor, &[flat])[..EPOCHS - 1] {
                let prediction = prediction.unwrap();
                assert!((prediction.mean - 0.1).abs() < 1e-6, "{regressor}: {prediction:?}");
                assert_eq!(prediction.sigma, LEAST_SIGMA);
            }
        }
    }

    #[test]
    fn curves_that_cannot_be_learned_from_together_are_refused() {
        let mut examples = synthetic_curves::examples(5, EPOCHS);
        let few = fit(examples[..2].to_vec(), Regressor::Ols);
        let message = |refused: Result<_, PredictorError>| refused.unwrap_err().to_string();
        assert_eq!(message(few), "2 full learning curves (at least 3 needed)");
        examples[3].curve = examples[3].curve.up_to(2);
        let uneven = fit(examples, Regressor::Ols);
        let expected = format!("learning curve 4 has 2 epochs where the first has {EPOCHS}");
        assert!(message(uneven).starts_with(&expected));
        let mut examples = synthetic_curves::examples(5, EPOCHS);
        examples[1].features = Features::try_from(vec![1.0]).unwrap();
        let uneven = fit(examples, Regressor::Ols);
        assert_eq!(message(uneven), "network 2 has 1 features where the first has 2");
    }

    #[test]
    fn trainings_of_one_epoch_have_nothing_to_predict() {
        let predictor = fit(synthetic_curves::examples(5, 1), Regressor::NuSvrRbf).unwrap();
        assert_eq!(predictor.epochs(), 1);
    }

    #[test]
    fn a_saved_form_that_does_not_fit_together_is_refused() {
        let predictor = fit(synthetic_curves::examples(5, EPOCHS), Regressor::Ols).unwrap();
        let text = serde_yaml::to_string(&predictor).unwrap();
        let load = |text: &str| serde_yaml::from_str::<FittedPredictor>(text);
        let refused = |text: &str| load(text).unwrap_err().to_string();
        assert!(
            refused(&text.replacen("weights:\n", "weights:\n    - 1.0\n", 1)).contains("weights")
        );
        assert!(refused(&text.replacen("sigma: ", "sigma: -", 1)).contains("`sigma` of epoch 1"));
        let mut saved: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        saved["epochs"].as_sequence_mut().unwrap().pop();
        let text = serde_yaml::to_string(&saved).unwrap();
        assert!(refused(&text).contains("the number of models"));
        assert!(load(&text[..text.len() / 2]).is_err());
    }
}
