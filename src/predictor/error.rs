use crate::invalid::Invalid;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictorError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Curves or features that no predictor can take, or that do not go together.
    #[error("{0}")]
    Unusable(String),
    /// A saved predictor whose parts do not fit together.
    #[error("saved predictor: {0} does not fit the curves saved with it")]
    Saved(String),
}
