//! The caches: views and predictors, whole in themselves, of a prefix of the log, and the newest
//! ones what that prefix says.

use std::path::{Path, PathBuf};

use crate::ops::Experiment;
use crate::ops::reduce::rebuild::is_as_learned;
use crate::ops::reduce::refit::{is_as_fitted, is_of_log};
use crate::ops::verify::finding::{Finding, Repair, below, one_line};
use crate::storage::view::{StoredPredictor, View};
use crate::storage::{RawLog, Row, StorageError};

/// What is wrong with a view or a predictor.
#[derive(Debug, Clone)]
pub(crate) struct WrongCache {
    pub folder: PathBuf,
    /// Whether it is whole and fits the log, so that those who decide by it do not see it.
    pub seems_good: bool,
    problem: String,
}

impl WrongCache {
    fn new(folder: &Path, problem: String) -> Self {
        Self { folder: folder.to_owned(), seems_good: false, problem }
    }

    /// Returns it as a finding.
    pub fn finding(&self, experiment: &Experiment) -> Finding {
        Finding::damage(below(experiment.dir().root(), &self.folder), self.problem.clone())
            .mended_by(Repair::RebuildView)
    }
}

/// Whether a listed folder is there no more: a reduce keeps the newest ones only.
fn is_removed(error: &StorageError, folder: &Path) -> bool {
    error.is_gone() && !folder.exists()
}

/// What the views on disk are worth.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// Those that are damaged in themselves, or made of other rows.
    pub wrong: Vec<WrongCache>,
    pub newest_good: Option<View>,
    /// Length of the longest prefix whose checksum matches a view.
    pub vouched: u64,
}

impl Views {
    /// Reads the views that were listed before the log was read.
    pub fn read(experiment: &Experiment, listed: &[(u64, PathBuf)], raw: &RawLog) -> Self {
        let params = experiment.view_params();
        let mut views = Self::default();
        for (rows, folder) in listed {
            let view = match View::read(folder, *rows, &params.sha256) {
                Ok(view) => view,
                Err(error) if is_removed(&error, folder) => continue,
                Err(error) => {
                    views.wrong.push(WrongCache::new(folder, one_line(error)));
                    continue;
                }
            };
            if !raw.holds(&view.position) {
                views.wrong.push(WrongCache::new(folder, misfit(&view, views.vouched)));
                continue;
            }
            views.vouched = *rows;
            match view.q_table(&params) {
                Ok(_) => views.newest_good = Some(view),
                Err(error) => views.wrong.push(WrongCache::new(folder, one_line(error))),
            }
        }
        views
    }
}

fn misfit(view: &View, vouched: u64) -> String {
    let first = vouched + 2;
    format!(
        "it was made from other rows than the log has now (lines {first} to {} were changed, or are gone)",
        view.rows() + 1
    )
}

/// Returns a good view when it is not what its rows say, learned from nothing.
pub(crate) fn differing_view(
    experiment: &Experiment,
    view: &View,
    rows: &[Row],
) -> anyhow::Result<Option<WrongCache>> {
    match is_as_learned(experiment, view, rows, &experiment.dir().replay_log()) {
        Ok(true) => Ok(None),
        Err(error) if is_removed(&error, &view.folder) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(false) => {
            let problem = "it is not what its rows of the log say with this `experiment.yaml`";
            let wrong = WrongCache::new(&view.folder, problem.to_owned());
            Ok(Some(WrongCache { seems_good: true, ..wrong }))
        }
    }
}

/// Returns the predictors that are damaged in themselves or fitted to other curves than these rows
/// have, and the newest of the others.
pub(crate) fn read_predictors(
    experiment: &Experiment,
    rows: &[Row],
) -> anyhow::Result<(Vec<WrongCache>, Option<StoredPredictor>)> {
    let sha256 = experiment.view_params().sha256;
    let (mut wrong, mut newest) = (Vec::new(), None);
    for (full_curves, folder) in experiment.dir().list_predictors()? {
        let read = StoredPredictor::read(&folder, full_curves, &sha256).and_then(|stored| {
            stored.predictor()?;
            if is_of_log(experiment, &stored, rows) { Ok(stored) } else { Err(stored.stale()) }
        });
        match read {
            Ok(stored) => newest = Some(stored),
            Err(error) if is_removed(&error, &folder) => {}
            Err(error) => wrong.push(WrongCache::new(&folder, one_line(error))),
        }
    }
    Ok((wrong, newest))
}

/// Returns a good predictor when it is not what a fit to its curves gives.
pub(crate) fn differing_predictor(
    experiment: &Experiment,
    stored: &StoredPredictor,
    rows: &[Row],
) -> anyhow::Result<Option<WrongCache>> {
    if is_as_fitted(experiment, stored, rows)? {
        return Ok(None);
    }
    let problem = "it is not what its learning curves say with this `experiment.yaml`";
    let folder = experiment.dir().predictor(stored.full_curves);
    Ok(Some(WrongCache::new(&folder, problem.to_owned())))
}
