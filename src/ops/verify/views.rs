//! The caches: views and predictors, whole in themselves, of a prefix of the log, and the newest
//! ones what that prefix says.

use std::path::{Path, PathBuf};

use crate::ops::Experiment;
use crate::ops::reduce::refit::{is_as_fitted, is_of_log};
use crate::ops::verify::finding::{Finding, Repair, one_line};
use crate::storage::view::{StoredPredictor, View};
use crate::storage::{RawLog, Row, StorageError};

/// Of caches of one kind those that are damaged in themselves or do not fit the log, and the newest
/// other one.
type Caches<T> = (Vec<Finding>, Option<T>);

fn wrong(folder: &Path, problem: String) -> Finding {
    Finding::damage(folder, problem).mended_by(Repair::RebuildView)
}

/// Whether a listed folder is gone: a reduce keeps the newest ones only.
fn is_removed(error: &StorageError, folder: &Path) -> bool {
    error.is_gone() && !folder.exists()
}

/// Reads the views that were listed before the log was read; returns with them the length of the
/// longest prefix whose checksum matches one.
pub(crate) fn read_views(
    experiment: &Experiment,
    listed: &[(u64, PathBuf)],
    raw: &RawLog,
) -> (Caches<View>, u64) {
    let params = experiment.view_params();
    let (mut found, mut newest, mut prefix) = (Vec::new(), None, 0);
    for (rows, folder) in listed {
        let problem = match View::read(folder, *rows, &params.sha256) {
            Ok(view) if raw.holds(&view.position) => {
                prefix = *rows;
                match view.q_table(&params) {
                    Ok(_) => {
                        newest = Some(view);
                        continue;
                    }
                    Err(error) => one_line(error),
                }
            }
            Ok(view) => format!(
                "it was made from other rows than the log has now (lines {} to {} were changed, or \
                 are gone)",
                prefix + 2,
                view.rows() + 1
            ),
            Err(error) if is_removed(&error, folder) => continue,
            Err(error) => one_line(error),
        };
        found.push(wrong(folder, problem));
    }
    ((found, newest), prefix)
}

pub(crate) fn read_predictors(
    experiment: &Experiment,
    rows: &[Row],
) -> anyhow::Result<Caches<StoredPredictor>> {
    let sha256 = experiment.view_params().sha256;
    let (mut found, mut newest) = (Vec::new(), None);
    for (full_curves, folder) in experiment.dir().list_predictors()? {
        let read = StoredPredictor::read(&folder, full_curves, &sha256).and_then(|stored| {
            stored.predictor()?;
            if is_of_log(experiment, &stored, rows) { Ok(stored) } else { Err(stored.stale()) }
        });
        match read {
            Ok(stored) => newest = Some(stored),
            Err(error) if is_removed(&error, &folder) => {}
            Err(error) => found.push(wrong(&folder, one_line(error))),
        }
    }
    Ok((found, newest))
}

/// The newest caches that are whole, but not what the log says when they are made again from it.
pub(crate) fn differing(
    experiment: &Experiment,
    (view, predictor): (Option<&View>, Option<&StoredPredictor>),
    rows: &[Row],
) -> anyhow::Result<Vec<Finding>> {
    let differs = |folder: &Path, from: &str| {
        let problem = format!("it is not what its {from} say with this `experiment.yaml`");
        wrong(folder, problem)
    };
    let mut found = Vec::new();
    if let Some(view) = view {
        match view.is_as_learned(experiment.view_params(), rows, &experiment.dir().replay_log()) {
            Ok(true) => {}
            Ok(false) => found.push(differs(&view.folder, "rows of the log")),
            Err(error) if is_removed(&error, &view.folder) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(stored) = predictor
        && !is_as_fitted(experiment, stored, rows)?
    {
        let folder = experiment.dir().predictor(stored.full_curves);
        found.push(differs(&folder, "learning curves"));
    }
    Ok(found)
}
