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
//! [`simulate`] replays recorded curves under the rule, to see what stopping would have saved and
//! lost (section 4.1);
//! [`simulate_hyperband`] does so within Hyperband (section 5).

mod audit;
mod best_finals;
mod epoch_model;
mod error;
mod f_hyperband;
mod features;
mod fitted;
mod folds;
#[cfg(test)]
mod golden;
mod hyperband;
mod hyperband_summary;
mod learning_curve;
mod least_squares;
mod nu_svr;
mod ordered_fits;
mod params;
mod random_forest;
mod recorded;
mod regressor;
mod regressor_scores;
mod scaling;
mod scores;
mod search;
mod setting_summary;
mod simulation;
mod stopping;
#[cfg(test)]
mod synthetic_curves;
mod training_set;
mod uncertainty;
mod walk;

pub use audit::{AuditFindings, wilson_interval};
pub use best_finals::BestFinals;
pub use error::PredictorError;
pub use f_hyperband::{HyperbandParams, simulate_hyperband};
pub use features::{Example, Features, n_features};
pub use fitted::FittedPredictor;
pub use hyperband::{Bracket, Rung, hyperband};
pub use hyperband_summary::HyperbandSummary;
pub use learning_curve::{Better, LearningCurve, MetricScale};
pub use ordered_fits::SearchScope;
pub use params::{LEAST_TOLERANCE, MOST_C, MOST_TOP_N, PredictorParams, ValidPredictorParams};
pub use recorded::{Orders, RecordedCurves};
pub use regressor::Regressor;
pub use regressor_scores::{EpochScore, score_regressor};
pub use scores::{Scores, mean_absolute_error, r_squared};
pub use setting_summary::SettingSummary;
pub use simulation::{Simulation, SimulationParams, TraceRow, simulate};
pub use stopping::{Prediction, StoppingRule, Verdict};
pub use training_set::TrainingSet;
pub use uncertainty::FoldScaling;
