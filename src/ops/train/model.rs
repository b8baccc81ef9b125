//! The model of an attempt: it gets its name before its result is recorded, when that is among the
//! best, and is removed otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use crate::dataset::DataParams;
use crate::model::{MeasuredError, ModelCard, sequential};
use crate::ops::reduce::models::best_attempts;
use crate::ops::train::{Claim, TaskRun};
use crate::regular_file;
use crate::storage::{Row, fs::publish};
use crate::training::Recipe;
use crate::training::protocol::Request;

impl TaskRun<'_> {
    /// Whatever goes wrong costs the model, never the result.
    pub fn settle_model(&mut self, claim: &Claim, request: &Request, result: &Row) {
        let Some(folder) = request.model.as_ref().filter(|folder| folder.is_dir()) else { return };
        let iteration = claim.attempt.iteration;
        if let Err(error) = self.keep_model(claim, request, result, folder) {
            log::warn!("the model of iteration {iteration} is not kept: {error:#}");
        }
        if folder.is_dir()
            && let Err(error) = regular_file::remove_folder(folder)
        {
            log::info!("`{}` stays: {error}", folder.display());
        }
    }

    fn keep_model(
        &mut self,
        claim: &Claim,
        request: &Request,
        result: &Row,
        folder: &Path,
    ) -> anyhow::Result<()> {
        // Rows that are not seen yet cost a removal later, and the lock could cost the result.
        self.journal.look();
        let rows = self.journal.rows().iter().chain([result]);
        let best = best_attempts(rows, self.experiment.config().recipe.keep_models);
        if best.contains(&claim.attempt) {
            self.card(claim, request, result)?.complete(folder)?;
            publish::rename_folder(folder, &self.experiment.dir().model(claim.attempt))?;
        }
        Ok(())
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
