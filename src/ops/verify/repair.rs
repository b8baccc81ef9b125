//! Mending what is safe to mend, under the exclusive lock of the log.
//!
//! Decided again from the log as it is under the lock, in an order in which it may be killed at any moment and
//! repeated: what is replaced is saved before; results are appended again before the row that holds them is blanked;
//! views come last, since they follow from the log. The lock is let go of before anything is learned.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::files::AttemptFiles;
use super::log::Examined;
use super::views::Views;
use crate::ops::Experiment;
use crate::ops::live_log::view_params;
use crate::ops::refit::refit;
use crate::storage::{
    ExclusiveGuard, LogCursor, ReplayLog, Row, View, WritableReplayLog, publish, set_view_aside,
};

/// Mends the log, sets files aside that are in the way, and replaces views that are wrong; `differing` is the newest
/// one when it is not what its rows say.
///
/// # Errors
/// The lock stayed taken, or a file cannot be written: then all is as it was, or as far as it was mended.
pub(super) fn mend(experiment: &Experiment, differing: Option<u64>) -> anyhow::Result<()> {
    let dir = experiment.dir();
    let files = AttemptFiles::list(dir)?;
    let listed = dir.list_views()?;
    let mut log = WritableReplayLog::open(dir)?;
    // Cuts an unfinished end.
    let mut guard = log.lock_exclusive()?;
    let vouched = Views::read(experiment, &listed, &guard.read_raw()?)?.vouched;
    let Some(log) = mend_log(&mut guard, experiment, vouched)? else { return Ok(()) };
    let wrong = Views::read(experiment, &listed, &guard.read_raw()?)?.wrong;
    let wrong: BTreeSet<u64> = wrong.iter().map(|view| view.rows).chain(differing).collect();
    for rows in &wrong {
        let aside = set_view_aside(dir, *rows)?;
        log::info!("the view of {rows} rows was set aside as `{}`", aside.display());
    }
    for path in files.unknown_to(&log) {
        let aside = publish::set_aside(path)?;
        log::info!("`{}` was set aside as `{}`", path.display(), aside.display());
    }
    drop(guard);
    if wrong.is_empty() { Ok(()) } else { publish_view(experiment) }
}

/// Returns the log as it is then, `None` when it is beyond repair and was left as it is.
fn mend_log(
    guard: &mut ExclusiveGuard<'_>,
    experiment: &Experiment,
    vouched: u64,
) -> anyhow::Result<Option<Examined>> {
    let space = &experiment.config().space;
    let raw = guard.read_raw()?;
    let examined = Examined::of(&raw, Some(space), vouched);
    if examined.is_beyond_repair() {
        return Ok(None);
    }
    let again: Vec<Row> = examined.blanks.iter().filter_map(|blank| blank.again.clone()).collect();
    guard.append(&again)?;
    for blank in &examined.blanks {
        guard.blank(&raw.lines()[blank.index], blank.keep)?;
    }
    let examined = Examined::of(&guard.read_raw()?, Some(space), vouched);
    guard.append(&examined.knowledge.due_rows(Some(Timestamp::now().into())))?;
    Ok(Some(Examined::of(&guard.read_raw()?, Some(space), vouched)))
}

/// Publishes a view of all rows, learned from nothing.
fn publish_view(experiment: &Experiment) -> anyhow::Result<()> {
    let tail = ReplayLog::open(experiment.dir())?.read_from(&LogCursor::start())?;
    let mut view = View::empty(view_params(experiment));
    view.apply(&tail)?;
    refit(experiment, &mut view, || Ok(tail.rows))?;
    if view.rows() > 0 {
        view.publish(experiment.dir())?;
    }
    Ok(())
}
