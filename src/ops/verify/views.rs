//! The caches: each is whole and of a prefix of the log, the newest one what that prefix says.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::ops::Experiment;
use crate::ops::reduce::refit::{is_as_fitted, is_of_log};
use crate::ops::verify::finding::{Finding, Repair, one_line};
use crate::q_learning::QTable;
use crate::storage::{Knowledge, RawLog, Row, StorageError, view::StoredPredictor, view::View};
use crate::strategy::SearchHistory;

/// Of caches of one kind those that are damaged or do not fit the log, and the newest other one.
type Caches<T> = (Vec<Finding>, Option<T>);

fn wrong(folder: &Path, problem: String) -> Finding {
    Finding::damage(folder, problem).mended_by(Repair::RebuildView)
}

/// Whether a listed folder is gone: a reduce keeps the newest ones only.
fn is_removed(error: &StorageError, folder: &Path) -> bool {
    error.is_gone() && !folder.exists()
}

fn read_all<T>(
    listed: &[(u64, PathBuf)],
    mut read: impl FnMut(u64, &Path) -> Result<T, StorageError>,
) -> Caches<T> {
    let (mut found, mut newest) = (Vec::new(), None);
    for (number, folder) in listed {
        match read(*number, folder) {
            Ok(cache) => newest = Some(cache),
            Err(error) if is_removed(&error, folder) => {}
            Err(StorageError::Damaged { path, problem }) if path == *folder => {
                found.push(wrong(folder, problem));
            }
            Err(error) => found.push(wrong(folder, one_line(error))),
        }
    }
    (found, newest)
}

/// Reads the views that were listed before the log was read; returns with them the length of the
/// longest prefix whose checksum matches one.
pub(crate) fn read_views(
    experiment: &Experiment,
    listed: &[(u64, PathBuf)],
    raw: &RawLog,
) -> (Caches<View>, u64) {
    let (params, mut prefix) = (experiment.view_params(), 0);
    let views = read_all(listed, |rows, folder| {
        let view = View::read(folder, rows, &params.sha256)?;
        if !raw.holds(&view.position) {
            let problem = format!(
                "it was made from other rows than the log has now (lines {} to {} were changed, or \
                 are gone)",
                prefix + 2,
                rows + 1
            );
            return Err(StorageError::damaged(folder, problem));
        }
        prefix = rows;
        view.q_table(&params).and(view.strategy())?;
        Ok(view)
    });
    (views, prefix)
}

pub fn read_predictors(experiment: &Experiment, rows: &[Row]) -> Result<Caches<StoredPredictor>> {
    let sha256 = experiment.view_params().sha256;
    Ok(read_all(&experiment.dir().list_predictors()?, |full_curves, folder| {
        let stored = StoredPredictor::read(folder, full_curves, &sha256)?;
        stored.predictor()?;
        if is_of_log(experiment, &stored, rows) { Ok(stored) } else { Err(stored.stale()) }
    }))
}

/// Whether the strategy's numbers in a view are what it learns from its rows, to the last bit.
fn is_as_strategy_learned(
    experiment: &Experiment,
    view: &View,
    rows: &[Row],
) -> Result<bool, StorageError> {
    let Some(found) = view.strategy()? else { return Ok(true) };
    let (rows, state) = (&rows[..view.rows() as usize], &Knowledge::default());
    let q_table = &QTable::new(experiment.config().space.clone(), 0.0);
    let history = SearchHistory { rows, replays: 0, state, epsilon: None, q_table };
    let learned = experiment.strategy().state(&history);
    let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    Ok(learned.map(bits) == Some(bits(found)))
}

/// The newest caches that are whole, but not what the log says when they are made again from it.
pub(crate) fn differing(
    experiment: &Experiment,
    (view, predictor): (Option<&View>, Option<&StoredPredictor>),
    rows: &[Row],
) -> Result<Vec<Finding>> {
    let dir = experiment.dir();
    let view = view.map(|view| {
        let is_same = view.is_as_learned(experiment.view_params(), rows, &dir.replay_log());
        let is_same =
            is_same.and_then(|it| Ok(it && is_as_strategy_learned(experiment, view, rows)?));
        (view.folder.clone(), "rows of the log", is_same.map_err(anyhow::Error::from))
    });
    let predictor = predictor.map(|stored| {
        let folder = dir.predictor(stored.full_curves);
        (folder, "learning curves", is_as_fitted(experiment, stored, rows))
    });
    let mut found = Vec::new();
    for (folder, from, is_same) in view.into_iter().chain(predictor) {
        let cause = is_same.as_ref().err().and_then(|error| error.downcast_ref());
        if !cause.is_some_and(|error| is_removed(error, &folder)) && !is_same? {
            let problem =
                format!("it is not what its {from} say with this `experiment.yaml` and program");
            found.push(wrong(&folder, problem));
        }
    }
    Ok(found)
}
