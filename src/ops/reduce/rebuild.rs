//! A view compared with what its rows of the log say, learned from nothing.

use anyhow::bail;

use crate::ops::reduce::refit::{decide_alike, refit};
use crate::ops::snapshot::log_rows;
use crate::ops::{Experiment, Refusal};
use crate::storage::{PREDICTOR, ReplayLog, StorageError, View};

/// Fits the predictor of a view that was learned from nothing, and compares it with the published view of the same rows:
/// the names of the files that differ, `None` when there is no such view any more. Predictors are compared by what they
/// decide: their last bits differ between processors.
///
/// # Errors
/// When a curve or the published view cannot be read.
pub(crate) fn differing_files(
    experiment: &Experiment,
    view: &mut View,
    published: &View,
) -> anyhow::Result<Option<Vec<&'static str>>> {
    refit(experiment, view, || log_rows(experiment, published.position()))?;
    let files = view.compare(experiment.dir())?;
    if files.as_deref() == Some(&[PREDICTOR]) && decide_alike(view, published)? {
        return Ok(Some(Vec::new()));
    }
    Ok(files)
}

/// Learns everything again from nothing and compares with the newest view; returns how many rows that digests.
///
/// # Errors
/// [`Refusal::ViewDiffers`] when they are not the same.
pub fn rebuild(experiment: &Experiment) -> anyhow::Result<u64> {
    let Some((rows, folder)) = experiment.dir().list_views()?.pop() else { return Ok(0) };
    let published = View::published(experiment.dir(), rows, &experiment.view_params())?;
    let log = ReplayLog::open(experiment.dir())?;
    let mut view = View::empty(experiment.view_params());
    // The first line is the header.
    for (row, line) in log.rows_before(published.position())?.iter().zip(2..) {
        let path = experiment.dir().replay_log();
        view.apply_row(row).map_err(|source| StorageError::DamagedRow {
            path,
            place: format!("line {line}"),
            source,
        })?;
    }
    view.move_to(published.position().clone());
    let differs = |what| Refusal::ViewDiffers { view: folder, rows, what };
    match differing_files(experiment, &mut view, &published)? {
        Some(files) if files.is_empty() => Ok(rows),
        Some(files) => bail!(differs(format!("{} differ", files.join(", ")))),
        None => bail!(differs("it has vanished".to_owned())),
    }
}
