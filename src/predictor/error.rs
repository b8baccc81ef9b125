//! What can be wrong with the parameters of the stopping rule.

/// An error of the predictor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictorError {
    /// A threshold that would stop networks more likely to win than not, or none at all.
    #[error("`early_stopping.threshold` is `{0}` (must be above 0.5 and below 1)")]
    Threshold(f64),
    /// An offset that is no accuracy.
    #[error("`early_stopping.offset` is `{0}` (must be 0 to 1)")]
    Offset(f64),
}
