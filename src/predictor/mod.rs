//! Final accuracy from the start of a learning curve, and the decision to stop.
//!
//! After Baker et al., 2017, *Accelerating Neural Architecture Search using Performance
//! Prediction*.
//!
//! A fit: `training_set` (which full curves, when one is due), `features` ([`Example`] of
//! [`LearningCurve`] and [`Features`]), `search` over `folds` and `scaling` (hyperparameters),
//! `regressor` over `nu_svr` (solved by `smo`), `least_squares` and `random_forest`, `uncertainty`
//! (sigma, from networks left out), `fitted` (one model per observed epoch), `scores`. A verdict:
//! `stopping` against `best_finals`. Who is audited, and how often a verdict is wrong: `audit`,
//! `wilson`.

mod audit;
mod best_finals;
pub(crate) mod features;
mod fitted;
mod folds;
#[cfg(test)]
pub(crate) mod golden;
mod least_squares;
mod nu_svr;
mod params;
mod random_forest;
pub(crate) mod regressor;
mod scaling;
mod scores;
pub(crate) mod search;
mod smo;
mod stopping;
#[cfg(test)]
pub(crate) mod synthetic_curves;
mod training_set;
mod uncertainty;
mod wilson;

pub use audit::{AuditFindings, is_audited};
pub use best_finals::BestFinals;
pub use features::{Example, Features, LearningCurve, PredictorError, n_features};
pub use fitted::FittedPredictor;
pub use params::{MOST_TOP_N, PredictorParams, ValidPredictorParams};
pub use regressor::Regressor;
pub use scores::Scores;
pub use stopping::{Prediction, StoppingRule, Verdict};
pub use training_set::TrainingSet;
pub use uncertainty::FoldScaling;
