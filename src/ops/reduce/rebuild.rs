//! The caches compared with what the log says, learned from nothing.

use std::path::Path;

use anyhow::bail;

use crate::ops::journal::Journal;
use crate::ops::reduce::refit::{is_as_fitted, newest_predictor};
use crate::ops::{Experiment, Refusal};
use crate::storage::view::q_table::write_q_table;
use crate::storage::view::view::set_rows;
use crate::storage::view::{Learned, View};
use crate::storage::{Row, StorageError};

/// Whether a view is what its rows say, learned from nothing; `rows` are those of the log, at
/// `log`.
pub(crate) fn is_as_learned(
    experiment: &Experiment,
    view: &View,
    rows: &[Row],
    log: &Path,
) -> Result<bool, StorageError> {
    let rows = &rows[..view.rows() as usize];
    let mut learned = Learned::nothing(experiment.view_params());
    learned.learn(rows, log)?;
    Ok(view.set_rows == set_rows(rows) && view.q_table_csv()? == write_q_table(learned.q_table()))
}

/// Learns everything again from nothing and compares with the newest view and the newest
/// predictor; returns how many rows that view was made from.
pub fn rebuild(experiment: &Experiment) -> anyhow::Result<u64> {
    let journal = Journal::open(experiment)?;
    let Some(view) = journal.view() else { return Ok(0) };
    let differs = |what: String| {
        Refusal::Damage(format!(
            "the newest view `{}` is not what its {} rows of the log say: {what} (`metaqnn \
             verify --repair` sets it aside and makes it anew)",
            view.folder.display(),
            view.rows()
        ))
    };
    let log = experiment.dir().replay_log();
    if !is_as_learned(experiment, view, journal.rows(), &log)? {
        bail!(differs("q_table.csv differs".to_owned()));
    }
    if let Some(stored) = newest_predictor(experiment, &journal)?
        && !is_as_fitted(experiment, &stored, journal.rows())?
    {
        bail!(differs(format!("the predictor of {} full curves differs", stored.full_curves)));
    }
    Ok(view.rows())
}
