//! Final accuracy from the start of a learning curve, and what follows from it.
//!
//! After each epoch a task asks the [`StoppingRule`] whether the network may still beat the best
//! one seen (Baker et al., 2017, *Accelerating Neural Architecture Search using Performance
//! Prediction*, section 4). The rule needs a [`Prediction`] of the last epoch's accuracy; where
//! there is none the verdict is to go on.

mod error;
mod stopping;

pub use error::PredictorError;
pub use stopping::{Prediction, StoppingRule, Verdict};
