//! What can be wrong with the predictor's parameters and with what it is given.

use crate::invalid::Invalid;

/// An error of the predictor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictorError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A regression model that there is not.
    #[error("no regressor is called `{name}` (one of {known})")]
    UnknownRegressor {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A learning curve without a single epoch.
    #[error("learning curve without an epoch")]
    EmptyCurve,
    /// A value of a learning curve that is not a number, or too large to be computed with.
    #[error(
        "learning curve has `{value}` at epoch {epoch} (must be finite and below 1e100 in size)"
    )]
    CurveValue {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The value there.
        value: f64,
    },
    /// A value of a learning curve that has no logarithm.
    #[error(
        "learning curve has `{value}` at epoch {epoch}, which has no logarithm (must be above 0)"
    )]
    NoLogarithm {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The value there.
        value: f64,
    },
    /// A feature that is not a number, or too large to be computed with.
    #[error("feature {index} is `{value}` (must be finite and below 1e100 in size)")]
    FeatureValue {
        /// The place of the feature, counted from 1.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Fewer full curves than a predictor can be fitted to.
    #[error("{found} full learning curves (a predictor needs at least {wanted})")]
    TooFewCurves {
        /// Full curves there are.
        found: usize,
        /// Full curves needed.
        wanted: usize,
    },
    /// Fewer recorded networks than one run of Hyperband begins.
    #[error("{found} networks are recorded (one run of Hyperband begins {wanted})")]
    TooFewForHyperband {
        /// Networks there are.
        found: usize,
        /// Networks needed.
        wanted: usize,
    },
    /// Curves of different lengths among those a predictor is fitted to.
    #[error(
        "learning curve {index} has {found} epochs where the first has {wanted} (all must be trained alike)"
    )]
    CurveLength {
        /// The place of the curve, counted from 1.
        index: usize,
        /// Its epochs.
        found: usize,
        /// Epochs of the first curve.
        wanted: usize,
    },
    /// Different numbers of features among the networks a predictor is fitted to.
    #[error("network {index} has {found} features where the first has {wanted}")]
    FeatureCount {
        /// The place of the network, counted from 1.
        index: usize,
        /// Its features.
        found: usize,
        /// Features of the first network.
        wanted: usize,
    },
    /// Hyperparameters that the solver refuses.
    #[error("nu-SVR with C `{c}` and nu `{nu}` cannot be fitted: {reason}")]
    Unsolvable {
        /// Bound of the dual coefficients.
        c: f64,
        /// Bound of the share of support vectors.
        nu: f64,
        /// The solver's words.
        reason: String,
    },
    /// A saved predictor whose parts do not fit together.
    #[error("saved predictor: {part} of epoch {epoch} does not fit the curves saved with it")]
    Saved {
        /// What does not fit.
        part: &'static str,
        /// The observed epoch, counted from 1; 0 where all epochs are meant.
        epoch: usize,
    },
    /// A recorded set without curves.
    #[error("no learning curves")]
    NoCurves,
}
