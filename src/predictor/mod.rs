//! Final accuracy from the start of a learning curve, and the decision to stop.
//!
//! After Baker et al., 2017, *Accelerating Neural Architecture Search using Performance
//! Prediction*.
//!
//! | file | what |
//! | --- | --- |
//! | `params` | [`PredictorParams`]: the section `early_stopping` |
//! | `stopping` | [`StoppingRule`]: the only comparison with the threshold (section 4) |
//! | `best_finals` | [`BestFinals`]: the n-th best network, with which the rule compares |
//! | `features` | [`Example`] of [`LearningCurve`] and [`Features`]: what is learned from |
//! | `training_set` | [`TrainingSet`]: which full curves, and when a fit is due |
//! | `fitted` | [`FittedPredictor`]: one model per observed epoch (section 3) |
//! | `regressor` | [`Regressor`], `EpochModel`, over `nu_svr`, `least_squares`, `random_forest` |
//! | `search`, `folds`, `scaling` | hyperparameters by random search and cross-validation |
//! | `uncertainty` | sigma, from networks left out (section 4) |
//! | `audit` | who is audited; [`AuditFindings`]: how often a verdict to stop is wrong |
//! | `wilson` | the interval of a share by few trials |
//! | `scores` | [`Scores`]: R squared, mean absolute error |

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
