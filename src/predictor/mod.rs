//! Final accuracy from the start of a learning curve, and what follows from it.
//!
//! After Baker et al., 2017, *Accelerating Neural Architecture Search using Performance Prediction*.
//!
//! Once enough networks are trained to the end ([`TrainingSet`]), a [`FittedPredictor`] learns from
//! them ([`Example`]: [`Features`] and [`LearningCurve`]) what the last epoch will be, given the
//! first ones: one regression model for each number of observed epochs (section 3), its
//! hyperparameters chosen by random search and cross-validation, and sigma, the deviation of its
//! errors, from networks left out (section 4).
//!
//! After each epoch a task asks the [`StoppingRule`] whether the network may still beat the best
//! one seen ([`BestFinals`]; section 4). The rule needs a [`Prediction`]; where there is none the verdict is
//! to go on. A share of the verdicts to stop is not executed, to see how often they are wrong
//! ([`AuditFindings`]).
//!
//! What the rule would save and lose on recorded curves is simulated in `crate::simulate`.

mod audit;
mod best_finals;
pub(crate) mod epoch_model;
mod error;
pub(crate) mod features;
mod fitted;
mod folds;
#[cfg(test)]
pub(crate) mod golden;
mod learning_curve;
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

pub use audit::{AuditFindings, wilson_interval};
pub use best_finals::BestFinals;
pub use error::PredictorError;
pub use features::{Example, Features, n_features};
pub use fitted::FittedPredictor;
pub use learning_curve::LearningCurve;
pub use params::{LEAST_TOLERANCE, MOST_C, MOST_TOP_N, PredictorParams, ValidPredictorParams};
pub use regressor::Regressor;
pub use scores::{Scores, mean_absolute_error, r_squared};
pub use stopping::{Prediction, StoppingRule, Verdict};
pub use training_set::TrainingSet;
pub use uncertainty::FoldScaling;
