//! The views: whole in themselves, of a beginning of the log, and the newest one what that beginning says.

use std::path::PathBuf;

use crate::ops::Experiment;
use crate::ops::reduce::rebuild::differing_files;
use crate::ops::verify::finding::{Finding, Repair, below, one_line};
use crate::ops::verify::log::LogLine;
use crate::storage::{RawLog, View};

/// What is wrong with a view.
#[derive(Debug, Clone)]
pub(crate) struct WrongView {
    /// The rows in its name.
    pub rows: u64,
    /// Whether it is whole and fits the log, so that who decides by it does not see that it is wrong.
    pub seems_good: bool,
    folder: PathBuf,
    problem: String,
}

impl WrongView {
    /// Returns it as a finding.
    pub fn finding(&self, experiment: &Experiment) -> Finding {
        Finding::damage(below(experiment.dir().root(), &self.folder), self.problem.clone())
            .mended_by(Repair::RebuildView)
    }
}

/// What the views on disk are worth.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// Those that are damaged in themselves, or made of other rows.
    pub wrong: Vec<WrongView>,
    /// The newest good one, by its rows.
    pub newest_good: Option<u64>,
    /// How many rows of the log one of them vouches for: they are what they were when it was made.
    pub vouched: u64,
}

impl Views {
    /// Reads the views that were listed before the log was read.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub fn read(
        experiment: &Experiment,
        listed: &[(u64, PathBuf)],
        raw: &RawLog,
    ) -> anyhow::Result<Self> {
        let params = experiment.view_params();
        let mut views = Self::default();
        for (rows, folder) in listed {
            let (seems_good, problem) = match View::published(experiment.dir(), *rows, &params) {
                Ok(mut view) if raw.holds(view.position()) => {
                    views.vouched = *rows;
                    match view.learner().map(drop).and_then(|()| view.predictor().map(drop)) {
                        Ok(()) => {
                            views.newest_good = Some(*rows);
                            continue;
                        }
                        Err(error) => (true, one_line(error)),
                    }
                }
                Ok(view) => (false, misfit(&view, views.vouched)),
                // A reduce keeps the newest ones only.
                Err(error) if error.is_gone() && !folder.exists() => continue,
                Err(error) if error.is_gone() || error.is_damage() => (false, one_line(error)),
                Err(error) => return Err(error.into()),
            };
            let folder = folder.clone();
            views.wrong.push(WrongView { rows: *rows, seems_good, folder, problem });
        }
        Ok(views)
    }
}

fn misfit(view: &View, vouched: u64) -> String {
    let first = vouched + 2;
    format!(
        "it was made from other rows than the log has now (lines {first} to {} were changed, or are gone)",
        view.rows() + 1
    )
}

/// Compares a good view with what its rows say, learned from nothing.
///
/// # Errors
/// The view or a curve cannot be read.
pub(crate) fn differing_view(
    experiment: &Experiment,
    rows: u64,
    lines: &[LogLine],
    raw: &RawLog,
) -> anyhow::Result<Option<WrongView>> {
    let params = experiment.view_params();
    // A reduce keeps the newest ones only.
    let Ok(published) = View::published(experiment.dir(), rows, &params) else { return Ok(None) };
    let mut view = View::empty(params);
    for line in &lines[..rows as usize] {
        view.apply_row(&line.row)?;
    }
    view.move_to(raw.position_after(rows));
    let differing = differing_files(experiment, &mut view, &published)?.unwrap_or_default();
    let which = match differing.as_slice() {
        [] => return Ok(None),
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(", ")),
    };
    Ok(Some(WrongView {
        rows,
        seems_good: true,
        folder: experiment.dir().view(rows),
        problem: format!("{which} not what its rows of the log say with this `experiment.yaml`"),
    }))
}
