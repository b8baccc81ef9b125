//! The model of an attempt. Its card is written before its result is beside the curve; then it gets
//! its name, when the result is among the best, and is removed otherwise; then the result goes into
//! the log. Whoever finds the result of a killed process there finds the model, too.

use std::collections::BTreeMap;

use crate::dataset::DataParams;
use crate::model::{MeasuredError, ModelCard, sequential};
use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::checkpoints::remove_or_leave;
use crate::ops::reduce::models::{best_attempts, name_model};
use crate::ops::train::{Claim, TaskRun};
use crate::storage::Row;
use crate::training::Recipe;
use crate::training::protocol::Request;

/// Names or removes the folder of an attempt whose result is beside its curve. Whatever goes wrong
/// costs the model, never the result.
pub(super) fn settle_model(experiment: &Experiment, journal: &mut Journal, result: &Row) {
    let Some(attempt) = result.attempt() else { return };
    let folder = experiment.dir().unfinished_model(attempt);
    if !folder.is_dir() {
        return;
    }
    // Rows that are not seen yet cost a removal later, and the lock could cost the result.
    journal.look();
    let rows = journal.rows().iter().chain([result]);
    if best_attempts(rows, experiment.config().recipe.keep_models).contains(&attempt) {
        name_model(experiment.dir(), attempt);
    }
    if folder.is_dir() {
        remove_or_leave(&folder);
    }
}

impl TaskRun<'_> {
    pub fn write_card(&self, claim: &Claim, request: &Request, result: &Row) {
        let Some(folder) = request.model.as_ref().filter(|folder| folder.is_dir()) else { return };
        let card = self.card(claim, request, result);
        if let Err(error) = card.and_then(|card| Ok(card.write(folder)?)) {
            let iteration = claim.attempt.iteration;
            log::warn!("the card of iteration {iteration}'s model is not written: {error:#}");
        }
    }

    fn card(&self, claim: &Claim, request: &Request, result: &Row) -> anyhow::Result<ModelCard> {
        let config = self.experiment.config();
        let cost = config.space.cost(&claim.architecture);
        let images = self.experiment.validation_images().unwrap_or(0);
        let judged = |accuracy| MeasuredError::of(1.0 - accuracy, images);
        let Request { layers, channels, input_size, recipe, .. } = request;
        Ok(ModelCard {
            experiment: config.experiment.name.clone(),
            classes: self.experiment.class_names(),
            validation: result.best_validation_accuracy.map(judged),
            test: None,
            parameters: cost.parameters,
            macs: cost.macs,
            latency: Vec::new(),
            epoch: result.best_epoch.unwrap_or(request.epochs),
            data: DataParams { path: None, cache: None, ..config.config.data.clone() },
            data_files: self.experiment.frozen.data_files.clone(),
            sequential: sequential(layers, *channels, *input_size)?,
            request: Request {
                checkpoint: None,
                model: None,
                data: serde_json::Value::Null,
                recipe: Recipe { checkpoint_dir: None, ..recipe.clone() },
                ..request.clone()
            },
            versions: [("metaqnn".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            sha256: BTreeMap::new(),
        })
    }
}
