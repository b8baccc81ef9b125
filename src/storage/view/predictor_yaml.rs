//! `predictor.yaml` of a view: what predicts the end of a learning curve.
//!
//! Views come after every result of a local search and the predictor changes at fixed numbers of
//! full curves, so its text is carried from view to view and read only by who predicts.

use std::path::PathBuf;

use crate::predictor::FittedPredictor;
use crate::storage::error::StorageError;
use crate::storage::fs::yaml;

/// Name of the file of a view that holds its predictor.
pub const PREDICTOR: &str = "predictor.yaml";

/// A predictor as text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPredictor {
    /// How many full curves the log held when it was fitted.
    pub full_curves: usize,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The file, for messages.
    pub path: PathBuf,
}

impl StoredPredictor {
    /// Writes a predictor as text.
    pub fn new(full_curves: usize, predictor: &FittedPredictor) -> Result<Self, StorageError> {
        let path = PathBuf::from(PREDICTOR);
        let bytes = yaml::print(predictor, &path)?.into_bytes();
        Ok(Self { full_curves, bytes, path })
    }

    /// Reads the text.
    ///
    /// # Errors
    /// It is no predictor.
    pub fn read(&self) -> Result<FittedPredictor, StorageError> {
        yaml::parse(&self.bytes, &self.path)
    }
}
